//! Names of hosts that nobody answers for, or late.

use super::as_root;
use crate::support::process::ServerProcess;
use crate::support::{Client, TestServer, wait_until};
use rtmp_server::amf0::Value;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A service for names, on an address of this machine that is nobody else's.
struct Names {
    socket: UdpSocket,
    /// What the server has for `/etc/resolv.conf`.
    file: PathBuf,
}

impl Names {
    fn new() -> Names {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let [a, b, ..] = std::process::id()
            .to_be_bytes()
            .map(|it| it | 1)
            .into_iter()
            .rev()
            .collect::<Vec<_>>()[..]
        else {
            unreachable!("four bytes")
        };
        let address = format!("127.{a}.{b}.{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let socket = UdpSocket::bind((address.as_str(), 53)).expect("a port");
        let file = std::env::temp_dir().join(format!("rtmp-names-{address}"));
        let lines = format!("nameserver {address}\noptions attempts:1 timeout:5\n");
        std::fs::write(&file, lines).expect("write");
        Names { socket, file }
    }

    /// A server that asks it: the static one, if there is one, which has a resolver of its own.
    fn server(&self, flags: &str) -> ServerProcess {
        let bind = format!("mount --bind {} /etc/resolv.conf", self.file.display());
        let choose = "program=${INTEROP_SERVER:-$1} && shift";
        let wrapper =
            format!("unshare -m sh -c '{bind} && {choose} && exec \"$program\" \"$@\"' --");
        ServerProcess::start_as("", &wrapper, flags)
    }

    /// Answers each question after `pause`: all names are this machine, by IPv4.
    fn answer_after(&self, pause: Duration) {
        self.answer_with(pause, answer);
    }

    /// Answers each question so after `pause`.
    fn answer_with(&self, pause: Duration, answer: fn(&[u8]) -> Vec<u8>) {
        let socket = self.socket.try_clone().expect("clone");
        thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((len, from)) = socket.recv_from(&mut question) {
                let answer = answer(&question[..len]);
                let socket = socket.try_clone().expect("clone");
                thread::spawn(move || {
                    thread::sleep(pause);
                    let _ = socket.send_to(&answer, from);
                });
            }
        });
    }
}

/// The answer to a question with one name (RFC 1035 §4.1).
fn answer(question: &[u8]) -> Vec<u8> {
    let name_len = question[12..]
        .iter()
        .position(|byte| *byte == 0)
        .expect("a name");
    let end = 12 + name_len + 5;
    let is_a = question[end - 4..end - 2] == [0, 1];
    let header = [0x81, 0x80, 0, 1, 0, u8::from(is_a), 0, 0, 0, 0];
    let mut answer = [&question[..2], &header, &question[12..end]].concat();
    if is_a {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 127, 0, 0, 1]);
    }
    answer
}

/// The bytes of an answer that are the question.
fn asked(answer: &[u8]) -> usize {
    let name = answer[12..].iter().position(|byte| *byte == 0);
    12 + name.expect("a name") + 5
}

/// An answer without a record, with these flags.
fn without_record(question: &[u8], flags: [u8; 2]) -> Vec<u8> {
    let mut answer = answer(question);
    answer.truncate(asked(&answer));
    answer[2..4].copy_from_slice(&flags);
    answer[6..8].fill(0);
    answer
}

/// An answer with `count` records of this type and with this content, whatever was asked for.
fn with_records(question: &[u8], count: u8, kind: u8, content: &[u8]) -> Vec<u8> {
    let mut answer = without_record(question, [0x81, 0x80]);
    answer[7] = count;
    for _ in 0..count {
        answer.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 9, 0, content.len() as u8]);
        answer.extend(content);
    }
    answer
}

/// A row of answers: what is said of them, and how one is made of a question.
type Nonsense = (&'static str, fn(&[u8]) -> Vec<u8>);

/// Answers that name no address.
const NONSENSE: &[Nonsense] = &[
    ("nothing", |_| Vec::new()),
    ("noise", |_| {
        (0..200_u8).map(|byte| byte.wrapping_mul(37)).collect()
    }),
    ("the question", <[u8]>::to_vec),
    ("to another question", |question| {
        let mut answer = answer(question);
        answer[0] ^= 1;
        answer
    }),
    ("half", |question| {
        let answer = answer(question);
        answer[..answer.len() - 9].to_vec()
    }),
    ("a server that fails", |question| {
        without_record(question, [0x81, 0x82])
    }),
    ("no such name", |question| {
        without_record(question, [0x81, 0x83])
    }),
    ("refused", |question| without_record(question, [0x81, 0x85])),
    ("no record", |question| {
        without_record(question, [0x81, 0x80])
    }),
    ("truncated", |question| {
        without_record(question, [0x83, 0x80])
    }),
    ("a name that is itself", |question| {
        with_records(question, 1, 5, &[0xc0, 12])
    }),
    ("a name that points at itself", |question| {
        let end = answer(question).len() as u8;
        with_records(question, 1, 5, &[0xc0, end])
    }),
    ("names without end", |question| {
        with_records(question, 40, 5, &[63; 9])
    }),
    ("addresses of three bytes", |question| {
        with_records(question, 20, 1, &[127, 0, 0])
    }),
];

impl Drop for Names {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// A picture goes from a publisher to a viewer; how long it took to begin.
fn time_of_a_stream(server: &ServerProcess, name: &str) -> Duration {
    let began = Instant::now();
    let mut publisher = server.publisher(name);
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let mut viewer = server.playing(name);
    viewer.expect(&["V head 1 @0", "V key 1 @0"]);
    let took = began.elapsed();
    for number in 2..20 {
        let picture = format!("V inter {number} @{}", number * 40);
        publisher.send_media(&[&picture]);
        viewer.expect(&[&picture]);
    }
    took
}

#[test]
fn names_that_nobody_answers_for_hold_up_nobody() {
    if !as_root("dead DNS") {
        return;
    }
    let names = Names::new();
    // For each publication a relay and a hook look names up, and for ever another one a pull.
    let mut server = names.server(
        "-merge 0 -relay-to rtmp://far.example/live -pull live/p=rtmp://source.example/live/p \
         -hook-webhook publish_start=http://hook.example/ -hook-timeout 300ms -shutdown-timeout 3s",
    );
    for number in 0..80 {
        let took = time_of_a_stream(&server, &format!("x{number}"));
        assert!(took < Duration::from_secs(1), "{number}: {took:?}");
    }
    let line = server.wait_for_line("hook failed");
    assert!(line.contains("hook.example"), "{line}");
    assert!(server.threads() < 64 + 40, "{} threads", server.threads());
    let began = Instant::now();
    super::signal(server.pid(), "-TERM");
    assert_eq!(server.wait(), Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn answers_without_sense_hold_up_nobody() {
    if !as_root("malformed DNS") {
        return;
    }
    thread::scope(|scope| {
        for (what, nonsense) in NONSENSE {
            scope.spawn(move || {
                let names = Names::new();
                names.answer_with(Duration::ZERO, *nonsense);
                let mut server = names.server(
                    "-merge 0 -relay-to rtmp://far.example/live -shutdown-timeout 3s \
                     -hook-webhook publish_start=http://hook.example/ -hook-timeout 300ms",
                );
                for number in 0..10 {
                    let took = time_of_a_stream(&server, &format!("x{number}"));
                    assert!(took < Duration::from_secs(2), "{what}, {number}: {took:?}");
                }
                let line = server.wait_for_line("failed");
                println!("{what}: {line}");
                super::signal(server.pid(), "-TERM");
                assert_eq!(server.wait(), Some(0), "{what}");
            });
        }
    });
}

#[test]
fn a_service_whose_name_nobody_answers_for_refuses_in_time() {
    if !as_root("dead DNS") {
        return;
    }
    let names = Names::new();
    let server = names.server(
        "-auth-mode callback -auth-callback http://auth.example/ -auth-callback-timeout 500ms",
    );
    let began = Instant::now();
    let mut clients: Vec<Client> = (0..20).map(|_| server.connected()).collect();
    for client in &mut clients {
        client.call(1, "publish", 0.0, vec![Value::text("x")]);
    }
    for client in &mut clients {
        client.expect(&["error@1 NetStream.Publish.Denied"]);
    }
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    server.wait_for_line("access denied");
}

#[test]
fn a_name_that_is_answered_for_late_is_connected_to() {
    if !as_root("slow DNS") {
        return;
    }
    let names = Names::new();
    names.answer_after(Duration::from_millis(700));
    let far = TestServer::start("");
    let flags = format!(
        "-merge 0 -relay-to rtmp://far.example:{}/copy",
        far.addr.port()
    );
    let server = names.server(&flags);
    let began = Instant::now();
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    assert!(
        began.elapsed() < Duration::from_millis(600),
        "{:?}",
        began.elapsed()
    );
    wait_until("the stream there", || far.server().count().1 == 1);
}
