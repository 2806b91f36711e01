//! Connections with more than one role, and how the server ends.

use crate::support::{Client, TestServer, describe};
use rtmp_server::amf0::Value;
use rtmp_server::memory::{Budget, Owner};
use rtmp_server::net::{self, SharedSocket};
use rtmp_server::queue::{self, Done, Framing, PeerKind};
use rtmp_server::rtmp::chunk::{Decoder, Encoder};
use rtmp_server::rtmp::control::UserControl;
use rtmp_server::rtmp::{StreamId, status};
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

fn publish(client: &mut Client, stream: u32, name: &str) {
    client.call(stream, "publish", 0.0, vec![Value::text(name)]);
}

fn play(client: &mut Client, stream: u32, name: &str) {
    client.call(stream, "play", 0.0, vec![Value::text(name)]);
}

/// A call that is always answered: whatever was asked before it has been done then.
fn settle(client: &mut Client) {
    client.call(0, "settle", 9.0, vec![]);
    client.expect(&["_error 9"]);
}

#[test]
fn what_waits_for_more_is_sent_before_a_stop() {
    let mut server = TestServer::start("-merge 400ms");
    let mut publisher = server.publisher("cam");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let mut viewer = server.playing("cam");
    viewer.expect(&["V head 1 @0", "V key 1 @0"]);
    publisher.send_media(&["V inter 2 @40"]);
    assert!(server.stop(Duration::from_secs(5)));
    viewer.expect(&["V inter 2 @40"]);
}

#[test]
fn publishing_again_is_no_suicide() {
    let server = TestServer::start("");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    publish(&mut publisher, 1, "x");
    publisher.expect(&["status@1 NetStream.Publish.Start"]);
    assert_eq!(publisher.create_stream(), 2);
    publish(&mut publisher, 2, "x");
    publisher.expect(&["error@2 NetStream.Publish.BadName"]);
    publisher.send_media(&["V inter 2 @40"]);
    settle(&mut publisher);
    server
        .playing("x")
        .expect(&["V head 1 @0", "V key 1 @0", "V inter 2 @40"]);
}

#[test]
fn one_connection_can_publish_two_streams() {
    let server = TestServer::start("");
    let mut publisher = server.publisher("x");
    assert_eq!(publisher.create_stream(), 2);
    publish(&mut publisher, 2, "y");
    publisher.expect(&["begin 2", "status@2 NetStream.Publish.Start"]);
    let (mut x, mut y) = (server.playing("x"), server.playing("y"));
    for (stream, line) in [
        (1, "V key 1 @0"),
        (2, "V key 2 @0"),
        (1, "V inter 3 @40"),
        (2, "V inter 4 @40"),
    ] {
        let mut message = crate::support::media(line);
        message.stream.0 = stream;
        publisher.send(&message);
    }
    x.expect(&["V key 1 @0", "V inter 3 @40"]);
    y.expect(&["V key 2 @0", "V inter 4 @40"]);
    publisher.call(0, "deleteStream", 0.0, vec![Value::Number(2.0)]);
    y.expect(&["eof 1", "status@1 NetStream.Play.UnpublishNotify", "end"]);
    publisher.send_media(&["V inter 5 @80"]);
    x.expect(&["V inter 5 @80"]);
}

#[test]
fn a_stream_can_be_used_for_one_thing_after_the_other() {
    let server = TestServer::start("");
    let mut other = server.publisher("other");
    other.send_media(&["V key 7 @0"]);
    let mut client = server.publisher("x");
    let mut viewer = server.playing("x");
    play(&mut client, 1, "other");
    viewer.expect(&["eof 1", "status@1 NetStream.Play.UnpublishNotify", "end"]);
    client.expect(&["begin 1", "status@1 NetStream.Play.Start", "V key 7 @0"]);
    publish(&mut client, 1, "x");
    client.expect(&["begin 1", "status@1 NetStream.Publish.Start"]);
    other.send_media(&["V inter 8 @40"]);
    settle(&mut client);
    client.send_media(&["V key 9 @0"]);
    settle(&mut client);
    server.playing("x").expect(&["V key 9 @0"]);
}

#[test]
fn a_connection_outlives_one_of_two_streams_that_it_plays() {
    let server = TestServer::start("");
    let (mut x, mut y) = (server.publisher("x"), server.publisher("y"));
    let mut client = server.playing("x");
    assert_eq!(client.create_stream(), 2);
    play(&mut client, 2, "y");
    client.expect(&["begin 2", "status@2 NetStream.Play.Start"]);
    x.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
    client.expect(&["eof 1", "status@1 NetStream.Play.UnpublishNotify"]);
    y.send_media(&["V key 1 @0", "V inter 2 @40"]);
    let streams: Vec<u32> = (0..2)
        .map(|_| client.receive().expect("media").stream.0)
        .collect();
    assert_eq!(streams, [2, 2]);
    y.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
    client.expect(&["eof 2", "status@2 NetStream.Play.UnpublishNotify", "end"]);
}

type Step<'a> = &'a dyn Fn(&mut Client);

#[test]
fn ends_in_any_order_leave_nothing_behind() {
    let close = |client: &mut Client| client.call(1, "closeStream", 0.0, vec![]);
    let delete =
        |client: &mut Client| client.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
    let delete_by_name =
        |client: &mut Client| client.call(0, "deleteStream", 0.0, vec![Value::text("x")]);
    let unpublish =
        |client: &mut Client| client.call(0, "FCUnpublish", 6.0, vec![Value::text("x")]);
    let orders: [&[Step]; 6] = [
        &[&unpublish, &delete],
        &[&delete, &unpublish],
        &[&close, &delete, &delete],
        &[&close, &unpublish, &close],
        &[&delete_by_name, &close],
        &[&unpublish, &unpublish, &delete, &close],
    ];
    let server = TestServer::start("");
    for (index, order) in orders.iter().enumerate() {
        for publishes in [true, false] {
            let mut client = server.connected();
            let role = if publishes { publish } else { play };
            role(&mut client, 1, "x");
            if publishes {
                client.expect(&["begin 1", "status@1 NetStream.Publish.Start"]);
            }
            order.iter().for_each(|step| step(&mut client));
            client.call(0, "settle", 9.0, vec![]);
            client.lines_until("_error 9");
            assert_eq!(server.server().count(), (1, 0, 0), "order {index}");
            drop(client);
            server.wait_for_count((0, 0, 0));
        }
    }
}

#[test]
fn a_viewer_that_was_told_the_end_is_not_listened_to() {
    let server = TestServer::start("");
    let (mut x, mut y) = (server.publisher("x"), server.publisher("y"));
    let (mut viewer, mut other) = (server.playing("x"), server.playing("y"));
    x.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
    viewer.expect(&["eof 1", "status@1 NetStream.Play.UnpublishNotify", "end"]);
    // It would take the stream over.
    viewer.call(1, "publish", 0.0, vec![Value::text("y")]);
    drop((viewer, x));
    server.wait_for_count((2, 1, 1));
    y.send_media(&["V key 1 @0"]);
    other.expect(&["V key 1 @0"]);
}

#[test]
fn what_outlives_a_stream_leaves_its_successor_alone() {
    let finish =
        |client: &mut Client| client.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
    let viewer = |server: &TestServer| {
        let mut publisher = server.publisher("x");
        let mut viewer = server.playing("x");
        finish(&mut publisher);
        viewer.expect(&["eof 1", "status@1 NetStream.Play.UnpublishNotify", "end"]);
        viewer
    };
    let waiting = |server: &TestServer| {
        let mut player = server.player("x");
        player.expect(&["error@1 NetStream.Play.StreamNotFound", "end"]);
        player
    };
    let taken_over = |server: &TestServer| {
        let mut first = server.publisher("x");
        let mut second = server.publisher("x");
        first.expect(&["error@1 NetStream.Publish.BadName", "end"]);
        finish(&mut second);
        settle(&mut second);
        first
    };
    // Each holds on to a stream that is over, since it has not closed its side yet.
    type Lingering<'a> = &'a dyn Fn(&TestServer) -> Client;
    let rows: [(&str, &str, Lingering); 3] = [
        ("a viewer", "", &viewer),
        ("one who waited in vain", "-wait-stream 1ms", &waiting),
        ("a publisher that was taken over", "", &taken_over),
    ];
    for (what, flags, lingering) in rows {
        let server = TestServer::start(flags);
        let last = lingering(&server);
        let mut publisher = server.publisher("x");
        drop(last);
        server.wait_for_count((1, 1, 0));
        publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
        settle(&mut publisher);
        server.playing("x").expect(&["V head 1 @0", "V key 1 @0"]);
        assert_eq!(server.server().count().1, 1, "{what}");
    }
}

#[test]
fn two_roles_that_end_at_once_take_leave_once() {
    let message = |stream| UserControl::StreamEof(StreamId(stream)).message();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("addr");
    for round in 0..1000 {
        let mut peer = TcpStream::connect(addr).expect("connect");
        peer.set_read_timeout(Some(crate::support::PATIENCE))
            .expect("timeout");
        let line = Arc::new(SharedSocket(listener.accept().expect("accept").0.into()));
        let (outbox, writer) = queue::outbox(
            line.clone(),
            PeerKind::Client(Owner::new([127, 0, 0, 1].into())),
            Framing::chunks(),
            Arc::default(),
            Arc::new(Budget::new(1 << 20)),
        );
        let roles = [outbox.take_role(), outbox.take_role()];
        let sending = thread::spawn(move || net::send_all(&line, writer));
        let together = Barrier::new(roles.len());
        thread::scope(|scope| {
            for (role, stream) in roles.into_iter().zip(1..) {
                let together = &together;
                scope.spawn(move || {
                    together.wait();
                    role.end(vec![message(stream)]);
                });
            }
        });
        let mut bytes = Vec::new();
        peer.read_to_end(&mut bytes).expect("bytes");
        let (mut chunks, mut input) = (Decoder::default(), &bytes[..]);
        let next = || chunks.decode(&mut input).expect("chunks");
        let mut told: Vec<String> = std::iter::from_fn(next).map(|it| describe(&it)).collect();
        told.sort();
        assert_eq!(told, ["eof 1", "eof 2"], "round {round}");
        drop((peer, outbox));
        let done = sending.join().expect("a writer").expect("sent");
        assert_eq!(done, Done::Drained, "round {round}");
    }
}

#[test]
fn stopping_tells_everyone_and_flushes() {
    let mut server = TestServer::start("-reconnect-url rtmp://b.example/live");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let mut viewer = server.playing("x");
    viewer.expect(&["V head 1 @0", "V key 1 @0"]);
    let mut capable = server.client();
    capable.connect_with("live", 1);
    capable.create_stream();
    play(&mut capable, 1, "x");
    capable.expect(&[
        "begin 1",
        "status@1 NetStream.Play.Start",
        "V head 1 @0",
        "V key 1 @0",
    ]);
    let stranger = TcpStream::connect(server.addr).expect("connect");
    let clients = std::thread::spawn(move || {
        viewer.expect(&["eof 1", "status@1 NetStream.Play.UnpublishNotify"]);
        viewer.lines_until("end");
        capable.expect(&["status@0 NetConnection.Connect.ReconnectRequest", "eof 1"]);
        capable.lines_until("end");
        publisher.expect(&["error@0 NetConnection.Connect.AppShutdown", "end"]);
    });
    let began = Instant::now();
    assert!(
        server.stop(Duration::from_secs(5)),
        "not everything was done in time"
    );
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "took {:?}",
        began.elapsed()
    );
    clients.join().expect("clients");
    assert!(TcpStream::connect(server.addr).is_err(), "still accepts");
    drop(stranger);
}

#[test]
fn stopping_does_not_wait_for_peers_that_never_close() {
    let mut server = TestServer::start("");
    let _publisher = server.publisher("x");
    let _viewer = server.playing("x");
    let began = Instant::now();
    assert!(server.stop(Duration::from_secs(5)));
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "took {:?}",
        began.elapsed()
    );
}

#[test]
fn clients_that_can_are_asked_to_reconnect() {
    let server = TestServer::start("-reconnect-url rtmp://b.example/live");
    let mut plain = server.connected();
    let mut capable = server.client();
    capable.connect_with("live", 1);
    settle(&mut capable);
    assert_eq!(server.server().ask_to_reconnect(), 1);
    let message = capable.receive().expect("a request");
    let text = String::from_utf8_lossy(&message.payload).into_owned();
    assert!(
        text.contains("ReconnectRequest") && text.contains("rtmp://b.example/live"),
        "{text}"
    );
    settle(&mut plain);
}

#[test]
fn who_was_refused_is_not_listened_to_any_more() {
    let server = TestServer::start("-on-duplicate reject");
    let _publisher = server.publisher("x");
    let mut client = server.connected();
    assert_eq!(client.create_stream(), 2);
    // Both in one write, so that both are there when the first is refused.
    let mut bytes = Vec::new();
    let mut encoder = Encoder::default();
    for (stream, name) in [(1, "x"), (2, "y")] {
        let call = status::call(
            StreamId(stream),
            "publish",
            0.0,
            Value::Null,
            vec![Value::text(name)],
        );
        encoder.encode(&call, &mut bytes);
    }
    client.send_bytes(&bytes);
    client.expect(&["error@1 NetStream.Publish.BadName", "end"]);
    assert_eq!(
        server.server().count().1,
        1,
        "the second publish was carried out"
    );
}

/// The ways in which encoders say that they are done, each on its stream 1 and then able to begin
/// again.
#[test]
fn a_publication_ends_however_its_publisher_says_so() {
    let server = TestServer::start("-grace 60s");
    type Call = (u32, &'static str, Vec<Value>);
    let rows: [Call; 8] = [
        (1, "publish", vec![Value::Boolean(false)]),
        (1, "publish", vec![Value::Null]),
        (1, "publish", vec![Value::text(""), Value::text("")]),
        (0, "publish", vec![Value::Boolean(false)]),
        (1, "closeStream", vec![]),
        (0, "closeStream", vec![Value::Number(1.0)]),
        (0, "closeStream", vec![Value::text("x")]),
        (0, "FCUnpublish", vec![Value::text("x?token=y")]),
    ];
    for (stream, name, arguments) in rows {
        let what = format!("{name} {arguments:?} on {stream}");
        let mut publisher = server.publisher("x");
        publisher.send_media(&["V key 1 @0"]);
        let mut viewer = server.playing("x");
        viewer.expect(&["V key 1 @0"]);
        publisher.call(stream, name, 0.0, arguments);
        let end = ["eof 1", "status@1 NetStream.Play.UnpublishNotify", "end"];
        let told = [viewer.next_line(), viewer.next_line(), viewer.next_line()];
        assert_eq!(told, end, "{what}");
        publisher.call(1, "publish", 0.0, vec![Value::text("x")]);
        publisher.lines_until("status@1 NetStream.Publish.Start");
        publisher.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
        settle(&mut publisher);
    }
}

/// What different programs make of one URL.
#[test]
fn names_meet_that_are_written_in_different_ways() {
    let server = TestServer::start("");
    let rows = [
        ("my%20cam", "my cam"),
        ("my cam2", "my%20cam2"),
        ("caf%C3%A9", "caf\u{e9}"),
        ("x%2Fkey", "x/key"),
        ("cam.mp4", "mp4:cam.mp4"),
        ("mp4:cam.f4v", "cam.f4v"),
        ("cam.flv", "cam"),
        ("cam3", "flv:cam3"),
    ];
    for (publish, play) in rows {
        let mut publisher = server.publisher(publish);
        publisher.send_media(&["V key 1 @0"]);
        server.playing(play).expect(&["V key 1 @0"]);
    }
}
