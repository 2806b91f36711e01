//! More bytes of one connection, either way, than acknowledgements can count.

use crate::support::{Client, TestServer, wait_until};
use rtmp_server::rtmp::chunk::Encoder;
use rtmp_server::rtmp::control::Control;
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// Bytes of a picture.
const PICTURE_LEN: usize = 1 << 20;

/// How many pictures are sent, without `MANY_PICTURES`. From 4097 on they are more than 32 bits count.
const PICTURES: u32 = 48;

/// How far the viewer may be behind: less than makes the server leave something out.
const BEHIND_MAX: u64 = 4 << 20;

/// What we acknowledge, and when: each window that the server announces.
const WINDOW: u64 = 2_500_000;

/// Takes everything and acknowledges it, by 32 bits, until the connection ends.
fn watch(mut socket: TcpStream, received: &AtomicU64) {
    let mut buffer = vec![0; 1 << 20];
    let (mut encoder, mut acknowledged) = (Encoder::default(), 0);
    while let Ok(len @ 1..) = socket.read(&mut buffer) {
        let all = received.fetch_add(len as u64, Ordering::Relaxed) + len as u64;
        if all - acknowledged >= WINDOW {
            acknowledged = all;
            let mut bytes = Vec::new();
            let acknowledgement = Control::Acknowledgement(all as u32).message();
            encoder.encode(&acknowledgement, &mut bytes);
            socket.write_all(&bytes).expect("send");
        }
    }
}

/// The acknowledgements that a publisher gets, each of which has to be later than the one before.
fn acknowledged(mut publisher: Client) -> u64 {
    let (mut last, mut all) = (0_u32, 0);
    while let Some(message) = publisher.receive_within(Duration::from_secs(60)) {
        if let Ok(Control::Acknowledgement(bytes)) = Control::parse(message.kind, &message.payload)
        {
            let step = bytes.wrapping_sub(last);
            assert!((1..1 << 27).contains(&step), "{last} {bytes}");
            (last, all) = (bytes, all + u64::from(step));
        }
    }
    all
}

#[test]
fn acknowledgements_go_on_whatever_was_sent() {
    let pictures = std::env::var("MANY_PICTURES").map_or(PICTURES, |count| {
        count.parse().expect("a number of pictures")
    });
    let server = TestServer::start("-grace 0");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let viewer = server.playing("x");
    let mut out = publisher.socket.try_clone().expect("a socket");
    publisher.send(&Control::SetChunkSize(PICTURE_LEN as u32 * 2).message());
    let reading = thread::spawn(move || acknowledged(publisher));
    let received = AtomicU64::new(0);
    let far_end = viewer.socket.try_clone().expect("a socket");
    thread::scope(|scope| {
        scope.spawn(|| watch(far_end, &received));
        let mut encoder = Encoder::with_chunk_size(PICTURE_LEN as u32 * 2);
        let mut payload = vec![7; PICTURE_LEN];
        payload[..5].copy_from_slice(&[0x17, 1, 0, 0, 0]);
        let mut picture = Message::untimed(MessageType::VIDEO, StreamId(1), payload);
        let mut sent = 0;
        for number in 0..pictures {
            picture.timestamp = Timestamp(number * 40);
            let mut bytes = Vec::new();
            encoder.encode(&picture, &mut bytes);
            out.write_all(&bytes).expect("send");
            sent += PICTURE_LEN as u64;
            wait_until("the viewer takes it", || {
                sent <= received.load(Ordering::Relaxed) + BEHIND_MAX
            });
        }
        wait_until("the viewer has all", || {
            received.load(Ordering::Relaxed) >= sent
        });
        out.shutdown(Shutdown::Both).expect("a socket");
    });
    let acknowledged = reading.join().expect("the publisher");
    let sent = u64::from(pictures) * PICTURE_LEN as u64;
    assert!(
        acknowledged + WINDOW >= sent,
        "{acknowledged} of {sent} bytes"
    );
}
