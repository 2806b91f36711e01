//! RTMPS to and from other servers: certificates, failures, and the programs that speak TLS.
//!
//! haproxy and openssl come from `make tools`.

pub(super) mod terminator;

use crate::support::other_server::redirecting;
use crate::support::process::{ServerProcess, fact};
use crate::support::{TestServer, free_addr, media, wait_until};
use rtmp_server::rtmp::Message;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};
use terminator::{Shows, Terminator, openssls, runs, signal};

const BEGINNING: [&str; 2] = ["V head 1 @0", "V key 1 @0"];

/// A picture of this many bytes, all of them the same.
fn filled(byte: u8, len: usize) -> Message {
    let mut message = media("V inter 2 @40");
    message.payload = [&[0x27, 1, 0, 0, 0][..], &vec![byte; len]].concat().into();
    message
}

#[test]
fn a_stream_goes_out_and_comes_in_over_tls() {
    let far = TestServer::start("");
    let tls = Terminator::start("both-ways", Shows::Good, far.addr);
    let port = tls.port();
    let mut near = ServerProcess::start_with(
        &format!("{}\nexport OTHER=s3cret", tls.trusted()),
        &format!(
            "-merge 0 -relay-to 'live/cam=rtmps://localhost:{port}/app/s3cret?key=s3cret' \
             -pull 'live/back=rtmps://127.0.0.1:{port}/live/origin?s3cret'"
        ),
    );
    let mut publisher = near.publisher("cam");
    publisher.send_media(&BEGINNING);
    near.wait_for_line("relay started");
    let mut viewer = crate::support::Client::shake_hands(far.addr);
    viewer.connect("app");
    viewer.create_stream();
    viewer.call(
        1,
        "play",
        0.0,
        vec![rtmp_server::amf0::Value::text("s3cret")],
    );
    viewer.expect(&["begin 1", "status@1 NetStream.Play.Start"]);
    viewer.expect(&BEGINNING);
    // Many writes begin with each of these letters, which are commands of the program by default.
    for byte in *b"QRK" {
        let message = filled(byte, 1 << 20);
        publisher.send(&message);
        let got = viewer.receive().expect("a picture");
        assert!(got.payload == message.payload, "{}", char::from(byte));
    }
    let mut origin = far.publisher("origin");
    origin.send_media(&BEGINNING);
    near.wait_for_line("pull started");
    let mut watching = near.playing("back");
    watching.expect(&BEGINNING);
    origin.send_media(&["V inter 2 @40"]);
    watching.expect(&["V inter 2 @40"]);
    let helpers = openssls(near.pid());
    assert_eq!(helpers.len(), 2);
    for pid in helpers {
        for file in ["cmdline", "environ"] {
            let text = std::fs::read(format!("/proc/{pid}/{file}")).expect(file);
            let text = String::from_utf8_lossy(&text).into_owned();
            assert!(!text.contains("s3cret"), "{file}: {text}");
        }
    }
    signal("-TERM", near.pid());
    for line in near.lines_until("\"stopped\"") {
        assert!(!line.contains("s3cret"), "{line}");
    }
    assert_eq!(near.wait(), Some(0));
}

#[test]
fn what_is_wrong_with_a_server_is_said() {
    let far = TestServer::start("");
    let shows = [
        (
            Shows::OtherHost,
            "localhost",
            "certificate is for another host",
        ),
        (
            Shows::OtherHost,
            "127.0.0.1",
            "certificate is for another host",
        ),
        (Shows::Expired, "localhost", "certificate has expired"),
        (Shows::SelfSigned, "localhost", "certificate is self-signed"),
        (
            Shows::UnknownAuthority,
            "localhost",
            "certificate is from an unknown authority",
        ),
    ];
    for (index, (shows, host, want)) in shows.into_iter().enumerate() {
        let tls = Terminator::start(&format!("fault-{index}"), shows, far.addr);
        let url = format!("rtmps://{host}:{}", tls.port());
        check_fault(&tls.trusted(), &url, "handshake", want);
    }
    let talks = TcpListener::bind("127.0.0.1:0").expect("a port");
    let http = talks.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut socket in talks.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut socket, b"HTTP/1.1 400 Bad Request\r\n\r\n");
            let _ = std::io::Read::read(&mut socket, &mut [0; 1024]);
        }
    });
    let nobody = free_addr();
    let rows = [
        (
            format!("rtmps://{}", far.addr),
            "handshake",
            "server closed in the TLS handshake; it may not speak TLS on this port",
        ),
        (
            format!("rtmps://{http}"),
            "handshake",
            "server does not speak TLS on this port",
        ),
        (
            format!("rtmps://{nobody}"),
            "io",
            "cannot connect: Connection refused (os error 111)",
        ),
        (
            "rtmps://host.invalid".to_owned(),
            "io",
            "cannot look up host: ",
        ),
    ];
    for (url, layer, want) in rows {
        check_fault("", &url, layer, want);
    }
}

/// A relay to `url` and a pull from there fail, and say that.
fn check_fault(before: &str, url: &str, layer: &str, want: &str) {
    let flags =
        format!("-relay-to '{url}/live/s3cret?s3cret' -pull 'x/y={url}/live/s3cret?s3cret'");
    let near = ServerProcess::start_with(before, &flags);
    let check = |line: &str| {
        let error = fact(line, "error").expect("an error");
        assert!(error.starts_with(want), "{url}: {line}");
        assert_eq!(fact(line, "layer"), Some(layer), "{url}: {line}");
        assert!(!line.contains("s3cret"), "{line}");
    };
    check(&near.wait_for_line("pull failed"));
    let _publisher = near.publisher("cam");
    check(&near.wait_for_line("relay failed"));
}

#[test]
fn a_destination_is_found_again_after_each_failure() {
    let far = TestServer::start("");
    let mut tls = Terminator::start("again", Shows::Good, far.addr);
    let url = format!("rtmps://localhost:{}/copy", tls.port());
    let near = ServerProcess::start_with(&tls.trusted(), &format!("-relay-to {url}"));
    let mut publisher = near.publisher("cam");
    publisher.send_media(&BEGINNING);
    near.wait_for_line("relay started");
    signal("-KILL", openssls(near.pid())[0]);
    let line = near.wait_for_line("relay failed");
    assert!(line.contains("openssl was ended: signal: 9"), "{line}");
    near.wait_for_line("relay started");
    tls.end();
    let line = near.wait_for_line("relay failed");
    assert!(line.contains("server closed"), "{line}");
    tls.begin();
    near.wait_for_line("relay started");
    wait_until("the last program alone", || openssls(near.pid()).len() == 1);
}

#[test]
fn a_relay_is_sent_on_to_tls() {
    let far = TestServer::start("");
    let tls = Terminator::start("redirects", Shows::Good, far.addr);
    let port = tls.port();
    let to_tls = redirecting(|_| format!("rtmps://localhost:{port}/app1?t=s3cret"));
    let from = format!("rtmp://{to_tls}/live");
    let near = ServerProcess::start_with(&tls.trusted(), &format!("-relay-to {from}"));
    let mut publisher = near.publisher("cam");
    publisher.send_media(&BEGINNING);
    let line = near.wait_for_line("relay redirected");
    let to = format!("rtmps://localhost:{port}/app1");
    assert_eq!(fact(&line, "to"), Some(&*to), "{line}");
    assert_eq!(fact(&line, "destination"), Some(&*from), "{line}");
    near.wait_for_line("relay started");
    wait_until("the stream under its new name", || {
        let streams = far.server().snapshot().streams;
        streams.iter().any(|stream| stream.key == "app1/cam")
    });
    assert_eq!(openssls(near.pid()).len(), 1);
}

/// The key would go on in clear.
#[test]
fn nobody_is_sent_away_from_tls() {
    let far = TestServer::start("");
    let behind = redirecting(|_| format!("rtmp://{}/app?t=s3cret", far.addr));
    let tls = Terminator::start("away", Shows::Good, behind);
    let url = format!("rtmps://localhost:{}", tls.port());
    let want =
        "server sends us elsewhere: from rtmps:// to rtmp://, where its key would be sent in clear";
    check_fault(&tls.trusted(), &url, "protocol", want);
    let first = redirecting(|_| format!("{url}/live"));
    check_fault(&tls.trusted(), &format!("rtmp://{first}"), "protocol", want);
    assert_eq!(far.server().count().0, 0, "nobody came");
}

#[test]
fn nothing_outlives_the_server() {
    let far = TestServer::start("");
    let tls = Terminator::start("outlive", Shows::Good, far.addr);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = (silent.local_addr().expect("an address"), silent);
    for name in ["-TERM", "-KILL"] {
        let mut flags = String::new();
        for index in 0..20 {
            flags += &format!(" -relay-to rtmps://localhost:{}/app{index}", tls.port());
        }
        // It waits for an answer in the TLS handshake, and does not look at its input.
        flags += &format!(" -relay-to rtmps://{}/app", silent.0);
        let mut near = ServerProcess::start_with(&tls.trusted(), &flags);
        let mut publisher = near.publisher("cam");
        publisher.send_media(&BEGINNING);
        for _ in 0..20 {
            near.wait_for_line("relay started");
        }
        let helpers = openssls(near.pid());
        assert_eq!(helpers.len(), 21);
        let began = Instant::now();
        signal(name, near.pid());
        let code = near.wait();
        assert_eq!(code, (name == "-TERM").then_some(0), "{name}");
        assert!(began.elapsed() < Duration::from_secs(3), "{name}");
        wait_until("the end of all programs", || {
            !helpers.iter().any(|pid| runs(*pid))
        });
    }
    drop(silent);
}

#[test]
fn a_destination_behind_tls_that_stops_reading_holds_up_nobody() {
    let far = TestServer::start("");
    let tls = Terminator::start("stalls", Shows::Good, far.addr);
    let url = format!("rtmps://localhost:{}/copy", tls.port());
    let flags = format!("-merge 0 -shutdown-timeout 1s -relay-to {url}");
    let mut near = ServerProcess::start_with(&tls.trusted(), &flags);
    let mut publisher = near.publisher("cam");
    publisher.send_media(&BEGINNING);
    near.wait_for_line("relay started");
    signal("-STOP", tls.pid());
    let mut watching = near.playing("cam");
    watching.expect(&BEGINNING);
    let big = filled(7, 1 << 20);
    let began = Instant::now();
    for _ in 0..40 {
        publisher.send(&big);
        let got = watching.receive().expect("a picture");
        assert!(got.payload == big.payload);
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{began:?}");
    signal("-CONT", tls.pid());
    // It goes on with the first keyframe for which there is room again.
    for number in 0..20 {
        let key = format!("V key 3 @{}", 80 + number);
        publisher.send_media(&[&key]);
        watching.expect(&[&key]);
        std::thread::sleep(Duration::from_millis(50));
    }
    let line = near.wait_for_line("viewer was too slow");
    assert!(line.contains("relay to rtmps://localhost"), "{line}");
    // It takes nothing of what is to come at the end either.
    signal("-STOP", tls.pid());
    for _ in 0..10 {
        publisher.send(&big);
        watching.receive().expect("a picture");
    }
    drop((publisher, watching));
    signal("-TERM", near.pid());
    let line = near.wait_for_line("did not take the rest");
    assert!(line.contains("\"relay cut off"), "{line}");
    let rest = near.lines_until("\"stopped");
    assert_eq!(near.wait(), Some(0), "{rest:?}");
}

#[test]
fn without_the_program_it_does_not_start() {
    for flags in [
        "-relay-to rtmps://u.invalid/app/s3cret",
        "-pull live/cam=rtmps://u.invalid/app/s3cret",
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rtmp-server"));
        let command = command.args(flags.split_whitespace());
        let command = command
            .args(["-listen", "127.0.0.1:0"])
            .env("PATH", "/nowhere");
        let output = command.output().expect("it runs");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        let want =
            "rtmps:// needs the program openssl, which is not on PATH: install the package openssl";
        assert!(text.contains(want) && !text.contains("s3cret"), "{text}");
    }
}
