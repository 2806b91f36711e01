//! Who is let in, and what they may do.

use super::{Changing, Row, see};
use crate::support::Client;
use rtmp_server::amf0::Value;

/// What a client that asks to publish or play is told.
fn answer(changing: &Changing, action: &str, name: &str) -> String {
    let mut client = Client::connected(changing.server.addr);
    client.call(1, action, 0.0, vec![Value::text(name)]);
    client.next_line()
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
        ("max-connections-per-ip", "", "max-connections-per-ip 2", |it, after| {
            // Two are the bystanders'.
            let mut client = std::net::TcpStream::connect(it.server.addr).expect("connect");
            let hello = [&[3][..], &[0; 1536]].concat();
            let sent = std::io::Write::write_all(&mut client, &hello);
            let heard = sent.and_then(|()| std::io::Read::read_exact(&mut client, &mut [0; 1537]));
            assert_eq!(heard.is_err(), after);
        }),
    ];
    see(rows);
}
