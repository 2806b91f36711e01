//! Viewers that were ended by their button, and come back.

use super::{send, start};
use crate::support::web_service::{Manner, WebService};
use crate::support::{TestServer, wait_until};
use rtmp_server::admin::AdminSource;
use rtmp_server::amf0::Value;
use std::io::Write;
use std::net::TcpStream;

/// What a viewer asks for, and how it calls itself: the name with its query behind the app, where `rtmp`
/// in front of it means RTMP.
type Viewer = (&'static str, &'static str);

/// Begins to watch. Whether it was let in, and its connection.
fn watch(server: &TestServer, (what, agent): Viewer) -> (bool, TcpStream) {
    if let Some(name) = what.strip_prefix("rtmp ") {
        let mut client = server.connected();
        client.call(1, "play", 0.0, vec![Value::text(name)]);
        let let_in = !client.next_line().starts_with("error@1 ");
        return (let_in, client.socket);
    }
    let agent = match agent {
        "" => String::new(),
        agent => format!("User-Agent: {agent}\r\n"),
    };
    let addr = server.media_addr();
    let mut socket = TcpStream::connect(addr).expect("connect");
    let request = format!("GET /live/{what} HTTP/1.1\r\nHost: {addr}\r\n{agent}\r\n");
    socket.write_all(request.as_bytes()).expect("send");
    socket.set_nonblocking(true).expect("no waiting");
    let mut let_in = false;
    wait_until(what, || {
        let mut head = [0; 12];
        let refused = matches!(socket.peek(&mut head), Ok(12)) && &head == b"HTTP/1.1 403";
        let_in = viewer(server).is_some();
        refused || let_in
    });
    (let_in, socket)
}

/// The viewer that there is.
fn viewer(server: &TestServer) -> Option<String> {
    let connections = server.server().watch().snapshot().connections;
    let viewer = connections.into_iter().find(|one| one.role == "subscriber");
    viewer.map(|one| one.id)
}

#[test]
fn one_that_was_ended_does_not_come_back_at_once() {
    let open = "";
    // Whether a service is asked; who is ended; who comes; whether it is let in.
    #[rustfmt::skip]
    let rows: [(&str, Viewer, Viewer, bool); 12] = [
        (open, ("cam.flv", "a"), ("cam.flv", "a"), false),
        (open, ("cam.flv", "a"), ("cam.mp4", "a"), false),
        (open, ("cam.mp4", "a"), ("cam.flv?token=junk", "a"), false),
        (open, ("cam.flv", "a"), ("cam.flv", "b"), true),
        (open, ("rtmp cam", ""), ("cam.flv", ""), false),
        (open, ("cam.flv", "a"), ("other.flv", "a"), true),
        ("asked", ("cam.flv?user=me", "a"), ("cam.flv?user=me&token=junk", "b"), false),
        ("asked", ("cam.flv?user=me", "a"), ("cam.flv?user=you", "a"), true),
        ("asked", ("cam.mp4?user=me", "a"), ("cam/index.m3u8?user=me&sig=x", "b"), false),
        ("asked", ("rtmp cam?user=me", ""), ("cam.mp4?user=me&token=junk", "b"), false),
        ("asked", ("cam.flv?exp=1&sig=me", "a"), ("cam.flv?exp=1&sig=you", "a"), true),
        ("asked", ("rtmp cam?user=me", ""), ("rtmp cam?user=you", ""), true),
    ];
    for (asked, ended, newcomer, let_in) in rows {
        let service = WebService::start(Manner::Status(200));
        let flags = match asked {
            "" => String::new(),
            _ => format!("-auth-mode callback -auth-callback {}", service.url("/")),
        };
        let server = start(&flags);
        let mut publishers = ["cam", "other"].map(|name| server.publisher(name));
        for publisher in &mut publishers {
            send(
                publisher,
                &["V head 1 @0", "V key 1 @0", "A head 1 @0", "A sound 1 @0"],
            );
        }
        let (true, _watching) = watch(&server, ended) else {
            panic!("{ended:?} is not let in")
        };
        let mut id = None;
        wait_until("the viewer", || {
            id = viewer(&server);
            id.is_some()
        });
        let id = id.unwrap_or_default();
        assert!(server.server().watch().hang_up_connection(&id));
        wait_until("its end", || viewer(&server).is_none());
        let (came, _watching) = watch(&server, newcomer);
        assert_eq!(came, let_in, "{asked} {ended:?} {newcomer:?}");
    }
}

/// The publisher of a stream may come back at once, and so may those whom it has ended.
#[test]
fn who_was_not_ended_comes_back() {
    let server = start("-grace 0");
    for _ in 0..2 {
        let mut publisher = server.publisher("cam");
        send(&mut publisher, &["V head 1 @0", "V key 1 @0"]);
        let (let_in, watching) = watch(&server, ("cam.flv", "a"));
        assert!(let_in);
        assert!(server.server().watch().hang_up_stream("live/cam"));
        publisher.lines_until("end");
        drop(watching);
        server.wait_for_count((0, 0, 0));
    }
}
