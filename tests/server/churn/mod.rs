//! Publishers and viewers that come and go in every way they can, all at once, and what is left of
//! them: nothing. `CHURN_SECONDS`, `CHURN_ACTORS` and `CHURN_SEED` make it longer, wider or another
//! one, and `CHURN_SERVER` names another program. From a minute on, HLS, pulls and TLS are there too. Hooks lose events when more than 1000 wait: with
//! hundreds of actors `CHURN_PAUSE_MS`, the longest pause between two acts, has to keep it in bounds.

mod actor;
mod others;

use crate::support::web_service::{Manner, WebService};
use crate::support::{Client, TestServer, free_addr, wait_until};
use actor::{Act, Actor, Random};
use rtmp_server::amf0::Value;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Few streams for many actors, so that they meet.
const STREAMS: u64 = 5;

/// Sockets that an actor leaves open, since it has not closed its side yet.
const HELD_MAX: usize = 6;

/// How long such a socket stays open at most: longer than the server waits for it.
const HOLD_MS: u64 = 2_500;

/// The longest that what is left may take to be gone: hooks and relays included.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);

/// Where there is HLS, that is not to be looked at before: a viewer lasts for a minute after its last
/// request, and a playlist for another one.
const HLS_LASTS: Duration = Duration::from_secs(125);

/// From this length on those take part who leave something behind for a minute.
const SLOW_FROM: Duration = Duration::from_secs(60);

/// How long what is only there from the first use on may take to be used.
const WARM_UP_MAX: Duration = Duration::from_secs(30);

/// How often its use of the system is told in between.
const REPORT_PARTS: u32 = 6;

/// What the memory of the program may have grown by: what its allocator keeps for later.
const MEMORY_MAX_KB: u64 = 64 << 10;

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Where the server listens, and for what.
#[derive(Clone, Copy)]
struct Places {
    rtmp: SocketAddr,
    media: SocketAddr,
    admin: SocketAddr,
    proxy: SocketAddr,
    tls: SocketAddr,
}

impl Places {
    fn free() -> Places {
        Places {
            rtmp: free_addr(),
            media: free_addr(),
            admin: free_addr(),
            proxy: free_addr(),
            tls: free_addr(),
        }
    }
}

/// The server as a program, with its events and its warnings in files.
struct Churned {
    child: Child,
    places: Places,
    dir: PathBuf,
    is_slow: bool,
}

/// What the program has of the system.
#[derive(Clone, Copy, Debug)]
struct Usage {
    threads: u64,
    descriptors: usize,
    memory_kb: u64,
}

impl Churned {
    fn start(flags: &str, is_slow: bool) -> Churned {
        let dir = std::env::temp_dir().join(format!("rtmp-churn-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let file = |name: &str| File::create(dir.join(name)).expect("a file");
        let places = Places::free();
        let tls = if is_slow {
            let [key, cert] = others::certificate(&dir);
            format!("-tls-listen {} -tls-cert {cert} -tls-key {key}", places.tls)
        } else {
            String::new()
        };
        let server = env!("CARGO_BIN_EXE_rtmp-server").to_owned();
        let child = Command::new(setting("CHURN_SERVER", server))
            .env(
                "PATH",
                std::env::var("PATH").unwrap_or_default() + ":/usr/sbin",
            )
            .args(["-listen", &places.rtmp.to_string(), "-log-level", "warn"])
            .args(["-http-listen", &places.media.to_string()])
            .args(["-metrics-addr", &places.admin.to_string()])
            .args(["-proxy-listen", &places.proxy.to_string()])
            .args(["-hook-stdio-format", "json", "-record-all", "true"])
            .args(["-record-dir", &dir.join("records").display().to_string()])
            .args(flags.split_whitespace().chain(tls.split_whitespace()))
            .stdin(Stdio::null())
            .stdout(file("log"))
            .stderr(file("events"))
            .spawn()
            .expect("the server starts");
        let churned = Churned {
            child,
            places,
            dir,
            is_slow,
        };
        let is_up = |addr| TcpStream::connect(addr).is_ok();
        // The last of its sockets that listens.
        wait_until("the server", || is_up(places.admin));
        if is_slow {
            wait_until("TLS", || is_up(places.tls));
        }
        churned
    }

    /// How many events of each kind it has told of.
    fn events(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for line in self.text("events").lines() {
            let kind = line.split('"').nth(3).unwrap_or(line);
            *counts.entry(kind.to_owned()).or_default() += 1;
        }
        counts
    }

    fn text(&self, file: &str) -> String {
        fs::read_to_string(self.dir.join(file)).expect("a file")
    }

    fn usage(&self) -> Usage {
        let proc = PathBuf::from(format!("/proc/{}", self.child.id()));
        let status = fs::read_to_string(proc.join("status")).expect("status");
        let number = |key| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let word = line.and_then(|line| line.split_whitespace().next());
            word.and_then(|word| word.parse().ok()).expect("a number")
        };
        Usage {
            threads: number("Threads:"),
            descriptors: fs::read_dir(proc.join("fd")).expect("descriptors").count(),
            memory_kb: number("VmRSS:"),
        }
    }

    /// Waits until everything that has begun has ended; what it has of the system then.
    fn settle(&self) -> Usage {
        if self.is_slow {
            thread::sleep(HLS_LASTS);
        }
        let end = Instant::now() + SETTLE_LIMIT;
        loop {
            let events = self.events();
            let open = PAIRS.iter().find(|(began, ended)| {
                events.get(*began).unwrap_or(&0) != events.get(*ended).unwrap_or(&0)
            });
            let usage = self.usage();
            thread::sleep(Duration::from_millis(100));
            // The last thing that a thread does is to tell of its end.
            if open.is_none() && self.usage().threads == usage.threads {
                return self.usage();
            }
            let log = self.text("log");
            let lost = log.matches("hook event dropped").count();
            assert!(
                Instant::now() < end,
                "{open:?} of {events:?}, {usage:?}; events lost: {lost} lines"
            );
        }
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args([signal, &pid]).status();
        assert!(asked.expect("kill").success());
    }

    /// Asks it to stop; the exit code.
    fn stop(&mut self) -> Option<i32> {
        self.signal("-TERM");
        self.child.wait().expect("wait").code()
    }
}

impl Drop for Churned {
    fn drop(&mut self) {
        if thread::panicking() {
            for file in ["log", "events"] {
                let text = self.text(file);
                let lines: Vec<&str> = text.lines().rev().take(LINES_TOLD).collect();
                println!("{file}, the last line first:\n{}", lines.join("\n"));
            }
        }
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// So many lines of what it said are told when a test fails.
const LINES_TOLD: usize = 60;

/// What begins, and what it ends with.
const PAIRS: [(&str, &str); 5] = [
    ("connection_accept", "connection_close"),
    ("stream_create", "stream_delete"),
    ("publish_start", "publish_stop"),
    ("play_start", "play_stop"),
    ("relay_up", "relay_down"),
];

/// Files of recordings that are over take room only.
fn remove_files(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let _ = fs::remove_file(entry.path());
    }
}

/// How long, and how many.
#[derive(Clone, Copy)]
struct Extent {
    length: Duration,
    actors: u64,
    seed: u64,
}

/// Everybody at once; how often what was done.
fn churn(server: &Churned, extent: Extent) -> BTreeMap<&'static str, u64> {
    let began = Instant::now();
    let end = began + extent.length;
    let mut acts: Vec<Act> = [&actor::ACTS[..], &others::ACTS].concat();
    if server.is_slow {
        acts.extend(others::SLOW_ACTS);
    }
    let acts = &acts[..];
    let mut all = BTreeMap::new();
    thread::scope(|scope| {
        let threads: Vec<_> = (1..=extent.actors)
            .map(|number| {
                let actor = Actor {
                    places: server.places,
                    random: Random(extent.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number),
                    held: Vec::new(),
                    done: BTreeMap::new(),
                };
                scope.spawn(move || actor.run(acts, end))
            })
            .collect();
        let mut told = 0;
        while Instant::now() < end {
            thread::sleep(Duration::from_millis(500));
            remove_files(&server.dir.join("records"));
            let parts = began.elapsed().as_secs_f64() / extent.length.as_secs_f64();
            let part = (parts * f64::from(REPORT_PARTS)) as u32;
            if std::mem::replace(&mut told, part) != part {
                println!("after {:?}: {:?}", began.elapsed(), server.usage());
                server.signal("-HUP");
            }
        }
        for thread in threads {
            for (what, count) in thread.join().expect("an actor") {
                *all.entry(what).or_default() += count;
            }
        }
    });
    all
}

/// What is told of the calls of nginx-rtmp, to a service that lets everybody do everything.
fn notify_flags(service: &WebService) -> String {
    let calls = [
        "on_connect",
        "on_publish",
        "on_play",
        "on_done",
        "on_record_done",
    ];
    let flags = calls.map(|call| format!("-notify {call}={}", service.url("/")));
    flags.join(" ")
}

#[test]
fn churn_leaves_nothing_behind() {
    let extent = Extent {
        length: Duration::from_secs(setting("CHURN_SECONDS", 4)),
        actors: setting("CHURN_ACTORS", 24),
        seed: setting("CHURN_SEED", 1),
    };
    let far = TestServer::start("");
    let service = WebService::start(Manner::Status(200));
    let flags = format!(
        "-grace 200ms -wait-stream 300ms -relay-to live/*=rtmp://{far}/copy {} \
         -pull pulled/*=rtmp://{far}/copy -pull-on-demand \
         -record-format mp4 -hook-webhook publish_start={}",
        notify_flags(&service),
        service.url("/hook"),
        far = far.addr
    );
    let mut server = Churned::start(&flags, extent.length >= SLOW_FROM);
    // What is there from the first use on counts as there before.
    let warm_up = Extent {
        length: (extent.length / 8).min(WARM_UP_MAX),
        ..extent
    };
    churn(&server, warm_up);
    let before = server.settle();
    println!("before: {before:?}");
    let done = churn(&server, extent);
    let after = server.settle();
    let Extent { length, actors, .. } = extent;
    println!("{length:?}, {actors} actors: {done:?}");
    println!("{:?}", server.events());
    println!("before {before:?}, after {after:?}");
    assert!(
        after.memory_kb < before.memory_kb + MEMORY_MAX_KB,
        "{before:?} {after:?}"
    );
    wait_until("what is left", || {
        let now = server.usage();
        (now.threads, now.descriptors) == (before.threads, before.descriptors)
    });
    let mut client = Client::connected(server.places.rtmp);
    client.call(1, "play", 0.0, vec![Value::text("s0")]);
    client.expect(&["error@1 NetStream.Play.StreamNotFound", "end"]);
    drop(client);
    assert_eq!(server.stop(), Some(0), "{}", server.text("log"));
    let log = server.text("log");
    assert!(
        !log.contains("panicked") && !log.contains("dropped at the end"),
        "{log}"
    );
}
