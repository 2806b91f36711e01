//! What hooks are told of whole conversations, and who is let in.

use crate::support::http::HttpReply;
use crate::support::{Client, PATIENCE, free_addr};
use rtmp_server::amf0::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

/// A server that tells its events to standard error, read from there.
struct ServerWithEvents {
    child: Child,
    port: u16,
    lines: Receiver<String>,
}

impl ServerWithEvents {
    fn start(flags: &str) -> ServerWithEvents {
        let port = free_addr().port();
        let mut child = Command::new(env!("CARGO_BIN_EXE_rtmp-server"))
            .args([
                "-listen",
                &format!("127.0.0.1:{port}"),
                "-hook-stdio-format",
                "json",
                "-merge",
                "0",
            ])
            .args(flags.split_whitespace())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let (sender, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        std::thread::spawn(move || {
            stderr
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        crate::support::wait_until("the server", || {
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        let told = ServerWithEvents { child, port, lines };
        told.expect(&[
            "connection_accept c000001 -",
            "connection_close c000001 - role=none",
        ]);
        told
    }

    fn connected(&self) -> Client {
        Client::connected(([127, 0, 0, 1], self.port).into())
    }

    /// The next event: its type, connection, stream, and the data that does not differ from run to
    /// run.
    fn next(&self) -> String {
        let line = self.lines.recv_timeout(PATIENCE).expect("an event");
        let json = line
            .strip_prefix("RTMP_EVENT: ")
            .unwrap_or_else(|| panic!("{line}"));
        let event = rtmp_server::json::parse(json.as_bytes()).expect("JSON");
        let text = |key| {
            event
                .get(key)
                .and_then(|value| value.as_str())
                .unwrap_or("-")
                .to_owned()
        };
        let mut words = vec![text("type"), text("conn_id"), text("stream_key")];
        let data = event
            .get("data")
            .and_then(|data| data.as_object())
            .unwrap_or_default();
        let stable = data
            .iter()
            .filter(|(key, _)| !["remote_addr", "duration_sec", "tls"].contains(&key.as_str()));
        words.extend(
            stable.map(|(key, value)| format!("{key}={}", value.to_string().trim_matches('"'))),
        );
        words.join(" ")
    }

    fn expect(&self, events: &[&str]) {
        for want in events {
            assert_eq!(self.next(), *want);
        }
    }
}

impl Drop for ServerWithEvents {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(client: &mut Client, what: &str, name: &str) {
    client.call(1, what, 0.0, vec![Value::text(name)]);
}

#[test]
fn every_event_of_a_stream_is_told_once_and_in_order() {
    let told = ServerWithEvents::start("-grace 5s");
    let mut publisher = told.connected();
    told.expect(&[
        "connection_accept c000002 -",
        "handshake_complete c000002 -",
    ]);
    ask(&mut publisher, "publish", "x?token=secret");
    publisher.expect(&["begin 1", "status@1 NetStream.Publish.Start"]);
    told.expect(&[
        "stream_create - live/x",
        "publish_start c000002 live/x app=live publishing_name=x",
    ]);
    publisher.send_media(&[
        "V head 1 @0",
        "V key 1 @0",
        "A head 1 @0",
        "A sound 1 @20",
        "V inter 2 @40",
    ]);
    told.expect(&[
        "codec_detected c000002 live/x video_codec=H264",
        "codec_detected c000002 live/x audio_codec=AAC",
    ]);

    let mut viewer = told.connected();
    told.expect(&[
        "connection_accept c000003 -",
        "handshake_complete c000003 -",
    ]);
    ask(&mut viewer, "play", "x");
    told.expect(&[
        "subscriber_count - live/x count=1",
        "play_start c000003 live/x app=live protocol=rtmp",
    ]);
    viewer.vanish();
    told.expect(&[
        "subscriber_count - live/x count=0",
        "play_stop c000003 live/x protocol=rtmp",
        "connection_close c000003 - role=subscriber",
    ]);
    publisher.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
    told.expect(&[PUBLISH_STOP, "stream_delete - live/x"]);
    drop(publisher);
    told.expect(&["connection_close c000002 - role=publisher"]);
}

const PUBLISH_STOP: &str = "publish_stop c000002 live/x audio_codec=AAC audio_packets=2 total_bytes=24 video_codec=H264 video_packets=3";

#[test]
fn a_viewer_by_http_is_told_of_as_one() {
    let media = free_addr();
    let told = ServerWithEvents::start(&format!("-http-listen {media}"));
    let get = "GET /live/x.flv HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut viewer = TcpStream::connect(media).expect("connect");
    viewer.write_all(get.as_bytes()).expect("send");
    told.expect(&["play_start c000002 live/x app=live protocol=http-flv"]);
    drop(viewer);
    told.expect(&["play_stop c000002 live/x protocol=http-flv"]);
}

#[test]
fn a_stream_whose_publisher_comes_back_is_one_stream() {
    let told = ServerWithEvents::start("-grace 5s");
    let mut publisher = told.connected();
    ask(&mut publisher, "publish", "x");
    publisher.expect(&["begin 1", "status@1 NetStream.Publish.Start"]);
    let mut viewer = told.connected();
    ask(&mut viewer, "play", "x");
    viewer.expect(&["begin 1", "status@1 NetStream.Play.Start"]);
    publisher.vanish();
    viewer.expect(&["dry 1"]);
    let mut publisher = told.connected();
    ask(&mut publisher, "publish", "x");
    publisher.expect(&["begin 1", "status@1 NetStream.Publish.Start"]);
    publisher.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
    viewer.expect(&["begin 1", "eof 1"]);
    viewer.lines_until("end");
    drop((publisher, viewer));
    let mut events = Vec::new();
    while events
        .iter()
        .filter(|event: &&String| event.starts_with("connection_close"))
        .count()
        < 3
    {
        events.push(told.next());
    }
    let count = |kind: &str| {
        events
            .iter()
            .filter(|event| event.starts_with(kind))
            .count()
    };
    let kinds = [
        "stream_create",
        "publish_start",
        "publish_stop",
        "stream_delete",
        "play_start",
        "play_stop",
    ];
    assert_eq!(kinds.map(count), [1, 2, 2, 1, 1, 1], "{events:?}");
}

#[test]
fn the_end_of_a_publication_is_told_where_it_happens() {
    let told = ServerWithEvents::start("");
    let mut first = told.connected();
    ask(&mut first, "publish", "x");
    first.expect(&["begin 1", "status@1 NetStream.Publish.Start"]);
    first.send_media(&["V head 1 @0"]);
    told.expect(&[
        "connection_accept c000002 -",
        "handshake_complete c000002 -",
        "stream_create - live/x",
        "publish_start c000002 live/x app=live publishing_name=x",
        "codec_detected c000002 live/x video_codec=H264",
    ]);
    let mut second = told.connected();
    ask(&mut second, "publish", "x");
    second.expect(&["begin 1", "status@1 NetStream.Publish.Start"]);
    // The first has not closed its side yet.
    told.expect(&[
        "connection_accept c000003 -",
        "handshake_complete c000003 -",
        "publish_stop c000002 live/x audio_codec= audio_packets=0 total_bytes=6 video_codec=H264 video_packets=1",
        "publish_start c000003 live/x app=live publishing_name=x",
    ]);
    drop(first);
    told.expect(&["connection_close c000002 - role=publisher"]);
    let pid = told.child.id().to_string();
    let asked = Command::new("kill").arg(pid).status().expect("kill");
    assert!(asked.success());
    told.expect(&[
        "publish_stop c000003 live/x audio_codec= audio_packets=0 total_bytes=0 video_codec= video_packets=0",
        "stream_delete - live/x",
    ]);
    drop(second);
    told.expect(&["connection_close c000003 - role=publisher"]);
}

#[test]
fn hooks_are_told_of_some_of_many_denials() {
    let http = free_addr();
    let flags = format!("-http-listen {http} -auth-mode token -auth-token live/x=right");
    let told = ServerWithEvents::start(&flags);
    let began = Instant::now();
    for path in ["live/x.flv", "live/x/index.m3u8", "live/x/stream.m3u8"] {
        for _ in 0..40 {
            assert_eq!(HttpReply::get(http, &format!("/{path}")).status, 403);
        }
    }
    let most = 20 + began.elapsed().as_millis() as usize / 500 + 1;
    let _mark = told.connected();
    let events = std::iter::repeat_with(|| told.next());
    let denials = events
        .take_while(|event| !event.starts_with("connection_accept"))
        .filter(|event| event.starts_with("auth_failed"));
    let count = denials.count();
    assert!((20..=most).contains(&count), "{count} of {most}");
}

#[test]
fn whoever_lacks_the_token_is_refused_and_hooks_are_told() {
    let told = ServerWithEvents::start("-auth-mode token -auth-token live/x=right");
    let rows = [
        (
            "publish",
            "x?token=wrong",
            "token wrong",
            "error@1 NetStream.Publish.Denied",
        ),
        (
            "publish",
            "x",
            "token missing",
            "error@1 NetStream.Publish.Denied",
        ),
        (
            "publish",
            "y?token=right",
            "stream not listed",
            "error@1 NetStream.Publish.Denied",
        ),
        (
            "play",
            "x?token=wrong",
            "token wrong",
            "error@1 NetStream.Play.Failed",
        ),
    ];
    for (action, name, error, answer) in rows {
        let mut client = told.connected();
        ask(&mut client, action, name);
        let began = Instant::now();
        client.expect(&[answer, "end"]);
        assert!(began.elapsed().as_secs() < 1);
        let event =
            std::iter::repeat_with(|| told.next()).find(|event| event.starts_with("auth_failed"));
        let event = event.expect("endless");
        assert!(
            event.ends_with(&format!("action={action} error={error}")),
            "{event}"
        );
    }
    let mut publisher = told.connected();
    ask(&mut publisher, "publish", "x?token=right");
    publisher.expect(&["begin 1", "status@1 NetStream.Publish.Start"]);
    // A takeover asks for the same.
    let mut thief = told.connected();
    ask(&mut thief, "publish", "x?token=wrong");
    thief.expect(&["error@1 NetStream.Publish.Denied", "end"]);
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let mut player = told.connected();
    ask(&mut player, "play", "x?token=right");
    player.expect(&[
        "begin 1",
        "status@1 NetStream.Play.Start",
        "V head 1 @0",
        "V key 1 @0",
    ]);
}
