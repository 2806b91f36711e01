//! What clients may do to the server, and what it does then.

use super::Site;
use super::client::{Client, PATIENCE, get};
use proptest::prelude::*;
use rtmp_server::admin::{BODY_LEN_MAX, CONNECTIONS_MAX, HEAD_LEN_MAX, READ_LIMIT};
use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

#[test]
fn what_is_no_request_is_answered_and_hung_up_on() {
    let long = "x".repeat(HEAD_LEN_MAX);
    let rows = [
        ("\r\n\r\n".to_owned(), 400),
        ("\x16\x03\x01\x02\0\x01\0\n\n".to_owned(), 400),
        ("GET /\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/3.0\r\n\r\n".to_owned(), 505),
        (format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 431),
        (
            format!("GET / HTTP/1.1\r\nHost: a\r\nA: {long}\r\n\r\n"),
            431,
        ),
        (long.clone(), 431),
        (
            format!(
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
                BODY_LEN_MAX + 1
            ),
            413,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
            411,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n".to_owned(),
            501,
        ),
    ];
    let site = Site::start(0);
    for (request, want) in rows {
        let mut client = Client::connect(site.addr());
        client.send(request.as_bytes());
        // What is sent after the failure must not cost it the answer.
        client.try_send(&[b'x'; 10_000]);
        let reply = client.receive(false);
        assert_eq!(reply.status, want, "{request:.60}");
        assert_eq!(reply.header("Connection"), Some("close"));
        let _ = client.socket().shutdown(Shutdown::Write);
        assert_eq!(client.rest(), b"");
    }
    assert_eq!(site.get("/healthz").status, 200);
}

#[test]
fn a_request_that_trickles_in_is_ended_in_time() {
    let site = Site::start(0);
    let start = Instant::now();
    let clients: Vec<Client> = (0..4)
        .map(|_| {
            let mut client = Client::connect(site.addr());
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n");
            client
        })
        .collect();
    // One more header every now and then keeps nobody.
    while start.elapsed() < READ_LIMIT + PATIENCE {
        thread::sleep(Duration::from_millis(250));
        let open = clients
            .iter()
            .map(|client| client.socket())
            .filter(|socket| {
                socket.set_nonblocking(true).expect("a mode");
                let answered = socket.peek(&mut [0]);
                (&**socket).write_all(b"A: b\r\n").is_ok()
                    && matches!(answered, Err(error) if error.kind() == ErrorKind::WouldBlock)
            });
        if open.count() == 0 {
            break;
        }
    }
    let took = start.elapsed();
    assert!(
        took >= READ_LIMIT && took < READ_LIMIT + Duration::from_secs(3),
        "{took:?}"
    );
    assert_eq!(site.get("/healthz").status, 200);
}

#[test]
fn connections_are_bounded_and_idle_ones_make_room() {
    let site = Site::start(0);
    let mut idle: Vec<Client> = (0..CONNECTIONS_MAX)
        .map(|_| {
            let mut client = Client::connect(site.addr());
            client.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(client.receive(false).status, 200);
            client
        })
        .collect();
    // The one that has been idle longest goes, and no other.
    assert_eq!(site.get("/healthz").status, 200);
    assert_eq!(idle.remove(0).rest(), b"");
    for client in &mut idle {
        client.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.receive(false).status, 200);
    }
    drop(idle);
    // Those whose request is long in coming make room as well.
    let half: Vec<Client> = (0..3 * CONNECTIONS_MAX)
        .map(|_| {
            let mut client = Client::connect(site.addr());
            client.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n");
            client
        })
        .collect();
    for _ in 0..10 {
        assert_eq!(site.get("/healthz").status, 200);
    }
    drop(half);
    // The places are free again once the server has seen that they are.
    let end = Instant::now() + PATIENCE;
    loop {
        let mut client = Client::connect(site.addr());
        client.try_send(b"GET /healthz HTTP/1.0\r\n\r\n");
        if client
            .try_receive(false)
            .is_some_and(|reply| reply.status == 200)
        {
            break;
        }
        assert!(Instant::now() < end);
    }
}

#[test]
fn the_source_is_asked_no_more_often_than_needed() {
    let site = Site::start(1);
    let start = Instant::now();
    let mut client = Client::connect(site.addr());
    for _ in 0..2000 {
        client.send(b"GET /api/streams HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.receive(false).status, 200);
    }
    let periods = start.elapsed().as_millis() / 100 + 1;
    let most = periods as usize + start.elapsed().as_secs() as usize + 2;
    let asked = site.fixture.asked.load(Ordering::Relaxed);
    assert!(asked <= most, "{asked} times, {most} were enough");
}

#[test]
fn a_client_that_takes_nothing_holds_up_nobody() {
    let site = Site::start(200);
    let mut client = Client::connect(site.addr());
    let request = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n".repeat(200);
    client.send(request.as_bytes());
    for _ in 0..20 {
        assert_eq!(get(site.addr(), "/api/streams").status, 200);
    }
}

#[test]
fn stopping_ends_everything_at_once() {
    let site = Site::start(0);
    let mut idle = Client::connect(site.addr());
    idle.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(idle.receive(false).status, 200);
    let mut busy = Client::connect(site.addr());
    busy.send(b"GET /heal");
    let addr = site.addr();
    let start = Instant::now();
    site.web.stop();
    assert!(
        start.elapsed() < Duration::from_millis(900),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(idle.rest(), b"");
    assert_eq!(busy.rest(), b"");
    let refused = std::net::TcpStream::connect(addr).map_err(|error| error.kind());
    assert_eq!(refused.err(), Some(ErrorKind::ConnectionRefused));
}

/// Bytes that are nearly requests, and bytes that are not at all.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => prop::sample::select(vec![
            "GET ", "HEAD ", "DELETE ", "/", "/metrics", "/api/streams/", "%2", " HTTP/1.1\r\n",
            "Host: a\r\n", "\r\n", "\n", ":", "Connection: close\r\n", "Content-Length: 3\r\n",
            "Transfer-Encoding: chunked\r\n", "Expect: 100-continue\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

#[test]
fn any_bytes_end_in_an_answer_or_a_close() {
    let site = Site::start(1);
    let config = ProptestConfig {
        cases: 300,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(bytes in bytes())| {
        let mut client = Client::connect(site.addr());
        client.try_send(&bytes);
        let _ = client.socket().shutdown(Shutdown::Write);
        let text = String::from_utf8_lossy(&client.rest()).into_owned();
        prop_assert!(text.is_empty() || text.starts_with("HTTP/1.1 "), "{}", text);
    });
    assert_eq!(site.get("/healthz").status, 200);
}
