//! What the command line asks for, once it has been checked.

use super::error::Error;
use super::secret::Secret;
use crate::hooks;
use crate::log::{Level, LogFormat};
use crate::record;
use crate::remote::{Destination, Source};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where the server listens if nobody says anything else.
pub const LISTEN: &str = ":1935";

/// What to do with a second publisher of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDuplicate {
    /// It gets the stream; the first one is hung up on.
    Takeover,
    /// It is refused.
    Reject,
}

/// Which tracks of a stream with several players get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackPolicy {
    /// All, if they announced that they take them, or ask for them; else the first of each kind.
    Announced,
    /// All.
    All,
}

/// Who may publish and play.
#[derive(Clone, PartialEq)]
pub enum Auth {
    /// Everyone.
    None,
    /// Whoever knows the token: key or pattern, and token.
    Token(Vec<(String, String)>),
    /// The same, in a file.
    File(PathBuf),
    /// Whoever a web service lets in, and how long it may take.
    Callback(String, Duration),
}

/// Without what may be secret.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Auth::None => "None",
            Auth::Token(_) => "Token",
            Auth::File(_) => "File",
            Auth::Callback(..) => "Callback",
        })
    }
}

/// Declares a struct whose fields have their defaults beside them.
macro_rules! with_defaults {
    (
        $(#[$outer:meta])*
        pub struct $name:ident {
            $($(#[$inner:meta])* pub $field:ident: $type:ty = $default:expr,)*
        }
    ) => {
        $(#[$outer])*
        pub struct $name {
            $($(#[$inner])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> $name {
                $name { $($field: $default,)* }
            }
        }
    };
}

with_defaults! {
    /// How the server is to run.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Config {
        /// `-auth-mode` and what belongs to it.
        pub auth: Auth = Auth::None,
        /// `-hook-…`.
        pub hooks: hooks::HookSettings = hooks::HookSettings::default(),
        /// `-run-on-publish`.
        pub run_on_publish: Option<String> = None,
        /// `-relay-to`.
        pub relay_to: Vec<Destination> = Vec::new(),
        /// `-pull`.
        pub pull: Vec<Source> = Vec::new(),
        /// `-pull-on-demand`.
        pub pull_on_demand: bool = false,
        /// `-record-all` and what belongs to it; `None`: nothing is recorded.
        pub record: Option<record::RecordSettings> = None,
        /// `-listen`; without any, and without sockets that were passed, it is [`LISTEN`].
        pub listen: Vec<String> = Vec::new(),
        /// `-log-level`.
        pub log_level: Level = Level::Info,
        /// `-log-format`.
        pub log_format: LogFormat = LogFormat::Auto,
        /// `-chunk-size`, in bytes.
        pub chunk_size: u32 = 4096,
        /// `-gop-cache`.
        pub gop_cache: bool = true,
        /// `-merge`; `None` for auto.
        pub merge: Option<Duration> = None,
        /// `-on-duplicate`.
        pub on_duplicate: OnDuplicate = OnDuplicate::Takeover,
        /// `-tracks`.
        pub tracks: TrackPolicy = TrackPolicy::Announced,
        /// `-grace`.
        pub grace: Duration = Duration::from_secs(10),
        /// `-wait-stream`.
        pub wait_stream: Duration = Duration::from_secs(10),
        /// `-max-connections`.
        pub max_connections: usize = 4096,
        /// `-max-connections-per-ip`; 0 for no limit.
        pub max_connections_per_ip: usize = 0,
        /// `-metrics-addr`; `None` for no HTTP server.
        pub metrics_addr: Option<String> = None,
        /// `-http-host`.
        pub http_host: Vec<String> = Vec::new(),
        /// `-api-token`.
        pub api_token: Option<Secret> = None,
        /// `-reconnect-url`.
        pub reconnect_url: Option<String> = None,
        /// `-shutdown-timeout`.
        pub shutdown_timeout: Duration = Duration::from_secs(5),
    }
}

impl Config {
    /// Applies the rules that depend on whether sockets for HTTP were passed.
    ///
    /// # Errors
    ///
    /// [`Error::Needs`].
    pub fn check_passed(&self, serves_http: bool) -> Result<(), Error> {
        if self.api_token.is_some() && self.metrics_addr.is_none() && !serves_http {
            let other = "metrics-addr, or a passed socket named metrics";
            return Err(Error::Needs("api-token", other));
        }
        Ok(())
    }
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Invocation {
    /// Run the server.
    Run(Box<Config>),
    /// Print the help.
    Help,
    /// Print the version.
    Version,
}
