//! What viewers see of a live stream: joining late, publishers that come and go, waiting, pausing.

use crate::support::{TestServer, describe, media};
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};

const UNPUBLISHED: [&str; 3] = ["eof 1", "status@1 NetStream.Play.UnpublishNotify", "end"];

#[test]
fn a_late_joiner_begins_with_a_keyframe_and_all_it_needs() {
    let rows = include_str!("../../testdata/server/late_join.txt")
        .split("\n\n")
        .skip(1);
    for row in rows {
        let (name, rest) = row.trim().split_once('\n').expect("a name");
        let (flags, rest) = match rest.strip_prefix('-') {
            Some(_) => rest.split_once('\n').expect("flags"),
            None => ("", rest),
        };
        let (published, want) = rest.split_once("\n=>").expect("what is sent");
        let words = |list: &'static str| {
            list.trim()
                .split(", ")
                .filter(|line| !line.is_empty())
                .collect()
        };
        check_late_joiner(name, flags, words(published), words(want));
    }
}

fn check_late_joiner(name: &str, flags: &str, published: Vec<&str>, want: Vec<&str>) {
    let server = TestServer::start(flags);
    let mut publisher = server.publisher("x");
    publisher.send_media(&published);
    // Answered only when all of that has been passed on.
    publisher.call(0, "settle", 9.0, vec![]);
    publisher.expect(&["_error 9"]);
    let mut joiner = server.playing("x");
    joiner.expect(&want);
    if !want.is_empty() {
        publisher.send_media(&["D text 99 @0"]);
        joiner.expect(&["D text 99"]);
    } else {
        assert!(joined_live(&mut publisher, &mut joiner), "{name}");
    }
}

/// Whether somebody who waits gets nothing until a keyframe, or sound where there is no picture.
fn joined_live(
    publisher: &mut crate::support::Client,
    joiner: &mut crate::support::Client,
) -> bool {
    joiner.expect_silence();
    publisher.send_media(&["A sound 50 @6000"]);
    publisher.send_media(&["V key 51 @6001", "V inter 52 @6002"]);
    let lines = joiner.lines_until("V inter 52");
    let begins = lines
        .iter()
        .position(|line| line.contains("sound 50") || line.contains("key 51"));
    let rest = &lines[begins.expect("a beginning")..];
    rest.iter().any(|line| line.starts_with("V key 51"))
}

#[test]
fn after_joining_nothing_is_missing_and_nothing_comes_twice() {
    let server = TestServer::start("");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 0 @0", "V key 0 @0"]);
    let mut joiners = Vec::new();
    for number in 1..100_u8 {
        publisher.send_media(&[&format!("V inter {number} @{}", u32::from(number) * 40)]);
        if number % 10 == 0 {
            joiners.push(server.playing("x"));
        }
    }
    publisher.send_media(&["V key 100 @4000"]);
    for mut joiner in joiners {
        let lines = joiner.lines_until("V key 100");
        let mut want = vec!["V head 0 @0".to_owned(), "V key 0 @0".to_owned()];
        want.extend((1..100).map(|number| format!("V inter {number} @{}", number * 40)));
        want.push("V key 100 @4000".to_owned());
        assert_eq!(lines, want);
    }
}

#[test]
fn sound_alone_starts_at_once_and_pictures_that_come_later_at_a_keyframe() {
    let server = TestServer::start("");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["A head 1 @4294967290", "A sound 1 @20"]);
    let mut player = server.playing("x");
    publisher.send_media(&["A sound 2 @40"]);
    player.expect(&["A head 1 @40", "A sound 2 @40"]);
    publisher.send_media(&[
        "V head 1 @50",
        "V inter 1 @50",
        "A sound 3 @60",
        "V key 2 @70",
        "V inter 3 @80",
    ]);
    player.expect(&[
        "V head 1 @50",
        "A sound 3 @60",
        "V key 2 @70",
        "V inter 3 @80",
    ]);
}

#[test]
fn each_track_begins_with_its_own_keyframe() {
    let server = TestServer::start("-tracks all");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 0 @0", "V key 0 @0"]);
    let mut early = server.playing("x");
    early.expect(&["V head 0 @0", "V key 0 @0"]);
    let head = track_one(0x90, 10, 10);
    let (frame, key, inter) = (
        track_one(0xa1, 20, 20),
        track_one(0x91, 30, 30),
        track_one(0xa1, 40, 40),
    );
    [&head, &frame, &key, &inter]
        .into_iter()
        .for_each(|message| publisher.send(message));
    publisher.send_media(&["V key 1 @50", "V inter 2 @60"]);
    publisher.send(&track_one(0xa1, 70, 70));
    let [key, inter, last] =
        [key, inter, track_one(0xa1, 70, 70)].map(|message| describe(&message));
    early.expect(&[
        &describe(&head),
        &key,
        &inter,
        "V key 1 @50",
        "V inter 2 @60",
        &last,
    ]);
    let mut late = server.playing("x");
    late.expect(&[
        "V head 0 @30",
        &describe(&track_one(0x90, 10, 30)),
        &key,
        &inter,
    ]);
    late.expect(&["V key 1 @50", "V inter 2 @60", &last]);
}

/// A packet of track 1, as Enhanced RTMP wraps it: `first` is frame type and packet type.
fn track_one(first: u8, number: u8, time: u32) -> Message {
    let (frame_type, packet_type) = (first & 0xf0, first & 0x0f);
    let mut payload = vec![frame_type | 6, packet_type];
    payload.extend(b"av01\x01");
    payload.push(number);
    let timestamp = Timestamp(time);
    Message {
        timestamp,
        kind: MessageType::VIDEO,
        stream: StreamId(1),
        payload: payload.into(),
    }
}

#[test]
fn data_is_relayed_byte_for_byte_and_can_be_cleared() {
    let server = TestServer::start("");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["D meta 1 @0", "V head 1 @0", "V key 1 @0"]);
    let mut player = server.playing("x");
    player.expect(&["D meta 1 @0", "V head 1 @0", "V key 1 @0"]);
    let odd = [
        0x02, 0, 1, b'q', 0x00, 0x7f, 0xf8, 0, 0, 0, 0, 0, 1, 0xff, 0xee,
    ];
    let message = Message {
        kind: MessageType::DATA,
        payload: odd.to_vec().into(),
        ..media("V key 1 @77")
    };
    publisher.send(&message);
    let got = player.receive().expect("a message");
    assert_eq!((&got.payload[..], got.timestamp.0), (&odd[..], 77));
    let clear = [Value::text("@clearDataFrame"), Value::text("onMetaData")];
    let payload = rtmp_server::amf0::encode(&clear).into();
    publisher.send(&Message {
        kind: MessageType::DATA,
        payload,
        ..media("V key 1 @0")
    });
    publisher.send_media(&["V inter 2 @90"]);
    player.expect(&["V inter 2 @90"]);
    server.playing("x").expect(&["V head 1 @0", "V key 1 @0"]);
}

#[test]
fn a_viewer_cannot_send_media_into_a_stream() {
    let server = TestServer::start("");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let mut intruder = server.playing("x");
    let mut player = server.playing("x");
    intruder.send_media(&["V key 66 @10", "D meta 66 @0", "A sound 66 @10"]);
    intruder.call(0, "ping", 9.0, vec![]);
    intruder.expect(&["V head 1 @0", "V key 1 @0", "_error 9"]);
    publisher.send_media(&["V inter 2 @40"]);
    player.expect(&["V head 1 @0", "V key 1 @0", "V inter 2 @40"]);
}

#[test]
fn a_second_publisher_takes_over_and_viewers_go_on() {
    let server = TestServer::start("");
    let mut first = server.publisher("x");
    first.send_media(&[
        "D meta 1 @0",
        "V head 1 @0",
        "V key 1 @1000",
        "V inter 2 @1040",
    ]);
    let mut player = server.playing("x");
    player.expect(&[
        "D meta 1 @0",
        "V head 1 @1000",
        "V key 1 @1000",
        "V inter 2 @1040",
    ]);
    let mut second = server.publisher("x");
    first.expect(&["error@1 NetStream.Publish.BadName", "end"]);
    second.send_media(&[
        "D meta 3 @0",
        "V head 3 @0",
        "V inter 3 @0",
        "V key 3 @10",
        "V inter 4 @50",
    ]);
    player.expect(&[
        "D meta 3 @0",
        "V head 3 @1090",
        "V key 3 @1090",
        "V inter 4 @1130",
    ]);
    server.playing("x").expect(&[
        "D meta 3 @0",
        "V head 3 @1090",
        "V key 3 @1090",
        "V inter 4 @1130",
    ]);
    second.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
    player.expect(&UNPUBLISHED);
}

#[test]
fn a_second_publisher_is_refused_where_that_is_wanted() {
    let server = TestServer::start("-on-duplicate reject");
    let mut first = server.publisher("x");
    let mut second = server.connected();
    second.call(1, "publish", 0.0, vec![Value::text("x")]);
    second.expect(&["error@1 NetStream.Publish.BadName", "end"]);
    drop(second);
    first.send_media(&["V head 1 @0", "V key 1 @0"]);
    server.playing("x").expect(&["V head 1 @0", "V key 1 @0"]);
    first.vanish();
    server.wait_for_count((0, 0, 0));
    server.publisher("x");
}

#[test]
fn a_lost_publisher_may_come_back() {
    let server = TestServer::start("-grace 5s");
    let mut publisher = server.publisher("x");
    publisher.send_media(&[
        "V head 1 @4294967290",
        "V key 1 @4294967290",
        "A head 1 @4294967290",
        "A sound 2 @4294967295",
    ]);
    let mut player = server.playing("x");
    player.lines_until("A sound 2");
    publisher.vanish();
    player.expect(&["dry 1"]);
    let mut waiting = server.player("x");
    let mut publisher = server.publisher("x");
    waiting.expect(&["begin 1", "status@1 NetStream.Play.Start"]);
    publisher.send_media(&[
        "A head 5 @0",
        "V head 5 @0",
        "A sound 6 @0",
        "V key 6 @7",
        "A sound 7 @20",
    ]);
    let goes_on = [
        "V head 5 @46",
        "A head 5 @46",
        "V key 6 @46",
        "A sound 7 @59",
    ];
    player.expect(&["begin 1"]);
    player.expect(&goes_on);
    waiting.expect(&goes_on);
}

#[test]
fn viewers_are_told_when_the_grace_is_over() {
    for (flags, dry) in [("-grace 300ms", true), ("-grace 0", false)] {
        let server = TestServer::start(flags);
        let mut publisher = server.publisher("x");
        publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
        let mut player = server.playing("x");
        player.expect(&["V head 1 @0", "V key 1 @0"]);
        publisher.vanish();
        if dry {
            player.expect(&["dry 1"]);
        }
        player.expect(&UNPUBLISHED);
        drop(player);
        server.wait_for_count((0, 0, 0));
    }
}

#[test]
fn each_clean_end_of_a_publication_tells_its_viewers() {
    let ends: [(&str, u32, Vec<Value>); 3] = [
        ("deleteStream", 0, vec![Value::Number(1.0)]),
        ("closeStream", 1, vec![]),
        ("FCUnpublish", 0, vec![Value::text("x")]),
    ];
    for (name, stream, arguments) in ends {
        let server = TestServer::start("");
        let mut publisher = server.publisher("x");
        publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
        let mut player = server.playing("x");
        player.expect(&["V head 1 @0", "V key 1 @0"]);
        publisher.call(stream, name, 0.0, arguments);
        player.expect(&UNPUBLISHED);
        drop(player);
        publisher.send_media(&["V key 9 @50"]);
        publisher.call(0, "ping", 9.0, vec![]);
        // FCUnpublish is answered before.
        publisher.lines_until("_error 9");
        server.wait_for_count((1, 0, 0));
    }
}

#[test]
fn a_player_may_come_first() {
    let server = TestServer::start("");
    let mut player = server.player("x");
    player.expect_silence();
    let mut publisher = server.publisher("x");
    player.expect(&["begin 1", "status@1 NetStream.Play.Start"]);
    publisher.send_media(&[
        "D meta 1 @0",
        "A head 1 @0",
        "V head 1 @0",
        "A sound 1 @900",
        "V key 1 @1000",
    ]);
    player.expect(&[
        "D meta 1 @0",
        "V head 1 @1000",
        "A head 1 @1000",
        "V key 1 @1000",
    ]);
}

#[test]
fn a_player_that_waited_in_vain_is_told_so() {
    for flags in ["-wait-stream 300ms", "-wait-stream 0"] {
        let server = TestServer::start(flags);
        let mut player = server.player("x");
        player.expect(&["error@1 NetStream.Play.StreamNotFound", "end"]);
        drop(player);
        server.wait_for_count((0, 0, 0));
    }
}

#[test]
fn a_reset_is_told_only_to_those_who_asked_for_it() {
    let server = TestServer::start("");
    let _publisher = server.publisher("x");
    let mut player = server.connected();
    let arguments = [
        Value::text("x"),
        Value::Number(-1.0),
        Value::Number(-1.0),
        Value::Boolean(true),
    ];
    player.call(1, "play", 0.0, arguments.to_vec());
    player.expect(&[
        "begin 1",
        "status@1 NetStream.Play.Reset",
        "status@1 NetStream.Play.Start",
    ]);
}

#[test]
fn a_paused_player_goes_on_at_a_keyframe() {
    let server = TestServer::start("");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["A head 1 @0", "V head 1 @0", "V key 1 @0"]);
    let mut player = server.playing("x");
    player.expect(&["V head 1 @0", "A head 1 @0", "V key 1 @0"]);
    player.call(
        1,
        "pause",
        0.0,
        vec![Value::Boolean(true), Value::Number(0.0)],
    );
    player.expect(&["status@1 NetStream.Pause.Notify"]);
    let sync = |player: &mut crate::support::Client| {
        player.call(0, "ping", 9.0, vec![]);
        player.lines_until("_error 9").len()
    };
    sync(&mut player);
    publisher.send_media(&[
        "V inter 2 @40",
        "A head 2 @50",
        "D meta 4 @60",
        "V key 3 @80",
    ]);
    player.expect_silence();
    player.call(
        1,
        "pause",
        0.0,
        vec![Value::Boolean(false), Value::Number(0.0)],
    );
    player.expect(&["status@1 NetStream.Unpause.Notify"]);
    sync(&mut player);
    // Metadata has no time for what waits: that comes in front of what has one.
    publisher.send_media(&[
        "D meta 5 @110",
        "V inter 4 @120",
        "V key 5 @160",
        "A sound 6 @161",
        "V inter 7 @200",
    ]);
    player.expect(&[
        "A head 2 @160",
        "D meta 5 @0",
        "V key 5 @160",
        "A sound 6 @161",
        "V inter 7 @200",
    ]);
}

#[test]
fn audio_and_video_can_be_turned_off_and_on() {
    let server = TestServer::start("");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["A head 1 @0", "V head 1 @0", "V key 1 @0"]);
    let mut player = server.playing("x");
    player.expect(&["V head 1 @0", "A head 1 @0", "V key 1 @0"]);
    let again = [
        "status@1 NetStream.Seek.Notify",
        "status@1 NetStream.Play.Start",
    ];
    player.call(1, "receiveVideo", 0.0, vec![Value::Boolean(false)]);
    player.call(0, "ping", 9.0, vec![]);
    player.expect(&["_error 9"]);
    publisher.send_media(&["V inter 2 @40", "A sound 3 @50", "V key 4 @80"]);
    publisher.call(0, "settle", 9.0, vec![]);
    publisher.expect(&["_error 9"]);
    player.expect(&["A sound 3 @50"]);
    player.call(1, "receiveVideo", 0.0, vec![Value::Boolean(true)]);
    player.expect(&again);
    player.call(1, "receiveAudio", 0.0, vec![Value::Boolean(false)]);
    player.call(0, "ping", 9.0, vec![]);
    player.expect(&["_error 9"]);
    publisher.send_media(&[
        "V inter 5 @120",
        "A sound 6 @130",
        "V key 7 @160",
        "V inter 8 @200",
    ]);
    player.expect(&["V key 7 @160", "V inter 8 @200"]);
    player.call(1, "receiveAudio", 0.0, vec![Value::Boolean(true)]);
    player.expect(&again);
    player.call(0, "ping", 9.0, vec![]);
    player.expect(&["_error 9"]);
    publisher.send_media(&["A sound 9 @210", "V inter 10 @240"]);
    player.expect(&["A sound 9 @210", "V inter 10 @240"]);
}

#[test]
fn of_very_many_headers_not_all_are_kept() {
    let server = TestServer::start("-tracks all");
    let mut publisher = server.publisher("x");
    for track in 0..100 {
        let mut head = track_one(0x90, 0, 0).payload.to_vec();
        head[6] = track;
        publisher.send(&Message {
            payload: head.into(),
            ..media("V head 0 @0")
        });
    }
    publisher.send_media(&["V key 1 @0"]);
    publisher.call(0, "settle", 9.0, vec![]);
    publisher.expect(&["_error 9"]);
    let lines = server.playing("x").lines_until("V key 1");
    assert_eq!(lines.len(), 64 + 1, "{lines:?}");
}
