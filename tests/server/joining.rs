//! Viewers who come when there is no keyframe to begin with.

use crate::support::{Client, TestServer};
use rtmp_server::amf0::Value;
use std::time::{Duration, Instant};

/// What was published before a viewer comes, what is after, and what the viewer is sent of it.
type Row = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    &'static [&'static str],
);

/// The sound of the live part is 3 s from its first to the one that viewers begin with.
const WITHOUT_KEYFRAME: [Row; 7] = [
    (
        "pictures that stopped long ago",
        &[
            "V head 1 @0",
            "V key 1 @0",
            "A head 1 @0",
            "A sound 1 @31000",
        ],
        &[
            "A sound 2 @32000",
            "A sound 3 @34999",
            "A sound 4 @35000",
            "V inter 5 @35010",
            "V key 6 @35020",
        ],
        &[
            "V head 1 @35000",
            "A head 1 @35000",
            "A sound 4 @35000",
            "V key 6 @35020",
        ],
    ),
    (
        "a video header alone",
        &["V head 1 @0", "A head 1 @0"],
        &["A sound 2 @0", "A sound 3 @2999", "A sound 4 @3000"],
        &["V head 1 @3000", "A head 1 @3000", "A sound 4 @3000"],
    ),
    (
        "pictures without a keyframe",
        &["V head 1 @0", "A head 1 @0", "V inter 1 @0"],
        &[
            "A sound 2 @0",
            "V inter 3 @3000",
            "A sound 4 @3000",
            "V inter 5 @3010",
            "A sound 6 @3020",
        ],
        &[
            "V head 1 @3000",
            "A head 1 @3000",
            "A sound 4 @3000",
            "A sound 6 @3020",
        ],
    ),
    (
        "a keyframe in time",
        &["V head 1 @0", "A head 1 @0"],
        &["A sound 2 @0", "V key 3 @2990", "A sound 4 @3000"],
        &[
            "V head 1 @2990",
            "A head 1 @2990",
            "V key 3 @2990",
            "A sound 4 @3000",
        ],
    ),
    (
        "a video message without a byte is no video",
        &["A head 1 @0", "V nothing 0 @0"],
        &["A sound 2 @10"],
        &["A head 1 @10", "A sound 2 @10"],
    ),
    (
        "nor is an empty header, an empty keyframe, or the end of a sequence",
        &[
            "A head 1 @0",
            "V bare-head 0 @0",
            "V bare-key 0 @0",
            "V end 1 @0",
        ],
        &["A sound 2 @10"],
        &["A head 1 @10", "A sound 2 @10"],
    ),
    (
        "an empty sound is no beginning",
        &["A head 1 @0"],
        &["A nothing 0 @5", "A bare-sound 0 @6", "A sound 2 @10"],
        &["A head 1 @10", "A sound 2 @10"],
    ),
];

#[test]
fn without_a_keyframe_a_viewer_begins_with_sound_after_a_while() {
    for (what, before, live, want) in WITHOUT_KEYFRAME {
        println!("{what}");
        let server = TestServer::start("");
        let mut publisher = server.publisher("x");
        publisher.send_media(before);
        settle(&mut publisher);
        let mut joiner = server.playing("x");
        publisher.send_media(live);
        joiner.expect(want);
    }
}

#[test]
fn a_viewer_waits_for_a_keyframe_by_the_clock_as_well() {
    let server = TestServer::start("");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0", "A head 1 @0"]);
    settle(&mut publisher);
    let mut joiner = server.playing("x");
    let began = Instant::now();
    let mut number = 0;
    while began.elapsed() < Duration::from_millis(3100) {
        // Of a stream that is slower than the clock.
        publisher.send_media(&[&format!("A sound {number} @{number}")]);
        number += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    let lines = joiner.lines_until("A sound");
    assert!(lines[0].starts_with("V head 1"), "{lines:?}");
    assert!(began.elapsed() > Duration::from_millis(2900), "too early");
}

#[test]
fn what_was_turned_off_when_a_stream_began_comes_with_its_header() {
    let again = [
        "status@1 NetStream.Seek.Notify",
        "status@1 NetStream.Play.Start",
    ];
    let media = ["V head 1 @0", "A head 1 @0", "V key 1 @0", "A sound 2 @10"];
    let rows: [(&str, &[&str], &[&str]); 2] = [
        (
            "receiveVideo",
            &["A head 1 @10", "A sound 2 @10"],
            &["V head 1 @30", "A sound 3 @30", "V key 4 @40"],
        ),
        (
            "receiveAudio",
            &["V head 1 @0", "V key 1 @0"],
            &[
                "A head 1 @20",
                "V inter 3 @20",
                "A sound 3 @30",
                "V key 4 @40",
            ],
        ),
    ];
    for (command, without, with) in rows {
        let server = TestServer::start("");
        let mut player = server.player("x");
        player.call(1, command, 0.0, vec![Value::Boolean(false)]);
        settle(&mut player);
        let mut publisher = server.publisher("x");
        player.expect(&["begin 1", "status@1 NetStream.Play.Start"]);
        publisher.send_media(&media);
        player.expect(without);
        settle(&mut publisher);
        player.call(1, command, 0.0, vec![Value::Boolean(true)]);
        player.expect(&again);
        settle(&mut player);
        publisher.send_media(&["V inter 3 @20", "A sound 3 @30", "V key 4 @40"]);
        player.expect(with);
    }
}

/// Returns when all that was sent before has been dealt with.
fn settle(client: &mut Client) {
    client.call(0, "settle", 9.0, vec![]);
    client.expect(&["_error 9"]);
}
