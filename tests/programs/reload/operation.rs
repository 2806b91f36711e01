//! How the server is run: its log, its HTTP server, what it tells clients.

use super::{Changing, Row, see};
use crate::support::{describe, media};
use std::time::{Duration, Instant};

/// The lines of the log about a connection that comes and goes.
fn lines_of_a_connection(it: &Changing) -> String {
    let mut client = it.server.connected();
    client.call(0, "settle", 9.0, vec![]);
    client.expect(&["_error 9"]);
    drop(client);
    it.server.lines_until("\"connection closed").concat()
}

#[test]
fn how_it_is_run_changes_at_once() {
    #[rustfmt::skip]
    let rows: &[Row] = &[
        ("log-level", "", "log-level debug", |it, after| {
            assert_eq!(lines_of_a_connection(it).contains("\"debug\""), after);
        }),
        ("grace", "", "grace 0", |it, after| {
            let publisher = it.server.publisher("graced");
            let mut viewer = it.server.playing("graced");
            publisher.vanish();
            let line = viewer.next_line();
            assert_eq!(line.starts_with("dry"), !after, "{line}");
        }),
        ("http-host", "", "http-host media.example", |it, after| {
            let found = it.request("GET /healthz", "Host: media.example").starts_with("HTTP/1.1 200");
            assert_eq!(found, after);
        }),
        ("http-origin", "http-origin https://a.example", "http-origin https://b.example", |it, after| {
            let response = it.request_at(it.media, "GET /", "Host: localhost");
            let origin = if after { "https://b.example" } else { "https://a.example" };
            let header = format!("\r\nAccess-Control-Allow-Origin: {origin}\r\n");
            assert!(response.contains(&header), "{response}");
        }),
        ("api-token", "", "api-token s3cret", |it, after| {
            let request = "Host: localhost\r\nAuthorization: Bearer s3cret";
            let found = it.request("DELETE /api/connections/c999999", request);
            assert_eq!(found.starts_with("HTTP/1.1 404"), after, "{found}");
        }),
        ("reconnect-url", "reconnect-url rtmp://a.example/live", "reconnect-url rtmp://b.example/live", |it, after| {
            let mut client = it.server.client();
            client.connect_with("live", 1);
            client.call(0, "settle", 9.0, vec![]);
            client.expect(&["_error 9"]);
            it.shell.run(&format!("kill -USR1 {}", it.server.pid()));
            let message = client.receive().expect("a message");
            let text = String::from_utf8_lossy(&message.payload).into_owned();
            assert!(describe(&message).contains("ReconnectRequest"), "{text}");
            assert!(text.contains(if after { "b.example" } else { "a.example" }), "{text}");
        }),
        ("tracks", "", "tracks all", |it, after| {
            let mut publisher = it.server.publisher("tracks");
            let mut viewer = it.server.playing("tracks");
            let second = b"\x96\x00avc1\x01second";
            publisher.send_media(&["V head 1 @0"]);
            let mut message = media("V head 1 @0");
            message.payload = (&second[..]).into();
            publisher.send(&message);
            publisher.send_media(&["V key 1 @0"]);
            let lines = viewer.lines_until("V key 1 @0");
            assert_eq!(lines.len(), if after { 3 } else { 2 }, "{lines:?}");
        }),
    ];
    see(rows);
}

#[test]
fn a_secret_in_a_file_may_change_while_the_file_stays() {
    let it = Changing::start("");
    it.dir.write("token", "one\n");
    it.change("api-token @DIR/token");
    let may = |token: &str| {
        let headers = format!("Host: localhost\r\nAuthorization: Bearer {token}");
        let response = it.request("DELETE /api/connections/c999999", &headers);
        response.starts_with("HTTP/1.1 404")
    };
    assert_eq!([may("one"), may("two")], [true, false]);
    it.dir.write("token", "two\n");
    assert_eq!(it.change("api-token @DIR/token"), "api-token");
    assert_eq!([may("one"), may("two")], [false, true]);
}

#[test]
fn the_time_for_a_stop_changes() {
    let mut it = Changing::start("shutdown-timeout 60s");
    it.change("shutdown-timeout 100ms");
    let began = Instant::now();
    it.shell.run(&format!("kill -TERM {}", it.server.pid()));
    // Clients that do not close their connections hold it up.
    assert_eq!(it.server.wait(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(5));
}
