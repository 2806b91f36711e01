//! The system's clock is set, forwards and backwards, while everything goes on. A library in front of the
//! server's own makes it see another time; for that there has to be a C compiler.

use crate::support::http::HttpReply;
use crate::support::process::{ServerProcess, fact};
use crate::support::readers::flv::FlvReader;
use crate::support::readers::playlist_reader;
use crate::support::real::real;
use crate::support::{Client, TestServer, describe, free_addr};
use rtmp_server::amf0::Value;
use rtmp_server::auth::{Action, SignedKey, signed_query, unix_now};
use rtmp_server::rtmp::Message;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;

/// How far the clock is from the right time, and whether signatures that hold for a year are good then.
const SHIFTS: &[(i64, bool)] = &[
    (HOUR, true),
    (-2 * HOUR, true),
    (2 * YEAR, false),
    // Before 1970.
    (-60 * YEAR, false),
    (100 * YEAR, false),
    (0, true),
];

const SECRET: &str = "0123456789abcdef";

/// Pictures in each of these times: more than a segment.
const PICTURES: u32 = 15;

/// How late a picture may be on a busy machine.
const LATE_MAX: Duration = Duration::from_secs(1);

/// A clock that can be set, and a directory of its own.
struct Clock {
    dir: PathBuf,
    shift: File,
}

impl Clock {
    /// `None`: there is no compiler.
    fn new() -> Option<Clock> {
        let dir = std::env::temp_dir().join(format!("rtmp-clock-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs/faults/clock.c");
        let mut cc = Command::new("cc");
        let cc = cc
            .args(["-shared", "-fPIC", "-o"])
            .arg(dir.join("clock.so"));
        if !cc.arg(source).status().is_ok_and(|status| status.success()) {
            println!("not shown, since there is no C compiler: clocks that are set");
            return None;
        }
        let shift = File::create(dir.join("shift")).expect("a file");
        let clock = Clock { dir, shift };
        clock.set(0);
        Some(clock)
    }

    fn set(&self, seconds: i64) {
        let bytes = seconds.to_ne_bytes();
        self.shift.write_all_at(&bytes, 0).expect("write");
    }

    fn server(&self, flags: &str) -> ServerProcess {
        let dir = self.dir.display();
        let before = format!("export CLOCK_SHIFT={dir}/shift LD_PRELOAD={dir}/clock.so");
        ServerProcess::start_with(&before, &format!("{flags} -record-dir {dir}/files"))
    }

    /// The files of a stream that are complete: their names, and their pictures.
    fn files(&self, name: &str) -> Vec<(String, usize)> {
        let entries = std::fs::read_dir(self.dir.join("files"))
            .expect("files")
            .flatten();
        let own = entries.filter(|it| it.file_name().to_string_lossy().starts_with(name));
        own.map(|it| {
            let mut reader = FlvReader::new(File::open(it.path()).expect("a file"));
            let mut pictures = 0;
            while let Some(message) = reader.next().expect("whole tags") {
                pictures += usize::from(
                    describe(&message).starts_with("V key")
                        || describe(&message).starts_with("V inter"),
                );
            }
            (it.file_name().to_string_lossy().into_owned(), pictures)
        })
        .collect()
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// `name` with a query that lets it in by the right time, for a year.
fn signed(name: &str, action: Action) -> String {
    let key = SignedKey::new(&format!("live/{name}")).expect("a key");
    let query = signed_query(SECRET, action, &key, unix_now() + YEAR.unsigned_abs());
    format!("{name}?{query}")
}

/// Whether a newcomer may publish.
fn is_let_in(server: &ServerProcess, name: &str) -> bool {
    let mut client = server.connected();
    client.call(
        1,
        "publish",
        0.0,
        vec![Value::text(signed(name, Action::Publish))],
    );
    loop {
        let line = client.next_line();
        match line.as_str() {
            "error@1 NetStream.Publish.Denied" => return false,
            "status@1 NetStream.Publish.Start" => return true,
            _ => assert_ne!(line, "end"),
        }
    }
}

/// A stream, and viewers of it by each protocol.
struct Show {
    publisher: Client,
    viewer: Client,
    flv: FlvReader<crate::support::http::HttpBody>,
    mp4: crate::support::http::HttpBody,
    web: SocketAddr,
    playlist: String,
    number: u32,
}

impl Show {
    fn begin(server: &ServerProcess, web: SocketAddr) -> Show {
        let mut publisher = Client::publishing(server.addr, &signed("x", Action::Publish));
        publisher.send(&real("V head 1 @0"));
        publisher.send_media(&["V key 0 @0"]);
        let name = signed("x", Action::Play);
        let (_, query) = name.split_once('?').expect("a query");
        let viewer = Client::playing(server.addr, &name);
        let flv = HttpReply::get(web, &format!("/live/x.flv?{query}"));
        let mp4 = HttpReply::get(web, &format!("/live/x.mp4?{query}"));
        let mut show = Show {
            publisher,
            viewer,
            flv: FlvReader::new(flv.body),
            mp4: mp4.body,
            web,
            playlist: String::new(),
            number: 1,
        };
        thread::scope(|scope| {
            let index = scope.spawn(|| get(web, &format!("/live/x/index.m3u8?{query}")));
            while !index.is_finished() {
                show.go_on();
            }
            let index = index.join().expect("an index");
            let uri = index.lines().find(|line| !line.starts_with('#'));
            show.playlist = format!("/live/x/{}", uri.expect("a URI"));
        });
        show
    }

    /// The next picture comes to all at once; each thirteenth is a keyframe.
    fn go_on(&mut self) {
        let kind = if self.number.is_multiple_of(13) {
            "key"
        } else {
            "inter"
        };
        let picture = format!("V {kind} {} @{}", self.number % 256, self.number * 40);
        let sent = Instant::now();
        self.publisher.send_media(&[&picture]);
        self.viewer.lines_until(&picture);
        let is_other = |it: Option<Message>| it.is_none_or(|it| describe(&it) != picture);
        while is_other(self.flv.next().expect("FLV")) {}
        self.mp4.read_exact(&mut [0; 100]).expect("a fragment");
        assert!(sent.elapsed() < LATE_MAX, "{picture}: {:?}", sent.elapsed());
        self.number += 1;
        thread::sleep(Duration::from_millis(15));
    }

    /// The dates of segments.
    fn dates(&self) -> Vec<String> {
        let text = get(self.web, &self.playlist);
        playlist_reader::read(&text).expect("a playlist");
        let dates = text
            .lines()
            .filter_map(|line| line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:"));
        dates.map(str::to_owned).collect()
    }
}

fn get(addr: SocketAddr, path: &str) -> String {
    let mut reply = HttpReply::get(addr, path);
    assert_eq!(reply.status, 200, "{path}");
    let mut text = String::new();
    reply.body.read_to_string(&mut text).expect("text");
    text
}

/// The pauses between attempts at a destination that is not there are those of a clock that goes on.
fn assert_pauses(admin: SocketAddr, began: Instant) {
    let metrics = get(admin, "/metrics");
    let mut lines = metrics.lines();
    let failures = lines.find_map(|line| line.strip_prefix("rtmp_relay_failures_total "));
    let failures: f64 = failures.expect("a counter").parse().expect("a number");
    let most = 2.0 + began.elapsed().as_secs_f64().log2().ceil();
    assert!(failures <= most, "{failures} failures");
}

/// Nothing failed, and the publication took as long as it did.
fn assert_ordinary(lines: &[String], began: Instant) {
    let failed =
        |line: &&String| line.contains("\"level\":\"error\"") || line.contains("connection failed");
    assert_eq!(lines.iter().find(failed), None);
    let stopped =
        |line: &&String| line.contains("publisher stopped") && line.contains("\"live/x\"");
    let line = lines.iter().find(stopped).expect("a line");
    let duration = fact(line, "duration_sec").and_then(|it| it.parse::<f64>().ok());
    let most = began.elapsed().as_secs_f64();
    assert!(duration.is_some_and(|it| it > 1.0 && it < most), "{line}");
}

#[test]
fn a_clock_that_is_set_changes_nothing() {
    let Some(clock) = Clock::new() else { return };
    let far = TestServer::start("");
    let dead = free_addr();
    let mut server = clock.server(&format!(
        "-merge 0 -http-listen 127.0.0.1:0 -metrics-addr 127.0.0.1:0 -hls-segment 500ms -hls-part 200ms \
         -auth-mode signed -auth-secret {SECRET} -record-all true -segment-duration 1s \
         -segment-pattern %s_%T -grace 60s -wait-stream 60s \
         -relay-to live/x=rtmp://{}/live/x -relay-to live/x=rtmp://{dead}/live/x",
        far.addr
    ));
    let began = Instant::now();
    let admin = server.http_addr("serving HTTP");
    let web = server.http_addr("serving media over HTTP");
    let mut show = Show::begin(&server, web);
    let mut waiting = Client::asking_to_play(server.addr, &signed("later", Action::Play));
    let mut lost = Client::publishing(server.addr, &signed("lost", Action::Publish));
    lost.send_media(&["V head 1 @0", "V key 1 @0"]);
    let mut left = Client::playing(server.addr, &signed("lost", Action::Play));
    left.expect(&["V head 1 @0", "V key 1 @0"]);
    lost.vanish();
    left.expect(&["dry 1"]);
    for (index, (shift, is_good)) in SHIFTS.iter().enumerate() {
        clock.set(*shift);
        for _ in 0..PICTURES {
            show.go_on();
        }
        let dates = show.dates();
        assert!(dates.is_sorted() && dates.len() >= 2, "{shift}: {dates:?}");
        assert_eq!(
            is_let_in(&server, &format!("new{index}")),
            *is_good,
            "{shift}"
        );
        assert!(get(admin, "/metrics").contains("rtmp_uptime_seconds"));
    }
    let mut later = Client::publishing(server.addr, &signed("later", Action::Publish));
    later.send_media(&["V head 1 @0", "V key 1 @0"]);
    waiting.lines_until("V key 1 @0");
    let mut again = Client::publishing(server.addr, &signed("lost", Action::Publish));
    again.send_media(&["V head 1 @0", "V key 1 @0"]);
    left.lines_until("V key 1");
    assert_pauses(admin, began);
    let sent = show.number as usize;
    drop(show.publisher);
    super::signal(server.pid(), "-TERM");
    assert_eq!(server.wait(), Some(0));
    let lines = server.lines_until("\"stopped\"");
    assert_ordinary(&lines, began);
    let files = clock.files("live_x_");
    println!("{files:?}");
    assert_eq!(
        files.iter().map(|(_, pictures)| pictures).sum::<usize>(),
        sent
    );
}
