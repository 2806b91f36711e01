//! How much is logged: all that happens once, nothing that happens all the time.

use super::memory::of_len;
use crate::support::http::HttpReply;
use crate::support::process::{ServerProcess, fact};
use crate::support::real::real;
use crate::support::wait_until;
use rtmp_server::amf0::Value;
use rtmp_server::json;
use rtmp_server::rtmp::{MessageType, StreamId, status};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

/// The phrases of these lines.
fn phrases(lines: &[String]) -> Vec<&str> {
    let phrase = |line| fact(line, "msg").expect("a phrase");
    lines.iter().map(|line| phrase(line)).collect()
}

#[test]
fn media_is_not_logged() {
    let server = ServerProcess::start("-merge 0");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0", "A head 1 @0", "V key 1 @0"]);
    let mut viewer = server.playing("x");
    viewer.expect(&["V head 1 @0", "A head 1 @0", "V key 1 @0"]);
    server.wait_for_line("player started");
    let kinds = ["V inter", "A sound", "V key", "D text"];
    for round in 0..125 {
        let lines = kinds.map(|kind| format!("{kind} {round} @{}", round * 40));
        let lines = lines.each_ref().map(String::as_str);
        publisher.send_media(&lines);
        viewer.expect(&lines);
    }
    publisher.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
    let lines = server.lines_until("publisher stopped");
    assert_eq!(phrases(&lines), ["publisher stopped"]);
    assert_eq!(fact(&lines[0], "video_packets"), Some("252"), "{lines:?}");
}

fn get(addr: SocketAddr, path: &str) -> String {
    let mut body = String::new();
    let mut reply = HttpReply::get(addr, path);
    reply.body.read_to_string(&mut body).expect("text");
    body
}

/// How many messages were left out for slow viewers, as the metrics have it.
fn drops(admin: SocketAddr) -> u64 {
    let metrics = get(admin, "/metrics");
    let lines = metrics.lines();
    let mut drops = lines.filter_map(|line| line.strip_prefix("rtmp_subscriber_drops_total "));
    drops
        .next()
        .and_then(|drops| drops.parse().ok())
        .expect("a number")
}

/// One that goes on waits for a keyframe when it has taken everything; one that leaves does not.
#[test]
fn all_that_a_slow_viewer_misses_is_told() {
    std::thread::scope(|scope| {
        for path in ["RTMP", "/live/x.flv", "/live/x.mp4"] {
            for goes_on in [true, false] {
                scope.spawn(move || check_loss(path, goes_on));
            }
        }
    });
}

fn check_loss(path: &str, goes_on: bool) {
    let server =
        ServerProcess::start("-merge 0 -metrics-addr 127.0.0.1:0 -http-listen 127.0.0.1:0");
    let admin = server.http_addr("serving HTTP");
    let media = server.http_addr("serving media over HTTP");
    let mut publisher = server.publisher("x");
    publisher.send(&real("V head 1 @0"));
    let mut number = 0;
    let mut send = |first, len| {
        let picture = [first, 1, 0, 0, 0, 0, 0, 0, 1, 9];
        publisher.send(&of_len(MessageType::VIDEO, &picture, len, number * 40));
        number += 1;
        publisher.call(0, "settle", 9.0, vec![]);
        publisher.lines_until("_error 9");
    };
    [0x17, 0x27, 0x27]
        .into_iter()
        .for_each(|first| send(first, 100));
    let mut viewer: Box<dyn Read + Send> = match path {
        "RTMP" => Box::new(server.playing("x").socket),
        path => Box::new(HttpReply::get(media, path).body),
    };
    (0..120).for_each(|_| send(0x27, 256 << 10));
    if goes_on {
        std::thread::spawn(move || io::copy(&mut viewer, &mut io::sink()));
        let list = || get(admin, "/api/connections");
        wait_until("an empty queue", || {
            list().matches("\"queue\":0}").count() == 2
        });
        // Time enough for the server to see that.
        std::thread::sleep(Duration::from_millis(250));
        [0x27, 0x27, 0x27, 0x17, 0x27]
            .into_iter()
            .for_each(|first| send(first, 100));
    } else {
        drop(viewer);
    }
    let line = server.wait_for_line("\"viewer was too slow\"");
    println!("{path}, goes on: {goes_on}: {line}");
    let dropped = fact(&line, "dropped").and_then(|dropped| dropped.parse().ok());
    // What is shown may be a moment old.
    wait_until("the same number in the metrics", || {
        Some(drops(admin)) == dropped
    });
}

#[test]
fn floods_are_counted_and_not_logged() {
    const TRIES: usize = 150;
    let server = ServerProcess::start("-auth-mode token -auth-token live/x=t");
    let began = Instant::now();
    for _ in 0..TRIES {
        let mut stranger = server.connected();
        stranger.call(1, "publish", 0.0, vec![Value::text("x?token=wrong")]);
        stranger.expect(&["error@1 NetStream.Publish.Denied"]);
        let mut probe = TcpStream::connect(server.addr).expect("connect");
        probe.write_all(b"GET / HTTP/1.1").expect("send");
        // A reset is an end as well.
        let _ = probe.read_to_end(&mut Vec::new());
    }
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "too slow to be a flood"
    );
    let _publisher = server.publisher("x?token=t");
    let lines = server.lines_until("publisher started");
    let phrases = phrases(&lines);
    let count = |phrase| phrases.iter().filter(|other| **other == phrase).count();
    assert_eq!(count("access denied"), 100);
    assert_eq!(count("connection failed"), 100);
    assert_eq!(count("request refused"), 0, "that was said already");
    assert_eq!(
        count("client connected"),
        TRIES + 1,
        "these are told one by one"
    );
}

#[test]
fn a_publisher_is_told_of_even_in_a_flood() {
    let server = ServerProcess::start("");
    let mut publisher = server.publisher("x");
    for _ in 0..110 {
        let mut probe = TcpStream::connect(server.addr).expect("connect");
        probe.write_all(b"GET / HTTP/1.1").expect("send");
        // A reset is an end as well.
        let _ = probe.read_to_end(&mut Vec::new());
    }
    // A chunk that goes on with nothing.
    publisher.send_bytes(&[0xc9]);
    let lines = server.lines_until("\"layer\":\"chunk\"");
    assert_eq!(phrases(&lines).last(), Some(&"connection failed"));
}

#[test]
fn a_line_has_numbers_and_booleans_and_no_hidden_characters() {
    let server = ServerProcess::start("");
    let mut publisher = server.publisher("x\u{2028}\u{202e}y");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    publisher.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
    let line = server.wait_for_line("publisher stopped");
    let value = json::parse(line.as_bytes()).expect("JSON");
    assert!(
        matches!(value.get("total_bytes"), Some(json::JsonValue::Int(1..))),
        "{line}"
    );
    assert!(
        matches!(value.get("viewers"), Some(json::JsonValue::Int(0))),
        "{line}"
    );
    assert!(
        matches!(value.get("duration_sec"), Some(json::JsonValue::Float(_))),
        "{line}"
    );
    assert!(
        line.contains(r#""stream_key":"live/x\u2028\u202ey""#),
        "{line}"
    );
    let output = Command::new("kill")
        .args(["-HUP", &server.pid().to_string()])
        .status();
    assert!(output.expect("kill").success());
    let line = server.wait_for_line("reloaded");
    assert!(line.ends_with(r#""changed":""}"#), "{line}");
}

/// What a client says of itself, and asks for, is cut before it is logged.
#[test]
fn a_stranger_writes_no_long_lines() {
    const LINE_LEN_MAX: usize = 4096;
    let server = ServerProcess::start("-log-level debug");
    let noise = |len| Value::text("\u{1}".repeat(len));
    let connects = [
        [("app", noise(8000)), ("flashVer", noise(50_000))],
        [("app", noise(60_000)), ("flashVer", noise(10))],
    ];
    let ends = ["client connected", "request refused"];
    for (connect, end) in connects.into_iter().zip(ends) {
        let mut client = server.client();
        let object = Value::object(connect);
        client.send(&status::call(StreamId(0), "connect", 1.0, object, vec![]));
        let lines = server.lines_until(end);
        let longest = lines.iter().map(String::len).max();
        assert!(longest < Some(LINE_LEN_MAX), "{longest:?}");
    }
    let mut client = server.connected();
    client.call(1, "publish", 0.0, vec![noise(60_000)]);
    let lines = server.lines_until("connection closed");
    let longest = lines.iter().map(String::len).max();
    assert!(longest < Some(LINE_LEN_MAX), "{longest:?}");
}

/// `rtmp://HOST/cam?token=s3cret`, cut at its last slash or at its question mark.
#[test]
fn a_token_is_no_name() {
    let server = ServerProcess::start("-log-level debug");
    let mut client = server.client();
    client.connect("cam?");
    client.create_stream();
    client.call(1, "publish", 0.0, vec![Value::text("token=s3cret")]);
    let told = client.lines_until("status@1");
    assert_eq!(
        told.last().map(String::as_str),
        Some("status@1 NetStream.Publish.Start")
    );
    client.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
    let lines = server.lines_until("publisher stopped");
    let keys: Vec<_> = lines
        .iter()
        .filter_map(|line| fact(line, "stream_key"))
        .collect();
    assert_eq!(keys, ["cam", "cam"]);
    assert!(!lines.concat().contains("s3cret"), "{lines:?}");
}
