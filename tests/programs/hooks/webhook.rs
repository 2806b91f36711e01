//! Web services.

use super::{hooks, in_a_process, publish, within};
use crate::support::free_addr;
use crate::support::web_service::{Dir, Manner, WebService, wait_for};
use rtmp_server::hooks::{Event, EventKind};
use rtmp_server::json;
use std::fs::{self, File};
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

#[test]
fn web_services_are_told() {
    let slow = Duration::from_millis(1);
    let rows = [
        (Manner::Status(200), 0),
        (Manner::Status(204), 0),
        (Manner::Chunked(299), 0),
        (Manner::Slow(200, slow), 0),
        (Manner::Status(300), 1),
        (Manner::Status(404), 1),
        (Manner::Status(500), 1),
        (Manner::Hangs, 1),
        (Manner::Slow(200, Duration::from_millis(50)), 1),
        (Manner::Closes, 1),
        (Manner::Garbage, 1),
    ];
    for (manner, failed) in rows {
        let web = WebService::start(manner);
        let hooks = hooks(&[], &[("publish_start", &web.url("/hook?key=x"))], 400);
        hooks.fire(publish("live/cam"));
        hooks.fire(Event::new(EventKind::PublishStop));
        assert!(hooks.close(within(10)), "{manner:?}");
        assert_eq!(
            (hooks.totals().hook_events, hooks.totals().hook_failures),
            (1, failed),
            "{manner:?}"
        );
        let (head, body) = web.request();
        assert!(head.starts_with("POST /hook?key=x HTTP/1.1\r\n"), "{head}");
        assert!(
            head.contains("\r\nContent-Type: application/json"),
            "{head}"
        );
        let event = json::parse(body.as_bytes()).unwrap();
        assert_eq!(event.get("stream_key"), Some(&"live/cam".into()));
        assert!(web.requests.try_recv().is_err(), "one event, one request");
    }
}

#[test]
fn a_failed_web_hook_is_logged_without_its_secrets() {
    let web = WebService::start(Manner::Status(403));
    let place = web.addr;
    let url = format!("http://user:hunter2@{place}/hunter2?token=hunter2");
    let output = in_a_process("webhook", |command| _ = command.env("URL", &url));
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let want = format!("WARN  hook failed hook=http://{place} event=publish_start");
    assert!(output.contains(&want), "{output}");
    assert!(output.contains("error=\"answered 403\""), "{output}");
    assert!(!output.contains("hunter2"), "{output}");
    let (head, _) = web.request();
    assert!(
        head.contains("\r\nAuthorization: Basic dXNlcjpodW50ZXIy"),
        "{head}"
    );
}

/// Makes a key and a certificate for loopback; `None`: there is no openssl.
fn certificate(dir: &Dir) -> Option<()> {
    let made = Command::new("openssl")
        .current_dir(dir)
        .args("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1".split(' '))
        .args("-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem".split(' '))
        .stderr(Stdio::null())
        .status();
    made.is_ok_and(|status| status.success()).then_some(())
}

/// A server behind TLS for one connection, which is answered 200; its request goes to a file.
fn tls_server(dir: &Dir) -> (Child, u16) {
    let port = free_addr().port();
    let mut server = Command::new("openssl")
        .current_dir(dir)
        .args("s_server -quiet -naccept 1 -key key.pem -cert cert.pem -accept".split(' '))
        .arg(port.to_string())
        .stdin(Stdio::piped())
        .stdout(File::create(dir.path("request")).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    server.stdin.as_mut().unwrap().write_all(reply).unwrap();
    let listens = |table: &str| {
        let port = format!(":{port:04X} ");
        let mut lines = table.lines();
        lines.any(|line| line.contains(&port) && line.contains(" 0A "))
    };
    wait_for("the server listens", || {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
        let mut tables = tables.into_iter().flatten();
        tables.any(|table| listens(&table)).then_some(())
    });
    (server, port)
}

#[test]
fn web_services_behind_tls_are_told_by_curl() {
    let dir = Dir::new("tls");
    let curl = Command::new("curl").arg("--version").output();
    if curl.is_err() || certificate(&dir).is_none() {
        eprintln!("no curl or no openssl: nothing tested");
        return;
    }
    let tail = r#""conn_id":"c000001","stream_key":"live/cam"}"#;
    let rows = [
        (Some(dir.path("cert.pem")), "failed=0", tail),
        (None, "certificate not trusted", ""),
    ];
    for (trusted, want, request_end) in rows {
        let (mut server, port) = tls_server(&dir);
        let output = in_a_process("webhook", |command| {
            let url = format!("https://127.0.0.1:{port}/hook?token=hunter2");
            command.env("URL", url);
            trusted.map(|cert| command.env("CURL_CA_BUNDLE", cert));
        });
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.contains(want), "{output}");
        assert!(!output.contains("hunter2"), "{output}");
        wait_for("the server is done", || server.try_wait().unwrap());
        let request = dir.lines("request").join("\n");
        assert!(request.ends_with(request_end), "{request}");
        let head = "POST /hook?token=hunter2 HTTP/1.1";
        assert!(request.is_empty() == request_end.is_empty(), "{request}");
        assert!(request.is_empty() || request.starts_with(head), "{request}");
    }
}
