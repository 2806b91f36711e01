//! Log lines in the journal.

use super::service::{Service, run};
use crate::support::wait_until;
use std::fs;
use std::path::PathBuf;

/// What the shell does so that standard output and standard error go to the file named last, which
/// is said to be the journal.
const TO_JOURNAL: &str = "export JOURNAL_STREAM=$(stat -c %d:%i $FILE); exec >$FILE 2>&1";

fn file(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("rtmp-server-{}-{name}", std::process::id()));
    fs::write(&path, "").expect("write");
    path
}

#[test]
fn lines_carry_their_priority_and_no_time() {
    let other = "export JOURNAL_STREAM=1:2; exec >$FILE 2>&1";
    let rows = [
        (TO_JOURNAL, "", "<6>listening addr=127.0.0.1:"),
        (
            TO_JOURNAL,
            "-log-format auto",
            "<6>listening addr=127.0.0.1:",
        ),
        (
            TO_JOURNAL,
            "-log-format text",
            "<6>listening addr=127.0.0.1:",
        ),
        (
            TO_JOURNAL,
            "-log-format json",
            "<6>{\"level\":\"info\",\"msg\":\"listening\",\"addr\":\"127.0.0.1:",
        ),
        (other, "", "{\"time\":\"2"),
        (other, "-log-format text", "2"),
        ("exec >$FILE", "", "{\"time\":\"2"),
    ];
    for (index, (before, flags, begins)) in rows.into_iter().enumerate() {
        let path = file(&format!("journal{index}"));
        let before = format!("FILE={}; {before}", path.display());
        let _service = Service::start(&before, None, &format!("-listen 127.0.0.1:0 {flags}"));
        let read = || fs::read_to_string(&path).expect("read");
        wait_until("a line", || read().contains('\n'));
        let text = read();
        assert!(text.starts_with(begins), "{before} {flags}: {text}");
        fs::remove_file(path).expect("remove");
    }
}

#[test]
fn priorities_are_those_of_the_levels() {
    let path = file("levels");
    let tokens = file("levels.json");
    fs::write(&tokens, "{}").expect("write");
    let before = format!("FILE={}; {TO_JOURNAL}", path.display());
    let flags = format!(
        "-listen 127.0.0.1:0 -log-level debug -auth-mode file -auth-file {}",
        tokens.display()
    );
    let service = Service::start(&before, None, &flags);
    let read = || fs::read_to_string(&path).expect("read");
    wait_until("the start", || read().contains("<6>listening"));
    fs::write(&tokens, "{").expect("write");
    service.signal("HUP");
    wait_until("a warning", || read().contains("\n<4>cannot reload"));
    // It connects and goes.
    let text = read();
    let addr = text
        .split("addr=")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    drop(std::net::TcpStream::connect(addr.expect("address")).expect("connect"));
    wait_until("detail", || read().contains("\n<7>connection accepted"));
    drop(service);
    fs::remove_file(path).expect("remove");
    fs::remove_file(tokens).expect("remove");
}

#[test]
fn a_failed_start_is_an_error_in_the_journal() {
    let path = file("failed");
    let before = format!("FILE={}; {TO_JOURNAL}", path.display());
    for (flags, code, begins) in [
        ("-nonsense", 2, "<3>rtmp-server: unknown flag"),
        ("-listen 192.0.2.1:1", 1, "<3>rtmp-server: cannot listen on"),
    ] {
        let output = run(&before, None, flags);
        let text = fs::read_to_string(&path).expect("read");
        assert_eq!(output.status.code(), Some(code));
        assert!(text.starts_with(begins), "{text}");
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    fs::remove_file(path).expect("remove");
}
