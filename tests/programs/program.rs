//! The program: its exit codes, its signals, what it prints.

use crate::support::process::ServerProcess;
use crate::support::{Client, wait_until};
use rtmp_server::amf0::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn run(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rtmp-server"))
        .args(args)
        .output()
        .expect("it runs")
}

#[test]
fn help_and_version_are_printed_and_all_is_well() {
    for (args, begins) in [
        (["-help"], "Usage: rtmp-server"),
        (["-version"], "rtmp-server 0."),
        (["-h"], "Usage"),
    ] {
        let output = run(&args);
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(
            String::from_utf8_lossy(&output.stdout).starts_with(begins),
            "{args:?}"
        );
        assert!(output.stderr.is_empty(), "{args:?}");
    }
}

#[test]
fn what_cannot_be_is_one_line_on_standard_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("an address").to_string();
    let rows: [(&[&str], i32, &str); 7] = [
        (&["-nonsense"], 2, "unknown flag -nonsense"),
        (&["-chunk-size", "1"], 2, "-chunk-size"),
        (&["-relay-to", "x"], 2, "-relay-to: URL must begin"),
        (
            &["-api-token", "s3cret"],
            2,
            "-api-token needs -metrics-addr",
        ),
        (&["-tls-cert", "x"], 2, "-tls-cert needs -tls-key"),
        (&["-listen", &addr], 1, "cannot listen on"),
        (
            &["-auth-mode", "file", "-auth-file", "/nonexistent"],
            2,
            "-auth-file: cannot read /nonexistent",
        ),
    ];
    for (args, code, words) in rows {
        let output = run(args);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains(words), "{text}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

fn signal(server: &ServerProcess, name: &str) {
    let status = Command::new("kill")
        .args([&format!("-{name}"), &server.pid().to_string()])
        .status();
    assert!(status.expect("kill").success());
}

#[test]
fn a_stop_is_clean_and_its_code_says_so() {
    let mut server = ServerProcess::start("");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let mut viewer = server.playing("x");
    viewer.expect(&["V head 1 @0", "V key 1 @0"]);
    signal(&server, "TERM");
    viewer.expect(&["eof 1", "status@1 NetStream.Play.UnpublishNotify"]);
    viewer.lines_until("end");
    drop((publisher, viewer));
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_stop_that_takes_too_long_is_forced_and_its_code_says_so() {
    let mut server = ServerProcess::start("-shutdown-timeout 300ms");
    let _publisher = server.publisher("x");
    let began = Instant::now();
    signal(&server, "INT");
    assert_eq!(server.wait(), Some(1));
    assert!(
        began.elapsed() < Duration::from_millis(1500),
        "took {:?}",
        began.elapsed()
    );
}

/// A listener that answers nobody: one connection waits to be accepted, and there is room for no
/// other.
fn full() -> (TcpListener, TcpStream, SocketAddr) {
    let listener = rtmp_server::net::bind("127.0.0.1:0", 0).expect("a port");
    let addr = listener.local_addr().expect("an address");
    let first = TcpStream::connect(addr).expect("connect");
    (listener, first, addr)
}

#[test]
fn a_stop_does_not_wait_for_another_server_to_answer() {
    let (_listener, _first, addr) = full();
    let rows = [
        format!("-relay-to rtmp://{addr}/live"),
        format!("-pull live/y=rtmp://{addr}/live/y"),
    ];
    for flags in rows {
        let mut server = ServerProcess::start(&flags);
        let publisher = server.publisher("x");
        // Now it dials: nothing is logged of that.
        wait_until("a dial", || dials(server.pid(), addr));
        drop(publisher);
        let began = Instant::now();
        signal(&server, "TERM");
        assert_eq!(server.wait(), Some(0), "{flags}");
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{flags}: took {:?}",
            began.elapsed()
        );
    }
}

/// Whether a process is connecting to `addr`.
fn dials(pid: u32, addr: SocketAddr) -> bool {
    let sockets = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).expect("sockets");
    // The port as it stands there, and the state "SYN sent".
    let wanted = format!(":{:04X} 02 ", addr.port());
    sockets.lines().any(|line| line.contains(&wanted))
}

#[test]
fn who_asks_twice_does_not_wait() {
    let mut server = ServerProcess::start("-shutdown-timeout 60s");
    let _publisher = server.publisher("x");
    let began = Instant::now();
    signal(&server, "TERM");
    server.wait_for_line("stopping");
    signal(&server, "TERM");
    assert_eq!(server.wait(), Some(1));
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "took {:?}",
        began.elapsed()
    );
}

#[test]
fn who_asks_twice_leaves_no_program_behind() {
    let dir = std::env::temp_dir().join(format!("rtmp-server-twice-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    // Each is a group of two that do not obey, and says who they are.
    let program = |name: &str| {
        let path = dir.join(name);
        let text = format!(
            "#!/bin/sh\ntrap '' TERM\nsleep 600 &\necho $$ $! > {0}.new\nmv {0}.new {0}.pids\nwait\nsleep 600\n",
            path.display()
        );
        std::fs::write(&path, text).expect("write");
        path
    };
    let (child, hook) = (program("child"), program("hook"));
    let mut server = ServerProcess::start(&format!(
        "-shutdown-timeout 60s -run-on-publish 'sh {}' -hook-script publish_start={}",
        child.display(),
        hook.display()
    ));
    let _publisher = server.publisher("x");
    let pids = [child, hook].map(|path| {
        let path = path.with_extension("pids");
        wait_until("programs", || path.exists());
        std::fs::read_to_string(path).expect("numbers")
    });
    let began = Instant::now();
    signal(&server, "TERM");
    server.wait_for_line("stopping");
    signal(&server, "TERM");
    assert_eq!(server.wait(), Some(1));
    assert!(began.elapsed() < Duration::from_secs(1));
    let runs = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    wait_until("the end of all programs", || {
        !pids
            .iter()
            .flat_map(|pids| pids.split_whitespace())
            .any(runs)
    });
    std::fs::remove_dir_all(dir).expect("remove");
}

#[test]
fn what_programs_write_is_logged_without_secrets() {
    let server = ServerProcess::start(
        "-run-on-publish 'echo cannot open rtmp://u:s3cret@h/app/s3cret?t=s3cret; sleep 60'",
    );
    let _publisher = server.publisher("x");
    let line = server.wait_for_line("hook output");
    assert!(
        line.contains("cannot open rtmp://***@h/app/***?***"),
        "{line}"
    );
}

#[test]
fn a_hangup_signal_reads_the_tokens_again() {
    let path = std::env::temp_dir().join(format!("rtmp-server-tokens-{}.json", std::process::id()));
    std::fs::write(&path, r#"{"live/x":"old"}"#).expect("write");
    let server = ServerProcess::start(&format!("-auth-mode file -auth-file {}", path.display()));
    let answer = |name: &str| {
        let mut client = Client::connected(server.addr);
        client.call(1, "publish", 0.0, vec![Value::text(name)]);
        client.next_line()
    };
    let denied = "error@1 NetStream.Publish.Denied";
    assert_eq!(
        [answer("x?token=old"), answer("x?token=new")],
        ["begin 1", denied]
    );
    std::fs::write(&path, r#"{"live/x":{"publish":"new","play":"see"}}"#).expect("write");
    signal(&server, "HUP");
    let line = server.wait_for_line("reloaded");
    assert!(line.contains("auth-file"), "{line}");
    assert_eq!(
        [
            answer("x?token=old"),
            answer("x?token=new"),
            answer("x?token=see")
        ],
        [denied, "begin 1", denied]
    );
    std::fs::write(&path, "{").expect("write");
    signal(&server, "HUP");
    let line = server.wait_for_line("cannot reload");
    assert!(!line.contains("new"), "{line}");
    assert_eq!(
        [answer("x?token=old"), answer("x?token=new")],
        [denied, "begin 1"]
    );
    std::fs::remove_file(&path).expect("remove");
}

/// A server whose file of tokens is a pipe: it hangs whenever it reads them, until somebody writes.
fn start_with_pipe(name: &str) -> (PathBuf, Child) {
    let path = std::env::temp_dir().join(format!("rtmp-server-{name}-{}", std::process::id()));
    let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo");
    assert!(made.success());
    let child = Command::new(env!("CARGO_BIN_EXE_rtmp-server"))
        .args(["-listen", "127.0.0.1:0", "-auth-mode", "file", "-auth-file"])
        .arg(&path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it runs");
    (path, child)
}

/// Waits until somebody reads the pipe.
fn open_pipe(path: &Path) -> File {
    File::options().write(true).open(path).expect("open")
}

fn kill(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args([name, &pid]).status();
    assert!(sent.expect("kill").success());
}

#[test]
fn signals_before_it_is_up_are_obeyed_when_it_is() {
    let (path, mut child) = start_with_pipe("early");
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut lines = stdout.lines().map_while(Result::ok);
    let mut pipe = open_pipe(&path);
    for name in ["-USR1", "-HUP"] {
        kill(&child, name);
    }
    pipe.write_all(b"{}").expect("write");
    drop(pipe);
    assert!(lines.any(|line| line.contains("listening")));
    open_pipe(&path).write_all(b"{}").expect("write");
    // Two threads may take the two signals at the same time.
    let mut next = || lines.next().expect("a line");
    let obeyed = [next(), next()].concat();
    let phrases = ["\"reloaded\"", "asked clients"];
    assert!(phrases.iter().all(|it| obeyed.contains(it)), "{obeyed}");
    kill(&child, "-TERM");
    let rest: Vec<String> = lines.filter(|line| !line.contains("stop step")).collect();
    assert_eq!(child.wait().expect("wait").code(), Some(0), "{rest:?}");
    assert_eq!(rest.len(), 2, "{rest:?}");
    std::fs::remove_file(&path).expect("remove");
}

#[test]
fn a_stop_before_it_is_up_is_obeyed_when_it_is() {
    let (path, mut child) = start_with_pipe("early-stop");
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut pipe = open_pipe(&path);
    kill(&child, "-TERM");
    pipe.write_all(b"{}").expect("write");
    drop(pipe);
    let lines: Vec<String> = stdout.lines().map_while(Result::ok).collect();
    assert_eq!(child.wait().expect("wait").code(), Some(0), "{lines:?}");
    let last = lines.last().is_some_and(|line| line.contains("stopped"));
    assert!(last, "{lines:?}");
    std::fs::remove_file(&path).expect("remove");
}

#[test]
fn who_asks_twice_does_not_wait_for_a_start_either() {
    let (path, mut child) = start_with_pipe("hung");
    let _pipe = open_pipe(&path);
    wait_until("the end", || {
        kill(&child, "-TERM");
        child.try_wait().expect("wait").is_some()
    });
    assert_eq!(child.wait().expect("wait").code(), Some(1));
    std::fs::remove_file(&path).expect("remove");
}

#[test]
fn clients_that_can_are_asked_to_reconnect_on_a_signal() {
    let server = ServerProcess::start("-reconnect-url rtmp://b.example/live");
    let mut client = server.client();
    client.connect_with("live", 1);
    client.call(0, "settle", 9.0, vec![]);
    client.expect(&["_error 9"]);
    signal(&server, "USR1");
    client.expect(&["status@0 NetConnection.Connect.ReconnectRequest"]);
}

#[test]
fn a_deviation_that_is_tolerated_is_logged() {
    let server = ServerProcess::start("");
    let mut client = server.client();
    // A pong with a header of format 1, as librtmp opens the control chunk stream.
    client.send_bytes(&[0x42, 0, 0, 0, 0, 0, 6, 4, 0, 7, 0, 0, 0, 9]);
    client.connect("live");
    client.vanish();
    server.wait_for_line("peer deviated from the specification");
    wait_until("the end", || server.threads() < 8);
}

#[test]
fn a_viewer_that_just_goes_is_no_failure() {
    let server = ServerProcess::start("-merge 0");
    let mut publisher = server.publisher("x");
    let viewer = server.playing("x");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    publisher.call(0, "settle", 9.0, vec![]);
    publisher.expect(&["_error 9"]);
    // Closing with something unread resets the connection.
    drop(viewer);
    let line = server.wait_for_line("\"connection ");
    assert!(
        line.contains("connection closed") && line.contains("peer reset the connection"),
        "{line}"
    );
}

#[test]
fn addresses_of_both_families_are_shown_as_they_are() {
    let server = ServerProcess::start("-listen :0");
    let line = server.wait_for_line("listening");
    let port = line
        .rsplit(':')
        .next()
        .and_then(|rest| rest.split('"').next())
        .and_then(|port| port.parse().ok());
    let port: u16 = port.unwrap_or_else(|| panic!("{line}"));
    let _client = Client::connected(([127, 0, 0, 1], port).into());
    let line = server.wait_for_line("client connected");
    assert!(line.contains("\"peer_addr\":\"127.0.0.1:"), "{line}");
}

/// Signals that a parent ignores or blocks stay so in its children.
#[test]
fn signals_that_were_ignored_or_blocked_do_their_work() {
    let script = std::env::temp_dir().join(format!("rtmp-server-hook-{}", std::process::id()));
    std::fs::write(&script, "exit 0\n").expect("write");
    let flags = format!(
        "-log-level debug -hook-script publish_start={}",
        script.display()
    );
    let wrapper =
        "env --ignore-signal=CHLD --ignore-signal=PIPE --block-signal=TERM --block-signal=CHLD";
    let mut server = ServerProcess::start_as("umask 0", wrapper, &flags);
    let publisher = server.publisher("x");
    let line = server.wait_for_line("hook ");
    assert!(line.contains("\"hook done\""), "{line}");
    drop(publisher);
    signal(&server, "TERM");
    assert_eq!(server.wait(), Some(0));
    std::fs::remove_file(&script).expect("remove");
}
