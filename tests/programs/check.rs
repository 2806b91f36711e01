//! `-check`, and what a start says of a configuration that is wrong on this machine.

use crate::support::web_service::Dir;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

/// Runs the program with a configuration file of this text, called `F` in what comes of it; `DIR` is its
/// directory.
fn run(dir: &Dir, text: &str, flags: &str) -> (Option<i32>, Vec<String>) {
    let here = dir.as_ref().display().to_string();
    let path = dir.write("f", &text.replace("DIR", &here));
    let args = flags.replace("DIR", &here);
    let program = env!("CARGO_BIN_EXE_rtmp-server");
    let mut command = Command::new(program);
    command
        .args(["-config", &path])
        .args(args.split_whitespace());
    let Output {
        status,
        stdout,
        stderr,
    } = command.stdin(Stdio::null()).output().expect("it runs");
    assert!(stdout.is_empty(), "{text}");
    let told = String::from_utf8(stderr).expect("text");
    let told = told.replace(&path, "F").replace(&here, "DIR");
    let lines = told
        .lines()
        .map(|line| line.trim_start_matches("rtmp-server: ").to_owned());
    (status.code(), lines.collect())
}

#[track_caller]
fn assert_told(dir: &Dir, text: &str, flags: &str, want: &[&str]) {
    let (code, told) = run(dir, text, flags);
    let want_code = if want.is_empty() { 0 } else { 2 };
    assert_eq!(code, Some(want_code), "{text:?} {flags}: {told:#?}");
    assert_eq!(told.len(), want.len(), "{text:?} {flags}: {told:#?}");
    for (told, want) in told.iter().zip(want) {
        assert!(told.starts_with(want), "{text:?} {flags}: {told}");
    }
}

#[test]
fn a_check_tells_everything_that_is_wrong() {
    let dir = Dir::new("check");
    dir.write("tokens", r#"{"live/x":"old"}"#);
    dir.write("broken", r#"{"live/x":"hunter2"#);
    dir.write("twice", "{\"live/x\":\"old\",\n\"live/x\":\"new\"}");
    dir.write("script", "exit 0\n");
    #[rustfmt::skip]
    let rows: [(&str, &str, &[&str]); 18] = [
        ("", "", &[]),
        ("auth-mode file\nauth-file DIR/tokens\nhook-script publish_start=DIR/script", "", &[]),
        ("record-all yes\nrecord-dir DIR/a/b/c", "", &[]),
        ("record-all yes\nrecord-dir new", "", &[]),
        ("auth-mode file\nauth-file DIR/none", "", &["F:2: -auth-file: cannot read DIR/none: No such file"]),
        ("auth-mode file\nauth-file DIR/broken", "", &["F:2: -auth-file: tokens: "]),
        ("auth-mode file\nauth-file DIR/twice", "", &["F:2: -auth-file: tokens: line 2: name is there twice"]),
        ("auth-mode token\nauth-token a=b\nauth-token a*c=d\nauth-token ../x=d", "",
            &["F:3: -auth-token: tokens: entry a*c", "F:4: -auth-token: tokens: entry ../x"]),
        ("", "-auth-mode callback -auth-callback ftp://h/", &["-auth-callback: callback: "]),
        ("hook-webhook publish_start=http://h/\nhook-webhook publish_stop=ftp://u:hunter2@h/", "",
            &["F:2: -hook-webhook: web hook for publish_stop: "]),
        ("\nhook-script publish_start=DIR/none", "", &["F:2: -hook-script: publish_start: cannot find \"DIR/none\": No such file"]),
        ("hook-script publish_start=DIR", "", &["F:1: -hook-script: publish_start: \"DIR\" is not a file"]),
        ("record-all yes\nrecord-dir DIR/script/x", "", &["F:2: -record-dir: cannot write to \"DIR/script/x\": "]),
        ("record-all yes", "-record-dir /dev/null", &["-record-dir: cannot write to \"/dev/null\""]),
        ("record-all yes", "-record-dir /proc/x", &["-record-dir: cannot write to \"/proc/x\": "]),
        ("listen :1\nlisten 127.0.0.1:1\nhttp-listen :2", "-metrics-addr :1", &["-metrics-addr \":1\": -listen has this address already"]),
        ("listen :0\nlisten :0\nhttp-listen :0\nmetrics-addr :0", "", &[]),
        // What is wrong with flags is told together with what is wrong on the machine.
        ("grace 5\nhook-script play_start=DIR/none\nmerge x", "-listen 1",
            &["-listen \"1\"", "F:1: -grace", "F:2: -hook-script", "F:3: -merge"]),
    ];
    for (text, flags, want) in rows {
        assert_told(&dir, text, &format!("{flags} -check"), want);
    }
    let (_, told) = run(
        &dir,
        "auth-mode file\nauth-file DIR/broken\nhook-webhook play_start=ftp://u:hunter2@h/",
        "-check",
    );
    assert!(
        told.len() == 2 && !told.concat().contains("hunter2"),
        "{told:?}"
    );
}

#[test]
fn a_check_opens_nothing() {
    let dir = Dir::new("check-opens");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("an address");
    let text = format!(
        "listen {addr}\nrecord-all yes\nrecord-dir DIR/records\nrelay-to rtmp://{addr}/live"
    );
    assert_told(&dir, &text, "-check", &[]);
    assert!(!dir.as_ref().join("records").exists());
    taken.set_nonblocking(true).expect("nonblocking");
    assert!(taken.accept().is_err(), "nobody has connected");
}

/// Where there is no curl.
#[test]
fn a_check_looks_for_the_programs_that_are_needed() {
    let dir = Dir::new("check-programs");
    let path = dir.write(
        "f",
        "auth-mode callback\nauth-callback https://h/\nhook-webhook play_start=https://h/",
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_rtmp-server"));
    let output = command
        .args(["-check", "-config", &path])
        .env("PATH", "/nowhere")
        .output();
    let told = String::from_utf8(output.expect("it runs").stderr).expect("text");
    let told: Vec<&str> = told.lines().collect();
    let wanted = [":2: -auth-callback: ", ":3: -hook-webhook: "];
    let all = told
        .iter()
        .zip(wanted)
        .all(|(line, want)| line.contains(want) && line.contains("curl"));
    assert!(all && told.len() == 2, "{told:#?}");
}

#[test]
fn a_start_with_a_wrong_configuration_exits_with_2() {
    let dir = Dir::new("check-start");
    #[rustfmt::skip]
    let rows: [(&str, &[&str]); 4] = [
        ("auth-mode file\nauth-file DIR/none", &["F:2: -auth-file: cannot read DIR/none"]),
        ("auth-mode token\nauth-token a*c=d", &["F:2: -auth-token: tokens: entry a*c"]),
        ("\nhook-webhook publish_start=ftp://h/", &["F:2: -hook-webhook: web hook for publish_start: "]),
        ("hook-webhook play_start=ftp://h/\nauth-mode callback\nauth-callback x", &["F:1: -hook-webhook", "F:3: -auth-callback"]),
    ];
    for (text, want) in rows {
        assert_told(&dir, text, "-listen 127.0.0.1:0", want);
    }
}
