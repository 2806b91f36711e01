//! The command line.

use crate::support::web_service::Dir;
use rtmp_server::args::{Auth, Config, Invocation, OnDuplicate, TrackPolicy, help, parse};
use rtmp_server::ip_range::IpRange;
use rtmp_server::log::{Level, LogFormat};
use rtmp_server::record::{self, Pattern, Segments};
use std::path::PathBuf;
use std::time::Duration;

fn run(line: &str) -> Result<Invocation, String> {
    parse(line.split_whitespace().map(str::to_owned)).map_err(|error| error.to_string())
}

fn config(line: &str) -> Config {
    match run(line) {
        Ok(Invocation::Run(config)) => *config,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn flags_are_written_gos_way() {
    for line in [
        "-chunk-size 8192",
        "-chunk-size=8192",
        "--chunk-size 8192",
        "--chunk-size=8192",
    ] {
        assert_eq!(
            config(line),
            Config {
                chunk_size: 8192,
                ..Config::default()
            },
            "{line}"
        );
    }
    assert_eq!(
        config("-chunk-size 200 -chunk-size 300").chunk_size,
        300,
        "the last wins"
    );
    let two = config("-listen 127.0.0.1:1 -listen [::1]:2");
    assert_eq!(
        two.listen,
        ["127.0.0.1:1", "[::1]:2"],
        "repeatable flags append"
    );
    assert!(config("").listen.is_empty(), "the default is not a flag");
}

#[test]
fn values_mean_what_they_say() {
    assert!(!config("-gop-cache false").gop_cache);
    assert!(config("-gop-cache yes").gop_cache);
    assert_eq!(
        config("-on-duplicate reject").on_duplicate,
        OnDuplicate::Reject
    );
    assert_eq!(config("").tracks, TrackPolicy::Announced);
    assert_eq!(config("-tracks all").tracks, TrackPolicy::All);
    assert_eq!(
        config("-merge 350ms").merge,
        Some(Duration::from_millis(350))
    );
    assert_eq!(config("-merge 1s -merge auto").merge, None);
    assert_eq!(config("-log-level debug").log_level, Level::Debug);
    assert_eq!(config("-log-format json").log_format, LogFormat::Json);
    let durations = [
        ("0", 0),
        ("0s", 0),
        ("500ms", 500),
        ("2s", 2000),
        ("1.5s", 1500),
        ("5m", 300_000),
        ("1h30m", 5_400_000),
    ];
    for (text, ms) in durations {
        assert_eq!(
            config(&format!("-grace {text}")).grace,
            Duration::from_millis(ms),
            "{text}"
        );
    }
    let hosts = config("-http-host a.example -http-host fe80::1").http_host;
    assert_eq!(hosts, ["a.example", "fe80::1"]);
    let url = config("-reconnect-url rtmp://b.example/live").reconnect_url;
    assert_eq!(url.as_deref(), Some("rtmp://b.example/live"));
}

#[test]
fn flags_that_belong_together_are_one() {
    let token = config("-auth-mode token -auth-token live/x=a=b -auth-token live/*=c");
    let tokens = [("live/x", "a=b"), ("live/*", "c")];
    assert!(token.auth == Auth::Token(tokens.map(|(k, t)| (k.to_owned(), t.to_owned())).to_vec()));
    let callback = config("-auth-mode callback -auth-callback http://h/");
    assert!(callback.auth == Auth::Callback("http://h/".to_owned(), Duration::from_secs(5)));
    assert!(
        !format!("{token:?}").contains("a=b"),
        "secrets are not shown"
    );
    let hooks =
        config("-hook-script publish_start=/a -hook-script play_stop=/b -hook-timeout 2s").hooks;
    assert_eq!(
        (hooks.scripts.len(), hooks.timeout),
        (2, Duration::from_secs(2))
    );
}

#[test]
fn addresses_add_up() {
    let allowed =
        config("-allow-publish 10.0.0.0/8 -allow-publish ::1 -allow-play 192.0.2.7").allowed;
    let shown = |ranges: &[IpRange]| ranges.iter().map(IpRange::to_string).collect::<Vec<_>>();
    assert_eq!(shown(&allowed.publish), ["10.0.0.0/8", "::1/128"]);
    assert_eq!(shown(&allowed.play), ["192.0.2.7/32"]);
}

#[test]
fn a_switch_needs_no_value() {
    let pull = "-pull live/x=rtmp://h/a/b";
    for (line, on_demand) in [
        ("", false),
        (" -pull-on-demand", true),
        (" -pull-on-demand -gop-cache true", true),
        (" -pull-on-demand true", true),
        (" -pull-on-demand=yes", true),
        (" -pull-on-demand=false", false),
        (" -pull-on-demand no", false),
    ] {
        let config = config(&format!("{pull}{line}"));
        assert_eq!((config.pull_on_demand, config.pull.len()), (on_demand, 1));
    }
    let stray = run(&format!("{pull} -pull-on-demand stray"));
    assert!(stray.is_err_and(|error| error.contains("\"stray\" is not a flag")));
}

#[test]
fn other_servers_are_shown_without_their_secrets() {
    let line = "-relay-to rtmp://h/app?k=hunter2 -relay-to live/x=rtmp://h/app/hunter2 \
                -pull live/y=rtmp://h/app/hunter2?t=hunter2";
    let config = config(line);
    assert_eq!((config.relay_to.len(), config.pull.len()), (2, 1));
    assert!(!format!("{config:?}").contains("hunter2"));
    let shown: Vec<String> = config.relay_to.iter().map(|to| to.to_string()).collect();
    assert_eq!(shown, ["rtmp://h/app", "rtmp://h/app#2"]);
}

#[test]
fn recordings_are_asked_for() {
    let settings = |dir: &str, segments: Option<(u64, &str)>| {
        let segments = segments.map(|(seconds, pattern)| Segments {
            duration: Duration::from_secs(seconds),
            pattern: Pattern::new(pattern).unwrap(),
        });
        let dir = PathBuf::from(dir);
        let format = record::FileFormat::Flv;
        Some(record::RecordSettings {
            dir,
            segments,
            format,
        })
    };
    #[rustfmt::skip]
    let rows = [
        ("", None),
        ("-record-all false -record-dir x -segment-duration 5s -segment-pattern y", None),
        ("-record-all true", settings("recordings", None)),
        ("-record-all=1 -record-dir=/a/b", settings("/a/b", None)),
        ("-record-all yes -segment-pattern x", settings("recordings", None)),
        ("-record-all yes -record-format flv", settings("recordings", None)),
        ("-record-all yes -segment-duration 0", settings("recordings", None)),
        ("-record-all true -segment-duration 5m", settings("recordings", Some((300, "%s_%T_seg%03d")))),
        ("-record-all true -segment-duration 5s -segment-pattern %s/%d", settings("recordings", Some((5, "%s/%d")))),
        ("-record-all true -record-all false", None),
    ];
    for (line, want) in rows {
        assert_eq!(config(line).record, want, "{line}");
    }
}

#[test]
fn the_token_is_read_and_not_shown() {
    let dir = Dir::new("args");
    let file = dir.write("token", "fr0m-file\n");
    let rows = [
        ("s3cret".to_owned(), "s3cret"),
        ("a=b".to_owned(), "a=b"),
        (format!("@{file}"), "fr0m-file"),
    ];
    for (value, want) in rows {
        let config = config(&format!("-metrics-addr :9090 -api-token {value}"));
        assert_eq!(config.metrics_addr.as_deref(), Some(":9090"));
        let token = config.api_token.as_ref().map(|token| token.reveal());
        assert_eq!(token, Some(want));
        assert!(!format!("{config:?}").contains(want));
    }
    let file = dir.write("bad", "two words\n");
    let error = run(&format!("-metrics-addr :1 -api-token @{file}")).expect_err("refused");
    assert!(!error.contains("words"), "{error}");
}

#[test]
fn what_is_wrong_is_named() {
    for (line, want) in WRONG {
        let error = run(line).expect_err(line);
        assert!(error.starts_with(want), "{line}: {error}");
        assert!(!error.contains('\n'), "{line}: {error}");
    }
}

#[test]
fn what_is_wrong_is_named_without_its_secrets() {
    #[rustfmt::skip]
    let rows = [
        ("-hook-webhook publish_strat=http://u:hunter2@h/?t=hunter2", "-hook-webhook: must be EVENT=URL"),
        ("-hook-webhook http://u:hunter2@h/?t=hunter2", "-hook-webhook: must be EVENT=URL"),
        ("-hook-webhook http://u:hunter2@h/", "-hook-webhook: must be EVENT=URL"),
        ("-reconnect-url http://u:hunter2@h/live", "-reconnect-url: must be"),
        ("-relay-to rtmp://u:hunter2@h:1/app", "a user or a password before the @"),
        ("-relay-to rtmp://u:hunter2@h/app", "a user or a password before the @"),
        ("-pull live/x=rtmp://u:hunter2@h/app/x", "a user or a password before the @"),
        ("-relay-to h/app/hunter2?t=1", "must begin with rtmp://"),
        ("-pull h//app/hunter2?t=1", "must begin with rtmp://"),
        ("-grace 1s rtmp://u:hunter2@h/app/hunter2?hunter2", "is not a flag"),
        ("-rtmp://u:hunter2@h/app/hunter2?hunter2", "unknown flag"),
    ];
    for (line, want) in rows {
        let error = run(line).expect_err(line);
        assert!(error.contains(want), "{line}: {error}");
        assert!(!error.contains("hunter2"), "{line}: {error}");
    }
    let hooks = config("-hook-webhook publish_start=http://u:hunter2@h/");
    assert!(!format!("{hooks:?}").contains("hunter2"));
}

/// Command lines that are refused, and how the one line begins that says why.
const WRONG: &[(&str, &str)] = &[
    ("stray", "\"stray\" is not a flag"),
    ("-", "\"-\" is not a flag"),
    ("-nonsense 1", "unknown flag -nonsense"),
    ("-relay-to h/app", "-relay-to: URL must begin with rtmp://"),
    ("-relay-to rtmps://h", "-relay-to: URL names no application"),
    (
        "-relay-to rtmps://u:p@h/app",
        "-relay-to: URL has a user or a password",
    ),
    ("-relay-to rtmp://h", "-relay-to: URL names no application"),
    ("-relay-to a*=rtmp://h/a", "-relay-to: a*: a * may only be"),
    (
        "-pull rtmp://h/a/b",
        "-pull: must be KEY=rtmp://HOST/APP/NAME",
    ),
    (
        "-pull live/*=rtmp://h/a",
        "-pull: live/*: a pattern needs -pull-on-demand",
    ),
    (
        "-pull ../x=rtmp://h/a/b",
        "-pull: ../x: stream name has a segment",
    ),
    (
        "-pull x=rtmp://h/a/b -pull-on-demand -wait-stream 0",
        "-pull-on-demand needs -wait-stream",
    ),
    ("-chunk-size", "-chunk-size needs a value"),
    (
        "-chunk-size 127",
        "-chunk-size \"127\": must be a number from 128 to 65536",
    ),
    ("-chunk-size 65537", "-chunk-size \"65537\""),
    ("-chunk-size x", "-chunk-size \"x\""),
    (
        "-listen 1935",
        "-listen \"1935\": must be HOST:PORT or :PORT",
    ),
    ("-listen :99999", "-listen \":99999\""),
    (
        "-log-level loud",
        "-log-level \"loud\": must be debug, info, warn or error",
    ),
    (
        "-log-format xml",
        "-log-format \"xml\": must be text or json or auto",
    ),
    (
        "-gop-cache maybe",
        "-gop-cache \"maybe\": must be true or false",
    ),
    (
        "-on-duplicate both",
        "-on-duplicate \"both\": must be takeover or reject",
    ),
    ("-tracks both", "-tracks \"both\": must be announced or all"),
    ("-grace 5", "-grace \"5\": must be a duration"),
    ("-grace -1s", "-grace \"-1s\": must be a duration"),
    ("-grace 5parsecs", "-grace \"5parsecs\""),
    ("-grace s", "-grace \"s\""),
    (
        "-grace 5000000000000000h",
        "-grace \"5000000000000000h\": must be 8760h at most",
    ),
    (
        "-grace 8760h1ms",
        "-grace \"8760h1ms\": must be 8760h at most",
    ),
    ("-merge 1e9h", "-merge \"1e9h\": must be a duration"),
    ("-merge 8761h", "-merge \"8761h\": must be 8760h at most"),
    (
        "-wait-stream 99999999999999999999999999h",
        "-wait-stream \"99999999999999999999999999h\": must be 8760h at most",
    ),
    (
        "-shutdown-timeout 9000h",
        "-shutdown-timeout \"9000h\": must be 8760h at most",
    ),
    (
        "-hook-timeout 9000h",
        "-hook-timeout \"9000h\": must be 8760h at most",
    ),
    (
        "-auth-callback-timeout 9000h",
        "-auth-callback-timeout \"9000h\": must be 8760h at most",
    ),
    (
        "-segment-duration 9000h",
        "-segment-duration \"9000h\": must be 8760h at most",
    ),
    ("-max-connections 0", "-max-connections \"0\""),
    (
        "-http-host a.example:80",
        "-http-host \"a.example:80\": must be the name or address of a host, without a port",
    ),
    (
        "-reconnect-url http://x",
        "-reconnect-url: must be a URL that begins with rtmp:// or rtmps://",
    ),
    (
        "-tls-listen :443",
        "-tls-listen is not served: put a TLS terminator",
    ),
    (
        "-srt-listen :1",
        "-srt-listen is not served: have ffmpeg receive it",
    ),
    ("-record-all", "-record-all needs a value"),
    (
        "-record-all maybe",
        "-record-all \"maybe\": must be true or false",
    ),
    ("-record-dir=", "-record-dir \"\": must be a directory"),
    (
        "-segment-duration soon",
        "-segment-duration \"soon\": must be a duration",
    ),
    // Checked although nothing is recorded.
    (
        "-segment-pattern %x",
        "-segment-pattern \"%x\": %x is none of %s %d",
    ),
    (
        "-record-all false -segment-pattern /x",
        "-segment-pattern \"/x\": it must not begin with /",
    ),
    (
        "-segment-pattern a/../b",
        "-segment-pattern \"a/../b\": it must not lead through",
    ),
    (
        "-segment-pattern=",
        "-segment-pattern \"\": it names no file",
    ),
    (
        "-metrics-addr 9090",
        "-metrics-addr \"9090\": must be HOST:PORT or :PORT",
    ),
    (
        "-metrics-addr :1 -api-token=",
        "-api-token: must be a text of ASCII characters",
    ),
    (
        "-metrics-addr :1 -api-token caf\u{e9}",
        "-api-token: must be a text",
    ),
    (
        "-metrics-addr :1 -api-token @/nowhere/token",
        "-api-token: cannot read \"/nowhere/token\": No such file",
    ),
    (
        "-metrics-addr :1 -api-token @/dev/zero",
        "-api-token: cannot read \"/dev/zero\": longer than 4096 bytes",
    ),
    (
        "-allow-publish 10.1.2.3/8",
        "-allow-publish \"10.1.2.3/8\": has address bits behind the prefix; the range is 10.0.0.0/8",
    ),
    (
        "-allow-play localhost",
        "-allow-play \"localhost\": must be an address or a range",
    ),
    (
        "-auth-mode maybe",
        "-auth-mode \"maybe\": must be none or token or file or callback",
    ),
    ("-auth-mode token", "-auth-mode token needs -auth-token"),
    ("-auth-mode file", "-auth-mode file needs -auth-file"),
    (
        "-auth-mode callback",
        "-auth-mode callback needs -auth-callback",
    ),
    (
        "-auth-token live/x=s3cret",
        "-auth-token needs -auth-mode token",
    ),
    (
        "-auth-mode token -auth-token s3cret",
        "-auth-token: must be KEY=TOKEN",
    ),
    (
        "-auth-mode token -auth-token live/x=",
        "-auth-token: must be KEY=TOKEN",
    ),
    ("-auth-file x", "-auth-file needs -auth-mode file"),
    (
        "-hook-script nonsense=/bin/true",
        "-hook-script \"nonsense=/bin/true\": must be EVENT=PATH with one",
    ),
    (
        "-hook-script publish_start",
        "-hook-script \"publish_start\": must be EVENT=PATH",
    ),
    (
        "-hook-webhook publish_start=",
        "-hook-webhook: must be EVENT=URL",
    ),
    (
        "-hook-stdio-format xml",
        "-hook-stdio-format \"xml\": must be json or env",
    ),
    (
        "-hook-timeout 0",
        "-hook-timeout \"0\": must be longer than 0",
    ),
    (
        "-hook-concurrency 0",
        "-hook-concurrency \"0\": must be a number from 1 to 1000",
    ),
];

#[test]
fn every_flag_of_the_help_is_known() {
    let help = help();
    let flags = help.lines().filter_map(|line| line.strip_prefix("  -"));
    let names: Vec<&str> = flags
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.len() > 10);
    for name in names {
        // Without a value it may also need another flag.
        let needs = |error: String| error.starts_with(&format!("-{name} needs "));
        let known = run(&format!("-{name}")).map_or_else(needs, |_| true);
        assert!(known, "-{name}");
    }
    assert_eq!(run("-help"), Ok(Invocation::Help));
    assert_eq!(run("-h"), Ok(Invocation::Help));
    assert_eq!(run("-version"), Ok(Invocation::Version));
}
