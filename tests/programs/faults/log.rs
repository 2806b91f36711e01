//! A log, or events on standard error, that nobody reads.

use crate::support::http::HttpReply;
use crate::support::process::fact;
use crate::support::{Client, PATIENCE, wait_until};
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::{MessageType, StreamId};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// A server whose output is read up to the line that says where it listens.
struct Unread {
    child: Child,
    stdout: BufReader<ChildStdout>,
    addr: SocketAddr,
    admin: SocketAddr,
}

impl Unread {
    fn start(flags: &[&str]) -> Unread {
        let common = "-listen 127.0.0.1:0 -metrics-addr 127.0.0.1:0 -merge 0 -log-format json";
        let mut child = Command::new(env!("CARGO_BIN_EXE_rtmp-server"))
            .args(common.split(' '))
            .args(flags)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut addr = |phrase: &str| loop {
            let mut line = String::new();
            assert_ne!(stdout.read_line(&mut line).expect("a line"), 0, "{phrase}");
            if line.contains(&format!("\"{phrase}\"")) {
                let addr = fact(&line, "addr").expect("an address");
                return addr.parse().expect("an address");
            }
        };
        let (addr, admin) = (addr("listening"), addr("serving HTTP"));
        Unread {
            child,
            stdout,
            addr,
            admin,
        }
    }

    /// A counter in `/metrics`.
    fn count(&self, name: &str) -> u64 {
        let text = HttpReply::get(self.admin, "/metrics").text();
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        let value = value.unwrap_or_else(|| panic!("no {name}"));
        value.trim().parse().expect("a number")
    }

    /// A connection comes, publishes, and goes, and another one plays what it sends.
    fn expect_service(&self, name: &str) {
        let mut publisher = Client::publishing(self.addr, name);
        publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
        let mut viewer = Client::playing(self.addr, name);
        viewer.expect(&["V head 1 @0", "V key 1 @0"]);
        for number in 2..100 {
            let picture = format!("V inter {number} @{}", number * 40);
            publisher.send_media(&[&picture]);
            viewer.expect(&[&picture]);
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status();
        assert!(sent.expect("kill").success());
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has the server log `lines` at level debug, of about 200 bytes each.
fn fill_log(server: &Unread, lines: usize) {
    let mut client = Client::connected(server.addr);
    let unreadable = rtmp_server::rtmp::Message::untimed(
        MessageType::COMMAND,
        StreamId(0),
        [&[2, 0, 1, b'x'][..], &[0xff; 8]].concat(),
    );
    for _ in 0..lines {
        client.send(&unreadable);
    }
    client.call(0, "settle", 9.0, vec![Value::Null]);
    client.expect(&["_error 9"]);
}

#[test]
fn a_log_that_nobody_reads_holds_up_nobody() {
    let mut server = Unread::start(&["-log-level", "debug"]);
    let mut publisher = Client::publishing(server.addr, "x");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let mut viewer = Client::playing(server.addr, "x");
    viewer.expect(&["V head 1 @0", "V key 1 @0"]);
    fill_log(&server, 40_000);
    server.expect_service("y");
    publisher.send_media(&["V inter 2 @40"]);
    viewer.expect(&["V inter 2 @40"]);
    let lost = server.count("rtmp_log_lines_lost_total");
    assert!(lost > 1000, "{lost} lost");
    // It is read again.
    let mut lines = BufRead::lines(&mut server.stdout).map_while(Result::ok);
    let told = lines.find_map(|line| {
        let is_told = fact(&line, "msg") == Some("log lines lost");
        rtmp_server::json::parse(line.as_bytes()).expect("a whole line");
        is_told.then(|| fact(&line, "lines").and_then(|lines| lines.parse::<u64>().ok()))
    });
    let told = told.flatten().expect("what was lost");
    assert!(told >= lost, "{told} of {lost}");
    drop((publisher, viewer));
    assert!(lines.any(|line| line.contains("publisher stopped")));
}

/// A program that floods the log takes no room from what the server has to say.
#[test]
fn a_flood_of_a_program_leaves_room_for_the_log() {
    let mut server = Unread::start(&["-run-on-publish", "exec cat /dev/zero"]);
    let floods = ["a", "b", "c"].map(|name| Client::publishing(server.addr, name));
    // A second of each is 4 MB, and what stands for a byte in JSON has six.
    thread::sleep(Duration::from_secs(3));
    for number in 0..50 {
        Client::publishing(server.addr, &format!("x{number}"));
    }
    drop(floods);
    assert_eq!(server.count("rtmp_log_lines_lost_total"), 0);
    server.signal("-TERM");
    let lines = BufRead::lines(&mut server.stdout).map_while(Result::ok);
    let lines: Vec<String> = lines.collect();
    let count = |phrase: &str| lines.iter().filter(|line| line.contains(phrase)).count();
    assert_eq!(count("\"publisher stopped\""), 53);
    assert!(count("\"hook output suppressed\"") > 0);
}

#[test]
fn a_stop_does_not_wait_for_whoever_reads_the_log() {
    let flags = ["-log-level", "debug", "-shutdown-timeout", "20s"];
    // The second signal finds a stop that has to wait.
    let program = ["-run-on-publish", "trap '' TERM; sleep 60; :"];
    for (signals, flags) in [(1, flags.to_vec()), (2, [&flags[..], &program].concat())] {
        let mut server = Unread::start(&flags);
        let publisher = Client::publishing(server.addr, "x");
        fill_log(&server, 1000);
        let began = Instant::now();
        for _ in 0..signals {
            server.signal("-TERM");
            thread::sleep(Duration::from_millis(100));
        }
        drop(publisher);
        let code = server.child.wait().expect("wait").code();
        let took = began.elapsed();
        assert!(took < Duration::from_secs(10), "took {took:?}");
        assert_eq!(code, Some(signals - 1), "{signals} signals");
        let mut said = String::new();
        let stderr = server.child.stderr.as_mut().expect("piped");
        stderr.read_to_string(&mut said).expect("text");
        let lost = said.strip_prefix("rtmp-server: ");
        let lost = lost.and_then(|said| said.strip_suffix(" log lines were lost\n"));
        let lost: Option<u32> = lost.and_then(|lost| lost.parse().ok());
        assert!(lost.is_some_and(|lost| lost > 100), "{said:?}");
    }
}

/// A log that is read so slowly that it takes longer than the end waits for one line.
#[test]
fn a_stop_waits_for_a_log_that_is_being_read() {
    let mut server = Unread::start(&["-log-level", "debug", "-shutdown-timeout", "20s"]);
    fill_log(&server, 3000);
    server.signal("-TERM");
    let mut lines = BufRead::lines(&mut server.stdout).map_while(Result::ok);
    let mut last = String::new();
    while let Some(line) = lines.by_ref().take(100).last() {
        last = line;
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(fact(&last, "msg"), Some("stopped"), "{last}");
}

#[test]
fn a_stop_before_the_end_says_why() {
    let rows: [(&[&str], usize, &str); 2] = [
        (&["-shutdown-timeout", "20s"], 2, "a second signal"),
        (&["-shutdown-timeout", "100ms"], 1, "-shutdown-timeout"),
    ];
    for (flags, signals, reason) in rows {
        let hook = [
            "-hook-script",
            "publish_start=/bin/cat",
            "-run-on-publish",
            "trap '' TERM; sleep 60; :",
        ];
        let mut server = Unread::start(&[&hook, flags].concat());
        let _publisher = Client::publishing(server.addr, "x");
        thread::sleep(Duration::from_millis(200));
        for _ in 0..signals {
            server.signal("-TERM");
            thread::sleep(Duration::from_millis(100));
        }
        let lines = BufRead::lines(&mut server.stdout).map_while(Result::ok);
        let lines: Vec<_> = lines.collect();
        let said = lines
            .iter()
            .find(|line| line.contains("stopped before everything was done"));
        assert_eq!(
            said.and_then(|line| fact(line, "reason")),
            Some(reason),
            "{lines:#?}"
        );
        assert_eq!(server.child.wait().expect("wait").code(), Some(1));
    }
}

#[test]
fn events_that_nobody_reads_hold_up_nobody_and_no_other_hook() {
    let dir = std::env::temp_dir().join(format!("rtmp-server-unread-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let script = dir.join("hook");
    let done = dir.join("done");
    std::fs::write(&script, format!("echo x > {}\n", done.display())).expect("write");
    let hook = format!("publish_stop={}", script.display());
    let server = Unread::start(&["-hook-stdio-format", "json", "-hook-script", &hook]);
    let end = Instant::now() + PATIENCE;
    // The pipe, and then the queue of events, have to be full.
    while server.count("rtmp_hook_dropped_events_total") == 0 {
        assert!(Instant::now() < end, "no event was dropped");
        for _ in 0..50 {
            Client::shake_hands(server.addr);
        }
    }
    server.expect_service("x");
    wait_until("the script", || done.exists());
    drop(server);
    std::fs::remove_dir_all(&dir).expect("remove");
}
