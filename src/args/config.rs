//! What the command line asks for, after it has been checked.

use super::error::{Error, Invalid};
use super::fault::{Fault, Faults};
use super::given::Given;
use super::secret::Secret;
use crate::auth::{Action, AllowedAddresses, SignedKey};
use crate::hooks;
use crate::ip_range::IpRange;
use crate::log::{Level, LogFormat};
use crate::notify::NotifySettings;
use crate::record;
use crate::remote::{Destination, Source};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where the server listens without `-listen` and without passed sockets.
pub const LISTEN: &str = ":1935";

/// What happens to a second publisher of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDuplicate {
    /// It takes the stream over, and the first one's connection is closed.
    Takeover,
    /// It is refused, unless the first one has been silent for a while.
    Reject,
}

/// Which tracks of a stream with several tracks of a kind players get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackPolicy {
    /// The first of each kind, and all if they announced multitrack or ask for all.
    Announced,
    /// Every track, whatever they announced.
    All,
}

/// Who may publish and play.
#[derive(Clone, PartialEq)]
pub enum Auth {
    /// Everyone may publish and play.
    None,
    /// Clients that know the token: pairs of a key or pattern and its token.
    Token(Vec<(String, String)>),
    /// The same pairs in a JSON file.
    File(PathBuf),
    /// Clients with a query that is signed with one of these secrets.
    Signed(Vec<Secret>),
    /// Clients that a web service lets in: its URL, and how long it may take.
    Callback(String, Duration),
}

/// Shows the mode only: the rest may be secret.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Auth::None => "None",
            Auth::Token(_) => "Token",
            Auth::File(_) => "File",
            Auth::Signed(_) => "Signed",
            Auth::Callback(..) => "Callback",
        })
    }
}

/// The files that TLS needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and the chain up to an authority that clients know.
    pub cert: PathBuf,
    /// The key of the certificate.
    pub key: PathBuf,
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
    /// The settings of the server. Each field names its flag.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Config {
        /// The flags as they were given.
        pub given: Given = Given::default(),
        /// `-auth-mode` and the flags of that mode: who may publish and play.
        pub auth: Auth = Auth::None,
        /// `-allow-publish` and `-allow-play`: where clients may come from.
        pub allowed: AllowedAddresses = AllowedAddresses::default(),
        /// `-notify`, `-notify-method` and `-notify-update`: the callbacks of nginx-rtmp.
        pub notify: NotifySettings = NotifySettings::default(),
        /// The flags that begin with `-hook-`.
        pub hooks: hooks::HookSettings = hooks::HookSettings::default(),
        /// `-run-on-publish`, for `/bin/sh -c`; `None`: no command.
        pub run_on_publish: Option<String> = None,
        /// `-relay-to`: each stream goes to every destination that takes its key.
        pub relay_to: Vec<Destination> = Vec::new(),
        /// `-pull`: streams of other servers, by their key here.
        pub pull: Vec<Source> = Vec::new(),
        /// `-pull-on-demand`: pull only while somebody watches.
        pub pull_on_demand: bool = false,
        /// `-record-all` and the flags of recordings; `None`: nothing is recorded.
        pub record: Option<record::RecordSettings> = None,
        /// `-listen`. If it is empty and no sockets were passed, the server listens on [`LISTEN`].
        pub listen: Vec<String> = Vec::new(),
        /// `-tls-listen`: where RTMPS is served.
        pub tls_listen: Vec<String> = Vec::new(),
        /// `-tls-cert` and `-tls-key`; `None`: no TLS.
        pub tls: Option<TlsFiles> = None,
        /// `-proxy-listen`: where proxies connect, which tell of their clients.
        pub proxy_listen: Vec<String> = Vec::new(),
        /// `-proxy-from`: proxies that are believed; if it is empty, those of this machine.
        pub proxy_from: Vec<IpRange> = Vec::new(),
        /// `-log-level`: lines below it are left out.
        pub log_level: Level = Level::Info,
        /// `-log-format`: how lines are written.
        pub log_format: LogFormat = LogFormat::Auto,
        /// `-chunk-size`: the size of chunks that the server sends, in bytes.
        pub chunk_size: u32 = 4096,
        /// `-gop-cache`: whether viewers start from the last keyframe.
        pub gop_cache: bool = true,
        /// `-merge`: how long messages may wait to be sent together; `None`: until the next picture.
        pub merge: Option<Duration> = None,
        /// `-on-duplicate`: what happens to a second publisher.
        pub on_duplicate: OnDuplicate = OnDuplicate::Takeover,
        /// `-tracks`: which of several tracks players get.
        pub tracks: TrackPolicy = TrackPolicy::Announced,
        /// `-grace`: how long viewers stay after their publisher was lost; 0: not at all.
        pub grace: Duration = Duration::from_secs(10),
        /// `-wait-stream`: how long `play` waits for a stream to begin; 0: not at all.
        pub wait_stream: Duration = Duration::from_secs(10),
        /// `-max-connections`: most RTMP connections at a time.
        pub max_connections: usize = 4096,
        /// `-max-connections-per-ip`: most of them from one address; 0: no limit.
        pub max_connections_per_ip: usize = 0,
        /// `-max-memory`: the bound of what peers, caches, feeds and playlists may hold together, in bytes;
        /// `None`: a quarter of the machine or of the control group.
        pub max_memory: Option<usize> = None,
        /// `-metrics-addr`: where the HTTP server listens; `None`: there is none.
        pub metrics_addr: Option<String> = None,
        /// `-http-host`: names that HTTP requests may be for.
        pub http_host: Vec<String> = Vec::new(),
        /// `-api-token`: who sends it may end streams and connections.
        pub api_token: Option<Secret> = None,
        /// `-http-listen`: where media are served over HTTP.
        pub http_listen: Vec<String> = Vec::new(),
        /// `-http-origin`: the pages that may use them; `*`: all.
        pub http_origin: String = "*".to_owned(),
        /// `-hls-segment`: the shortest segment of HLS.
        pub hls_segment: Duration = Duration::from_secs(2),
        /// `-hls-part`: the usual part of a segment.
        pub hls_part: Duration = Duration::from_millis(500),
        /// `-reconnect-url`: where clients are sent on SIGUSR1; `None`: to the same address.
        pub reconnect_url: Option<String> = None,
        /// `-shutdown-timeout`: how long a stop may take before it is forced.
        pub shutdown_timeout: Duration = Duration::from_secs(5),
    }
}

/// What is said of a file that had flags when the server read it last.
const EMPTIED: &str =
    "the file is empty; to go on without the flags that it had, restart the server";

impl Config {
    /// What is wrong with the use `index` of `flag`, or with the flag as a whole. The text may show
    /// nothing secret.
    pub fn fault(&self, flag: &'static str, index: Option<usize>, why: impl fmt::Display) -> Fault {
        let place = match index {
            Some(index) => self.given.place_of(flag, index),
            None => self.given.place(flag),
        };
        let (value, why) = (None, Invalid::because(why));
        let error = Error::Invalid { flag, value, why };
        Fault { place, error }
    }

    /// Whether the file still has flags, if it had some when `before` was read from it. One that was
    /// emptied by mistake, or is about to be written, would let everybody in.
    ///
    /// # Errors
    ///
    /// A [`Fault`] of `-config`.
    pub fn check_emptied(&self, before: &Config) -> Result<(), Fault> {
        match before.given.has_file() && !self.given.has_file() {
            true => Err(self.fault("config", None, EMPTIED)),
            false => Ok(()),
        }
    }

    /// Applies the rules of TLS. `passed`: sockets named rtmps were passed.
    ///
    /// # Errors
    ///
    /// [`Error::Needs`] if there is a certificate and nothing that it is for, or the reverse.
    pub fn check_passed_tls(&self, passed: bool) -> Result<(), Fault> {
        let needs = |flag, other| {
            let place = self.given.place(flag);
            let error = Error::Needs(flag, other);
            Err(Fault { place, error })
        };
        let serves = passed || !self.tls_listen.is_empty();
        match &self.tls {
            Some(_) if !serves => needs("tls-cert", "tls-listen, or a passed socket named rtmps"),
            None if passed => needs("tls-listen, or a passed socket named rtmps,", "tls-cert"),
            _ => Ok(()),
        }
    }

    /// Applies the rules that depend on passed sockets. `serves_http`: one of them is for HTTP.
    ///
    /// # Errors
    ///
    /// [`Error::Needs`] if a flag means nothing without an HTTP server.
    pub fn check_passed(&self, serves_http: bool) -> Result<(), Fault> {
        if self.api_token.is_some() && self.metrics_addr.is_none() && !serves_http {
            let other = "metrics-addr, or a passed socket named metrics";
            return Err(Fault {
                place: self.given.place("api-token"),
                error: Error::Needs("api-token", other),
            });
        }
        Ok(())
    }
}

/// What a signed query is to let clients do.
#[derive(Clone, Debug, PartialEq)]
pub struct SignRequest {
    /// To publish or to play.
    pub action: Action,
    /// Which streams it is for.
    pub key: SignedKey,
    /// For how long from now.
    pub lifetime: Duration,
    /// The secret that signs it.
    pub secret: Secret,
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Invocation {
    /// Run the server with these settings.
    Run(Box<Config>),
    /// Check these settings, and exit. The faults that were found already are those of flags.
    Check(Box<Config>, Faults),
    /// Print a signed query, and exit.
    Sign(SignRequest),
    /// Print [`help`](super::help), and exit.
    Help,
    /// Print the version, and exit.
    Version,
}
