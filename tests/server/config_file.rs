//! The configuration file: what may be in it, what it means beside the command line, and what is said of
//! its faults.

use crate::support::process::ServerProcess;
use crate::support::web_service::Dir;
use proptest::prelude::*;
use rtmp_server::args::{Auth, CONFIG_LEN_MAX, Config, FAULTS_MAX, Invocation, help, parse};
use std::collections::HashSet;
use std::fs;
use std::process::{Command, Stdio};

/// Reads a file of this text with these flags beside it. Faults come without the directory of the file,
/// which is called `f` in them.
fn read(text: impl AsRef<[u8]>, line: &str) -> Result<Config, String> {
    let dir = Dir::new("config");
    let path = dir.write("f", "");
    fs::write(&path, text).expect("write");
    let line = line.replace("@DIR", path.trim_end_matches("/f"));
    let args = ["-config", &path]
        .into_iter()
        .chain(line.split_whitespace());
    match parse(args.map(str::to_owned)) {
        Ok(Invocation::Run(config)) => Ok(*config),
        Ok(other) => panic!("{other:?}"),
        Err(faults) => Err(faults.to_string().replace(&path, "f")),
    }
}

#[test]
fn a_file_means_what_the_command_line_would() {
    #[rustfmt::skip]
    let rows = [
        // file, command line, the same as a command line alone
        ("", "", ""),
        ("\n# listen :1\n  # grace 1s\n\t\n", "", ""),
        ("listen :1", "", "-listen :1"),
        ("listen :1\r\ngrace 1s\r\n", "", "-listen :1 -grace 1s"),
        ("\u{feff}grace 1s\n", "", "-grace 1s"),
        ("  grace \t 1s \n", "", "-grace 1s"),
        ("grace 1s\ngrace 2s", "", "-grace 2s"),
        ("grace 1s", "-grace 2s", "-grace 2s"),
        ("listen :1\nlisten :2", "-listen :3", "-listen :1 -listen :2 -listen :3"),
        ("pull x=rtmp://h/a/b\npull-on-demand", "", "-pull x=rtmp://h/a/b -pull-on-demand"),
        ("pull x=rtmp://h/a/b\npull-on-demand no", "", "-pull x=rtmp://h/a/b"),
        ("pull x=rtmp://h/a/b\npull-on-demand", "-pull-on-demand=no", "-pull x=rtmp://h/a/b"),
        ("auth-token x=y", "-auth-mode token", "-auth-mode token -auth-token x=y"),
        ("auth-mode token", "-auth-token x=y", "-auth-mode token -auth-token x=y"),
        ("relay-to rtmp://h/a?k=1", "-relay-to rtmp://h/a?k=2", "-relay-to rtmp://h/a?k=1 -relay-to rtmp://h/a?k=2"),
        ("record-all 1\nsegment-pattern %s#%d\nsegment-duration 5s", "", "-record-all 1 -segment-pattern %s#%d -segment-duration 5s"),
    ];
    for (text, line, want) in rows {
        let args = want.split_whitespace().map(str::to_owned);
        let Ok(Invocation::Run(want)) = parse(args) else {
            panic!("{want}")
        };
        assert_eq!(read(text, line), Ok(*want), "{text:?} {line}");
    }
}

/// The file that the README shows.
#[test]
fn the_readme_shows_a_file_that_can_be_read() {
    let readme = include_str!("../../README.md");
    let (_, chapter) = readme
        .split_once("\n## Settings in a file\n")
        .expect("the chapter");
    let (chapter, _) = chapter.split_once("\n## ").expect("the next chapter");
    let lines = chapter
        .lines()
        .map(|line| (line, line.strip_prefix("    ")));
    let mut shown = lines.skip_while(|(_, shown)| shown.is_none_or(|line| !line.starts_with('#')));
    let shown = shown
        .by_ref()
        .take_while(|(line, shown)| line.is_empty() || shown.is_some());
    let text: Vec<&str> = shown.map(|(_, shown)| shown.unwrap_or_default()).collect();
    let config = read(text.join("\n"), "").expect("a configuration");
    assert_eq!(
        (config.relay_to.len(), config.listen.len()),
        (2, 1),
        "{text:#?}"
    );
    assert!(matches!(config.auth, Auth::Token(_)) && config.record.is_some());
}

#[test]
fn a_value_is_the_rest_of_the_line() {
    let text =
        "run-on-publish  ffmpeg -i \"$1\" '#x' # y = z \t \nrecord-all 1\nrecord-dir my files";
    let config = read(text, "").expect("a configuration");
    let command = config.run_on_publish.as_deref();
    assert_eq!(command, Some("ffmpeg -i \"$1\" '#x' # y = z"));
    let dir = config.record.expect("recordings").dir;
    assert_eq!(dir.to_str(), Some("my files"));
}

#[test]
fn everything_that_is_wrong_is_told_with_its_place() {
    for (text, line, want) in WRONG {
        let told = read(text, line).expect_err(text);
        let told: Vec<&str> = told.lines().collect();
        assert_eq!(told.len(), want.len(), "{text:?} {line}: {told:#?}");
        for (told, want) in told.iter().zip(*want) {
            assert!(told.starts_with(want), "{text:?} {line}: {told}");
        }
    }
}

/// A file, flags beside it, and how the lines begin that say what is wrong.
type Wrong = (&'static str, &'static str, &'static [&'static str]);

#[rustfmt::skip]
const WRONG: &[Wrong] = &[
    ("grace 5", "", &["f:1: -grace \"5\": must be a duration"]),
    ("\n# x\ngrace 5\nlisten 1\n", "", &["f:3: -grace \"5\"", "f:4: -listen \"1\": must be HOST:PORT"]),
    ("grace 5", "-grace 6 -listen 1", &["-grace \"6\"", "-listen \"1\"", "f:1: -grace \"5\""]),
    ("grace 5", "-grace 6s", &["f:1: -grace \"5\""]),
    ("grace 5", "-nonsense 1", &["unknown flag -nonsense", "f:1: -grace \"5\""]),
    ("nonsense", "", &["f:1: unknown flag -nonsense"]),
    ("nonsense 1\nsrt-listen :1", "", &["f:1: unknown flag", "f:2: -srt-listen is not served"]),
    ("grace", "", &["f:1: -grace needs a value"]),
    ("-grace 5s", "", &["f:1: line begins with a dash"]),
    ("grace=5s", "", &["f:1: line has a = in place of a space"]),
    ("auth-token=x=hunter2", "", &["f:1: line has a = in place of a space; write NAME VALUE"]),
    ("grace 5s\0", "", &["f:1: line has a control character"]),
    ("version\nhelp\nconfig x\nh", "", &["f:1: -version has no place in a file", "f:2: -help has", "f:3: -config has", "f:4: -help has"]),
    ("pull-on-demand maybe", "", &["f:1: -pull-on-demand \"maybe\""]),
    // What is wrong only together.
    ("\nauth-mode token", "", &["f:2: -auth-mode token needs -auth-token"]),
    ("auth-token x=y\n\nauth-mode none", "", &["f:1: -auth-token needs -auth-mode token"]),
    ("auth-file x", "-auth-mode callback -auth-callback http://h/", &["f:1: -auth-file needs -auth-mode file"]),
    ("auth-mode file", "-auth-token x=y", &["-auth-token needs -auth-mode token", "f:1: -auth-mode file needs -auth-file"]),
    ("auth-token x=y\nauth-file x\nauth-callback http://h/", "", &["f:1: -auth-token needs", "f:2: -auth-file needs", "f:3: -auth-callback needs"]),
    ("pull-on-demand", "", &["f:1: -pull-on-demand needs -pull"]),
    ("wait-stream 0\npull x=rtmp://h/a/b\npull-on-demand", "", &["f:3: -pull-on-demand needs -wait-stream"]),
    ("pull x=rtmp://h/a/b\npull y/*=rtmp://h/a\npull z/*=rtmp://h/a", "", &["f:2: -pull: y/*: a pattern needs", "f:3: -pull: z/*: a pattern needs"]),
    ("pull x=http://h/\npull y/*=rtmp://h/a", "-pull z/*=rtmp://h/a", &["-pull: z/*: a pattern", "f:1: -pull: URL must", "f:2: -pull: y/*: a pattern"]),
    ("grace 5\nauth-mode token\nmerge x", "", &["f:1: -grace", "f:2: -auth-mode token needs", "f:3: -merge"]),
    // One fault is not told as two.
    ("auth-mode token\nauth-token x", "", &["f:2: -auth-token: must be KEY=TOKEN"]),
    ("auth-mode tokens\nauth-token x=y", "", &["f:1: -auth-mode \"tokens\""]),
    ("pull x=http://h/\npull-on-demand", "", &["f:1: -pull: URL must"]),
    // An address of two sockets.
    ("listen :1\nlisten [::]:1", "", &["f:2: -listen \"[::]:1\": -listen has this address already"]),
    ("proxy-listen h:1\nhttp-listen H:01", "-metrics-addr h:1", &["-metrics-addr \"h:1\": -proxy-listen has", "f:2: -http-listen \"H:01\": -proxy-listen has"]),
    // Files that a value names.
    ("metrics-addr :1\napi-token @/nowhere", "", &["f:2: -api-token: cannot read \"/nowhere\""]),
];

#[test]
fn a_file_that_cannot_be_read_is_a_fault() {
    let long = vec![b'#'; CONFIG_LEN_MAX as usize + 1];
    let rows: [(&[u8], &str, &str); 4] = [
        (
            b"",
            "-config /nowhere",
            "-config \"/nowhere\": cannot read it: No such file",
        ),
        (b"", "-config @DIR", "cannot read it: Is a directory"),
        (
            b"",
            "-config /dev/zero",
            "-config \"/dev/zero\": longer than 1048576 bytes",
        ),
        (&long, "", "longer than 1048576 bytes"),
    ];
    for (text, line, want) in rows {
        let told = read(text, line).expect_err(want);
        assert!(told.contains(want) && !told.contains('\n'), "{told}");
    }
    assert!(read(&long[1..], "").is_ok());
    let told = read(b"grace 1s\n\xff\xfe\n", "");
    assert_eq!(told, Err("f:2: line is not UTF-8".to_owned()));
}

fn hang_up(server: &ServerProcess) {
    let pid = server.pid().to_string();
    let sent = Command::new("kill").args(["-HUP", &pid]).status();
    assert!(sent.expect("kill").success());
}

/// Each takes the five seconds that a pipe may take, at the same time.
#[test]
fn a_pipe_that_nobody_writes_to_is_a_fault() {
    let dir = Dir::new("pipes");
    let mkfifo = |path: &str| {
        let made = Command::new("mkfifo").arg(path).status().expect("mkfifo");
        assert!(made.success());
    };
    let pipe = dir.path("pipe").display().to_string();
    mkfifo(&pipe);
    let rows = [
        ("-config", "-config PIPE"),
        ("-auth-file", "-auth-mode file -auth-file PIPE"),
        (
            "-auth-secret",
            "-auth-mode signed -auth-secret @PIPE -listen :1",
        ),
        ("-api-token", "-metrics-addr :2 -api-token @PIPE"),
    ];
    let checks = rows.map(|(flag, line)| {
        let args = line.replace("PIPE", &pipe);
        let mut check = Command::new(env!("CARGO_BIN_EXE_rtmp-server"));
        check.arg("-check").args(args.split_whitespace());
        (flag, check.stderr(Stdio::piped()).spawn().expect("it runs"))
    });
    let tokens = dir.write("tokens", "{}");
    let server = ServerProcess::start(&format!("-auth-mode file -auth-file {tokens}"));
    fs::remove_file(&tokens).expect("remove");
    mkfifo(&tokens);
    hang_up(&server);
    let line = server.wait_for_line("cannot reload");
    assert!(line.contains("has not ended within 5s"), "{line}");
    fs::remove_file(&tokens).expect("remove");
    dir.write("tokens", "{}");
    hang_up(&server);
    server.wait_for_line("reloaded");
    for (flag, check) in checks {
        let told = check.wait_with_output().expect("output");
        let text = String::from_utf8_lossy(&told.stderr);
        assert_eq!(told.status.code(), Some(2), "{flag}: {text}");
        let is_named = text.contains(flag) && text.contains("/pipe");
        assert!(is_named && text.contains("within 5s"), "{flag}: {text}");
    }
}

#[test]
fn of_a_file_of_nothing_but_faults_the_first_are_told() {
    let told = read("x\n".repeat(2 * FAULTS_MAX), "").expect_err("faults");
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told.len(), FAULTS_MAX + 1);
    assert_eq!(told[FAULTS_MAX], "1000 more faults");
}

#[test]
fn faults_show_no_secrets() {
    #[rustfmt::skip]
    let rows = [
        "auth-token=live/x=hunter2", "auth-token:hunter2", "auth-token hunter2", "api-token hun ter2 hunter2",
        "relay-to rtmp://u:hunter2@h/app", "relay-to h/hunter2", "pull hunter2", "pull live/x=rtmp://u:hunter2@h/a/b",
        "hook-webhook http://u:hunter2@h/", "reconnect-url hunter2", "rtmp://h/app/hunter2?hunter2",
    ];
    for text in rows {
        let told = read(text, "").expect_err(text);
        assert!(told.starts_with("f:1: "), "{told}");
        assert!(!told.contains("hunter2"), "{text}: {told}");
    }
    let config = read(
        "relay-to live/x=rtmp://h/a/hunter2\nauth-mode token\nauth-token x=hunter2",
        "",
    );
    assert!(!format!("{config:?}").contains("hunter2"));
}

/// Valid lines, with all that may stand around them.
fn valid_line() -> impl Strategy<Value = String> {
    let flag = prop_oneof![
        (1_u32..1000).prop_map(|n| format!("grace {n}ms")),
        (1_u16..).prop_map(|port| format!("listen :{port}")),
        (128_u32..65536).prop_map(|n| format!("chunk-size {n}")),
        "[a-z]{7,9}".prop_map(|name| format!("relay-to {name}=rtmp://h/{name}?x={name}")),
        "[!-~][ -~]{0,20}[!-~]".prop_map(|command| format!("run-on-publish {command}")),
        Just("record-all yes".to_owned()),
        Just(String::new()),
        "#[ -~]{0,20}".prop_map(|comment| comment),
    ];
    (flag, "[ \t]{0,3}", "[ \t\r]{0,3}").prop_map(|(flag, before, after)| before + &flag + &after)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn no_file_panics(text in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(text, "");
    }

    #[test]
    fn no_words_panic(lines in proptest::collection::vec((proptest::sample::select(names()), "[ =]?", "\\PC{0,30}"), 0..10)) {
        let lines: Vec<String> = lines.iter().map(|(name, space, value)| format!("{name}{space}{value}")).collect();
        let _ = read(lines.join("\n"), "");
    }

    #[test]
    fn a_file_is_a_command_line(mut lines in proptest::collection::vec(valid_line(), 0..20)) {
        let mut seen = HashSet::new();
        lines.retain(|line| seen.insert(line.trim().to_owned()));
        let flags = lines.iter().map(|line| line.trim()).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let flags = flags.filter_map(|line| line.split_once(' '));
        let args = flags.map(|(name, value)| format!("-{name}={value}"));
        let Ok(Invocation::Run(want)) = parse(args) else { panic!("{lines:?}") };
        prop_assert_eq!(read(lines.join("\n"), ""), Ok(*want));
    }
}

/// The names of all flags.
fn names() -> Vec<String> {
    let help = help();
    let lines = help.lines().filter_map(|line| line.strip_prefix("  -"));
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}
