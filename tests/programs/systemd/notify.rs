//! What the service tells systemd.

use super::service::Service;
use crate::support::process::fact;
use crate::support::{Client, PATIENCE};
use rtmp_server::sys;
use std::fs;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const FLAGS: &str = "-listen 127.0.0.1:0 -log-format json";

/// A socket to notify, and its name.
struct Systemd {
    socket: UnixDatagram,
    name: String,
}

impl Systemd {
    /// In the file system.
    fn at_path(test: &str) -> Systemd {
        let path = scratch(&format!("{test}.notify"));
        let socket = UnixDatagram::bind(&path).expect("bind");
        let name = path.to_string_lossy().into_owned();
        Systemd { socket, name }
    }

    /// Without a file.
    fn abstracted(test: &str) -> Systemd {
        let name = format!("rtmp-server-{test}-{}", std::process::id());
        let addr = UnixAddr::from_abstract_name(&name).expect("name");
        let socket = UnixDatagram::bind_addr(&addr).expect("bind");
        let name = format!("@{name}");
        Systemd { socket, name }
    }

    /// Starts a service that notifies it, from a shell that runs `before` first.
    fn start(&self, before: &str, flags: &str) -> Service {
        let before = format!("export NOTIFY_SOCKET={}\n{before}", self.name);
        Service::start(&before, None, &format!("{FLAGS} {flags}"))
    }

    /// What it is told next, if it is within `limit`.
    fn told_within(&self, limit: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(limit)).expect("timeout");
        let mut buffer = [0; 1024];
        match self.socket.recv(&mut buffer) {
            Ok(len) => Some(String::from_utf8_lossy(&buffer[..len]).into_owned()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("{}: {error}", self.name),
        }
    }

    fn told(&self) -> String {
        self.told_within(PATIENCE).expect("told")
    }
}

/// A file of this test run that is not there yet.
fn scratch(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("rtmp-server-{}-{name}", std::process::id()));
    // It may not be there.
    let _ = fs::remove_file(&path);
    path
}

fn addr(service: &Service) -> SocketAddr {
    let lines = service.lines_until("listening");
    let addr = lines.last().and_then(|line| fact(line, "addr"));
    addr.and_then(|addr| addr.parse().ok()).expect("address")
}

#[test]
fn the_life_of_a_service_is_told() {
    let rows = [
        ("life", Systemd::at_path("life")),
        ("life2", Systemd::abstracted("life2")),
    ];
    for (name, systemd) in rows {
        let tokens = scratch(&format!("{name}.json"));
        fs::write(&tokens, r#"{"live/*":"t"}"#).expect("write");
        let flags = format!("-auth-mode file -auth-file {}", tokens.display());
        let mut service = systemd.start("", &flags);
        assert_eq!(systemd.told(), "READY=1");
        assert_eq!(systemd.told(), "STATUS=0 streams, 0 viewers, 0 Mbit/s out");

        let addr = addr(&service);
        let _publisher = Client::publishing(addr, "x?token=t");
        assert_eq!(systemd.told(), "STATUS=1 streams, 0 viewers, 0 Mbit/s out");
        let _player = Client::playing(addr, "x?token=t");
        assert_eq!(systemd.told(), "STATUS=1 streams, 1 viewers, 0 Mbit/s out");

        // It says when it reads, and that it is done, whether that went well or not.
        for text in [r#"{"live/*":"u"}"#, "{"] {
            fs::write(&tokens, text).expect("write");
            let before = sys::monotonic().as_micros();
            service.signal("HUP");
            let told = systemd.told();
            let usec = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
            let usec = usec
                .and_then(|usec| usec.parse::<u128>().ok())
                .expect(&told);
            let range = before..=sys::monotonic().as_micros();
            assert!(range.contains(&usec), "{told}");
            assert_eq!(systemd.told(), "READY=1");
        }
        service.lines_until("cannot reload, the old state stays");

        service.signal("TERM");
        assert_eq!(systemd.told(), "STOPPING=1");
        drop((_publisher, _player));
        assert_eq!(service.wait(), Some(0));
        fs::remove_file(tokens).expect("remove");
        // The abstract one has no file.
        let _ = fs::remove_file(&systemd.name);
    }
}

/// A pipe in the place of a file: it is read when somebody writes, and not sooner.
fn put_pipe(path: &Path) {
    fs::remove_file(path).expect("remove");
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo");
    assert!(made.success());
}

/// Waits until somebody reads the pipe.
fn open_pipe(path: &Path) -> fs::File {
    fs::File::options().write(true).open(path).expect("open")
}

#[test]
fn a_stop_does_not_wait_for_what_is_read_again() {
    let rows = [
        ("tokens", "{}", "-auth-mode file -auth-file FILE"),
        (
            "secret",
            "0123456789abcdef0123",
            "-auth-mode signed -auth-secret @FILE",
        ),
        ("config", "grace 1s", "-config FILE"),
    ];
    for (name, text, flags) in rows {
        let path = scratch(&format!("{name}.slow"));
        fs::write(&path, text).expect("write");
        let systemd = Systemd::abstracted(&format!("slow-{name}"));
        let mut service = systemd.start("", &flags.replace("FILE", &path.to_string_lossy()));
        assert_eq!(systemd.told(), "READY=1");
        systemd.told();
        put_pipe(&path);
        service.signal("HUP");
        assert!(systemd.told().starts_with("RELOADING=1\n"), "{flags}");
        let pipe = open_pipe(&path);
        service.signal("TERM");
        assert_eq!(systemd.told(), "STOPPING=1", "{flags}");
        assert_eq!(service.wait(), Some(0), "{flags}");
        drop(pipe);
        fs::remove_file(path).expect("remove");
    }
}

#[test]
fn what_is_asked_for_while_files_are_read_is_done_once_more() {
    let path = scratch("again.slow");
    fs::write(&path, "{}").expect("write");
    let systemd = Systemd::abstracted("again");
    let flags = format!("-auth-mode file -auth-file {}", path.display());
    let service = systemd.start("", &flags);
    assert_eq!(systemd.told(), "READY=1");
    systemd.told();
    put_pipe(&path);
    service.signal("HUP");
    assert!(systemd.told().starts_with("RELOADING=1\n"));
    let mut pipe = open_pipe(&path);
    for _ in 0..3 {
        service.signal("HUP");
        service.signal("USR1");
        service.lines_until("asked clients to reconnect");
    }
    pipe.write_all(b"{}").expect("write");
    drop(pipe);
    assert_eq!(systemd.told(), "READY=1");
    assert!(systemd.told().starts_with("RELOADING=1\n"));
    open_pipe(&path).write_all(b"{}").expect("write");
    assert_eq!(systemd.told(), "READY=1");
    let more = systemd.told_within(Duration::from_millis(100));
    assert_eq!(more, None, "once for all");
    fs::remove_file(path).expect("remove");
}

#[test]
fn signs_of_life_come_twice_as_often_as_they_must() {
    let systemd = Systemd::abstracted("watchdog");
    let limit = Duration::from_secs(1);
    let service = systemd.start("export WATCHDOG_USEC=1000000 WATCHDOG_PID=$$", "");
    let sign = || while systemd.told() != "WATCHDOG=1" {};
    sign();
    for _ in 0..4 {
        let since = Instant::now();
        sign();
        let took = since.elapsed();
        assert!(took > limit * 2 / 5 && took < limit, "after {took:?}");
    }
    service.signal("STOP");
    while systemd.told_within(limit).is_some() {}
    service.signal("CONT");
    sign();
}

#[test]
fn signs_of_life_are_only_for_who_asked() {
    let rows = [
        ("", "no limit"),
        ("export WATCHDOG_USEC=100000 WATCHDOG_PID=1", "another's"),
        ("export WATCHDOG_USEC=x WATCHDOG_PID=$$", "no number"),
    ];
    for (before, what) in rows {
        let systemd = Systemd::abstracted("others");
        let _service = systemd.start(before, "");
        assert_eq!(systemd.told(), "READY=1", "{what}");
        assert_eq!(
            systemd.told(),
            "STATUS=0 streams, 0 viewers, 0 Mbit/s out",
            "{what}"
        );
        assert_eq!(
            systemd.told_within(Duration::from_millis(300)),
            None,
            "{what}"
        );
    }
}

#[test]
fn a_service_that_nobody_hears_serves_all_the_same() {
    let gone = scratch("gone.notify").to_string_lossy().into_owned();
    let rows = [
        ("", false, ""),
        ("export NOTIFY_SOCKET=", false, ""),
        (
            "export NOTIFY_SOCKET=vsock:2:1234",
            true,
            "cannot notify systemd",
        ),
        (
            &format!("export NOTIFY_SOCKET={gone}"),
            true,
            "cannot notify systemd",
        ),
    ];
    for (before, thread, words) in rows {
        let service = Service::start(before, None, FLAGS);
        let addr = addr(&service);
        let _publisher = Client::publishing(addr, "x");
        let mut lines = service.lines_until("publisher started");
        // Another thread warns, which may take its time.
        if !words.is_empty() && !lines.iter().any(|line| line.contains("systemd")) {
            lines.extend(service.lines_until("systemd"));
        }
        let warned = lines.iter().filter(|line| line.contains("systemd")).count();
        assert_eq!(
            warned,
            usize::from(!words.is_empty()),
            "{before}: {lines:?}"
        );
        let threads = service.threads();
        assert_eq!(
            threads.iter().any(|name| name == "systemd"),
            thread,
            "{before}: {threads:?}"
        );
    }
}
