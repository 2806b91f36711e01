//! RTMPS for clients: HAProxy in front of the server, its certificates, its death and its end.
//!
//! haproxy and openssl come from `make tools`.

mod clients;
mod ends;
mod front;
mod replaced;
mod strangers;

use super::rtmps::terminator::{Dir, children, runs, signal};
use crate::support::process::{ServerProcess, fact};
use crate::support::{Client, wait_until};
use front::{Front, get, tls_state};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const BEGINNING: [&str; 2] = ["V head 1 @0", "V key 1 @0"];

#[test]
fn streams_come_and_go_over_tls() {
    let mut front = Front::start("streams", "-hook-stdio-format json");
    let mut publisher = front.client();
    let event = front.server.wait_for_line("\"type\":\"connection_accept\"");
    assert!(event.contains("\"tls\":true"), "{event}");
    publisher.publish("cam");
    publisher.client.send_media(&BEGINNING);
    let mut viewer = front.client();
    viewer.play("cam");
    viewer.client.expect(&BEGINNING);
    let mut plain = front.server.playing("cam");
    plain.expect(&BEGINNING);
    publisher.client.send_media(&["V inter 2 @40"]);
    viewer.client.expect(&["V inter 2 @40"]);
    plain.expect(&["V inter 2 @40"]);
    wait_until("the list", || {
        let list = get(front.web, "/api/connections");
        list.matches("\"tls\":true").count() == 2 && list.matches("\"tls\":false").count() == 1
    });
    // What only the program may know is in neither of these, and in no file.
    let helper = front.helper();
    for file in ["cmdline", "environ"] {
        let text = std::fs::read(format!("/proc/{helper}/{file}")).expect(file);
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(
            !text.contains("PRIVATE") && !text.contains("unique"),
            "{text}"
        );
    }
    signal("-TERM", front.server.pid());
    viewer.client.lines_until("end");
    front.server.wait_for_line("TLS has ended");
    assert_eq!(front.server.wait(), Some(0));
    assert!(!runs(helper));
}

#[test]
fn a_renewed_certificate_is_for_newcomers() {
    let front = Front::start("renewal", "");
    let mut publisher = front.client();
    publisher.publish("cam");
    publisher.client.send_media(&BEGINNING);
    let first = front.helper();
    assert!(front.shows("first") && !front.shows("second"));

    signal("-HUP", front.server.pid());
    front.server.wait_for_line("\"reloaded\"");
    assert_eq!(front.helper(), first, "nothing has changed");

    front.use_certificate("second");
    signal("-HUP", front.server.pid());
    front.server.wait_for_line("certificate renewed");
    front.server.wait_for_line("TLS helper follows");
    wait_until("the new certificate", || front.shows("second"));
    wait_until("the old one's end", || !front.shows("first"));
    publisher.client.send_media(&["V inter 2 @40"]);
    let mut viewer = front.client();
    viewer.play("cam");
    viewer.client.expect(&BEGINNING);
    viewer.client.expect(&["V inter 2 @40"]);
    publisher.client.send_media(&["V inter 3 @80"]);
    viewer.client.expect(&["V inter 3 @80"]);
    wait_until("its state", || {
        let status = get(front.web, "/api/status");
        tls_state(&status) == "running" && status.contains("\"draining\":1")
    });

    front.break_certificate();
    signal("-HUP", front.server.pid());
    let line = front.server.wait_for_line("cannot reload");
    assert!(line.contains("-tls-cert: haproxy says: "), "{line}");
    assert!(front.shows("second"), "the old one stays");
    publisher.client.send_media(&["V inter 4 @120"]);
    viewer.client.expect(&["V inter 4 @120"]);

    assert!(runs(first), "the publisher came through it");
    drop(publisher);
    wait_until("the end of the first", || !runs(first));
}

#[test]
fn connections_from_too_many_renewals_ago_end() {
    let front = Front::start("renewals", "");
    let mut publishers = Vec::new();
    for number in 0..9 {
        let mut publisher = front.client();
        publisher.publish(&format!("cam{number}"));
        publishers.push(publisher);
        assert_eq!(children(front.server.pid(), "haproxy").len(), number + 1);
        front.use_certificate(["second", "first"][number % 2]);
        signal("-HUP", front.server.pid());
        front.server.wait_for_line("TLS helper follows");
    }
    front
        .server
        .wait_for_line("TLS connections ended, too many renewals ago");
    publishers[0].client.lines_until("end");
    publishers[1].client.send_media(&BEGINNING);
    let mut viewer = front.server.playing("cam1");
    viewer.expect(&BEGINNING);
    wait_until("eight from before, and the one that accepts", || {
        children(front.server.pid(), "haproxy").len() == 9
    });
}

#[test]
fn a_helper_that_dies_is_followed_by_another() {
    let front = Front::start("deaths", "-merge 0");
    let mut publisher = front.server.publisher("cam");
    publisher.send_media(&BEGINNING);
    let mut plain = front.server.playing("cam");
    plain.expect(&BEGINNING);
    let mut viewer = front.client();
    viewer.play("cam");
    viewer.client.expect(&BEGINNING);
    for (index, pause) in ["1", "2"].into_iter().enumerate() {
        let helper = front.helper();
        let killed = Instant::now();
        signal("-KILL", helper);
        viewer.client.lines_until("end");
        let line = front.server.wait_for_line("TLS helper ended");
        assert_eq!(fact(&line, "restart_in_sec"), Some(pause), "{line}");
        assert!(line.contains("SIGKILL"), "{line}");
        wait_until("its state", || {
            let status = get(front.web, "/api/status");
            tls_state(&status) == "waiting" && status.contains("SIGKILL")
        });
        let time = format!("V inter 2 @{}", 40 + index);
        publisher.send_media(&[&time]);
        plain.expect(&[&time]);
        // Who comes now waits, and is served.
        viewer = front.client();
        assert!(killed.elapsed() > Duration::from_secs(1));
        viewer.play("cam");
        viewer.client.expect(&BEGINNING);
    }
    wait_until("the metrics", || {
        let metrics = get(front.web, "/metrics");
        let want = ["rtmp_tls_helper_restarts_total 2", "rtmp_tls_helper_up 1"];
        want.iter()
            .all(|want| metrics.contains(&format!("\n{want}\n")))
    });
}

#[test]
fn nothing_is_left_of_a_killed_server() {
    let front = Front::start("killed", "");
    let mut publisher = front.client();
    publisher.publish("cam");
    let first = front.helper();
    front.use_certificate("second");
    signal("-HUP", front.server.pid());
    front.server.wait_for_line("TLS helper follows");
    wait_until("both", || {
        children(front.server.pid(), "haproxy").len() == 2
    });
    let helpers = children(front.server.pid(), "haproxy");
    assert!(helpers.contains(&first));
    signal("-KILL", front.server.pid());
    wait_until("the end of both", || !helpers.iter().any(|pid| runs(*pid)));
}

/// Others on the machine can connect where the program hands connections on to.
#[test]
fn nobody_else_speaks_for_clients() {
    let front = Front::start("strangers", "");
    let helper = front.helper();
    let files = std::fs::read_dir(format!("/proc/{helper}/fd")).expect("its files");
    let texts = files.flatten().filter_map(|file| {
        let link = std::fs::read_link(file.path()).ok()?;
        let ours = link.to_string_lossy().contains("memfd:haproxy.cfg");
        ours.then(|| std::fs::read_to_string(file.path()).ok())?
    });
    let config = texts.last().expect("the configuration");
    let (_, rest) = config.split_once("server rtmp ").expect("the server");
    let inner: SocketAddr = rest.split(' ').next().unwrap().parse().expect("an address");
    let header = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 1935\r\n";
    let tls = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc0\0\x02\x01\x12\x67\x07\x8f";
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    for header in [&header[..], tls, local] {
        let mut socket = TcpStream::connect(inner).expect("connect");
        socket.write_all(header).expect("the header");
        assert!(matches!(socket.read(&mut [0]), Ok(0) | Err(_)));
        let line = front.server.wait_for_line("PROXY header refused");
        assert_eq!(fact(&line, "error"), Some("not from the TLS helper"));
    }
}

#[test]
fn strangers_to_tls_do_no_harm() {
    let front = Front::start("noise", "-log-level debug");
    for bytes in [
        &b""[..],
        b"\x03",
        b"GET / HTTP/1.1\r\n\r\n",
        &[0x16, 3, 1, 0xff, 0xff],
    ] {
        let mut socket = TcpStream::connect(front.tls).expect("connect");
        socket.write_all(bytes).expect("some bytes");
    }
    let line = front.server.wait_for_line("SSL handshake");
    assert_eq!(fact(&line, "level"), Some("debug"), "{line}");
    let mut publisher = front.client();
    publisher.publish("cam");
    wait_until("one connection, only after TLS", || {
        get(front.web, "/metrics").contains("\nrtmp_connections_total 1\n")
    });
}

/// Flags that are refused, and how the line begins that says why; nothing: they are not.
const REFUSED: &[(&str, &str)] = &[
    (
        "-tls-cert good.pem -tls-key good.key",
        "-tls-cert needs -tls-listen, or a passed socket named rtmps",
    ),
    (
        "-tls-listen :0 -tls-cert none -tls-key good.key",
        "-tls-cert: cannot read \"none\": No such file",
    ),
    (
        "-tls-listen :0 -tls-cert long -tls-key good.key",
        "-tls-cert: cannot read \"long\": longer than 1048576 bytes",
    ),
    (
        "-tls-listen :0 -tls-cert good.pem -tls-key none",
        "-tls-key: cannot read \"none\": No such file",
    ),
    (
        "-tls-listen :0 -tls-cert junk -tls-key good.key",
        "-tls-cert: haproxy says: unable to load certificate",
    ),
    (
        "-tls-listen :0 -tls-cert good.pem -tls-key junk",
        "-tls-cert: haproxy says: ",
    ),
    (
        "-tls-listen :0 -tls-cert good.pem -tls-key other.key",
        "-tls-cert: haproxy says: ",
    ),
    (
        "-tls-listen :0 -tls-cert good.pem -tls-key good.key -check",
        "",
    ),
];

#[test]
fn what_cannot_be_served_is_refused_at_the_start() {
    let dir = Dir::new("refused");
    dir.authority("ca");
    dir.certificate("good", "ca", "DNS:localhost", 2);
    dir.certificate("other", "ca", "DNS:localhost", 2);
    std::fs::write(dir.path("junk"), "junk\n").expect("a file");
    std::fs::write(dir.path("long"), [b'\n'; (1 << 20) + 1]).expect("a file");
    let sbin = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    let run = |path: &str, flags: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rtmp-server"));
        command
            .args(["-listen", "127.0.0.1:0"])
            .args(flags.split_whitespace());
        let command = command.current_dir(dir.path("")).env("PATH", path);
        let output = command.stdin(Stdio::null()).output().expect("it runs");
        let told = String::from_utf8(output.stderr).expect("text");
        let told = told.trim_start_matches("rtmp-server: ").to_owned();
        (output.status.code(), told)
    };
    for (flags, want) in REFUSED {
        let (code, told) = run(&sbin, flags);
        assert!(told.starts_with(want), "{flags}: {told}");
        assert!(!told.contains("/proc/"), "{flags}: {told}");
        let want_code = if want.is_empty() { 0 } else { 2 };
        assert_eq!(code, Some(want_code), "{flags}: {told}");
        assert!(told.lines().count() < 2, "{flags}: {told}");
    }
    let (code, told) = run(
        "/nowhere",
        "-tls-listen :0 -tls-cert good.pem -tls-key good.key",
    );
    assert!(
        told.contains("haproxy, which is not on PATH: install the package haproxy"),
        "{told}"
    );
    assert_eq!(code, Some(2));
}
