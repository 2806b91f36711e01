//! The command line: flags in, a checked [`Config`] out. Nothing is done here but reading.

use crate::log::{Format, Level};
use std::str::FromStr;
use std::time::Duration;

/// Printed by `-help`. Each flag has its line here and its arm in [`parse`].
pub const HELP: &str = "\
Usage: rtmp-server [flags]

A live RTMP server. Streams are published to and played from rtmp://HOST/APP/NAME.

  -listen ADDR                 address to listen on, repeatable; :PORT means all addresses (default :1935)
  -log-level LEVEL             debug, info, warn or error (default info)
  -log-format FORMAT           text, json or auto: text on a terminal, json elsewhere (default auto)
  -chunk-size N                bytes per chunk sent, 128 to 65536 (default 4096)
  -gop-cache BOOL              start viewers at once, from the last keyframe (default true)
  -merge D                     how long a publisher's messages may wait for others, to be sent on together:
                               a duration, 0 for not at all, or auto: sound waits for the next picture,
                               45ms at most (default auto)
  -on-duplicate POLICY         takeover or reject a second publisher of a stream (default takeover)
  -grace D                     how long viewers stay after their publisher was lost; 0: not at all (default 10s)
  -wait-stream D               how long play waits for a stream to begin; 0: not at all (default 10s)
  -max-connections N           most connections at a time (default 4096)
  -max-connections-per-ip N    most connections of one address; 0: no limit (default 0)
  -reconnect-url URL           where clients that can are sent on SIGUSR1
  -shutdown-timeout D          how long a stop may take before it is forced (default 5s)
  -version                     print the version
  -help                        print this text

Durations are written 500ms, 2s, 5m, 1h30m. A flag may have one dash or two, and its value after a
space or after =.
";

/// Flags that are part of the contract and not served yet: refused, never ignored.
const LATER: [&str; 18] = [
    "record-all",
    "record-dir",
    "segment-duration",
    "segment-pattern",
    "relay-to",
    "auth-mode",
    "auth-token",
    "auth-file",
    "auth-callback",
    "auth-callback-timeout",
    "hook-script",
    "hook-webhook",
    "hook-stdio-format",
    "hook-timeout",
    "hook-concurrency",
    "run-on-publish",
    "metrics-addr",
    "pull",
];

/// Flags of servers that speak TLS or SRT themselves.
const TERMINATED: [&str; 4] = ["tls-listen", "tls-cert", "tls-key", "srt-listen"];

/// What to do with a second publisher of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDuplicate {
    /// It gets the stream; the first one is hung up on.
    Takeover,
    /// It is refused.
    Reject,
}

/// How the server is to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `-listen`.
    pub listen: Vec<String>,
    /// `-log-level`.
    pub log_level: Level,
    /// `-log-format`.
    pub log_format: Format,
    /// `-chunk-size`, in bytes.
    pub chunk_size: u32,
    /// `-gop-cache`.
    pub gop_cache: bool,
    /// `-merge`; `None` for auto.
    pub merge: Option<Duration>,
    /// `-on-duplicate`.
    pub on_duplicate: OnDuplicate,
    /// `-grace`.
    pub grace: Duration,
    /// `-wait-stream`.
    pub wait_stream: Duration,
    /// `-max-connections`.
    pub max_connections: usize,
    /// `-max-connections-per-ip`; 0 for no limit.
    pub max_connections_per_ip: usize,
    /// `-reconnect-url`.
    pub reconnect_url: Option<String>,
    /// `-shutdown-timeout`.
    pub shutdown_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: vec![":1935".to_owned()],
            log_level: Level::Info,
            log_format: Format::Auto,
            chunk_size: 4096,
            gop_cache: true,
            merge: None,
            on_duplicate: OnDuplicate::Takeover,
            grace: Duration::from_secs(10),
            wait_stream: Duration::from_secs(10),
            max_connections: 4096,
            max_connections_per_ip: 0,
            reconnect_url: None,
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Run the server.
    Run(Config),
    /// Print [`HELP`].
    Help,
    /// Print the version.
    Version,
}

/// Reads the arguments behind the program's name.
///
/// # Errors
///
/// One line that names the flag and says what is allowed.
pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Action, String> {
    let mut args = args.into_iter();
    let mut config = Config::default();
    let mut listen = Vec::new();
    while let Some(arg) = args.next() {
        let (flag, inline) = split(&arg)?;
        match flag {
            "h" | "help" => return Ok(Action::Help),
            "version" => return Ok(Action::Version),
            _ => {}
        }
        known(flag)?;
        let value = inline
            .or_else(|| args.next())
            .ok_or_else(|| format!("-{flag} needs a value"))?;
        match flag {
            "listen" => listen.push(address(flag, &value)?),
            "log-level" => {
                config.log_level = Level::from_name(&value)
                    .ok_or_else(|| bad(flag, &value, "debug, info, warn or error"))?;
            }
            "log-format" => {
                let formats = [
                    ("text", Format::Text),
                    ("json", Format::Json),
                    ("auto", Format::Auto),
                ];
                config.log_format = choice(flag, &value, formats)?;
            }
            "chunk-size" => config.chunk_size = number(flag, &value, 128, 65536)?,
            "gop-cache" => config.gop_cache = boolean(flag, &value)?,
            "on-duplicate" => {
                let policies = [
                    ("takeover", OnDuplicate::Takeover),
                    ("reject", OnDuplicate::Reject),
                ];
                config.on_duplicate = choice(flag, &value, policies)?;
            }
            "merge" if value == "auto" => config.merge = None,
            "merge" => config.merge = Some(duration(flag, &value)?),
            "grace" => config.grace = duration(flag, &value)?,
            "wait-stream" => config.wait_stream = duration(flag, &value)?,
            "max-connections" => config.max_connections = number(flag, &value, 1, 1_000_000)?,
            "max-connections-per-ip" => {
                config.max_connections_per_ip = number(flag, &value, 0, 1_000_000)?;
            }
            "reconnect-url" => config.reconnect_url = Some(rtmp_url(flag, value)?),
            "shutdown-timeout" => config.shutdown_timeout = duration(flag, &value)?,
            _ => return Err(unknown(flag)),
        }
    }
    if !listen.is_empty() {
        config.listen = listen;
    }
    Ok(Action::Run(config))
}

/// Takes an argument apart, Go's way: one dash or two, perhaps `=value`.
fn split(arg: &str) -> Result<(&str, Option<String>), String> {
    let flag = arg
        .strip_prefix("--")
        .or_else(|| arg.strip_prefix('-'))
        .filter(|flag| !flag.is_empty());
    let flag = flag.ok_or_else(|| format!("{arg:?} is not a flag; -help lists the flags"))?;
    Ok(match flag.split_once('=') {
        Some((flag, value)) => (flag, Some(value.to_owned())),
        None => (flag, None),
    })
}

/// Refuses flags before their value is asked for.
fn known(flag: &str) -> Result<(), String> {
    if LATER.contains(&flag) {
        return Err(format!("-{flag} is not there yet"));
    }
    if TERMINATED.contains(&flag) {
        return Err(format!(
            "-{flag} is not served: put a TLS terminator in front, such as stunnel or HAProxy, that connects to -listen"
        ));
    }
    let in_help = HELP
        .lines()
        .any(|line| line.split_whitespace().next() == Some(&format!("-{flag}")));
    if in_help { Ok(()) } else { Err(unknown(flag)) }
}

fn unknown(flag: &str) -> String {
    format!("unknown flag -{flag}; -help lists the flags")
}

fn bad(flag: &str, value: &str, allowed: &str) -> String {
    format!("-{flag} {value:?}: must be {allowed}")
}

fn choice<T: Copy, const N: usize>(
    flag: &str,
    value: &str,
    choices: [(&str, T); N],
) -> Result<T, String> {
    let found = choices
        .iter()
        .find(|(name, _)| *name == value)
        .map(|(_, choice)| *choice);
    found.ok_or_else(|| bad(flag, value, &choices.map(|(name, _)| name).join(" or ")))
}

fn boolean(flag: &str, value: &str) -> Result<bool, String> {
    match value {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err(bad(flag, value, "true or false")),
    }
}

fn number<T>(flag: &str, value: &str, min: T, max: T) -> Result<T, String>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    let number = value
        .parse::<T>()
        .ok()
        .filter(|number| *number >= min && *number <= max);
    number.ok_or_else(|| bad(flag, value, &format!("a number from {min} to {max}")))
}

/// `:PORT`, `HOST:PORT` or `[IPV6]:PORT`. Names are looked up when the server starts.
fn address(flag: &str, value: &str) -> Result<String, String> {
    let port = value.rsplit_once(':').map(|(_, port)| port);
    match port.and_then(|port| port.parse::<u16>().ok()) {
        Some(_) => Ok(value.to_owned()),
        None => Err(bad(flag, value, "HOST:PORT or :PORT")),
    }
}

fn rtmp_url(flag: &str, value: String) -> Result<String, String> {
    let host = value
        .strip_prefix("rtmp://")
        .or_else(|| value.strip_prefix("rtmps://"));
    match host {
        Some(host) if !host.is_empty() && !value.chars().any(char::is_control) => Ok(value),
        _ => Err(bad(
            flag,
            &value,
            "a URL that begins with rtmp:// or rtmps://",
        )),
    }
}

/// A duration in Go's notation: numbers with units, `1h30m`, `1.5s`, or a bare 0.
fn duration(flag: &str, value: &str) -> Result<Duration, String> {
    go_duration(value).ok_or_else(|| bad(flag, value, "a duration such as 500ms, 2s, 5m or 1h30m"))
}

fn go_duration(value: &str) -> Option<Duration> {
    if value == "0" {
        return Some(Duration::ZERO);
    }
    let mut seconds = 0.0;
    let mut rest = value;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let amount: f64 = rest[..digits].parse().ok()?;
        let unit_len = rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.');
        let (unit, after) = rest[digits..].split_at(unit_len.unwrap_or(rest.len() - digits));
        seconds += amount
            * match unit {
                "ns" => 1e-9,
                "us" | "\u{b5}s" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = after;
    }
    if value.is_empty() {
        None
    } else {
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(line: &str) -> Result<Action, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    fn config(line: &str) -> Config {
        match run(line) {
            Ok(Action::Run(config)) => config,
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
        assert_eq!(config("").listen, [":1935"]);
    }

    #[test]
    fn values_mean_what_they_say() {
        assert!(!config("-gop-cache false").gop_cache);
        assert!(config("-gop-cache yes").gop_cache);
        assert_eq!(
            config("-on-duplicate reject").on_duplicate,
            OnDuplicate::Reject
        );
        assert_eq!(
            config("-merge 350ms").merge,
            Some(Duration::from_millis(350))
        );
        assert_eq!(config("-merge 1s -merge auto").merge, None);
        assert_eq!(config("-log-level debug").log_level, Level::Debug);
        assert_eq!(config("-log-format json").log_format, Format::Json);
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
        let url = config("-reconnect-url rtmp://b.example/live").reconnect_url;
        assert_eq!(url.as_deref(), Some("rtmp://b.example/live"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let rows = [
            ("stray", "\"stray\" is not a flag"),
            ("-", "\"-\" is not a flag"),
            ("-nonsense 1", "unknown flag -nonsense"),
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
            ("-grace 5", "-grace \"5\": must be a duration"),
            ("-grace -1s", "-grace \"-1s\": must be a duration"),
            ("-grace 5parsecs", "-grace \"5parsecs\""),
            ("-grace s", "-grace \"s\""),
            ("-max-connections 0", "-max-connections \"0\""),
            (
                "-reconnect-url http://x",
                "-reconnect-url \"http://x\": must be a URL",
            ),
            (
                "-tls-listen :443",
                "-tls-listen is not served: put a TLS terminator",
            ),
            ("-srt-listen :1", "-srt-listen is not served"),
            ("-record-all true", "-record-all is not there yet"),
        ];
        for (line, want) in rows {
            let error = run(line).expect_err(line);
            assert!(error.starts_with(want), "{line}: {error}");
            assert!(!error.contains('\n'), "{line}: {error}");
        }
    }

    #[test]
    fn every_flag_of_the_help_is_known() {
        let flags = HELP.lines().filter_map(|line| line.strip_prefix("  -"));
        let names: Vec<&str> = flags
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        assert!(names.len() > 10);
        for name in names {
            let result = run(&format!("-{name}"));
            let known = match name {
                "version" | "help" => result.is_ok(),
                _ => result == Err(format!("-{name} needs a value")),
            };
            assert!(known, "-{name}");
        }
        assert_eq!(run("-help"), Ok(Action::Help));
        assert_eq!(run("-h"), Ok(Action::Help));
        assert_eq!(run("-version"), Ok(Action::Version));
    }
}
