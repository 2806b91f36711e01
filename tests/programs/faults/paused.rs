//! A server that stands still, as in a virtual machine that is paused, and goes on. What its peers said
//! meanwhile waits in its sockets, so nobody was silent.

use super::Machine;
use crate::support::http::HttpReply;
use crate::support::process::ServerProcess;
use crate::support::{Client, PATIENCE};
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::handshake;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

/// More than `-grace` and `-wait-stream` in these tests; with `FAULTS=long`, more than any limit that
/// cannot be set.
fn pauses() -> &'static [u64] {
    match super::is_long() {
        true => &[40, 100],
        false => &[3],
    }
}

/// The limits of what can be set to less than a pause, or nothing.
fn short_limits() -> &'static str {
    match super::is_long() {
        true => "",
        false => "-grace 2s -wait-stream 2s",
    }
}

#[test]
fn a_pause_ends_nobody() {
    for seconds in pauses() {
        let flags = format!("-merge 0 -on-duplicate reject {}", short_limits());
        let server = ServerProcess::start(&flags);
        let mut publisher = server.publisher("x");
        publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
        let mut viewer = server.playing("x");
        viewer.expect(&["V head 1 @0", "V key 1 @0"]);
        let mut waiting = Client::asking_to_play(server.addr, "later");
        waiting.call(0, "settle", 9.0, vec![]);
        waiting.lines_until("_error 9");
        let mut lost = server.publisher("lost");
        lost.send_media(&["V head 1 @0", "V key 1 @0"]);
        let mut left = server.playing("lost");
        left.expect(&["V head 1 @0", "V key 1 @0"]);
        let mut idle = server.connected();
        let hello = [&[3][..], &handshake::hello(0, &handshake::random(1))].concat();
        let mut half = TcpStream::connect(server.addr).expect("connect");
        half.write_all(&hello[..100]).expect("send");
        lost.vanish();
        left.expect(&["dry 1"]);

        let machine = Machine::pause(server.pid());
        thread::sleep(Duration::from_millis(200));
        publisher.send_media(&["V inter 2 @40"]);
        half.write_all(&hello[100..]).expect("send");
        thread::sleep(Duration::from_secs(*seconds));
        drop(machine);

        viewer.lines_until("V inter 2 @40");
        publisher.send_media(&["V inter 3 @80"]);
        viewer.lines_until("V inter 3 @80");
        // It was not silent for long, so that it keeps its stream.
        let mut second = server.connected();
        second.call(1, "publish", 0.0, vec![Value::text("x")]);
        second.lines_until("error@1 NetStream.Publish.BadName");
        let mut again = server.publisher("lost");
        again.send_media(&["V head 1 @0", "V key 1 @0"]);
        left.lines_until("V key 1");
        let mut later = server.publisher("later");
        later.send_media(&["V head 1 @0", "V key 1 @0"]);
        waiting.lines_until("V key 1 @0");
        idle.call(0, "settle", 9.0, vec![]);
        idle.lines_until("_error 9");
        half.set_read_timeout(Some(PATIENCE)).expect("timeout");
        half.read_exact(&mut [0; 1 + 2 * handshake::PACKET_LEN])
            .expect("an answer");
    }
}

#[test]
fn a_pause_ends_no_request() {
    for seconds in pauses() {
        let server =
            ServerProcess::start("-merge 0 -metrics-addr 127.0.0.1:0 -http-listen 127.0.0.1:0");
        let admin = server.http_addr("serving HTTP");
        let request = format!("GET /healthz HTTP/1.1\r\nHost: {admin}\r\n\r\n");
        let mut silent = TcpStream::connect(admin).expect("connect");
        let mut half = TcpStream::connect(admin).expect("connect");
        half.write_all(&request.as_bytes()[..20]).expect("send");
        // Both are accepted by then.
        assert_eq!(HttpReply::get(admin, "/healthz").status, 200);

        let machine = Machine::pause(server.pid());
        half.write_all(&request.as_bytes()[20..]).expect("send");
        thread::sleep(Duration::from_secs(*seconds));
        drop(machine);

        thread::sleep(Duration::from_millis(300));
        silent.write_all(request.as_bytes()).expect("send");
        for socket in [&mut half, &mut silent] {
            socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
            let mut status = [0; 15];
            socket.read_exact(&mut status).expect("an answer");
            assert_eq!(&status, b"HTTP/1.1 200 OK");
        }
    }
}
