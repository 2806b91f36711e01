//! The table of flags. The parser and `-help` are made from it, and tests compare the README with it.

use super::config::{Invocation, OnDuplicate, TrackPolicy};
use super::draft::{AuthMode, Draft};
use super::error::{Error, Invalid};
use super::secret::Secret;
use super::values::{
    address, boolean, choice, duration, filled, host_name, number, of_event, positive, rtmp_url,
    token_of_key,
};
use crate::hooks::StdioFormat;
use crate::log::{Level, LogFormat};
use crate::record::{self, Pattern};
use crate::remote::{Destination, Source};
use Takes::{Many, ManySecrets, Nothing, One, OneSecret, Switch};
use std::fmt::Write as _;
use std::path::PathBuf;

/// An entry of the table: all there is to know about a flag.
pub(super) struct Flag {
    /// Its name, without a dash.
    pub(super) name: &'static str,
    /// The kind of its value.
    pub(super) takes: Takes,
    /// The lines of `-help` about it.
    help: &'static str,
    /// Sets a value in the draft. A switch gets the text of a boolean, a flag without a value gets an
    /// empty text.
    set: fn(&mut Draft, &str) -> Result<(), Invalid>,
}

/// The kind of value that follows a flag; the text stands for the value in `-help`.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    /// One value; if the flag is repeated, the last one wins.
    One(&'static str),
    /// One value for each use of the flag; all of them count.
    Many(&'static str),
    /// As [`Takes::One`], but no error shows the value, which may hold a secret.
    OneSecret(&'static str),
    /// As [`Takes::Many`], but no error shows a value.
    ManySecrets(&'static str),
    /// A boolean that may be left out: `-x` is `-x=true`.
    Switch,
    /// No value at all.
    Nothing,
}

/// All flags, in the order of `-help`.
pub(super) const FLAGS: &[Flag] = &[
    Flag {
        name: "listen",
        takes: Many("ADDR"),
        help: "address to listen on, repeatable; :PORT means all addresses (default :1935)",
        set: |draft, value| add(&mut draft.config.listen, address(value)),
    },
    Flag {
        name: "log-level",
        takes: One("LEVEL"),
        help: "debug, info, warn or error (default info)",
        set: |draft, value| {
            let level = Level::from_name(value);
            let level = level.ok_or_else(|| Invalid::must_be("debug, info, warn or error"));
            put(&mut draft.config.log_level, level)
        },
    },
    Flag {
        name: "log-format",
        takes: One("FORMAT"),
        help: "text, json or auto: text on a terminal and in systemd's journal, json elsewhere\n\
               (default auto)",
        set: |draft, value| {
            let formats = [
                ("text", LogFormat::Text),
                ("json", LogFormat::Json),
                ("auto", LogFormat::Auto),
            ];
            put(&mut draft.config.log_format, choice(value, formats))
        },
    },
    Flag {
        name: "chunk-size",
        takes: One("N"),
        help: "bytes per chunk sent, 128 to 65536 (default 4096)",
        set: |draft, value| put(&mut draft.config.chunk_size, number(value, 128, 65536)),
    },
    Flag {
        name: "gop-cache",
        takes: One("BOOL"),
        help: "start viewers at once, from the last keyframe (default true)",
        set: |draft, value| put(&mut draft.config.gop_cache, boolean(value)),
    },
    Flag {
        name: "merge",
        takes: One("D"),
        help: "how long a publisher's messages may wait for others, to be sent on together:\n\
               a duration, 0 for not at all, or auto: sound waits for the next picture,\n\
               45ms at most (default auto)",
        set: |draft, value| {
            let merge = match value {
                "auto" => Ok(None),
                _ => duration(value).map(Some),
            };
            put(&mut draft.config.merge, merge)
        },
    },
    Flag {
        name: "on-duplicate",
        takes: One("POLICY"),
        help: "takeover or reject a second publisher of a stream (default takeover)",
        set: |draft, value| {
            let policies = [
                ("takeover", OnDuplicate::Takeover),
                ("reject", OnDuplicate::Reject),
            ];
            put(&mut draft.config.on_duplicate, choice(value, policies))
        },
    },
    Flag {
        name: "tracks",
        takes: One("POLICY"),
        help: "announced or all: of several tracks of a kind, players get the first, and all if they\n\
               announced multitrack or ask with ?tracks=all; or always all (default announced)",
        set: |draft, value| {
            let policies = [
                ("announced", TrackPolicy::Announced),
                ("all", TrackPolicy::All),
            ];
            put(&mut draft.config.tracks, choice(value, policies))
        },
    },
    Flag {
        name: "grace",
        takes: One("D"),
        help: "how long viewers stay after their publisher was lost; 0: not at all (default 10s)",
        set: |draft, value| put(&mut draft.config.grace, duration(value)),
    },
    Flag {
        name: "wait-stream",
        takes: One("D"),
        help: "how long play waits for a stream to begin; 0: not at all (default 10s)",
        set: |draft, value| put(&mut draft.config.wait_stream, duration(value)),
    },
    Flag {
        name: "auth-mode",
        takes: One("MODE"),
        help: "none, token, file or callback: who may publish and play (default none)",
        set: |draft, value| {
            let modes = [
                ("none", AuthMode::None),
                ("token", AuthMode::Token),
                ("file", AuthMode::File),
                ("callback", AuthMode::Callback),
            ];
            put(&mut draft.auth_mode, choice(value, modes))
        },
    },
    Flag {
        name: "auth-token",
        takes: ManySecrets("KEY=TOKEN"),
        help: "token mode, repeatable: ?token=TOKEN opens the stream KEY; live/* is any of live",
        set: |draft, value| add(&mut draft.auth_tokens, token_of_key(value)),
    },
    Flag {
        name: "auth-file",
        takes: One("FILE"),
        help: "file mode: a JSON object of keys and tokens, read again on SIGHUP",
        set: |draft, value| put(&mut draft.auth_file, Ok(Some(PathBuf::from(value)))),
    },
    Flag {
        name: "auth-callback",
        takes: OneSecret("URL"),
        help: "callback mode: a web service that is asked; 200 lets the client in",
        set: |draft, value| put(&mut draft.auth_callback, Ok(Some(value.to_owned()))),
    },
    Flag {
        name: "auth-callback-timeout",
        takes: One("D"),
        help: "how long it may take; beyond that the client is refused (default 5s)",
        set: |draft, value| put(&mut draft.auth_callback_timeout, positive(value).map(Some)),
    },
    Flag {
        name: "hook-script",
        takes: Many("EVENT=PATH"),
        help: "run a script for each event of that name, repeatable",
        set: |draft, value| {
            add(
                &mut draft.config.hooks.scripts,
                of_event(value, "EVENT=PATH"),
            )
        },
    },
    Flag {
        name: "hook-webhook",
        takes: ManySecrets("EVENT=URL"),
        help: "post each event of that name to a web service, repeatable",
        set: |draft, value| {
            add(
                &mut draft.config.hooks.webhooks,
                of_event(value, "EVENT=URL"),
            )
        },
    },
    Flag {
        name: "hook-stdio-format",
        takes: One("FORMAT"),
        help: "json or env: write all events to standard error (default: off)",
        set: |draft, value| {
            let format = StdioFormat::from_name(value);
            let format = format.ok_or_else(|| Invalid::must_be("json or env"));
            put(&mut draft.config.hooks.stdio, format.map(Some))
        },
    },
    Flag {
        name: "hook-timeout",
        takes: One("D"),
        help: "how long a script or a web service may take (default 30s)",
        set: |draft, value| put(&mut draft.config.hooks.timeout, positive(value)),
    },
    Flag {
        name: "hook-concurrency",
        takes: One("N"),
        help: "how many scripts and web services may run at a time (default 10)",
        set: |draft, value| put(&mut draft.config.hooks.concurrency, number(value, 1, 1000)),
    },
    Flag {
        name: "run-on-publish",
        takes: One("CMD"),
        help: "run a command for each stream, as long as it is published",
        set: |draft, value| {
            let command = filled(value, "a command");
            put(&mut draft.config.run_on_publish, command.map(Some))
        },
    },
    Flag {
        name: "relay-to",
        takes: ManySecrets("[KEY=]URL"),
        help: "send every stream, or those that KEY names, to another server, repeatable:\n\
               rtmp://HOST/APP, or a URL with {app}, {name}, {key} in it",
        set: |draft, value| {
            let destination = Destination::parse(value).map_err(Invalid::because);
            let all = &mut draft.config.relay_to;
            let destination = destination.map(|destination| destination.among(all));
            add(all, destination)
        },
    },
    Flag {
        name: "pull",
        takes: ManySecrets("KEY=URL"),
        help: "bring a stream of another server here under KEY, repeatable",
        set: |draft, value| {
            draft.pull.push(value.to_owned());
            // Whether it may be a pattern depends on another flag.
            let source = Source::parse(value, true);
            source.map(drop).map_err(Invalid::because)
        },
    },
    Flag {
        name: "pull-on-demand",
        takes: Switch,
        help: "pull only while somebody watches, and 30s longer; KEY may then be live/*",
        set: |draft, value| put(&mut draft.config.pull_on_demand, boolean(value)),
    },
    Flag {
        name: "record-all",
        takes: One("BOOL"),
        help: "record every published stream (default false)",
        set: |draft, value| put(&mut draft.record_all, boolean(value)),
    },
    Flag {
        name: "record-dir",
        takes: One("DIR"),
        help: "directory for the files, made when it is needed (default recordings)",
        set: |draft, value| {
            let dir = filled(value, "a directory").map(PathBuf::from);
            put(&mut draft.record_dir, dir.map(Some))
        },
    },
    Flag {
        name: "record-format",
        takes: One("FORMAT"),
        help: "flv or mp4 (default flv)",
        set: |draft, value| {
            let formats = [
                ("flv", record::FileFormat::Flv),
                ("mp4", record::FileFormat::Mp4),
            ];
            put(&mut draft.record_format, choice(value, formats))
        },
    },
    Flag {
        name: "segment-duration",
        takes: One("D"),
        help: "begin a new file at the first keyframe after D; 0: one file a stream (default 0)",
        set: |draft, value| put(&mut draft.segment_duration, duration(value)),
    },
    Flag {
        name: "segment-pattern",
        takes: One("P"),
        help: "names of such files: %s key, %d %3d %03d number, %Y %m %D %H %M %S, %T date\n\
               and time, %%, / for directories (default %s_%T_seg%03d)",
        set: |draft, value| {
            let pattern = Pattern::new(value).map_err(Invalid::because);
            put(&mut draft.segment_pattern, pattern.map(Some))
        },
    },
    Flag {
        name: "max-connections",
        takes: One("N"),
        help: "most connections at a time (default 4096)",
        set: |draft, value| {
            put(
                &mut draft.config.max_connections,
                number(value, 1, 1_000_000),
            )
        },
    },
    Flag {
        name: "max-connections-per-ip",
        takes: One("N"),
        help: "most connections of one address; 0: no limit (default 0)",
        set: |draft, value| {
            put(
                &mut draft.config.max_connections_per_ip,
                number(value, 0, 1_000_000),
            )
        },
    },
    Flag {
        name: "metrics-addr",
        takes: One("ADDR"),
        help: "serve metrics, lists and a page over HTTP on this address (default: off)",
        set: |draft, value| put(&mut draft.config.metrics_addr, address(value).map(Some)),
    },
    Flag {
        name: "http-host",
        takes: Many("NAME"),
        help: "a name that HTTP requests may be for, besides localhost and the address that\n\
               they come in on, repeatable",
        set: |draft, value| add(&mut draft.config.http_host, host_name(value)),
    },
    Flag {
        name: "api-token",
        takes: OneSecret("TOKEN"),
        help: "lets other machines end streams and connections over HTTP; @FILE reads the\n\
               token from a file",
        set: |draft, value| put(&mut draft.config.api_token, Secret::read(value).map(Some)),
    },
    Flag {
        name: "reconnect-url",
        takes: OneSecret("URL"),
        help: "where SIGUSR1 sends the clients that can reconnect",
        set: |draft, value| put(&mut draft.config.reconnect_url, rtmp_url(value).map(Some)),
    },
    Flag {
        name: "shutdown-timeout",
        takes: One("D"),
        help: "how long a stop may take before it is forced (default 5s)",
        set: |draft, value| put(&mut draft.config.shutdown_timeout, duration(value)),
    },
    Flag {
        name: "config",
        takes: One("FILE"),
        help: "read more flags from a file, one a line: NAME VALUE; # begins a comment line;\n\
               the command line wins over it",
        set: |_, _| Ok(()),
    },
    Flag {
        name: "version",
        takes: Nothing,
        help: "print the version",
        set: |draft, _| put(&mut draft.instead, Ok(Some(Invocation::Version))),
    },
    Flag {
        name: "help",
        takes: Nothing,
        help: "print this text",
        set: |draft, _| put(&mut draft.instead, Ok(Some(Invocation::Help))),
    },
];

impl Flag {
    /// The flag called `name`.
    pub(super) fn find(name: &str) -> Option<&'static Flag> {
        // -h is what most programs have for it.
        let name = if name == "h" { "help" } else { name };
        FLAGS.iter().find(|flag| flag.name == name)
    }

    /// Reads `value` into the draft.
    pub(super) fn set(&self, draft: &mut Draft, value: &str) -> Result<(), Error> {
        (self.set)(draft, value).map_err(|why| Error::Invalid {
            flag: self.name,
            value: (!self.takes.is_secret()).then(|| value.to_owned()),
            why,
        })
    }
}

impl Takes {
    /// The text that stands for the value in `-help`.
    fn placeholder(self) -> &'static str {
        match self {
            One(value) | Many(value) | OneSecret(value) | ManySecrets(value) => value,
            Switch | Nothing => "",
        }
    }

    fn is_secret(self) -> bool {
        matches!(self, OneSecret(_) | ManySecrets(_))
    }
}

/// The lines of `-help` about all flags.
pub(super) fn help() -> String {
    let mut text = String::new();
    for flag in FLAGS {
        let mut left = format!("-{} {}", flag.name, flag.takes.placeholder());
        for line in flag.help.lines() {
            let _ = writeln!(text, "  {left:<28} {line}"); // to a String: cannot fail
            left.clear();
        }
    }
    text
}

/// Sets `place` to a value.
fn put<T>(place: &mut T, value: Result<T, Invalid>) -> Result<(), Invalid> {
    *place = value?;
    Ok(())
}

/// Adds a value to those of earlier uses of the flag.
fn add<T>(values: &mut Vec<T>, value: Result<T, Invalid>) -> Result<(), Invalid> {
    values.push(value?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn the_help_says_which_flags_may_be_given_several_times() {
        for flag in FLAGS {
            let many = matches!(flag.takes, Many(_) | ManySecrets(_));
            assert_eq!(flag.help.contains("repeatable"), many, "-{}", flag.name);
        }
    }

    #[test]
    fn the_help_gives_the_true_defaults() {
        let without = parse([]).expect("the defaults");
        let mut checked = 0;
        for flag in FLAGS {
            let default = flag.help.split_once("(default ");
            let default = default.and_then(|(_, rest)| rest.strip_suffix(')'));
            let Some(default) = default.filter(|_| matches!(flag.takes, One(_))) else {
                continue;
            };
            match parse([format!("-{}={default}", flag.name)]) {
                Ok(with) => assert_eq!(with, without, "-{}", flag.name),
                Err(faults) => {
                    let all = faults
                        .iter()
                        .all(|fault| matches!(fault.error, Error::Needs(..)));
                    assert!(all, "{faults}");
                }
            }
            checked += 1;
        }
        assert!(checked > 15);
    }
}
