//! Viewers that take less than there is: what they miss, and that nobody else notices.

use super::memory::of_len;
use crate::support::process::ServerProcess;
use crate::support::{Client, TestServer, describe};
use rtmp_server::amf0::Value;
use rtmp_server::memory::{Budget, GaveWay, Owner};
use rtmp_server::net::{self, SharedSocket};
use rtmp_server::queue::{self, Cause, Framing, Offer, PeerKind};
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp, handshake};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Bytes of a test picture: a hundred of them are more than sockets hold.
const PICTURE_LEN: usize = 256 << 10;

/// Pictures between two keyframes.
const GROUP_LEN: u32 = 25;

pub fn picture(number: u32) -> Message {
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
    publisher.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
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

/// The kB that the server grows by until its publisher's messages are all dealt with.
fn growth(
    server: &ServerProcess,
    publisher: &mut Client,
    publish: impl FnOnce(&mut Client),
) -> u64 {
    let before = server.memory_kb();
    publish(publisher);
    publisher.call(0, "settle", 9.0, vec![]);
    // Longer than anything else here may take: there are many messages on a busy machine.
    let limit = Duration::from_secs(60);
    let socket = &publisher.socket;
    socket.set_read_timeout(Some(limit)).expect("timeout");
    let mut lines = std::iter::repeat_with(|| publisher.receive_within(limit))
        .map(|message| describe(&message.expect("an answer")));
    assert!(lines.any(|line| line.starts_with("_error 9")));
    server.memory_kb().saturating_sub(before)
}

#[test]
fn empty_messages_that_wait_are_counted_as_well() {
    let server = ServerProcess::start("-merge 0");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["A head 1 @0", "A sound 1 @0"]);
    let stuck = server.playing("x");
    let fill = of_len(MessageType::AUDIO, &[0xaf, 1], 4 << 20, 0);
    let grown = growth(&server, &mut publisher, |publisher| {
        // More than sockets hold, and then a header and one byte for each empty sound.
        publisher.send(&fill);
        publisher.send(&fill);
        publisher.send(&of_len(MessageType::AUDIO, &[], 0, 0));
        publisher.send_bytes(&[0xc6; 3 << 18]);
    });
    println!("a viewer that takes nothing, many empty messages: {grown} kB");
    assert!(grown < 50 << 10, "{grown} kB");
    drop(stuck);
}

#[test]
fn viewers_that_take_nothing_share_what_they_are_not_sent() {
    for stream in [1, 2] {
        let server = ServerProcess::start("-merge 0 -gop-cache false");
        let mut publisher = server.publisher("x");
        publisher.send_media(&["V head 1 @0"]);
        let stuck: Vec<Client> = (0..40)
            .map(|_| {
                let mut client = server.connected();
                client.create_stream();
                client.call(
                    stream,
                    "play",
                    0.0,
                    vec![rtmp_server::amf0::Value::text("x")],
                );
                client.lines_until(&format!("status@{stream} NetStream.Play.Start"));
                client
            })
            .collect();
        let picture = |time| of_len(MessageType::VIDEO, &[0x17, 1], 8 << 20, time);
        let grown = growth(&server, &mut publisher, |publisher| {
            publisher.send(&picture(0));
            publisher.send(&picture(40));
        });
        println!("40 viewers of stream {stream} take nothing of two pictures of 8 MiB: {grown} kB");
        assert!(grown < 100 << 10, "{grown} kB on stream {stream}");
        drop(stuck);
    }
}

#[test]
fn what_waits_for_a_paused_viewer_is_bounded_in_bytes() {
    let server = ServerProcess::start("-merge 0");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let mut paused = server.playing("x?tracks=all");
    paused.expect(&["V head 1 @0", "V key 1 @0"]);
    let (yes, time) = (
        rtmp_server::amf0::Value::Boolean(true),
        rtmp_server::amf0::Value::Number(0.0),
    );
    paused.call(1, "pause", 0.0, vec![yes, time]);
    paused.lines_until("status@1 NetStream.Pause.Notify");
    let grown = growth(&server, &mut publisher, |publisher| {
        for track in 0..100 {
            // Enhanced RTMP: a header of a track of its own.
            let start = [0x96, 0x00, b'h', b'v', b'c', b'1', track];
            publisher.send(&of_len(MessageType::VIDEO, &start, 1 << 20, 40));
        }
    });
    println!("a paused viewer, 100 headers of 1 MiB: {grown} kB");
    assert!(grown < 40 << 10, "{grown} kB");
    let line = server.wait_for_line("connection failed");
    assert!(line.contains("takes no headers"), "{line}");
}

#[test]
fn the_greediest_loses_when_all_together_take_too_much() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("addr");
    let budget = Arc::new(Budget::new(4 << 20));
    let mut peers = Vec::new();
    let picture = |number| of_len(MessageType::VIDEO, &[0x17, 1, number], 1 << 20, 0);
    let mut outboxes = Vec::new();
    // One socket takes less than the other before anything waits: fill both.
    for _ in 0..2 {
        peers.push(TcpStream::connect(addr).expect("connect"));
        let line = Arc::new(SharedSocket(listener.accept().expect("accept").0.into()));
        let counters = Arc::default();
        let (outbox, writer) = queue::outbox(
            line.clone(),
            PeerKind::Client(Owner::new([127, 0, 0, 1].into())),
            Framing::chunks(),
            counters,
            Arc::clone(&budget),
        );
        while outbox.waiting() == 0 {
            outbox.push_media(StreamId(1), vec![picture(0)]);
        }
        let sending = std::thread::spawn(move || net::send_all(&line, writer));
        outboxes.push((outbox, sending));
    }
    let push = |index: usize| outboxes[index].0.push_media(StreamId(1), vec![picture(1)]);
    assert_eq!(push(1), Offer::Queued);
    let mut queued = 0;
    while push(0) == Offer::Queued {
        queued += 1;
    }
    assert!(budget.is_full() && queued < 12, "{queued}");
    assert_eq!(budget.relieve(), [GaveWay::Peer]);
    assert_eq!(outboxes[0].0.cause(), Some(Cause::Memory));
    assert_eq!(outboxes[1].0.cause(), None);
    crate::support::wait_until("memory", || !budget.is_full());
    assert!(budget.relieve().is_empty());
    assert_eq!(push(1), Offer::Queued);
    drop(peers);
    for (outbox, sending) in outboxes {
        outbox.hang_up(Cause::Asked);
        drop(outbox);
        let _ = sending.join().expect("the writer");
    }
    assert_eq!(budget.held(), 0);
}
