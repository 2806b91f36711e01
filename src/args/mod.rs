//! The command line: flags in, a checked [`Config`] out. Nothing is done here but reading.

mod config;
mod secret;
mod values;

pub use config::{Action, Auth, Config, LISTEN, OnDuplicate};
pub use secret::{FILE_LEN_MAX, Secret};

use crate::hooks::StdioFormat;
use crate::log::{Format, Level};
use crate::record::{self, Pattern, Segments};
use crate::remote::{Destination, Source};
use std::path::PathBuf;
use std::time::Duration;
use values::{address, bad, boolean, choice, duration, number, of_event, positive, rtmp_url};

/// Printed by `-help`. Each flag has its line here and its arm in [`parse`].
pub const HELP: &str = "\
Usage: rtmp-server [flags]

A live RTMP server. Streams are published to and played from rtmp://HOST/APP/NAME.

  -listen ADDR                 address to listen on, repeatable; :PORT means all addresses (default :1935)
  -log-level LEVEL             debug, info, warn or error (default info)
  -log-format FORMAT           text, json or auto: text on a terminal and in systemd's journal, json elsewhere
                               (default auto)
  -chunk-size N                bytes per chunk sent, 128 to 65536 (default 4096)
  -gop-cache BOOL              start viewers at once, from the last keyframe (default true)
  -merge D                     how long a publisher's messages may wait for others, to be sent on together:
                               a duration, 0 for not at all, or auto: sound waits for the next picture,
                               45ms at most (default auto)
  -on-duplicate POLICY         takeover or reject a second publisher of a stream (default takeover)
  -grace D                     how long viewers stay after their publisher was lost; 0: not at all (default 10s)
  -wait-stream D               how long play waits for a stream to begin; 0: not at all (default 10s)
  -auth-mode MODE              none, token, file or callback: who may publish and play (default none)
  -auth-token KEY=TOKEN        token mode, repeatable: ?token=TOKEN opens the stream KEY; live/* is any of live
  -auth-file FILE              file mode: a JSON object of keys and tokens, read again on SIGHUP
  -auth-callback URL           callback mode: a web service that is asked; 200 lets the client in
  -auth-callback-timeout D     how long it may take; then the client is refused (default 5s)
  -hook-script EVENT=PATH      run a script for each event of that name, repeatable
  -hook-webhook EVENT=URL      post each event of that name to a web service, repeatable
  -hook-stdio-format FORMAT    json or env: write all events to standard error (default: not)
  -hook-timeout D              how long a script or a web service may take (default 30s)
  -hook-concurrency N          how many of them may be at work at a time (default 10)
  -run-on-publish CMD          run a command as long as a stream is published, for each stream
  -relay-to [KEY=]URL          send every stream, or those that KEY names, to another server, repeatable:
                               rtmp://HOST/APP, or a URL with {app}, {name}, {key} in it
  -pull KEY=URL                bring a stream of another server here under KEY, repeatable
  -pull-on-demand              only while somebody watches, and 30s after; KEY may be live/* then
  -record-all BOOL             record every published stream (default false)
  -record-dir DIR              where the files go; made when it is needed (default recordings)
  -segment-duration D          a new file at the first keyframe after that; 0: a stream is one file (default 0)
  -segment-pattern P           how such files are named: %s key, %d %3d %03d number, %Y %m %D %H %M %S, %T
                               date and time, %%, / for directories (default %s_%T_seg%03d)
  -max-connections N           most connections at a time (default 4096)
  -max-connections-per-ip N    most connections of one address; 0: no limit (default 0)
  -metrics-addr ADDR           serve metrics, lists and a page over HTTP on this address (default: not)
  -api-token TOKEN             who knows it may have streams and connections ended over HTTP from other
                               machines; @FILE reads it from a file
  -reconnect-url URL           where clients that can are sent on SIGUSR1
  -shutdown-timeout D          how long a stop may take before it is forced (default 5s)
  -version                     print the version
  -help                        print this text

Durations are written 500ms, 2s, 5m, 1h30m. A flag may have one dash or two, and its value after a
space or after =.
";

/// Where recordings go.
const RECORD_DIR: &str = "recordings";

/// Flags that need no value to be true.
const SWITCHES: [&str; 1] = ["pull-on-demand"];

/// How long the web service of callback mode may take.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(5);

/// Flags of servers that speak TLS or SRT themselves.
const TERMINATED: [&str; 4] = ["tls-listen", "tls-cert", "tls-key", "srt-listen"];

/// Reads the arguments behind the program's name.
///
/// # Errors
///
/// One line that names the flag and says what is allowed.
pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Action, String> {
    let mut args = args.into_iter().peekable();
    let mut parser = Parser::default();
    while let Some(arg) = args.next() {
        let (flag, inline) = split(&arg)?;
        match flag {
            "h" | "help" => return Ok(Action::Help),
            "version" => return Ok(Action::Version),
            _ => known(flag)?,
        }
        let bare = SWITCHES.contains(&flag);
        let value = inline
            .or_else(|| args.next_if(|next| !bare || boolean(flag, next).is_ok()))
            .or_else(|| bare.then(|| "true".to_owned()))
            .ok_or_else(|| format!("-{flag} needs a value"))?;
        let taken = parser.take_server(flag, &value)?
            || parser.take_stream(flag, &value)?
            || parser.take_auth(flag, &value)?
            || parser.take_hooks(flag, &value)?
            || parser.take_remote(flag, &value)?
            || parser.take_record(flag, &value)?;
        if !taken {
            return Err(unknown(flag));
        }
    }
    parser.finish().map(|config| Action::Run(Box::new(config)))
}

/// The flags read so far. Each `take_` returns whether the flag was one of its own.
#[derive(Default)]
struct Parser {
    config: Config,
    auth_mode: String,
    auth_tokens: Vec<(String, String)>,
    auth_file: Option<PathBuf>,
    auth_callback: Option<String>,
    auth_callback_timeout: Option<Duration>,
    pull: Vec<String>,
    record_all: bool,
    record_dir: Option<PathBuf>,
    segment_duration: Duration,
    segment_pattern: Option<Pattern>,
}

impl Parser {
    fn take_server(&mut self, flag: &str, value: &str) -> Result<bool, String> {
        let config = &mut self.config;
        match flag {
            "listen" => config.listen.push(address(flag, value)?),
            "log-level" => {
                config.log_level = Level::from_name(value)
                    .ok_or_else(|| bad(flag, value, "debug, info, warn or error"))?;
            }
            "log-format" => {
                let formats = [
                    ("text", Format::Text),
                    ("json", Format::Json),
                    ("auto", Format::Auto),
                ];
                config.log_format = choice(flag, value, formats)?;
            }
            "max-connections" => config.max_connections = number(flag, value, 1, 1_000_000)?,
            "max-connections-per-ip" => {
                config.max_connections_per_ip = number(flag, value, 0, 1_000_000)?;
            }
            "metrics-addr" => config.metrics_addr = Some(address(flag, value)?),
            "api-token" => config.api_token = Some(Secret::read(flag, value)?),
            "reconnect-url" => config.reconnect_url = Some(rtmp_url(flag, value)?),
            "shutdown-timeout" => config.shutdown_timeout = duration(flag, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_stream(&mut self, flag: &str, value: &str) -> Result<bool, String> {
        let config = &mut self.config;
        match flag {
            "chunk-size" => config.chunk_size = number(flag, value, 128, 65536)?,
            "gop-cache" => config.gop_cache = boolean(flag, value)?,
            "merge" if value == "auto" => config.merge = None,
            "merge" => config.merge = Some(duration(flag, value)?),
            "on-duplicate" => {
                let policies = [
                    ("takeover", OnDuplicate::Takeover),
                    ("reject", OnDuplicate::Reject),
                ];
                config.on_duplicate = choice(flag, value, policies)?;
            }
            "grace" => config.grace = duration(flag, value)?,
            "wait-stream" => config.wait_stream = duration(flag, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_auth(&mut self, flag: &str, value: &str) -> Result<bool, String> {
        match flag {
            "auth-mode" => {
                let modes = ["none", "token", "file", "callback"].map(|mode| (mode, mode));
                self.auth_mode = choice(flag, value, modes)?.to_owned();
            }
            // Never with its value: that is a secret.
            "auth-token" => match value.split_once('=') {
                Some((key, token)) if !key.is_empty() && !token.is_empty() => {
                    self.auth_tokens.push((key.to_owned(), token.to_owned()));
                }
                _ => return Err("-auth-token: must be KEY=TOKEN".to_owned()),
            },
            "auth-file" => self.auth_file = Some(PathBuf::from(value)),
            "auth-callback" => self.auth_callback = Some(value.to_owned()),
            "auth-callback-timeout" => self.auth_callback_timeout = Some(positive(flag, value)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_hooks(&mut self, flag: &str, value: &str) -> Result<bool, String> {
        let hooks = &mut self.config.hooks;
        match flag {
            "hook-script" => hooks.scripts.push(of_event(flag, value, "EVENT=PATH")?),
            "hook-webhook" => hooks.webhooks.push(of_event(flag, value, "EVENT=URL")?),
            "hook-stdio-format" => {
                let format = StdioFormat::from_name(value);
                hooks.stdio = Some(format.ok_or_else(|| bad(flag, value, "json or env"))?);
            }
            "hook-timeout" => hooks.timeout = positive(flag, value)?,
            "hook-concurrency" => hooks.concurrency = number(flag, value, 1, 1000)?,
            "run-on-publish" if value.is_empty() => return Err(bad(flag, value, "a command")),
            "run-on-publish" => self.config.run_on_publish = Some(value.to_owned()),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_remote(&mut self, flag: &str, value: &str) -> Result<bool, String> {
        match flag {
            // Never with its value: a stream's name there is a secret, mostly.
            "relay-to" => {
                let destination = Destination::parse(value);
                let destination = destination.map_err(|error| format!("-{flag}: {error}"))?;
                let all = &mut self.config.relay_to;
                all.push(destination.among(all));
            }
            "pull" => self.pull.push(value.to_owned()),
            "pull-on-demand" => self.config.pull_on_demand = boolean(flag, value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn take_record(&mut self, flag: &str, value: &str) -> Result<bool, String> {
        match flag {
            "record-all" => self.record_all = boolean(flag, value)?,
            "record-dir" if value.is_empty() => return Err(bad(flag, value, "a directory")),
            "record-dir" => self.record_dir = Some(PathBuf::from(value)),
            "segment-duration" => self.segment_duration = duration(flag, value)?,
            "segment-pattern" => {
                let pattern = Pattern::new(value);
                let pattern = pattern.map_err(|error| format!("-{flag} {value:?}: {error}"))?;
                self.segment_pattern = Some(pattern);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What `-pull` means depends on whether it is on demand.
    fn finish_pull(&mut self) -> Result<(), String> {
        let on_demand = self.config.pull_on_demand;
        if on_demand && self.pull.is_empty() {
            return Err("-pull-on-demand needs -pull".to_owned());
        }
        if on_demand && self.config.wait_stream.is_zero() {
            let why = "-pull-on-demand needs -wait-stream: who comes first has to wait";
            return Err(why.to_owned());
        }
        let sources = self.pull.iter().map(|text| Source::parse(text, on_demand));
        let sources: Result<_, _> = sources.collect();
        self.config.pull = sources.map_err(|error| format!("-pull: {error}"))?;
        Ok(())
    }

    fn record(&mut self) -> Option<record::Settings> {
        let pattern = self.segment_pattern.take();
        let segments = Segments {
            duration: self.segment_duration,
            pattern: pattern.unwrap_or_else(Pattern::of_segments),
        };
        let dir = self.record_dir.take();
        let settings = record::Settings {
            dir: dir.unwrap_or_else(|| PathBuf::from(RECORD_DIR)),
            segments: (!segments.duration.is_zero()).then_some(segments),
        };
        self.record_all.then_some(settings)
    }

    /// The rules that concern more than one flag.
    fn finish(mut self) -> Result<Config, String> {
        self.finish_pull()?;
        self.config.record = self.record();
        if self.config.api_token.is_some() && self.config.metrics_addr.is_none() {
            return Err("-api-token needs -metrics-addr".to_owned());
        }
        let timeout = self.auth_callback_timeout;
        let given = [
            ("auth-token", "token", !self.auth_tokens.is_empty()),
            ("auth-file", "file", self.auth_file.is_some()),
            ("auth-callback", "callback", self.auth_callback.is_some()),
            ("auth-callback-timeout", "callback", timeout.is_some()),
        ];
        if let Some((flag, mode, _)) = given
            .iter()
            .find(|(_, mode, given)| *given && *mode != self.auth_mode)
        {
            return Err(format!("-{flag} needs -auth-mode {mode}"));
        }
        self.config.auth = match (self.auth_mode.as_str(), self.auth_file, self.auth_callback) {
            ("token", ..) if self.auth_tokens.is_empty() => {
                return Err(needs("token", "auth-token"));
            }
            ("token", ..) => Auth::Token(self.auth_tokens),
            ("file", Some(file), _) => Auth::File(file),
            ("file", None, _) => return Err(needs("file", "auth-file")),
            ("callback", _, Some(url)) => Auth::Callback(url, timeout.unwrap_or(CALLBACK_TIMEOUT)),
            ("callback", _, None) => return Err(needs("callback", "auth-callback")),
            _ => Auth::None,
        };
        Ok(self.config)
    }
}

fn needs(mode: &str, flag: &str) -> String {
    format!("-auth-mode {mode} needs -{flag}")
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
