//! What viewers of FLV are sent.

use super::{FlvViewer, finish, real, send, settle, start};
use crate::support::http::HttpReply;
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};

const BEGINNING: [&str; 5] = [
    "D meta 1 @0",
    "V head 1 @0",
    "A head 1 @0",
    "V key 1 @0",
    "A sound 1 @10",
];

#[test]
fn a_viewer_gets_what_is_cached_then_what_comes_and_a_whole_end() {
    let rows: [(&str, &[&str], u8); 4] = [
        ("both", &BEGINNING, 5),
        (
            "pictures",
            &["D meta 1 @0", "V head 1 @0", "V key 1 @0", "V inter 2 @40"],
            1,
        ),
        (
            "pictures without metadata",
            &["V head 1 @0", "V key 1 @0"],
            1,
        ),
        (
            "an old group is left out",
            &["V head 1 @0", "A head 1 @0"],
            5,
        ),
    ];
    for (what, beginning, flags) in rows {
        let server = start("");
        let mut publisher = server.publisher("x");
        send(&mut publisher, beginning);
        let mut want = beginning.to_vec();
        if what == "an old group is left out" {
            send(
                &mut publisher,
                &["V key 1 @0", "A sound 1 @1", "V key 2 @1000"],
            );
            want = vec!["V head 1 @1000", "A head 1 @1000", "V key 2 @1000"];
        }
        let mut viewer = FlvViewer::playing(&server, "/live/x.flv");
        assert_eq!(viewer.flags(), flags, "{what}");
        viewer.expect(&want);
        let live = [
            "V inter 3 @1040",
            "D text 4 @1041",
            "V key 5 @1080",
            "V head 6 @1120",
            "V key 7 @1120",
        ];
        send(&mut publisher, &live);
        viewer.expect(&live);
        finish(&mut publisher);
        viewer.expect_end();
    }
}

#[test]
fn a_viewer_may_come_before_the_stream() {
    let server = start("");
    let addr = server.media_addr();
    let early = std::thread::spawn(move || HttpReply::get(addr, "/live/x.flv"));
    server.wait_for_count((1, 0, 1));
    let mut publisher = server.publisher("x");
    // Sound that is not announced comes before the first picture.
    send(&mut publisher, &BEGINNING);
    let mut viewer = FlvViewer::of(early.join().expect("a response"));
    assert_eq!(viewer.flags(), 5);
    viewer.expect(&BEGINNING);
    finish(&mut publisher);
    viewer.expect_end();
}

#[test]
fn sound_alone_begins_at_once() {
    let server = start("");
    let mut publisher = server.publisher("x");
    send(&mut publisher, &["A head 1 @0", "A sound 1 @0"]);
    let addr = server.media_addr();
    let reader = std::thread::spawn(move || HttpReply::get(addr, "/live/x.flv"));
    server.wait_for_count((2, 1, 1));
    send(&mut publisher, &["A sound 2 @23", "A sound 3 @46"]);
    let mut viewer = FlvViewer::of(reader.join().expect("a response"));
    assert_eq!(viewer.flags(), 4);
    viewer.expect(&["A head 1 @23", "A sound 2 @23", "A sound 3 @46"]);
}

#[test]
fn a_client_of_http_1_0_gets_the_same_without_chunks() {
    let server = start("");
    let mut publisher = server.publisher("x");
    send(&mut publisher, &BEGINNING);
    let reply = HttpReply::to(server.media_addr(), "GET /live/x.flv HTTP/1.0\r\n\r\n");
    assert_eq!(reply.header("Transfer-Encoding"), None);
    let mut viewer = FlvViewer::of(reply);
    viewer.expect(&BEGINNING);
    send(&mut publisher, &["V inter 2 @40", "A sound 2 @41"]);
    viewer.expect(&["V inter 2 @40", "A sound 2 @41"]);
    finish(&mut publisher);
    assert_eq!(viewer.0.next().expect("the end"), None);
}

fn message(kind: MessageType, time: u32, payload: &[u8]) -> Message {
    Message {
        timestamp: Timestamp(time),
        ..Message::untimed(kind, StreamId(1), payload.to_vec())
    }
}

/// What comes in forms of Enhanced RTMP goes out as players of FLV know it, to viewers who join and
/// to those who are there.
#[test]
fn players_get_what_they_know() {
    let (video, audio) = (MessageType::VIDEO, MessageType::AUDIO);
    let config = super::AVC_CONFIG;
    let aac = super::AAC_CONFIG;
    let sent = [
        message(video, 0, &[b"\x90avc1", config].concat()),
        message(audio, 0, &[b"\x90mp4a", aac].concat()),
        message(audio, 0, b"\x95\x00mp4a\x01\x12\x10"),
        message(video, 0, b"\x91avc1\0\0\x28key"),
        message(audio, 10, b"\x97\x02\0\x27\x10\x01mp4asound"),
        message(audio, 10, b"\x95\x01mp4a\x01second"),
        message(video, 40, b"\xa3avc1inter"),
    ];
    let want = [
        message(video, 0, &[b"\x17\0\0\0\0", config].concat()),
        message(audio, 0, &[b"\xaf\0", aac].concat()),
        message(video, 0, b"\x17\x01\0\0\x28key"),
        message(audio, 10, b"\xaf\x01sound"),
        message(video, 40, b"\x27\x01\0\0\0inter"),
    ];
    let server = start("");
    let mut publisher = server.publisher("x");
    for split in [3, sent.len()] {
        let mut viewer = None;
        for (index, message) in sent.iter().enumerate() {
            if index == split {
                // It begins with the keyframe that comes next.
                let addr = server.media_addr();
                viewer = Some(std::thread::spawn(move || {
                    HttpReply::get(addr, "/live/x.flv")
                }));
                server.wait_for_count((2, 1, 1));
            }
            publisher.send(message);
        }
        let mut viewer = match viewer {
            Some(viewer) => FlvViewer::of(viewer.join().expect("a response")),
            None => FlvViewer::playing(&server, "/live/x.flv"),
        };
        for want in &want {
            assert_eq!(viewer.receive(), *want, "{split}");
        }
        drop(viewer);
        server.wait_for_count((1, 1, 0));
    }
}

#[test]
fn a_long_picture_comes_whole() {
    let server = start("");
    let mut publisher = server.publisher("x");
    send(&mut publisher, &["V head 1 @0"]);
    let picture = |front: &[u8], len: usize, time| {
        let mut payload = front.to_vec();
        payload.extend((0..len).map(|index| (index * 7) as u8));
        message(MessageType::VIDEO, time, &payload)
    };
    let first = picture(b"\x17\x01\0\0\0", 3 << 20, 0);
    publisher.send(&first);
    settle(&mut publisher);
    let mut viewer = FlvViewer::playing(&server, "/live/x.flv");
    assert_eq!(viewer.receive().payload, real("V head 1 @0").payload);
    assert_eq!(viewer.receive(), first);
    for number in 1..20 {
        let next = picture(b"\xa3avc1", 1 << 20, number * 40);
        publisher.send(&next);
        let want = picture(b"\x27\x01\0\0\0", 1 << 20, number * 40);
        assert_eq!(viewer.receive(), want);
    }
}
