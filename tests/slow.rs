//! Viewers that take less than there is: what they miss, and that nobody else notices.

mod support;

use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp, handshake};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::process::ServerProcess;
use support::{Client, TestServer, describe};

/// Bytes of a test picture: a hundred of them are more than sockets hold.
const PICTURE_LEN: usize = 256 << 10;

/// Pictures between two keyframes.
const GROUP_LEN: u32 = 25;

fn picture(number: u32) -> Message {
    let first = if number.is_multiple_of(GROUP_LEN) {
        0x17
    } else {
        0x27
    };
    let mut payload = vec![first, 1, 0, 0, 0];
    payload.extend(number.to_be_bytes());
    payload.resize(PICTURE_LEN, number as u8);
    let timestamp = Timestamp(number * 40);
    Message {
        timestamp,
        kind: MessageType::VIDEO,
        stream: StreamId(1),
        payload: payload.into(),
    }
}

/// The number of a test picture; its bytes must all be its own.
fn number(message: &Message) -> u32 {
    let number = u32::from_be_bytes(message.payload[5..9].try_into().expect("four bytes"));
    assert!(*message == picture(number), "picture {number} is damaged");
    number
}

/// Reads pictures up to `last`; everything else that came is written down.
fn pictures(client: &mut Client, last: u32) -> (Vec<u32>, Vec<String>) {
    let (mut numbers, mut lines) = (Vec::new(), Vec::new());
    while numbers.last() != Some(&last) {
        let message = client.receive().expect("the stream goes on");
        match message.kind {
            MessageType::VIDEO if message.payload.len() == PICTURE_LEN => {
                numbers.push(number(&message))
            }
            _ => lines.push(describe(&message)),
        }
    }
    (numbers, lines)
}

#[test]
fn a_destination_that_never_answers_is_asked_less_and_less() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("addr");
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut hello = [0; 1 + handshake::PACKET_LEN];
            socket.read_exact(&mut hello).expect("C0 C1");
            let answer = handshake::answer(hello.last_chunk().expect("C1"), 0, 5);
            socket.write_all(&answer).expect("S0 S1 S2");
            // Longer than what counts as steady.
            std::thread::sleep(Duration::from_millis(3200));
        }
    });
    let near = ServerProcess::start(&format!("-relay-to rtmp://{addr}/live"));
    let _publisher = near.publisher("cam");
    let pauses = [(); 2].map(|()| {
        let line = near.wait_for_line("relay failed");
        let (_, pause) = line.split_once("\"retry_in_sec\":").expect("a pause");
        let digits = pause.trim_start_matches('"').split(['"', '}', ',']);
        let pause: f32 = digits
            .into_iter()
            .next()
            .and_then(|n| n.parse().ok())
            .expect("a number");
        pause
    });
    assert!((0.8..=1.2).contains(&pauses[0]), "{pauses:?}");
    assert!((1.6..=2.4).contains(&pauses[1]), "{pauses:?}");
}

#[test]
fn a_viewer_that_stalls_goes_on_at_a_keyframe_and_hurts_nobody() {
    let server = TestServer::start("");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0"]);
    publisher.send(&picture(0));
    let mut healthy = server.playing("x");
    let mut slow = server.playing("x");
    let count = 200;
    let reader = std::thread::spawn(move || pictures(&mut healthy, count).0);
    let began = Instant::now();
    let mut longest = Duration::ZERO;
    for number in 1..count {
        let before = Instant::now();
        publisher.send(&picture(number));
        // Paced so that the healthy one can follow on a busy machine.
        std::thread::sleep(Duration::from_millis(5));
        longest = longest.max(before.elapsed());
    }
    // A header that changes while the slow one takes nothing reaches it all the same.
    publisher.send_media(&["V head 2 @7990"]);
    publisher.send(&picture(count));
    assert_eq!(
        reader.join().expect("reader"),
        (0..=count).collect::<Vec<_>>()
    );
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "the publisher was held up: {longest:?}"
    );

    // What the slow one is sent is whole groups from their keyframes on, none twice.
    let sender = std::thread::spawn(move || {
        for number in count + 1..=2 * count {
            publisher.send(&picture(number));
            std::thread::sleep(Duration::from_millis(5));
        }
        publisher
    });
    let (numbers, lines) = pictures(&mut slow, 2 * count);
    let mut last = None;
    for number in &numbers {
        let follows = last.is_some_and(|last| *number == last + 1);
        let resumes = number.is_multiple_of(GROUP_LEN) && last.is_none_or(|last| *number > last);
        assert!(follows || resumes, "{number} after {last:?}");
        last = Some(*number);
    }
    assert!(
        numbers.len() < 2 * count as usize,
        "nothing was dropped: the test shows nothing"
    );
    let notices = lines
        .iter()
        .filter(|line| line.contains("InsufficientBW"))
        .count();
    assert_eq!(notices, 1, "{lines:?}");
    assert!(
        lines.contains(&"warning@1 NetStream.Play.InsufficientBW".to_owned()),
        "{lines:?}"
    );
    assert!(
        lines.iter().any(|line| line.starts_with("V head 2")),
        "{lines:?}"
    );
    sender.join().expect("sender");
}

#[test]
fn the_end_of_the_stream_reaches_a_viewer_that_is_behind() {
    let server = TestServer::start("");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0"]);
    let mut slow = server.playing("x");
    for number in 0..200 {
        publisher.send(&picture(number));
    }
    publisher.call(
        0,
        "deleteStream",
        0.0,
        vec![rtmp_server::amf0::Value::Number(1.0)],
    );
    let mut lines = Vec::new();
    while let Some(message) = slow.receive() {
        if message.payload.len() != PICTURE_LEN {
            lines.push(describe(&message));
        }
    }
    let end = ["eof 1", "status@1 NetStream.Play.UnpublishNotify"];
    assert!(lines.ends_with(&end.map(str::to_owned)), "{lines:?}");
}

#[test]
fn a_viewer_that_stays_behind_is_hung_up_on_and_the_others_go_on() {
    let server = TestServer::start("");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0"]);
    let mut healthy = server.playing("x");
    let stuck = server.playing("x");
    server.wait_for_count((3, 1, 2));
    let done = Arc::new(AtomicBool::new(false));
    let is_done = Arc::clone(&done);
    let sender = std::thread::spawn(move || {
        for number in 0.. {
            publisher.send(&picture(number));
            std::thread::sleep(Duration::from_millis(50));
            if is_done.load(Ordering::Relaxed) {
                break;
            }
        }
    });
    let began = Instant::now();
    let mut next = 0;
    while server.server().count() != (2, 1, 1) {
        assert!(
            began.elapsed() < Duration::from_secs(44),
            "the stuck viewer is still there"
        );
        let message = healthy.receive().expect("the stream goes on");
        if message.payload.len() == PICTURE_LEN {
            assert_eq!(number(&message), next);
            next += 1;
        }
    }
    assert!(
        began.elapsed() > Duration::from_secs(25),
        "hung up after only {:?}",
        began.elapsed()
    );
    drop(stuck);
    done.store(true, Ordering::Relaxed);
    sender.join().expect("sender");
}

#[test]
fn viewers_that_take_nothing_take_a_bounded_amount_of_memory() {
    let server = ServerProcess::start("-merge 0");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0"]);
    let stuck: Vec<Client> = (0..10).map(|_| server.playing("x")).collect();
    let before = server.memory_kb();
    let mut picture = vec![0x17; 2 << 20];
    picture[1] = 1;
    for number in 0..150 {
        // Each is a keyframe: the one kind of picture that a viewer who is behind may still get.
        let message = Message {
            payload: picture.clone().into(),
            timestamp: Timestamp(number * 40),
            ..self::picture(0)
        };
        publisher.send(&message);
    }
    publisher.call(0, "settle", 9.0, vec![]);
    publisher.lines_until("_error 9");
    let grown = server.memory_kb().saturating_sub(before);
    println!("10 viewers that take nothing, 300 MB published: {grown} kB");
    assert!(grown < 100 << 10, "{grown} kB");
    drop(stuck);
}
