//! Requests and responses.

use super::client::{Client, ask};
use super::fixture::keys;
use super::{Site, fixture::Fixture};
use rtmp_server::admin::{Access, AdminServer, AdminSource};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Method, target, status, and how the media type begins.
const REQUESTS: &[(&str, &str, u16, &str)] = &[
    ("GET", "/", 200, "text/html"),
    ("GET", "/?x=y", 200, "text/html"),
    ("GET", "/healthz", 200, "text/plain"),
    ("GET", "/metrics", 200, "text/plain; version=0.0.4"),
    ("GET", "/debug/vars", 200, "application/json"),
    ("GET", "/api/status", 200, "application/json"),
    ("GET", "/api/streams", 200, "application/json"),
    ("GET", "/api/connections", 200, "application/json"),
    ("GET", "/api/streams/live/cam00", 200, "application/json"),
    (
        "GET",
        "/api/streams/live%2Fcam00?x",
        200,
        "application/json",
    ),
    (
        "GET",
        "/api/streams/%6cive/cam0%30",
        200,
        "application/json",
    ),
    ("GET", "/api/connections/c000001", 200, "application/json"),
    ("GET", "http://x.example/healthz", 200, "text/plain"),
    ("GET", "/api/streams/live/cam", 404, "application/json"),
    ("GET", "/api/streams/live/cam00/", 404, "application/json"),
    (
        "GET",
        "/api/streams/live%252Fcam00",
        404,
        "application/json",
    ),
    ("GET", "/api/streams/", 404, "application/json"),
    ("GET", "/api/connections/c999999", 404, "application/json"),
    ("GET", "/api", 404, "application/json"),
    ("GET", "/favicon.ico", 404, "application/json"),
    ("GET", "/../Cargo.toml", 404, "application/json"),
    ("GET", "/%2e%2e/Cargo.toml", 404, "application/json"),
    ("GET", "/..%2f..%2fetc/passwd", 404, "application/json"),
    ("GET", "//etc/passwd", 404, "application/json"),
    ("GET", "/healthz/../metrics", 404, "application/json"),
    ("GET", "/healthz%00", 404, "application/json"),
    ("GET", "etc", 400, "application/json"),
    ("POST", "/", 405, "application/json"),
    ("PUT", "/metrics", 405, "application/json"),
    ("DELETE", "/api/streams", 405, "application/json"),
    ("PATCH", "/api/streams/live/cam00", 405, "application/json"),
    (
        "OPTIONS",
        "/api/connections/c000001",
        405,
        "application/json",
    ),
    ("TRACE", "/", 405, "application/json"),
    ("BREW", "/nowhere", 404, "application/json"),
];

#[test]
fn requests_are_answered() {
    let site = Site::start(4);
    let mut kept = Client::connect(site.addr());
    for (method, target, status, kind) in REQUESTS {
        let request = format!("{method} {target} HTTP/1.1\r\nHost: x.example\r\n\r\n");
        let reply = ask(site.addr(), &request);
        assert_eq!(reply.status, *status, "{method} {target}");
        let found = reply.header("Content-Type").expect("a media type");
        assert!(found.starts_with(kind), "{method} {target}: {found}");
        assert_eq!(reply.header("Cache-Control"), Some("no-store"));
        assert_eq!(reply.header("X-Content-Type-Options"), Some("nosniff"));
        assert!(
            reply
                .header("Date")
                .is_some_and(|date| date.ends_with(" GMT"))
        );
        let lasts = if *status == 400 {
            "close"
        } else {
            "keep-alive"
        };
        assert_eq!(reply.header("Connection"), Some(lasts), "{target}");
        if *status >= 400 {
            assert!(reply.body.starts_with("{\"error\":\""), "{}", reply.body);
            assert!(!reply.body.contains(target.trim_start_matches('/')) || target.len() < 4);
        }
        if *status != 400 {
            kept.send(request.as_bytes());
            assert_eq!(kept.receive(false).status, *status, "kept: {target}");
        }
    }
}

#[test]
fn what_is_allowed_is_said() {
    let site = Site::start(1);
    for (target, want) in [
        ("/", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
        ("/api/streams", "GET, HEAD"),
        ("/api/streams/live/cam00", "GET, HEAD, DELETE"),
        ("/api/connections/c000001", "GET, HEAD, DELETE"),
    ] {
        let reply = ask(site.addr(), &format!("POST {target} HTTP/1.0\r\n\r\n"));
        assert_eq!(reply.header("Allow"), Some(want), "{target}");
    }
}

#[test]
fn head_is_get_without_the_body() {
    let site = Site::start(2);
    let mut client = Client::connect(site.addr());
    for target in [
        "/",
        "/healthz",
        "/debug/vars",
        "/metrics",
        "/nowhere",
        "/api/streams",
    ] {
        let mut replies = ["GET", "HEAD"].map(|method| {
            client.send(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
            client.receive(method == "HEAD")
        });
        assert!(!replies[0].body.is_empty(), "{target}");
        for reply in &mut replies {
            reply.body.clear();
            reply.headers.retain(|(name, _)| name != "Date");
        }
        assert_eq!(replies[0], replies[1], "{target}");
    }
}

#[test]
fn connections_last_as_long_as_both_want() {
    let rows = [
        ("HTTP/1.1\r\nHost: a\r\n", true),
        ("HTTP/1.1\r\nHost: a\r\nConnection: close\r\n", false),
        ("HTTP/1.0\r\n", false),
        ("HTTP/1.0\r\nConnection: keep-alive\r\n", true),
    ];
    let site = Site::start(0);
    for (head, lasts) in rows {
        let mut client = Client::connect(site.addr());
        for _ in 0..if lasts { 50 } else { 1 } {
            client.send(format!("GET /healthz {head}\r\n").as_bytes());
            let reply = client.receive(false);
            assert_eq!(reply.body, "ok\n");
            let want = if lasts { "keep-alive" } else { "close" };
            assert_eq!(reply.header("Connection"), Some(want), "{head}");
        }
        if !lasts {
            assert_eq!(client.rest(), b"", "{head}");
        }
    }
}

#[test]
fn requests_may_come_all_at_once_or_byte_by_byte() {
    let site = Site::start(1);
    let one = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let two = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let three = "HEAD /api/streams HTTP/1.1\r\nHost: a\r\n\r\n";
    let last = "GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let all = [one, two, three, last].concat();
    for at in 0..=all.len() {
        let mut client = Client::connect(site.addr());
        client.send(&all.as_bytes()[..at]);
        // What is whole by then is answered before anything else comes.
        let whole = [one.len(), two.len(), three.len(), last.len()];
        let mut end = 0;
        let mut statuses = Vec::new();
        for (index, len) in whole.into_iter().enumerate() {
            end += len;
            if end <= at {
                statuses.push(client.receive(index == 2).status);
            }
        }
        client.send(&all.as_bytes()[at..]);
        for index in statuses.len()..4 {
            statuses.push(client.receive(index == 2).status);
        }
        assert_eq!(statuses, [200, 405, 200, 404], "cut at {at}");
        assert_eq!(client.rest(), b"");
    }
    let mut client = Client::connect(site.addr());
    for byte in all.as_bytes() {
        client.send(&[*byte]);
    }
    let statuses = [false, false, true, false].map(|head| client.receive(head).status);
    assert_eq!(statuses, [200, 405, 200, 404]);
}

#[test]
fn who_waits_for_a_word_is_answered_without_the_body() {
    let site = Site::start(0);
    let mut client = Client::connect(site.addr());
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n");
    let reply = client.receive(false);
    assert_eq!(reply.status, 405);
    assert_eq!(reply.header("Connection"), Some("close"));
}

#[test]
fn only_who_may_ends_streams_and_connections() {
    let odd = "/api/streams/live%2Fd%3Cimg%20src%3Dx%20onerror%3Ddocument.title%3D'hit'%3E";
    let rows: [(&str, &str, u16); 14] = [
        ("/api/streams/live/cam00", "Host: localhost", 200),
        ("/api/streams/live%2Fcam00", "Host: 127.0.0.1:1", 200),
        (odd, "Host: 127.0.0.1", 200),
        ("/api/connections/c000001", "Host: localhost", 200),
        (
            "/api/connections/c000001",
            "Host: a\r\nAuthorization: Bearer s3cret",
            200,
        ),
        ("/api/connections/c000001", "Host: a", 403),
        (
            "/api/connections/c000001",
            "Host: localhost\r\nOrigin: http://a",
            403,
        ),
        (
            "/api/connections/c000001",
            "Host: localhost\r\nOrigin: http://localhost",
            200,
        ),
        (
            "/api/connections/c000001",
            "Host: localhost\r\nVia: 1.1 a",
            403,
        ),
        (
            "/api/streams/live/cam00",
            "Host: localhost\r\nAuthorization: Bearer other",
            403,
        ),
        ("/api/streams/live/cam", "Host: localhost", 404),
        ("/api/streams/live/cam", "Host: a", 403),
        ("/api/connections/", "Host: localhost", 404),
        ("/api/connections", "Host: localhost", 405),
    ];
    let site = Site::start(4);
    let mut want = Vec::new();
    for (path, headers, status) in rows {
        let request = format!("DELETE {path} HTTP/1.1\r\n{headers}\r\n\r\n");
        let reply = ask(site.addr(), &request);
        assert_eq!(reply.status, status, "{path} {headers}: {}", reply.body);
        assert!(!reply.body.contains("s3cret"));
        if status == 200 {
            want.push(match path.contains("connections") {
                true => "c000001".to_owned(),
                false if path == odd => keys(4)[1].clone(),
                false => "live/cam00".to_owned(),
            });
        }
        assert_eq!(
            *site.fixture.hung_up.lock().unwrap(),
            want,
            "{path} {headers}"
        );
    }
    assert!(!format!("{:?}", site.web).contains("s3cret"));
}

#[test]
fn other_machines_need_the_token() {
    // An address of this machine that is not loopback, as another machine would see it.
    let probe = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
    let away = probe
        .connect("192.0.2.1:9")
        .and_then(|()| probe.local_addr());
    let Ok(away) = away.map(|addr| addr.ip()) else {
        // Without any other address there is no other machine either: only loopback is left.
        return;
    };
    let site = Fixture::new(super::fixture::busy(1));
    let site = Arc::new(site);
    for (token, bearer, want) in [
        (None, "", 403),
        (None, "Authorization: Bearer s3cret\r\n", 403),
        (Some("s3cret"), "", 403),
        (Some("s3cret"), "Authorization: Bearer s3cre\r\n", 403),
        (Some("s3cret"), "Authorization: Bearer s3cret\r\n", 200),
    ] {
        let access = Access {
            token: token.map(str::to_owned),
            ..Access::default()
        };
        let web =
            AdminServer::start(&format!("{away}:0"), access, site.clone()).expect("the server");
        web.open();
        let host = web.addr();
        let request =
            format!("DELETE /api/connections/c000001 HTTP/1.1\r\nHost: {host}\r\n{bearer}\r\n");
        assert_eq!(ask(host, &request).status, want, "{bearer}");
    }
}

#[test]
fn only_requests_for_this_server_are_answered() {
    let site = Site::start(1);
    let port = site.addr().port();
    for (host, want) in [
        (format!("127.0.0.1:{port}"), 200),
        ("localhost".to_owned(), 200),
        ("X.example".to_owned(), 200),
        ("evil.example".to_owned(), 421),
        (format!("evil.example:{port}"), 421),
        ("192.0.2.1".to_owned(), 421),
        ("[::1]".to_owned(), 421),
    ] {
        for request in [
            "GET /api/connections",
            "HEAD /",
            "GET /nowhere",
            "DELETE /api/streams/x",
        ] {
            let request = format!("{request} HTTP/1.0\r\nHost: {host}\r\n\r\n");
            let mut client = Client::connect(site.addr());
            client.send(request.as_bytes());
            let status = client.receive(request.starts_with("HEAD")).status;
            assert_eq!(status == 421, want == 421, "{status} for {request}");
        }
    }
}

#[test]
fn health_says_when_the_server_is_stopping() {
    let site = Site::start(0);
    let reply = site.get("/healthz");
    assert_eq!((reply.status, reply.body.as_str()), (200, "ok\n"));
    site.fixture.stopping.store(true, Ordering::Relaxed);
    let reply = site.get("/healthz");
    assert_eq!((reply.status, reply.body.as_str()), (503, "stopping\n"));
    assert!(site.get("/api/status").body.contains("\"stopping\":true"));
}

#[test]
fn an_address_that_cannot_be_had_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let addr = taken.local_addr().expect("an address").to_string();
    let source: Arc<dyn AdminSource> = Arc::new(Fixture::default());
    for addr in [addr.as_str(), "192.0.2.1:80"] {
        let error =
            AdminServer::start(addr, Access::default(), source.clone()).expect_err("refused");
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot listen on {addr}: ")),
            "{error}"
        );
    }
    let web =
        AdminServer::serve(taken, Access::default(), source).expect("a listener that is there");
    web.open();
    assert_eq!(ask(web.addr(), "GET /healthz HTTP/1.0\r\n\r\n").status, 200);
}
