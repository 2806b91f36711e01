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
    let media = config("-http-listen :8080 -http-listen [::1]:81 -http-origin https://a.example:8");
    assert_eq!(media.http_listen, [":8080", "[::1]:81"]);
    assert_eq!(media.http_origin, "https://a.example:8");
    assert_eq!(config("").http_origin, "*");
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

/// Command lines that are refused, and how the one line begins that says why.
#[test]
fn what_is_wrong_is_named() {
    let rows = include_str!("../../testdata/server/wrong_flags.txt").lines();
    let rows = rows.filter(|row| !row.is_empty() && !row.starts_with('#'));
    for (line, want) in rows.map(|row| row.split_once(" | ").expect("two columns")) {
        let error = run(line).expect_err(line);
        assert!(error.starts_with(want), "{line}: {error}");
        assert!(!error.contains('\n'), "{line}: {error}");
    }
}

/// A value may have anything in it, but an error is a line that can be shown.
#[test]
fn what_is_wrong_is_named_on_one_line() {
    let rows = [
        (
            "-pull",
            "a\u{1b}[2J=rtmp://h/a/b",
            "-pull: a\\u{1b}[2J: stream name",
        ),
        (
            "-relay-to",
            "a\nb*=rtmp://h/a",
            "-relay-to: a\\nb*: a * may only",
        ),
        ("-pull", "x=rtmp://h/{a\u{9b}}/b", "-pull: "),
        ("-auth-token", "a\rb\0=x", "-auth-token"),
        ("-segment-pattern", "%\u{7}", "-segment-pattern"),
        ("-listen", "a\u{85}b", "-listen \"a"),
        ("-x\ny", "z", "unknown flag -x\\ny"),
    ];
    for (flag, value, want) in rows {
        let faults = parse([flag, value].map(str::to_owned)).expect_err(value);
        let text = faults.to_string();
        assert!(text.starts_with(want), "{value:?}: {text:?}");
        assert!(!text.contains(char::is_control), "{value:?}: {text:?}");
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
        ("-http-origin https://u:hunter2@h", "-http-origin \"https://***@h\": must be"),
        ("-log-level rtmp://h/app/hunter2?hunter2", "-log-level"),
    ];
    for (line, want) in rows {
        let error = run(line).expect_err(line);
        assert!(error.contains(want), "{line}: {error}");
        assert!(!error.contains("hunter2"), "{line}: {error}");
    }
    let hooks = config("-hook-webhook publish_start=http://u:hunter2@h/");
    assert!(!format!("{hooks:?}").contains("hunter2"));
}

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
