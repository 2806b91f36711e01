//! The page that plays a stream, as it is served.

use super::admin::client;
use crate::support::TestServer;
use crate::support::page::check_alone;

/// It is sent to phones, so that it stays small.
const PAGE_LEN_MAX: usize = 30_000;

fn site(flags: &str) -> (TestServer, std::net::SocketAddr) {
    let server = TestServer::start(&format!("-http-listen 127.0.0.1:0 {flags}"));
    let addr = server.server().media_addrs()[0];
    (server, addr)
}

#[test]
fn the_player_page_needs_nothing_else_and_may_do_nothing_else() {
    let (_server, addr) = site("");
    let reply = client::get(addr, "/live/cam");
    let page = &reply.body;
    assert_eq!(
        (reply.status, reply.header("Content-Type")),
        (200, Some("text/html; charset=utf-8"))
    );
    assert!(page.len() < PAGE_LEN_MAX, "{} bytes", page.len());
    assert!(!page.contains("style="));
    let policy = reply.header("Content-Security-Policy").expect("a policy");
    check_alone(page, policy);
    // A token in its address is told to nobody.
    assert_eq!(reply.header("Referrer-Policy"), Some("no-referrer"));
}

#[test]
fn the_status_page_is_told_where_the_player_is() {
    let (server, addr) = site("");
    assert_eq!(server.server().snapshot().http_listening, [addr]);
}

#[test]
fn the_player_page_tells_nothing_of_a_stream() {
    let (server, addr) = site("-auth-mode token -auth-token live/cam=s3cret");
    let page = client::get(addr, "/live/nothing");
    let mut publisher = crate::support::Client::connected(server.addr);
    publisher.call(
        1,
        "publish",
        0.0,
        vec![rtmp_server::amf0::Value::text("cam?token=s3cret")],
    );
    publisher.expect(&["begin 1"]);
    for path in [
        "/live/cam",
        "/live/cam/",
        "/live/cam?token=wrong",
        "/cam",
        "/a/b/c%20d",
    ] {
        assert_eq!(client::get(addr, path).body, page.body, "{path}");
    }
    for path in ["/", "/favicon.ico", "/robots.txt"] {
        assert_eq!(client::get(addr, path).status, 404, "{path}");
    }
    assert_eq!(client::get(addr, "/live/..").status, 400);
}
