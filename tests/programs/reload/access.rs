//! Who is let in, and what they may do.

use super::{Changing, Row, see};
use crate::support::Client;
use rtmp_server::amf0::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

/// What a client that asks to publish or play is told.
fn answer(changing: &Changing, action: &str, name: &str) -> String {
    let mut client = Client::connected(changing.server.addr);
    client.call(1, action, 0.0, vec![Value::text(name)]);
    client.next_line()
}

/// Whether a newcomer's handshake is answered.
fn answers(changing: &Changing) -> bool {
    let mut socket = TcpStream::connect(changing.server.addr).expect("connect");
    let hello = [&[3][..], &[0; 1536]].concat();
    let sent = socket.write_all(&hello);
    sent.and_then(|()| socket.read_exact(&mut [0; 1537]))
        .is_ok()
}

/// `x` with a query that lets its bearer publish `live/x`.
fn signed(changing: &Changing, secret: &str) -> String {
    let program = format!("/proc/{}/exe", changing.server.pid());
    let args = ["-sign", "publish:live/x", "-auth-secret", secret];
    let output = Command::new(program).args(args).output().expect("it runs");
    let query = String::from_utf8(output.stdout).expect("text");
    format!("x?{}", query.trim().trim_start_matches('?'))
}

fn may_publish(changing: &Changing, name: &str) -> bool {
    let line = answer(changing, "publish", name);
    assert!(
        line == "begin 1" || line.contains("Publish.Denied"),
        "{line}"
    );
    line == "begin 1"
}

#[test]
fn who_may_do_what_changes_at_once() {
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("auth-mode auth-token", "", "auth-mode token\nauth-token live/x=s", |it, after| {
            assert_eq!([may_publish(it, "x?token=s"), may_publish(it, "x")], [true, !after]);
        }),
        ("auth-token", "auth-mode token\nauth-token live/x=s", "auth-mode token\nauth-token live/x=t", |it, after| {
            assert_eq!([may_publish(it, "x?token=s"), may_publish(it, "x?token=t")], [!after, after]);
        }),
        ("allow-publish", "", "allow-publish 10.0.0.0/8", |it, after| {
            assert_eq!(may_publish(it, "x"), !after);
        }),
        ("allow-play", "wait-stream 0", "wait-stream 0\nallow-play 10.0.0.0/8", |it, after| {
            let answer = answer(it, "play", "missing");
            assert_eq!(answer.contains("StreamNotFound"), !after, "{answer}");
        }),
        ("wait-stream", "", "wait-stream 0", |it, after| {
            let mut client = Client::asking_to_play(it.server.addr, "missing");
            match after {
                true => assert!(client.next_line().contains("StreamNotFound")),
                false => client.expect_silence(),
            }
        }),
        ("on-duplicate", "", "on-duplicate reject", |it, after| {
            let _first = it.server.publisher("twice");
            assert_eq!(answer(it, "publish", "twice").contains("BadName"), after);
        }),
        ("auth-mode auth-file", "", "auth-mode file\nauth-file DIR/tokens", |it, after| {
            it.dir.write("tokens", r#"{"live/x":"s"}"#);
            assert_eq!([may_publish(it, "x?token=s"), may_publish(it, "x")], [true, !after]);
        }),
        ("auth-secret", "auth-mode signed\nauth-secret one", "auth-mode signed\nauth-secret two", |it, after| {
            let [one, two] = ["one", "two"].map(|secret| signed(it, secret));
            assert_eq!([may_publish(it, &one), may_publish(it, &two)], [!after, after]);
        }),
        ("max-connections", "", "max-connections 2", |it, after| {
            // Two are the bystanders'.
            assert_eq!(answers(it), !after);
        }),
        ("max-connections-per-ip", "", "max-connections-per-ip 2", |it, after| {
            assert_eq!(answers(it), !after);
        }),
    ];
    see(rows);
}
