//! Streams with several tracks, and players that know nothing of them.

use crate::support::{Client, TestServer, describe, media};
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::command::caps;
use rtmp_server::rtmp::{Message, MessageType};
use std::iter;

/// How a player asks, and whether it gets all tracks.
const PLAYERS: [(&str, u32, &str, bool); 5] = [
    ("", 0, "x", false),
    ("", caps::MOD_EX, "x", false),
    ("", caps::MULTITRACK | caps::MOD_EX, "x", true),
    ("", 0, "x?tracks=all", true),
    ("-tracks all", 0, "x", true),
];

#[test]
fn a_player_that_takes_one_track_gets_the_first() {
    for (flags, caps_ex, name, all) in PLAYERS {
        let server = TestServer::start(flags);
        let mut publisher = server.publisher("x");
        let mut early = player(&server, caps_ex, name);
        let beginning = [
            media("V head 1 @0"),
            video(b"\x96\x00avc1\x01second", 0),
            media("A head 1 @0"),
            audio(b"\x95\x00mp4a\x01second", 0),
            // The keyframe of the second track is the older one.
            video(b"\x96\x03avc1\x01key", 0),
            media("A sound 2 @10"),
            media("V key 3 @20"),
        ];
        let live = [
            media("A sound 4 @30"),
            video(b"\xa6\x03avc1\x01inter", 40),
            // Both tracks in one message.
            video(b"\xa6\x13avc1\x00\0\0\x03one\x01\0\0\x03two", 41),
            audio(b"\x95\x01mp4a\x01sound", 42),
            media("V inter 5 @60"),
            media("A sound 6 @70"),
            media("V inter 7 @80"),
        ];
        beginning.iter().for_each(|media| publisher.send(media));
        publisher.call(0, "settle", 9.0, vec![]);
        publisher.expect(&["_error 9"]);
        let mut late = player(&server, caps_ex, name);
        live.iter().for_each(|media| publisher.send(media));
        let one = describe(&video(b"\xa3avc1one", 41));
        let of_first = [
            "V head 1 @20",
            "A head 1 @20",
            "V key 3 @20",
            "A sound 4 @30",
            &one,
            "V inter 5 @60",
            "A sound 6 @70",
            "V inter 7 @80",
        ];
        for (player, what) in [(&mut early, "early"), (&mut late, "late")] {
            let got = player.lines_until("V inter 7 @80");
            let several = |line: &&String| line.starts_with("type");
            match all {
                true => assert_eq!(got.iter().filter(several).count(), 6, "{what}: {got:?}"),
                false => assert_eq!(got, of_first, "{what}"),
            }
        }
    }
}

/// Players that get the same share it, before and after they got different things.
#[test]
fn tracks_may_come_and_go_while_players_of_both_kinds_watch() {
    let server = TestServer::start("");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 0 @0", "V key 0 @0"]);
    let mut one = player(&server, 0, "x");
    let mut all = player(&server, caps::MULTITRACK, "x");
    let mut want = (Vec::new(), Vec::new());
    for number in 1..100_u32 {
        let plain = media(&format!("V inter {number} @{}", number * 40));
        publisher.send(&plain);
        let other = (number % 30 > 20).then(|| video(b"\x96\x03avc1\x01key", number * 40 + 1));
        other.iter().for_each(|other| publisher.send(other));
        want.0.push(describe(&plain));
        want.1
            .extend(iter::once(&plain).chain(&other).map(describe));
    }
    publisher.send_media(&["V key 100 @4000"]);
    for (player, mut want) in [(&mut one, want.0), (&mut all, want.1)] {
        want.splice(0..0, ["V head 0 @0".to_owned(), "V key 0 @0".to_owned()]);
        want.push("V key 100 @4000".to_owned());
        assert_eq!(player.lines_until("V key 100"), want);
    }
}

fn player(server: &TestServer, caps_ex: u32, name: &str) -> Client {
    let mut client = server.client();
    client.connect_with("live", caps_ex);
    client.create_stream();
    client.call(1, "play", 0.0, vec![Value::text(name)]);
    client.expect(&["begin 1", "status@1 NetStream.Play.Start"]);
    client
}

fn video(payload: &[u8], time: u32) -> Message {
    Message {
        payload: payload.into(),
        ..media(&format!("V key 0 @{time}"))
    }
}

fn audio(payload: &[u8], time: u32) -> Message {
    Message {
        kind: MessageType::AUDIO,
        ..video(payload, time)
    }
}
