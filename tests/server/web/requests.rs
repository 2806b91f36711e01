//! Requests that are no viewer's, and viewers who are not let in.

use super::{FlvViewer, send, start};
use crate::support::http::HttpReply;
use crate::support::{Client, TestServer, wait_until};
use std::io::Read;
use std::time::{Duration, Instant};

const CORS: [(&str, &str); 2] = [
    ("Access-Control-Allow-Origin", "https://a.example"),
    ("X-Content-Type-Options", "nosniff"),
];

/// A request, the status of its response, and the body.
type Row = (&'static str, u16, &'static str);

#[rustfmt::skip]
const REQUESTS: &[Row] = &[
    ("HEAD /live/cam.flv?token=s3cret HTTP/1.1", 200, ""),
    ("HEAD /live/none.flv?token=s3cret HTTP/1.1", 404, ""),
    ("HEAD /live/cam.flv HTTP/1.1", 403, ""),
    ("OPTIONS /live/cam.flv HTTP/1.1", 204, ""),
    ("OPTIONS * HTTP/1.1", 204, ""),
    ("POST /live/cam.flv?token=s3cret HTTP/1.1", 405, "method not allowed\n"),
    ("DELETE /live/cam HTTP/1.1", 405, "method not allowed\n"),
    ("GET /live/cam.flv HTTP/1.1", 403, "access denied\n"),
    ("GET /live/cam.flv?token=wrong HTTP/1.1", 403, "access denied\n"),
    ("GET /other/x.flv?token=s3cret HTTP/1.1", 403, "access denied\n"),
    ("GET /live/none.flv?token=s3cret HTTP/1.1", 404, "no such stream\n"),
    ("GET / HTTP/1.1", 404, "no such stream\n"),
    ("GET /favicon.ico HTTP/1.1", 404, "no such stream\n"),
    ("GET /robots.txt HTTP/1.1", 404, "no such stream\n"),
    ("GET /live/../x.flv HTTP/1.1", 400, "stream name has a segment . or ..\n"),
    ("GET /live/%0a.flv HTTP/1.1", 400, "stream name has a control character\n"),
    ("GET /live/x.flv HTTP/2.0", 505, "only HTTP/1.1 and HTTP/1.0 are spoken\n"),
    ("GET live HTTP/1.1", 400, "bad request target\n"),
];

#[test]
fn every_path_and_method_has_its_answer() {
    let server = start(
        "-wait-stream 0 -http-origin https://a.example -auth-mode token \
        -auth-token live/*=s3cret -auth-token other/x=t",
    );
    let mut publisher = Client::publishing(server.addr, "cam?token=s3cret");
    send(&mut publisher, &["V head 1 @0", "V key 1 @0"]);
    for (line, status, text) in REQUESTS {
        let request = format!("{line}\r\nHost: a\r\n\r\n");
        let reply = HttpReply::to(server.media_addr(), &request);
        assert_eq!(reply.status, *status, "{line}");
        for (name, value) in CORS {
            assert_eq!(reply.header(name), Some(value), "{line}");
        }
        match status {
            200 => {
                assert_eq!(reply.header("Content-Type"), Some("video/x-flv"));
                assert_eq!(reply.header("X-Accel-Buffering"), Some("no"));
            }
            204 => {
                let methods = Some("GET, HEAD, OPTIONS");
                assert_eq!(reply.header("Access-Control-Allow-Methods"), methods);
                assert_eq!(reply.header("Content-Length"), None);
            }
            _ => assert_eq!(reply.header("Cache-Control"), Some("no-store"), "{line}"),
        }
        assert_eq!(reply.text(), *text, "{line}");
    }
    let mut viewer = FlvViewer::playing(&server, "/live/cam.flv?token=s3cret");
    viewer.expect(&["V head 1 @0", "V key 1 @0"]);
}

#[test]
fn nothing_of_the_metrics_is_there() {
    let server = start("-wait-stream 0");
    for path in ["/metrics", "/healthz", "/debug/vars", "/api/streams"] {
        let reply = HttpReply::get(server.media_addr(), &format!("{path}.flv"));
        assert_eq!(reply.status, 404, "{path}");
    }
}

#[test]
fn a_stream_that_does_not_come_is_not_found_after_the_wait() {
    let server = start("-wait-stream 300ms");
    let began = Instant::now();
    let reply = HttpReply::get(server.media_addr(), "/live/none.flv");
    assert_eq!(reply.status, 404);
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(reply.text(), "no such stream\n");
    server.wait_for_count((0, 0, 0));
}

#[test]
fn a_head_that_is_too_long_is_refused() {
    let server = start("");
    let request = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(8 << 10));
    assert_eq!(HttpReply::to(server.media_addr(), &request).status, 431);
}

#[test]
fn a_request_that_does_not_come_ends_its_connection_in_time() {
    let server = start("");
    let began = Instant::now();
    let slow = ["", "GET /live/x.flv HT"].map(|text| {
        let addr = server.media_addr();
        std::thread::spawn(move || {
            let mut socket = std::net::TcpStream::connect(addr).expect("connect");
            std::io::Write::write_all(&mut socket, text.as_bytes()).expect("send");
            let mut reply = String::new();
            socket.read_to_string(&mut reply).expect("the end");
            reply
        })
    });
    let [nothing, half] = slow.map(|thread| thread.join().expect("a reply"));
    assert_eq!(nothing, "");
    assert!(half.starts_with("HTTP/1.1 408 "), "{half}");
    let took = began.elapsed().as_secs();
    assert!((9..14).contains(&took), "{took} s");
}

/// Connections by RTMP and HTTP are counted together.
#[test]
fn limits_hold_for_all_protocols_together() {
    for flags in ["-max-connections 3", "-max-connections-per-ip 3"] {
        let server = start(flags);
        let mut publisher = server.publisher("x");
        send(&mut publisher, &["V head 1 @0", "V key 1 @0"]);
        let _player = server.playing("x");
        let mut viewer = FlvViewer::playing(&server, "/live/x.flv");
        viewer.expect(&["V head 1 @0", "V key 1 @0"]);
        let refused = |server: &TestServer| {
            let reply = HttpReply::get(server.media_addr(), "/live/x.flv");
            (reply.status, reply.text())
        };
        assert_eq!(refused(&server), (503, "too many connections\n".to_owned()));
        let mut socket = std::net::TcpStream::connect(server.addr).expect("connect");
        let ended = socket.read(&mut [0]);
        assert!(matches!(ended, Ok(0) | Err(_)), "RTMP is refused as well");
        drop(viewer);
        wait_until("a place", || server.server().count().0 == 2);
        let mut viewer = FlvViewer::playing(&server, "/live/x.flv");
        viewer.expect(&["V head 1 @0", "V key 1 @0"]);
        let totals = server.server().snapshot().totals;
        assert_eq!(totals.connections_refused, 2, "{flags}");
    }
}
