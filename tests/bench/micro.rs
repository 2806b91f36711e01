//! How fast bytes become messages and values, and the other way round, without a server.

use rtmp_server::amf0::{self, Value};
use rtmp_server::rtmp::chunk::{Decoder, Encoder};
use rtmp_server::rtmp::control::Control;
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};
use std::hint::black_box;
use std::time::{Duration, Instant};

/// How long one case is repeated for, and how often that is done for the median.
const ROUND: Duration = Duration::from_millis(60);
const ROUNDS: usize = 7;

/// Bytes that a publisher's connection is read by.
const READ_LEN: usize = 64 << 10;

/// Messages that are turned around at a time.
const BATCH: u32 = 64;

/// Message and chunk sizes: a sound, a picture and a keyframe at 1 Mbit/s, a large keyframe.
const CHUNK_CASES: [(usize, u32); 8] = [
    (341, 128),
    (341, 4096),
    (3400, 128),
    (3400, 4096),
    (17_000, 128),
    (17_000, 4096),
    (200_000, 4096),
    (200_000, 65_536),
];

/// Prints a line for each pair of message and chunk size.
pub fn chunks() {
    print_head("chunk stream");
    for (len, chunk_size) in CHUNK_CASES {
        let messages: Vec<Message> = (0..BATCH).map(|index| picture(len, index)).collect();
        let bytes = encoded(&messages, chunk_size);
        let decode_s = median_of(|| decode(&bytes, chunk_size));
        let mut out = Vec::with_capacity(bytes.len());
        let encode_s = median_of(|| encode(&messages, chunk_size, &mut out));
        let name = format!("{len} bytes, chunks of {chunk_size}");
        print_line(&name, bytes.len(), [decode_s, encode_s]);
    }
    println!();
}

/// Prints a line for each of the usual commands.
pub fn amf0() {
    print_head("AMF0");
    for (name, values) in [("connect", connect()), ("onMetaData", metadata())] {
        let bytes = amf0::encode(&values);
        let decode_s = median_of(|| {
            for _ in 0..BATCH {
                let _ = black_box(amf0::decode(black_box(&bytes)));
            }
        });
        let encode_s = median_of(|| {
            for _ in 0..BATCH {
                black_box(amf0::encode(black_box(&values)));
            }
        });
        let name = format!("{name}, {} bytes", bytes.len());
        print_line(&name, bytes.len() * BATCH as usize, [decode_s, encode_s]);
    }
    println!();
}

fn picture(len: usize, index: u32) -> Message {
    Message {
        timestamp: Timestamp(index * 33),
        kind: MessageType::VIDEO,
        stream: StreamId(1),
        payload: vec![index as u8; len].into(),
    }
}

/// The bytes of `messages` behind a Set Chunk Size.
fn encoded(messages: &[Message], chunk_size: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::default();
    encoder.encode(&Control::SetChunkSize(chunk_size).message(), &mut out);
    messages
        .iter()
        .for_each(|message| encoder.encode(message, &mut out));
    out
}

fn decode(bytes: &[u8], chunk_size: u32) {
    let mut decoder = Decoder::default();
    let mut messages = 0;
    for mut piece in black_box(bytes).chunks(READ_LEN) {
        while let Ok(Some(message)) = decoder.decode(&mut piece) {
            messages += 1;
            black_box(message);
        }
    }
    assert_eq!(messages, BATCH + 1, "chunks of {chunk_size}");
}

fn encode(messages: &[Message], chunk_size: u32, out: &mut Vec<u8>) {
    out.clear();
    let mut encoder = Encoder::with_chunk_size(chunk_size);
    for message in black_box(messages) {
        encoder.encode(message, out);
    }
    black_box(out);
}

/// Seconds that `work` takes once: the median over rounds, each the mean over its repetitions.
fn median_of(mut work: impl FnMut()) -> f64 {
    let mut round = || {
        let (began, mut times) = (Instant::now(), 0);
        while began.elapsed() < ROUND {
            work();
            times += 1;
        }
        began.elapsed().as_secs_f64() / f64::from(times)
    };
    let mut rounds: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
    rounds.sort_unstable_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn print_head(name: &str) {
    println!(
        "{name:<36}{:>12}{:>12}{:>14}{:>12}",
        "decode MB/s", "ns/message", "encode MB/s", "ns/message"
    );
}

/// Prints what it means that `len` bytes in a batch of messages took so many seconds each way.
fn print_line(name: &str, len: usize, [decode_s, encode_s]: [f64; 2]) {
    let rate = |seconds: f64| len as f64 / seconds / 1e6;
    let each = |seconds: f64| seconds / f64::from(BATCH) * 1e9;
    println!(
        "  {name:<34}{:>12.0}{:>12.0}{:>14.0}{:>12.0}",
        rate(decode_s),
        each(decode_s),
        rate(encode_s),
        each(encode_s)
    );
}

fn number(value: f64) -> Value {
    Value::Number(value)
}

/// What ffmpeg sends.
fn connect() -> Vec<Value> {
    let object = Value::object([
        ("app", Value::text("live")),
        ("type", Value::text("nonprivate")),
        (
            "flashVer",
            Value::text("FMLE/3.0 (compatible; Lavf59.27.100)"),
        ),
        ("tcUrl", Value::text("rtmp://127.0.0.1:1935/live")),
    ]);
    vec![Value::text("connect"), number(1.0), object]
}

/// What OBS sends, more or less.
fn metadata() -> Vec<Value> {
    let members = Value::object([
        ("duration", number(0.0)),
        ("fileSize", number(0.0)),
        ("width", number(1280.0)),
        ("height", number(720.0)),
        ("videocodecid", number(7.0)),
        ("videodatarate", number(2500.0)),
        ("framerate", number(30.0)),
        ("audiocodecid", number(10.0)),
        ("audiodatarate", number(160.0)),
        ("audiosamplerate", number(48_000.0)),
        ("audiosamplesize", number(16.0)),
        ("audiochannels", number(2.0)),
        ("stereo", Value::Boolean(true)),
        (
            "encoder",
            Value::text("obs-output module (libobs version 29.0.2)"),
        ),
    ]);
    let array = Value::EcmaArray(14, members.pairs().to_vec());
    vec![
        Value::text("@setDataFrame"),
        Value::text("onMetaData"),
        array,
    ]
}
