//! Viewers by HTTP are viewers: they stay, fall behind, and are told of.

use super::{FlvViewer, check_slow, finish, send, settle, start};
use crate::support::http::HttpReply;
use crate::support::process::ServerProcess;
use crate::support::{SILENCE, TestServer, free_addr, wait_until};
use rtmp_server::admin::AdminSource;
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};
use rtmp_server::stats::Protocol;
use std::time::{Duration, Instant};

const BEGINNING: [&str; 2] = ["V head 1 @0", "V key 1 @0"];

/// A viewer of a stream that has begun.
fn viewer(server: &TestServer) -> FlvViewer {
    let mut viewer = FlvViewer::playing(server, "/live/x.flv");
    viewer.expect(&BEGINNING);
    viewer
}

#[test]
fn a_viewer_goes_on_when_the_publisher_is_lost_or_replaced() {
    let server = start("-grace 5s");
    let mut first = server.publisher("x");
    send(&mut first, &BEGINNING);
    let mut viewer = viewer(&server);
    send(&mut first, &["V inter 2 @40"]);
    viewer.expect(&["V inter 2 @40"]);
    first.vanish();
    wait_until("the loss", || {
        server.server().snapshot().streams[0].publisher.is_none()
    });
    let mut second = server.publisher("x");
    send(
        &mut second,
        &["V head 3 @5000", "V inter 3 @5000", "V key 3 @5040"],
    );
    viewer.expect(&["V head 3 @120", "V key 3 @120"]);
    // Taken over.
    let mut third = server.publisher("x");
    send(&mut third, &["V head 4 @0", "V key 4 @0"]);
    viewer.expect(&["V head 4 @160", "V key 4 @160"]);
    finish(&mut third);
    viewer.expect_end();
}

#[test]
fn a_lost_stream_ends_whole_after_the_grace() {
    let server = start("-grace 300ms");
    let mut publisher = server.publisher("x");
    send(&mut publisher, &BEGINNING);
    let viewer = viewer(&server);
    publisher.vanish();
    viewer.expect_end();
}

#[test]
fn a_viewer_is_a_connection_that_can_be_ended() {
    let server = start("");
    let mut publisher = server.publisher("x");
    send(&mut publisher, &BEGINNING);
    let request = "GET /live/x.flv HTTP/1.1\r\nHost: a\r\nUser-Agent: tester/1\r\n\r\n";
    let mut viewer = FlvViewer::of(HttpReply::to(server.media_addr(), request));
    viewer.expect(&BEGINNING);
    let watch = server.server().watch();
    let connections = watch.snapshot().connections;
    let [_, player] = &connections[..] else {
        panic!("{connections:?}")
    };
    assert_eq!(player.protocol, Protocol::HttpFlv);
    assert_eq!(
        (player.role, player.uses[0].stream_key.as_str()),
        ("subscriber", "live/x")
    );
    assert_eq!(player.flash_ver, "tester/1");
    wait_until("what was sent to be counted", || {
        watch.snapshot().connections[1].bytes_out > 300
    });
    assert_eq!(connections[0].protocol, Protocol::Rtmp);
    let began = Instant::now();
    assert!(watch.hang_up_connection(&player.id));
    viewer.expect_cut();
    server.wait_for_count((1, 1, 0));
    assert!(began.elapsed() < Duration::from_millis(900), "it is woken");
}

#[test]
fn a_viewer_who_leaves_is_noticed_although_nothing_is_sent() {
    let server = start("-wait-stream 20s");
    let mut publisher = server.publisher("x");
    send(&mut publisher, &BEGINNING);
    let viewer = viewer(&server);
    let addr = server.media_addr();
    // Another waits for a stream that does not come, and is cut off.
    let waiting = std::net::TcpStream::connect(addr).expect("connect");
    let request = b"GET /live/none.flv HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\n";
    std::io::Write::write_all(&mut &waiting, request).expect("send");
    server.wait_for_count((3, 1, 2));
    drop((viewer, waiting));
    server.wait_for_count((1, 1, 0));
}

#[test]
fn a_stop_ends_responses_whole() {
    let mut server = start("");
    let mut publisher = server.publisher("x");
    send(&mut publisher, &BEGINNING);
    let viewer = viewer(&server);
    // One that waits for its next request, and one for its stream.
    let addr = server.media_addr();
    let idle = HttpReply::get(addr, "/");
    let early = std::thread::spawn(move || HttpReply::get(addr, "/live/none.flv").status);
    server.wait_for_count((4, 1, 2));
    let began = Instant::now();
    assert!(server.stop(Duration::from_secs(5)));
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    viewer.expect_end();
    assert_eq!(early.join().expect("a response"), 404);
    drop(idle);
}

const PICTURE_LEN: usize = 256 << 10;
const GROUP_LEN: u32 = 25;

fn picture(number: u32) -> Message {
    let front = if number.is_multiple_of(GROUP_LEN) {
        0x17
    } else {
        0x27
    };
    let mut payload = vec![front, 1, 0, 0, 0];
    payload.extend(number.to_be_bytes());
    payload.resize(PICTURE_LEN, number as u8);
    Message {
        timestamp: Timestamp(number * 40),
        ..Message::untimed(MessageType::VIDEO, StreamId(1), payload)
    }
}

/// Reads pictures up to `last`; each must be its own.
fn pictures(viewer: &mut FlvViewer, last: u32) -> Vec<u32> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&last) {
        let message = viewer.receive();
        if message.payload.len() == PICTURE_LEN {
            let number = message.timestamp.0 / 40;
            assert!(message == picture(number), "picture {number} is damaged");
            numbers.push(number);
        }
    }
    numbers
}

#[test]
fn a_slow_viewer_goes_on_at_a_keyframe_and_hurts_nobody() {
    let server = start("");
    let mut publisher = server.publisher("x");
    send(&mut publisher, &["V head 1 @0"]);
    publisher.send(&picture(0));
    settle(&mut publisher);
    let [mut healthy, mut slow] = [(); 2].map(|()| FlvViewer::playing(&server, "/live/x.flv"));
    server.wait_for_count((3, 1, 2));
    let count = 200;
    let reader = std::thread::spawn(move || pictures(&mut healthy, count));
    for number in 1..=count {
        publisher.send(&picture(number));
        std::thread::sleep(Duration::from_millis(5));
    }
    let all: Vec<u32> = (0..=count).collect();
    assert_eq!(
        reader.join().expect("reader"),
        all,
        "the healthy one gets everything"
    );
    let sender = std::thread::spawn(move || {
        for number in count + 1..=2 * count {
            publisher.send(&picture(number));
            std::thread::sleep(Duration::from_millis(5));
        }
        publisher
    });
    let numbers = pictures(&mut slow, 2 * count);
    check_slow(&numbers, 2 * count, GROUP_LEN);
    let drops = server.server().snapshot().totals.subscriber_drops;
    assert!(drops > 0, "what is left out is counted");
    drop(sender.join().expect("sender"));
}

#[test]
fn a_viewer_that_takes_nothing_is_hung_up_on() {
    let server = start("");
    let mut publisher = server.publisher("x");
    send(&mut publisher, &["V head 1 @0"]);
    publisher.send(&picture(0));
    settle(&mut publisher);
    let stuck = FlvViewer::playing(&server, "/live/x.flv");
    // More than the sockets hold, and then nothing.
    for number in 1..60 {
        publisher.send(&picture(number));
    }
    server.wait_for_count((2, 1, 1));
    let began = Instant::now();
    while server.server().count() != (1, 1, 0) {
        assert!(
            began.elapsed() < Duration::from_secs(40),
            "it is still there"
        );
        std::thread::sleep(SILENCE);
    }
    assert!(
        began.elapsed() > Duration::from_secs(25),
        "after {:?}",
        began.elapsed()
    );
    drop(stuck);
}

/// A stream that comes from elsewhere for those who watch is fetched for a viewer by HTTP too.
#[test]
fn a_viewer_has_its_stream_fetched() {
    let origin = TestServer::start("");
    let mut publisher = origin.publisher("x");
    send(&mut publisher, &BEGINNING);
    let edge = start(&format!(
        "-pull live/*=rtmp://{}/live -pull-on-demand",
        origin.addr
    ));
    let viewer = viewer(&edge);
    assert_eq!(edge.server().snapshot().pulls.len(), 1);
    finish(&mut publisher);
    viewer.expect_end();
}

/// Without the cache a viewer begins at the next keyframe, all the same with a header first.
#[test]
fn a_viewer_begins_at_a_keyframe_without_the_cache() {
    let server = start("-gop-cache false");
    let mut publisher = server.publisher("x");
    send(&mut publisher, &BEGINNING);
    let addr = server.media_addr();
    let joining = std::thread::spawn(move || HttpReply::get(addr, "/live/x.flv"));
    server.wait_for_count((2, 1, 1));
    send(&mut publisher, &["V inter 2 @40", "V key 3 @80"]);
    let mut viewer = FlvViewer::of(joining.join().expect("a response"));
    viewer.expect(&["V head 1 @80", "V key 3 @80"]);
}

#[test]
fn viewers_that_take_nothing_take_a_bounded_amount_of_memory() {
    let media = free_addr();
    let server = ServerProcess::start(&format!("-merge 0 -http-listen {media}"));
    let mut publisher = server.publisher("x");
    send(&mut publisher, &["V head 1 @0"]);
    publisher.send(&picture(0));
    settle(&mut publisher);
    let stuck = [(); 10].map(|()| FlvViewer::of(HttpReply::get(media, "/live/x.flv")));
    let players = [(); 10].map(|()| server.playing("x"));
    let before = server.memory_kb();
    // Each is a keyframe: the one kind of picture that a viewer who is behind may still get.
    for number in 1..600 {
        publisher.send(&picture(number * GROUP_LEN));
    }
    settle(&mut publisher);
    let grown = server.memory_kb().saturating_sub(before);
    println!("10 and 10 viewers that take nothing, 150 MB published: {grown} kB");
    assert!(grown < 150 << 10, "{grown} kB");
    drop((stuck, players));
}
