//! Hostile clients of every kind at once, beside a publisher and a viewer that lose nothing.

use super::memory::{long_chunks, of_len, unfinished};
use crate::support::Client;
use crate::support::process::ServerProcess;
use crate::support::real::real;
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::chunk::Encoder;
use rtmp_server::rtmp::{Message, MessageType};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What the server may use: the flag, and the same in kB.
const MAX_MEMORY: &str = "32m";
const MAX_MEMORY_KB: u64 = 32 << 10;

/// What a connection costs beside it, in kB: its threads, its buffers, and its fair share.
const CONNECTION_KB: u64 = 160;

/// What the server has without anybody, and what the allocator keeps, in kB.
const BASE_KB: u64 = 40 << 10;

/// A hostile client: what it sends again and again without ever reading, and on which socket.
struct Hostile {
    socket: TcpStream,
    bytes: Arc<Vec<u8>>,
    at: usize,
    repeats: bool,
    /// What it has sent in all.
    sent: usize,
}

/// How clients of a kind begin, and what they then send without end; nothing for those who only read
/// nothing.
struct Kind {
    name: &'static str,
    begin: fn(&Target, usize) -> TcpStream,
    bytes: fn() -> Vec<u8>,
    /// Whether the bytes are sent but once.
    sends_once: bool,
}

#[derive(Clone, Copy)]
struct Target {
    rtmp: SocketAddr,
    http: SocketAddr,
}

impl Hostile {
    /// Sends what the socket takes now. `false`: the server has hung up.
    fn step(&mut self) -> bool {
        if self.at == self.bytes.len() {
            return !matches!(self.socket.peek(&mut [0]), Ok(0));
        }
        for _ in 0..8 {
            let piece = &self.bytes[self.at..(self.at + (64 << 10)).min(self.bytes.len())];
            match self.socket.write(piece) {
                Ok(len) => {
                    self.at += len;
                    if self.repeats && self.at == self.bytes.len() {
                        self.at = 0;
                    }
                    self.sent += len;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return true,
                Err(_) => return false,
            }
        }
        true
    }
}

fn encoded(messages: impl IntoIterator<Item = Message>) -> Vec<u8> {
    let (mut encoder, mut bytes) = (Encoder::default(), Vec::new());
    let messages = messages.into_iter();
    messages.for_each(|message| encoder.encode(&message, &mut bytes));
    bytes
}

fn publishing(target: &Target, number: usize) -> TcpStream {
    Client::publishing(target.rtmp, &format!("hostile{number}")).socket
}

/// Publishes what nobody plays.
fn publishing_another(target: &Target, _: usize) -> TcpStream {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Client::publishing(target.rtmp, &format!("another{number}")).socket
}

/// Publishes 16 streams and then sends on the first alone.
fn publishing_many(target: &Target, number: usize) -> TcpStream {
    let mut client = Client::connected(target.rtmp);
    for stream in 1..16 {
        assert_eq!(client.create_stream(), stream + 1);
    }
    for stream in 1..=16 {
        let name = Value::text(format!("many{number}x{stream}"));
        client.call(stream, "publish", 0.0, vec![name]);
        client.lines_until("status");
    }
    client.socket
}

fn long_publishing(target: &Target, number: usize) -> TcpStream {
    let mut client = Client::publishing(target.rtmp, &format!("long{number}"));
    long_chunks(&mut client, PART_LEN);
    client.socket
}

fn playing(target: &Target, number: usize) -> TcpStream {
    Client::asking_to_play(target.rtmp, &format!("hostile{}", number % 4)).socket
}

fn asking(target: &Target, path: &str) -> TcpStream {
    let mut socket = TcpStream::connect(target.http).expect("connect");
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", target.http);
    socket.write_all(request.as_bytes()).expect("sent");
    socket
}

/// A keyframe, and then pictures that need it.
fn one_group() -> Vec<u8> {
    let picture = |number: u32| {
        let first = if number == 0 { 0x17 } else { 0x27 };
        let start = [first, 1, 0, 0, 0];
        of_len(MessageType::VIDEO, &start, 40 << 10, number)
    };
    let head = real("V head 1 @0");
    encoded([head].into_iter().chain((0..100).map(picture)))
}

fn headers() -> Vec<u8> {
    encoded((0..60).map(|track| {
        let start = [0x96, 0x00, b'h', b'v', b'c', b'1', track];
        of_len(MessageType::VIDEO, &start, 60 << 10, 0)
    }))
}

fn data() -> Vec<u8> {
    encoded((0..16).map(|number| {
        let mut start = Vec::new();
        Value::text("@setDataFrame").encode(&mut start);
        Value::text(format!("on{number}")).encode(&mut start);
        of_len(MessageType::DATA, &start, 250 << 10, 0)
    }))
}

/// A part of a message that never ends, and how many of them there are on each of 60 chunk streams.
const PART_LEN: usize = 100_000;
const PARTS: usize = 4;

fn parts() -> Vec<u8> {
    let streams = || 3..63_u8;
    let first = streams().flat_map(|chunk_stream| unfinished(chunk_stream, 16_000_000, PART_LEN));
    let mut bytes: Vec<u8> = first.collect();
    for chunk_stream in (1..PARTS).flat_map(|_| streams()) {
        bytes.push(0xc0 | chunk_stream);
        bytes.resize(bytes.len() + PART_LEN, 7);
    }
    bytes
}

fn still_sound() -> Vec<u8> {
    let sound = |_| of_len(MessageType::AUDIO, &[0xaf, 1], 100 << 10, 0);
    let heads = ["V head 1 @0", "A head 1 @0", "V key 1 @0"].map(real);
    encoded(heads.into_iter().chain((0..50).map(sound)))
}

const fn kind(
    name: &'static str,
    begin: fn(&Target, usize) -> TcpStream,
    bytes: fn() -> Vec<u8>,
) -> Kind {
    Kind {
        name,
        begin,
        bytes,
        sends_once: false,
    }
}

fn asking_for(target: &Target, number: usize, ending: &str) -> TcpStream {
    asking(target, &format!("/live/hostile{}{ending}", number % 4))
}

fn connected(target: &Target, _: usize) -> TcpStream {
    TcpStream::connect(target.http).expect("connect")
}

fn endless_head() -> Vec<u8> {
    [&b"GET / HTTP/1.1\r\nX: "[..], &b"x".repeat(6000)].concat()
}

fn requests() -> Vec<u8> {
    b"GET /live/hostile0/index.m3u8 HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(50)
}

#[rustfmt::skip]
const KINDS: [Kind; 12] = [
    kind("pictures after one keyframe", publishing, one_group),
    Kind { sends_once: true, ..kind("unfinished messages", long_publishing, parts) },
    kind("headers of many tracks", publishing_another, headers),
    kind("data under many names", publishing_another, data),
    kind("sound whose time stands still", publishing_another, still_sound),
    kind("16 streams each", publishing_many, one_group),
    kind("RTMP that is not read", playing, Vec::new),
    kind("FLV that is not read", |to, number| asking_for(to, number, ".flv"), Vec::new),
    kind("MP4 that is not read", |to, number| asking_for(to, number, ".mp4"), Vec::new),
    kind("HLS that is not read", |to, number| asking_for(to, number, "/index.m3u8"), Vec::new),
    Kind { sends_once: true, ..kind("heads that never end", connected, endless_head) },
    kind("requests without a look at the answer", connected, requests),
];

/// Attacks with `count` clients of each kind until it is over; counts those that were hung up on.
fn attack(kind: &Kind, target: Target, count: usize, shared: &Shared) {
    let bytes = Arc::new((kind.bytes)());
    let begin = |number| {
        let socket = (kind.begin)(&target, number);
        socket.set_nonblocking(true).expect("nonblocking");
        Hostile {
            socket,
            bytes: Arc::clone(&bytes),
            at: 0,
            repeats: !kind.sends_once,
            sent: 0,
        }
    };
    let mut all: Vec<Hostile> = (0..count).map(begin).collect();
    shared.ready.fetch_add(1, Ordering::Relaxed);
    while !shared.is_over.load(Ordering::Relaxed) {
        let before = all.len();
        let mut sent = 0;
        all.retain_mut(|hostile| {
            let before = hostile.sent;
            let is_open = hostile.step();
            sent += hostile.sent - before;
            is_open
        });
        shared
            .hung_up
            .fetch_add((before - all.len()) as u64, Ordering::Relaxed);
        shared.sent.fetch_add(sent as u64, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(1));
    }
    println!("{}: {} of {count} are left", kind.name, all.len());
}

#[derive(Default)]
struct Shared {
    ready: AtomicU64,
    is_over: AtomicBool,
    hung_up: AtomicU64,
    sent: AtomicU64,
}

/// A picture of an honest publisher, 25 a second of 1 kB: what it holds when the machine is busy is a fair share.
fn honest_picture(number: u32) -> Message {
    let first = if number.is_multiple_of(25) {
        0x17
    } else {
        0x27
    };
    let start = [&[first, 1, 0, 0, 0][..], &number.to_be_bytes()].concat();
    of_len(MessageType::VIDEO, &start, 1000, number * 40)
}

#[test]
fn hostile_clients_of_every_kind_take_nothing_from_others() {
    let each = std::env::var("ATTACK_CLIENTS").map_or(8, |count| count.parse().expect("a number"));
    let seconds =
        std::env::var("ATTACK_SECONDS").map_or(1, |count| count.parse().expect("a number"));
    let max = std::env::var("ATTACK_MEMORY").unwrap_or(MAX_MEMORY.to_owned());
    let http = crate::support::free_addr();
    let more = std::env::var("ATTACK_FLAGS").unwrap_or_default();
    let flags = format!("-max-memory {max} -http-listen {http} -merge 0 {more}");
    let server = ServerProcess::start(&flags);
    let target = Target {
        rtmp: server.addr,
        http,
    };
    let mut publisher = server.publisher("honest");
    publisher.send(&honest_picture(0));
    let mut viewer = server.playing("honest");
    let reader = thread::spawn(move || {
        let mut next = 0;
        while let Some(message) = viewer.receive() {
            if message.kind == MessageType::VIDEO {
                if message != honest_picture(next) {
                    return Err((next, message.timestamp.0 / 40));
                }
                next += 1;
            }
        }
        Ok(next)
    });
    let shared = Shared::default();
    let (mut most, mut number) = (0, 1);
    thread::scope(|scope| {
        for kind in &KINDS {
            scope.spawn(|| attack(kind, target, each, &shared));
        }
        let began = Instant::now();
        let mut end = None;
        while end.is_none_or(|end| Instant::now() < end) {
            publisher.send(&honest_picture(number));
            number += 1;
            most = most.max(server.memory_kb());
            thread::sleep(Duration::from_millis(10));
            let is_late = began.elapsed() > Duration::from_secs(60);
            if end.is_none()
                && (is_late || shared.ready.load(Ordering::Relaxed) == KINDS.len() as u64)
            {
                end = Some(Instant::now() + Duration::from_secs(seconds));
            }
        }
        shared.is_over.store(true, Ordering::Relaxed);
    });
    publisher.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
    let seen = reader.join().expect("the viewer");
    assert_eq!(seen, Ok(number), "{:#?}", server.lines_so_far());
    let clients = (each * KINDS.len()) as u64;
    let bound = MAX_MEMORY_KB + CONNECTION_KB * clients + BASE_KB;
    let hung_up = shared.hung_up.load(Ordering::Relaxed);
    let sent = shared.sent.load(Ordering::Relaxed) >> 20;
    println!(
        "{clients} clients sent {sent} MiB; {hung_up} were hung up on; {number} pictures; {most} kB of {bound}"
    );
    assert!(most < bound, "{most} kB of {bound}");
    assert!(hung_up > 0);
}
