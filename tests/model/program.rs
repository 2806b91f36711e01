//! The server as a program: its addresses, its events, what it says over HTTP, what it has of the
//! system.

use super::patience;
use crate::support::http::HttpReply;
use crate::support::process::fact;
use rtmp_server::json::{self, JsonValue};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A running server; dropping it kills it.
pub struct Program {
    child: Child,
    pub rtmp: SocketAddr,
    pub api: SocketAddr,
    pub media: SocketAddr,
    told: Arc<Told>,
}

/// What it has told of, as it comes.
#[derive(Default)]
struct Told {
    lines: Mutex<Lines>,
    more: Condvar,
}

#[derive(Default)]
struct Lines {
    events: Vec<Event>,
    log: Vec<String>,
}

/// An event that hooks are told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub what: String,
    pub client: String,
    /// Where a connection comes from.
    pub addr: String,
    pub stream: String,
    /// Messages with sound and with pictures of a publication that is over.
    pub counts: Option<(u64, u64)>,
}

/// What the program has of the system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The names of its threads.
    pub threads: Vec<String>,
    pub descriptors: usize,
}

fn lock(lines: &Mutex<Lines>) -> MutexGuard<'_, Lines> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Told {
    /// Passes each line of `input` to `note` until it ends.
    fn read(self: &Arc<Self>, input: impl Read + Send + 'static, note: fn(&mut Lines, String)) {
        let told = Arc::clone(self);
        thread::spawn(move || {
            for line in BufReader::new(input).lines().map_while(Result::ok) {
                note(&mut lock(&told.lines), line);
                told.more.notify_all();
            }
        });
    }

    /// Waits until `find` finds something.
    fn wait_for<T>(&self, what: &str, find: impl Fn(&Lines) -> Option<T>) -> T {
        let end = Instant::now() + patience();
        let mut lines = lock(&self.lines);
        loop {
            if let Some(found) = find(&lines) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the server does not tell of {what}");
            let woken = self.more.wait_timeout(lines, left);
            lines = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn note_event(lines: &mut Lines, line: String) {
    let Some(json) = line.strip_prefix("RTMP_EVENT: ") else {
        lines.log.push(line);
        return;
    };
    let event = json::parse(json.as_bytes()).expect("JSON");
    let text = |key| {
        event
            .get(key)
            .and_then(JsonValue::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let said = |key| {
        let value = event.get("data").and_then(|data| data.get(key)?.as_str());
        value.unwrap_or_default().to_owned()
    };
    let count = |key| {
        let value = event.get("data")?.get(key)?.to_string();
        value.trim_matches('"').parse().ok()
    };
    lines.events.push(Event {
        what: text("type"),
        client: text("conn_id"),
        addr: said("remote_addr"),
        stream: text("stream_key"),
        counts: count("audio_packets").zip(count("video_packets")),
    });
}

impl Program {
    /// Starts one with these flags. `MODEL_SERVER` names another program.
    pub fn start(flags: &[String]) -> Program {
        let server = std::env::var("MODEL_SERVER");
        let server = server.unwrap_or_else(|_| env!("CARGO_BIN_EXE_rtmp-server").to_owned());
        let mut child = Command::new(server)
            .args(["-listen", "127.0.0.1:0", "-metrics-addr", "127.0.0.1:0"])
            .args(["-http-listen", "127.0.0.1:0", "-log-format", "json"])
            .args(["-hook-stdio-format", "json"])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let told = Arc::new(Told::default());
        told.read(child.stdout.take().expect("piped"), |lines, line| {
            lines.log.push(line)
        });
        told.read(child.stderr.take().expect("piped"), note_event);
        let addr = |what: &str| {
            let text = format!("\"msg\":\"{what}\"");
            let line = told.wait_for(what, |lines| {
                lines.log.iter().find(|line| line.contains(&text)).cloned()
            });
            let addr = fact(&line, "addr").and_then(|addr| addr.parse().ok());
            addr.unwrap_or_else(|| panic!("{line}"))
        };
        Program {
            rtmp: addr("listening"),
            api: addr("serving HTTP"),
            media: addr("serving media over HTTP"),
            told,
            child,
        }
    }

    /// The connection that came as the one with this number, from 0 on.
    pub fn connection(&self, number: usize) -> String {
        self.told.wait_for("a connection", |lines| {
            let mut accepted = lines
                .events
                .iter()
                .filter(|event| event.what == "connection_accept");
            accepted.nth(number).map(|event| event.client.clone())
        })
    }

    /// The connection that came last from this address.
    pub fn connection_from(&self, addr: SocketAddr) -> String {
        let addr = addr.to_string();
        self.told.wait_for("a connection", |lines| {
            let mut accepted = lines.events.iter().rev();
            let own = |event: &&Event| event.what == "connection_accept" && event.addr == addr;
            accepted.find(own).map(|event| event.client.clone())
        })
    }

    /// Waits until a connection is closed.
    pub fn wait_for_close(&self, client: &str) {
        self.told
            .wait_for(&format!("the end of {client}"), |lines| {
                let closed =
                    |event: &&Event| event.what == "connection_close" && event.client == client;
                lines.events.iter().rev().find(closed).map(|_| ())
            });
    }

    pub fn events(&self) -> Vec<Event> {
        lock(&self.told.lines).events.clone()
    }

    /// The log lines that hold this.
    pub fn log(&self, part: &str) -> Vec<String> {
        let lines = lock(&self.told.lines);
        lines
            .log
            .iter()
            .filter(|line| line.contains(part))
            .cloned()
            .collect()
    }

    /// Has it read its settings again.
    pub fn reload(&self) {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-HUP", &pid]).status();
        assert!(asked.expect("kill").success());
    }

    /// The items of a list, `streams` or `connections`.
    pub fn list(&self, what: &str) -> Vec<JsonValue> {
        let reply = HttpReply::get(self.api, &format!("/api/{what}"));
        let value = json::parse(reply.text().as_bytes()).expect("JSON");
        match value.get(what) {
            Some(JsonValue::Array(items)) => items.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Asks for the end of a stream or a connection; the status of the response.
    pub fn delete(&self, what: &str) -> u16 {
        let request = format!("DELETE /api/{what} HTTP/1.1\r\nHost: {}\r\n\r\n", self.api);
        HttpReply::to(self.api, &request).status
    }

    /// The gauges of the whole server that are not 0.
    pub fn gauges(&self) -> Vec<String> {
        let text = HttpReply::get(self.api, "/metrics").text();
        let gauges = text.lines().filter(|line| {
            line.split_once(' ').is_some_and(|(name, value)| {
                name.starts_with("rtmp_") && name.ends_with("_active") && value != "0"
            })
        });
        gauges.map(str::to_owned).collect()
    }

    pub fn usage(&self) -> Usage {
        let proc = format!("/proc/{}", self.child.id());
        let tasks = fs::read_dir(format!("{proc}/task"))
            .expect("threads")
            .flatten();
        let names =
            tasks.map(|task| fs::read_to_string(task.path().join("comm")).unwrap_or_default());
        let mut threads: Vec<String> = names.map(|name| name.trim_end().to_owned()).collect();
        threads.sort();
        Usage {
            threads,
            descriptors: fs::read_dir(format!("{proc}/fd")).map_or(0, Iterator::count),
        }
    }

    /// The same once it has answered by HTTP, and nobody is there any more.
    pub fn usage_at_rest(&self) -> Usage {
        self.gauges();
        assert_eq!(HttpReply::get(self.media, "/live/none").status, 200);
        let looks = (0..5).map(|_| {
            thread::sleep(Duration::from_millis(4));
            self.usage()
        });
        let rest = looks.min_by_key(|usage| (usage.threads.len(), usage.descriptors));
        rest.expect("some looks")
    }

    /// Asks it to stop; whether it does, as it should.
    pub fn stop(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").arg(pid).status().expect("kill");
        assert!(asked.success());
        let end = Instant::now() + patience();
        loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                return status.code();
            }
            assert!(Instant::now() < end, "the server does not stop");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
