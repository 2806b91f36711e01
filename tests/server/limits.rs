//! What a peer may cost: time, memory, threads. Each attack leaves others unharmed.

use crate::support::process::{ServerProcess, fact};
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::control::UserControl;
use rtmp_server::rtmp::{StreamId, handshake, status};
use rtmp_server::sys;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A publisher starts and a viewer gets its picture: in how long?
pub(super) fn time_of_an_honest_stream(server: &ServerProcess, name: &str) -> Duration {
    let began = Instant::now();
    let mut publisher = server.publisher(name);
    let published = began.elapsed();
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    server.playing(name).expect(&["V head 1 @0", "V key 1 @0"]);
    published
}

/// Waits until the server closes; how long that took.
fn time_to_close(socket: &mut TcpStream) -> Duration {
    let began = Instant::now();
    socket
        .set_read_timeout(Some(Duration::from_secs(120)))
        .expect("timeout");
    let mut buffer = [0; 4096];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return began.elapsed(),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return began.elapsed(),
            Err(error) => panic!("not closed: {error}"),
        }
    }
}

fn assert_between(what: &str, took: Duration, low_ms: u64, high_ms: u64) {
    let range = Duration::from_millis(low_ms)..Duration::from_millis(high_ms);
    assert!(range.contains(&took), "{what} took {took:?}, not {range:?}");
}

#[test]
fn silent_connections_hold_up_nobody_and_end_in_time() {
    let server = ServerProcess::start("");
    let mut silent: Vec<_> = (0..20)
        .map(|_| TcpStream::connect(server.addr).expect("connect"))
        .collect();
    let took = time_of_an_honest_stream(&server, "x");
    assert!(took < Duration::from_secs(1), "Publish.Start took {took:?}");
    let took = time_to_close(&mut silent[0]);
    assert_between("the handshake limit", took, 8_000, 12_000);
    let line = server.wait_for_line("connection failed");
    assert_eq!(fact(&line, "layer"), Some("timeout"), "{line}");
}

#[test]
fn a_handshake_that_trickles_ends_in_the_same_time() {
    let server = ServerProcess::start("");
    let mut socket = TcpStream::connect(server.addr).expect("connect");
    let began = Instant::now();
    let hello = [&[3][..], &handshake::hello(0, &handshake::random(1))].concat();
    let sent = hello.iter().take_while(|byte| {
        std::thread::sleep(Duration::from_millis(200));
        socket.write_all(&[**byte]).is_ok() && began.elapsed() < Duration::from_secs(20)
    });
    assert!(sent.count() < 100);
    assert_between("the handshake limit", began.elapsed(), 9_500, 14_000);
}

#[test]
fn a_client_that_connects_and_does_nothing_ends_in_time() {
    let server = ServerProcess::start("");
    let mut clients = [server.connected(), server.publisher("x")];
    // One that is done with publishing is again one that does nothing, whatever it says.
    clients[1].call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
    let done = Instant::now();
    let mut lines = std::thread::scope(|scope| {
        let closing = clients.each_mut().map(|client| {
            scope.spawn(move || {
                let mut socket = client.socket.try_clone().expect("socket");
                let reading = scope.spawn(move || time_to_close(&mut socket));
                while !reading.is_finished() && done.elapsed() < Duration::from_secs(30) {
                    let _ = client.try_send(&UserControl::PingResponse(7).message());
                    std::thread::sleep(Duration::from_millis(100));
                }
                let _ = client.socket.shutdown(std::net::Shutdown::Both);
                assert_between("the set-up limit", done.elapsed(), 13_000, 18_000);
                reading.join().expect("the reader");
            })
        });
        for closing in closing {
            closing.join().expect("closed");
        }
        (0..2).map(|_| server.wait_for_line("connection failed"))
    });
    assert!(lines.all(|line| line.contains("connect, publish or play")));
}

#[test]
fn a_viewer_that_takes_media_need_not_say_anything() {
    let server = ServerProcess::start("-merge 0");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["A head 1 @0", "A sound 1 @0"]);
    let mut viewer = server.playing("x");
    let (began, mut sounds) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(94) {
        publisher.send_media(&["A sound 2 @10"]);
        std::thread::sleep(Duration::from_millis(200));
        sounds += 1;
    }
    publisher.send_media(&["A sound 3 @20"]);
    let lines = viewer.lines_until("A sound 3");
    let got = lines.iter().filter(|line| line.starts_with("A sound 2"));
    assert_eq!(got.count(), sounds);
}

#[test]
fn what_begins_anew_again_and_again_is_refused() {
    let dir = std::env::temp_dir().join(format!("rtmp-server-pace-{}", std::process::id()));
    let flags = format!("-record-all true -record-dir {}", dir.display());
    let server = ServerProcess::start(&flags);
    for (what, code) in [("publish", "Publish.Denied"), ("play", "Play.Failed")] {
        let mut client = server.connected();
        let mut begun = 0;
        for round in 0..1000 {
            let name = Value::text(format!("{what}{round}"));
            client.call(1, what, 0.0, vec![name]);
            client.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
            client.call(0, "createStream", 2.0, vec![]);
            let answered = std::iter::repeat_with(|| client.next_line())
                .find(|line| line.contains(code) || line.starts_with("_result 2"));
            if answered.is_some_and(|line| line.contains(code)) {
                break;
            }
            begun += 1;
        }
        assert!((15..100).contains(&begun), "{begun} times {what}");
        assert!(server.wait_for_line("request refused").contains(code));
    }
    time_of_an_honest_stream(&server, "x");
    let files = std::fs::read_dir(&dir).map_or(0, Iterator::count);
    assert!(files < 100, "{files} files");
    drop(server);
    let _ = std::fs::remove_dir_all(&dir);
}

#[test]
fn quiet_peers_are_asked_and_only_dead_ones_end() {
    let server = ServerProcess::start("");
    let _publisher = server.publisher("x");
    let (mut alive, mut dead) = (server.playing("x"), server.playing("x"));
    let publisher_dies = Instant::now();
    let mut times = Vec::new();
    let began = Instant::now();
    alive
        .socket
        .set_read_timeout(Some(Duration::from_secs(40)))
        .expect("timeout");
    while times.len() < 3 {
        let message = alive
            .receive_within(Duration::from_secs(40))
            .expect("a ping");
        let ping = rtmp_server::rtmp::control::Control::parse(message.kind, &message.payload);
        if let Ok(rtmp_server::rtmp::control::Control::User(UserControl::PingRequest(time))) = ping
        {
            alive.send(&UserControl::PingResponse(time).message());
            times.push(began.elapsed());
        }
        // The publisher says nothing either, and is lost at last.
    }
    assert_between("the first ping", times[0], 29_000, 33_000);
    assert_between("the third ping", times[2], 88_000, 97_000);
    let closed = time_to_close(&mut dead.socket) + publisher_dies.elapsed();
    assert!(closed < Duration::from_secs(200));
    let line = server.wait_for_line("timed out waiting for the peer");
    assert_eq!(fact(&line, "layer"), Some("timeout"), "{line}");
}

#[test]
fn announced_lengths_take_no_memory() {
    let server = ServerProcess::start("");
    time_of_an_honest_stream(&server, "before");
    let before = server.memory_kb();
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = server.client();
        for csid in 3..64_u8 {
            client.send_bytes(
                &[
                    &[csid, 0, 0, 0, 0xff, 0xff, 0xff, 9, 1, 0, 0, 0][..],
                    &[0; 128],
                ]
                .concat(),
            );
        }
        clients.push(client);
    }
    time_of_an_honest_stream(&server, "x");
    let grown = server.memory_kb().saturating_sub(before);
    println!("20 connections that announce 20 GB: {grown} kB");
    assert!(
        grown < 20 * 200,
        "20 connections that announced 20 GB cost {grown} kB"
    );
    let mut client = clients.remove(0);
    for high in 0..10_u8 {
        let header = [0, high, 0, 0, 0, 0xff, 0xff, 0xff, 9, 1, 0, 0, 0];
        // The server hangs up in the midst of this.
        let _ = client.socket.write_all(&[&header[..], &[0; 128]].concat());
    }
    assert_eq!(client.next_line(), "end");
    assert!(
        server
            .wait_for_line("connection failed")
            .contains("more than 64 chunk streams")
    );
}

#[test]
fn unfinished_messages_take_a_bounded_amount_of_memory() {
    let server = ServerProcess::start("");
    time_of_an_honest_stream(&server, "before");
    let before = server.memory_kb();
    let mut client = server.client();
    let mut sent = 0;
    client.send_bytes(&[2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0x20, 0, 0]);
    let piece = vec![0; 2 << 20];
    for csid in 3..40_u8 {
        let header = [csid, 0, 0, 0, 0xff, 0xff, 0xff, 9, 1, 0, 0, 0];
        if client
            .socket
            .write_all(&header)
            .and_then(|()| client.socket.write_all(&piece))
            .is_err()
        {
            break;
        }
        sent += piece.len();
    }
    let line = server.wait_for_line("connection failed");
    assert!(line.contains("bytes of unfinished messages"), "{line}");
    assert!(sent >= 28 << 20, "only {sent} bytes were taken");
    let grown = server.memory_kb().saturating_sub(before);
    println!("unfinished messages: {sent} bytes taken, {grown} kB");
    assert!(grown < 80 << 10, "{grown} kB");
    time_of_an_honest_stream(&server, "x");
}

#[test]
fn chunks_of_one_byte_are_followed() {
    let server = ServerProcess::start("");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let mut viewer = server.playing("x");
    viewer.expect(&["V head 1 @0", "V key 1 @0"]);
    let len = 1_000_000;
    let mut bytes = vec![2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    let [_, a, b, c] = (len as u32).to_be_bytes();
    bytes.extend([10, 0, 0, 50, a, b, c, 9, 1, 0, 0, 0, 0x27]);
    bytes.extend([0xca, 1].repeat(len - 1));
    let began = Instant::now();
    publisher.send_bytes(&bytes);
    let got = viewer.receive().expect("the message");
    assert_eq!((got.payload.len(), got.timestamp.0), (len, 50));
    assert!(got.payload[1..].iter().all(|byte| *byte == 1));
    println!("a message of {len} chunks of 1 byte: {:?}", began.elapsed());
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "took {:?}",
        began.elapsed()
    );
}

#[test]
fn a_flood_of_pings_that_reads_no_answers_is_ended() {
    let server = ServerProcess::start("");
    let before = server.memory_kb();
    // One that publishes has all the time it wants, however slowly the system takes its pings.
    let mut client = server.publisher("flood");
    let ping = UserControl::PingRequest(7).message();
    let began = Instant::now();
    let mut sent = 0_u64;
    while client.try_send(&ping).is_ok() && began.elapsed() < Duration::from_secs(60) {
        sent += 1;
    }
    assert!(sent > 1000);
    let line = server.wait_for_line("connection failed");
    assert!(line.contains("does not take its replies"), "{line}");
    let grown = server.memory_kb().saturating_sub(before);
    println!("{sent} pings without reading: {grown} kB");
    assert!(grown < 4096, "{grown} kB after {sent} pings");
    time_of_an_honest_stream(&server, "x");
}

#[test]
fn five_thousand_half_open_handshakes_leave_room_for_others() {
    assert!(
        sys::raise_descriptor_limit().expect("limit") > 6000,
        "too few descriptors to test this"
    );
    let server = ServerProcess::start("-max-connections 6000");
    time_of_an_honest_stream(&server, "before");
    let before = server.memory_kb();
    let began = Instant::now();
    let mut half_open: Vec<TcpStream> = Vec::with_capacity(5000);
    for _ in 0..5000 {
        let mut socket = TcpStream::connect(server.addr).expect("connect");
        socket.write_all(&[3, 0, 0]).expect("send");
        half_open.push(socket);
    }
    assert!(
        began.elapsed() < Duration::from_secs(9),
        "too slow to test this: {:?}",
        began.elapsed()
    );
    // The quickest of three: what other tests do meanwhile is not the server's.
    let times = ["x1", "x2", "x3"].map(|name| time_of_an_honest_stream(&server, name));
    let took = times.into_iter().min().unwrap_or(Duration::MAX);
    let (grown, threads) = (server.memory_kb().saturating_sub(before), server.threads());
    println!("5000 half-open: {grown} kB, {threads} threads, Publish.Start in {took:?}");
    assert!(took < Duration::from_secs(1), "Publish.Start took {took:?}");
    assert!(grown < 5000 * 30, "{grown} kB");
    time_to_close(&mut half_open[4999]);
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "took {:?}",
        began.elapsed()
    );
    time_of_an_honest_stream(&server, "y");
}

#[test]
fn connections_over_the_limits_are_refused_and_the_rest_go_on() {
    for (flags, limit) in [("-max-connections 5", 5), ("-max-connections-per-ip 5", 5)] {
        let server = ServerProcess::start(flags);
        let mut inside: Vec<_> = (0..limit).map(|_| server.connected()).collect();
        let mut outside = TcpStream::connect(server.addr).expect("connect");
        assert!(
            time_to_close(&mut outside) < Duration::from_secs(1),
            "{flags}"
        );
        assert!(
            server
                .wait_for_line("connection refused")
                .contains(flags.split(' ').next().expect("flag"))
        );
        inside.iter_mut().for_each(|client| {
            client.call(0, "ping", 9.0, vec![]);
            client.expect(&["_error 9"]);
        });
        drop(inside);
        crate::support::wait_until("room", || {
            let mut socket = TcpStream::connect(server.addr).expect("connect");
            socket
                .set_read_timeout(Some(Duration::from_millis(100)))
                .expect("timeout");
            let waits = |error: std::io::Error| error.kind() == ErrorKind::WouldBlock;
            socket.read(&mut [0]).is_err_and(waits)
        });
    }
}

#[test]
fn a_client_may_have_sixteen_streams() {
    let server = ServerProcess::start("");
    let mut client = server.connected();
    for id in 2..=16 {
        assert_eq!(client.create_stream(), id);
    }
    client.call(0, "createStream", 2.0, vec![]);
    client.expect(&["_error 2 NetConnection.Call.Failed"]);
    client.call(0, "deleteStream", 0.0, vec![Value::Number(7.0)]);
    assert_eq!(client.create_stream(), 7);
}

/// Before it is asked who it is, a client can leave hardly anything here.
#[test]
fn what_strangers_say_of_themselves_costs_little() {
    const STRANGERS: u64 = 100;
    let server = ServerProcess::start("");
    let before = server.memory_kb();
    let via = ",".repeat(60_000);
    let strangers = (0..STRANGERS).map(|_| {
        let mut client = server.client();
        let object = Value::object([("app", Value::text("live")), ("via", Value::text(&via))]);
        client.send(&status::call(StreamId(0), "connect", 1.0, object, vec![]));
        client.lines_until("_result 1");
        client
    });
    let strangers: Vec<_> = strangers.collect();
    let grown = server.memory_kb().saturating_sub(before) / STRANGERS;
    assert!(grown < 200, "{grown} kB for each");
    drop(strangers);
}
