//! Publishers and viewers that come and go in every way they can, all at once, and what is left of
//! them: nothing. `CHURN_SECONDS`, `CHURN_ACTORS` and `CHURN_SEED` make it longer, wider or another
//! one, and `CHURN_SERVER` names another program. Hooks lose events when more than 1000 wait: with
//! hundreds of actors `CHURN_PAUSE_MS`, the longest pause between two acts, has to keep it in bounds.

use crate::support::{Client, TestServer, free_addr, media, wait_until};
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::{Message, StreamId, status};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
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

/// What the memory of the program may have grown by: what its allocator keeps for later.
const MEMORY_MAX_KB: u64 = 64 << 10;

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    let text = std::env::var(name).ok();
    text.and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The server as a program, with its events and its warnings in files.
struct Churned {
    child: Child,
    addr: SocketAddr,
    dir: PathBuf,
}

/// What the program has of the system.
#[derive(Clone, Copy, Debug)]
struct Usage {
    threads: u64,
    descriptors: usize,
    memory_kb: u64,
}

impl Churned {
    fn start(flags: &str) -> Churned {
        let dir = std::env::temp_dir().join(format!("rtmp-churn-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        let file = |name: &str| File::create(dir.join(name)).expect("a file");
        let addr = free_addr();
        let server = env!("CARGO_BIN_EXE_rtmp-server").to_owned();
        let child = Command::new(setting("CHURN_SERVER", server))
            .args(["-listen", &addr.to_string(), "-log-level", "warn"])
            .args(["-hook-stdio-format", "json", "-record-all", "true"])
            .args(["-record-dir", &dir.join("records").display().to_string()])
            .args(flags.split_whitespace())
            .stdin(Stdio::null())
            .stdout(file("log"))
            .stderr(file("events"))
            .spawn()
            .expect("the server starts");
        wait_until("the server", || TcpStream::connect(addr).is_ok());
        Churned { child, addr, dir }
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

    /// Asks it to stop; the exit code.
    fn stop(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").arg(pid).status().expect("kill");
        assert!(asked.success());
        self.child.wait().expect("wait").code()
    }
}

impl Drop for Churned {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// What begins, and what it ends with.
const PAIRS: [(&str, &str); 5] = [
    ("connection_accept", "connection_close"),
    ("stream_create", "stream_delete"),
    ("publish_start", "publish_stop"),
    ("play_start", "play_stop"),
    ("relay_up", "relay_down"),
];

/// Numbers that are the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Somebody who does one thing after the other, and does not close all sockets at once.
struct Actor {
    addr: SocketAddr,
    random: Random,
    held: Vec<(Instant, TcpStream)>,
}

type Act = fn(&mut Actor);

const ACTS: [Act; 10] = [
    Actor::publish_and_finish,
    Actor::publish_twice,
    Actor::publish_and_reset,
    Actor::publish_and_vanish,
    Actor::publish_and_stay,
    Actor::play_a_little,
    Actor::play_to_the_end,
    Actor::play_without_reading,
    Actor::play_two,
    Actor::play_nothing,
];

impl Actor {
    fn run(mut self, end: Instant) {
        let pause_ms = setting("CHURN_PAUSE_MS", 0);
        while Instant::now() < end {
            let act = ACTS[self.random.below(ACTS.len() as u64) as usize];
            act(&mut self);
            thread::sleep(Duration::from_millis(self.random.below(pause_ms + 1)));
            let now = Instant::now();
            self.held.retain(|(until, _)| *until > now);
            while self.held.len() > HELD_MAX {
                self.held.remove(0);
            }
        }
    }

    fn name(&mut self) -> String {
        format!("s{}", self.random.below(STREAMS))
    }

    /// Asks for something; the server may have hung up by now.
    fn ask(&mut self, client: &mut Client, stream: u32, what: &str, name: Value) {
        let call = status::call(StreamId(stream), what, 0.0, Value::Null, vec![name]);
        let _ = client.try_send(&call);
    }

    fn publish(&mut self) -> Client {
        let mut client = Client::connected(self.addr);
        let name = self.name();
        self.ask(&mut client, 1, "publish", Value::text(&name));
        self.send_some(&mut client);
        client
    }

    fn play(&mut self, name: &str) -> Client {
        let mut client = Client::connected(self.addr);
        self.ask(&mut client, 1, "play", Value::text(name));
        client
    }

    /// Some pictures, small or so large that they do not fit into sockets.
    fn send_some(&mut self, client: &mut Client) {
        let len = [40, 400, 30_000][self.random.below(3) as usize];
        let picture = |what: &str, time: u32| {
            let mut message = media(&format!("V {what} 1 @{time}"));
            message.payload = [&message.payload[..], &vec![7; len]].concat().into();
            message
        };
        let mut messages = vec![media("V head 1 @0"), media("A head 1 @0")];
        for number in 0..self.random.below(100) as u32 {
            let what = if number % 25 == 0 { "key" } else { "inter" };
            messages.push(picture(what, 40 * number));
            messages.push(media(&format!("A sound 1 @{}", 40 * number)));
        }
        let send = |message: &Message| client.try_send(message);
        // Whoever was taken over cannot send any more.
        let _ = messages.iter().try_for_each(send);
    }

    /// Takes what comes for a while. `true`: until the end.
    fn read(&mut self, client: &mut Client, most_ms: u64) -> bool {
        let end = Instant::now() + Duration::from_millis(1 + self.random.below(most_ms));
        let mut buffer = vec![0; 64 << 10];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let limited = client.socket.set_read_timeout(Some(left));
            limited.expect("a time limit");
            match client.socket.read(&mut buffer) {
                Ok(1..) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                Ok(0) | Err(_) => return true,
            }
        }
    }

    /// Leaves the socket open for a while.
    fn hold(&mut self, client: Client) {
        let until = Instant::now() + Duration::from_millis(self.random.below(HOLD_MS));
        self.held.push((until, client.socket));
    }

    fn finish(&mut self, client: &mut Client) {
        self.ask(client, 0, "deleteStream", Value::Number(1.0));
    }

    fn publish_and_finish(&mut self) {
        let mut client = self.publish();
        self.finish(&mut client);
        self.hold(client);
    }

    fn publish_twice(&mut self) {
        let mut client = self.publish();
        self.finish(&mut client);
        let name = self.name();
        self.ask(&mut client, 1, "publish", Value::text(&name));
        self.send_some(&mut client);
    }

    /// A socket that is closed with something unread in it resets the connection.
    fn publish_and_reset(&mut self) {
        let mut client = self.publish();
        self.read(&mut client, 1);
        let call = status::call(StreamId(0), "settle", 9.0, Value::Null, vec![]);
        let _ = client.try_send(&call);
        let _ = client
            .socket
            .set_read_timeout(Some(crate::support::PATIENCE));
        let _ = client.socket.peek(&mut [0]);
    }

    fn publish_and_vanish(&mut self) {
        self.publish().vanish();
    }

    fn publish_and_stay(&mut self) {
        let client = self.publish();
        self.hold(client);
    }

    fn play_a_little(&mut self) {
        let name = self.name();
        let mut client = self.play(&name);
        self.read(&mut client, 100);
    }

    fn play_to_the_end(&mut self) {
        let name = self.name();
        let mut client = self.play(&name);
        if self.read(&mut client, 400) {
            self.hold(client);
        }
    }

    fn play_without_reading(&mut self) {
        let name = self.name();
        let client = self.play(&name);
        self.hold(client);
    }

    fn play_two(&mut self) {
        let mut client = Client::connected(self.addr);
        let second = client.create_stream();
        for stream in [1, second] {
            let name = self.name();
            self.ask(&mut client, stream, "play", Value::text(&name));
        }
        self.read(&mut client, 200);
        self.hold(client);
    }

    fn play_nothing(&mut self) {
        let mut client = self.play("nothing");
        if self.read(&mut client, 400) {
            self.hold(client);
        }
    }
}

/// Files of recordings that are over take room only.
fn remove_files(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let _ = fs::remove_file(entry.path());
    }
}

/// Everybody at once, until `end`.
fn churn(server: &Churned, seed: u64, actors: u64, end: Instant) {
    thread::scope(|scope| {
        for number in 1..=actors {
            let actor = Actor {
                addr: server.addr,
                random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number),
                held: Vec::new(),
            };
            scope.spawn(move || actor.run(end));
        }
        while Instant::now() < end {
            thread::sleep(Duration::from_millis(500));
            remove_files(&server.dir.join("records"));
        }
    });
}

#[test]
fn churn_leaves_nothing_behind() {
    let (seconds, actors) = (setting("CHURN_SECONDS", 4), setting("CHURN_ACTORS", 24));
    let seed: u64 = setting("CHURN_SEED", 1);
    let far = TestServer::start("");
    let relay_to = format!("-relay-to rtmp://{}/copy", far.addr);
    let mut server = Churned::start(&format!("-grace 200ms -wait-stream 300ms {relay_to}"));
    let before = server.settle();
    churn(
        &server,
        seed,
        actors,
        Instant::now() + Duration::from_secs(seconds),
    );
    let after = server.settle();
    println!("{seconds} s, {actors} actors: {:?}", server.events());
    println!("before {before:?}, after {after:?}");
    assert!(
        after.memory_kb < before.memory_kb + MEMORY_MAX_KB,
        "{before:?} {after:?}"
    );
    wait_until("what is left", || {
        let now = server.usage();
        (now.threads, now.descriptors) == (before.threads, before.descriptors)
    });
    let mut client = Client::connected(server.addr);
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
