//! Others that stand still and go on: a publisher, a viewer, a destination and a source. What was sent
//! meanwhile is there when they do, and nobody else waits for them.

use super::Machine;
use crate::support::process::ServerProcess;
use crate::support::{Client, describe};
use std::thread;
use std::time::{Duration, Instant};

/// How long; with `FAULTS=long`, longer than most limits of silence. Sockets hold what is sent meanwhile.
fn pauses() -> &'static [u64] {
    match super::is_long() {
        true => &[2, 25, 45],
        false => &[1],
    }
}

/// A stream: its publisher, and who sees it.
struct Stream {
    publisher: Client,
    viewer: Client,
    number: u32,
}

const INTERVAL: Duration = Duration::from_millis(20);

/// When a stream is there that was pulled in vain until now, at the latest: attempts are up to 30 s apart.
const PULL_LIMIT: Duration = Duration::from_secs(40);

/// Pictures from one keyframe to the next: half a second.
const GROUP_LEN: u32 = 25;

fn picture(number: u32) -> String {
    let kind = if number.is_multiple_of(GROUP_LEN) {
        "key"
    } else {
        "inter"
    };
    format!("V {kind} {} @{}", number % 251, number * 20)
}

impl Stream {
    fn begin(from: &ServerProcess, to: &ServerProcess, name: &str) -> Stream {
        let mut publisher = from.publisher(name);
        publisher.send_media(&["V head 1 @0", &picture(0)]);
        let mut viewer = Client::asking_to_play(to.addr, name);
        let socket = &viewer.socket;
        socket.set_read_timeout(Some(PULL_LIMIT)).expect("timeout");
        while viewer
            .receive_within(PULL_LIMIT)
            .is_some_and(|message| describe(&message) != picture(0))
        {}
        Stream {
            publisher,
            viewer,
            number: 1,
        }
    }

    fn send(&mut self) -> String {
        let picture = picture(self.number);
        self.publisher.send_media(&[&picture]);
        self.number += 1;
        picture
    }

    /// These come next, and pings beside them.
    fn expect(&mut self, pictures: &[&str]) {
        for want in pictures {
            let lines = self.viewer.lines_until("V ");
            assert_eq!(lines.last().map(String::as_str), Some(*want), "{lines:?}");
        }
    }

    /// The next pictures come at once.
    fn go_on(&mut self, count: u32) {
        for _ in 0..count {
            let began = Instant::now();
            let picture = self.send();
            self.expect(&[&picture]);
            assert!(
                began.elapsed() < Duration::from_secs(1),
                "{picture}: {:?}",
                began.elapsed()
            );
            thread::sleep(INTERVAL);
        }
    }
}

#[test]
fn others_that_stand_still_hold_up_nobody() {
    thread::scope(|scope| {
        for seconds in pauses() {
            scope.spawn(|| stand_still(*seconds));
        }
    });
}

/// A source, from which the server pulls; a server that relays to it; a destination; a viewer that pulls
/// from it. Each stands still in turn.
fn stand_still(seconds: u64) {
    let destination = ServerProcess::start("-merge 0 -wait-stream 10m");
    let source = ServerProcess::start("-merge 0 -wait-stream 10m");
    let server = ServerProcess::start(&format!(
        "-merge 0 -wait-stream 10m -grace 100s -relay-to live/to=rtmp://{}/live \
         -pull live/from=rtmp://{}/live/from",
        destination.addr, source.addr
    ));
    let publisher =
        ServerProcess::start(&format!("-merge 0 -relay-to rtmp://{}/live", server.addr));
    let viewer = ServerProcess::start(&format!(
        "-merge 0 -wait-stream 10m -pull live/seen=rtmp://{}/live/seen",
        server.addr
    ));
    let mut beside = Stream::begin(&server, &server, "beside");
    let rows = [
        ("destination", &destination, &server, &destination, "to"),
        ("source", &source, &source, &server, "from"),
        ("publisher", &publisher, &publisher, &server, "sent"),
        ("viewer", &viewer, &server, &viewer, "seen"),
    ];
    for (what, machine, from, to, name) in rows {
        let pid = machine.pid();
        let mut stream = Stream::begin(from, to, name);
        let machine = Machine::pause(pid);
        let began = Instant::now();
        let mut sent = Vec::new();
        while began.elapsed() < Duration::from_secs(seconds) {
            sent.push(stream.send());
            beside.go_on(1);
        }
        drop(machine);
        let going = Instant::now();
        let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
        stream.expect(&sent);
        println!(
            "{what}, {seconds} s: {} pictures after {:.1?}",
            sent.len(),
            going.elapsed()
        );
        stream.go_on(10);
        beside.go_on(1);
    }
}
