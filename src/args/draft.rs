//! The settings while flags are read, before they are checked together.

use super::config::{Auth, Config, Invocation, SignRequest, TlsFiles};
use super::error::{Error, Invalid};
use super::fault::{Fault, Faults, Place};
use super::secret::Secret;
use crate::auth::{Action, SignedKey};
use crate::record::{self, FileFormat, Pattern, Segments};
use crate::remote::{DestinationError, Source};
use std::path::PathBuf;
use std::time::Duration;

/// The default of `-record-dir`.
const RECORD_DIR: &str = "recordings";

/// The default of `-auth-callback-timeout`.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(5);

/// The default of `-sign-for`.
const SIGN_FOR: Duration = Duration::from_secs(60 * 60);

/// The value of `-auth-mode`; the other flags of authentication need their mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum AuthMode {
    #[default]
    None,
    Token,
    File,
    Signed,
    Callback,
}

impl AuthMode {
    /// The flag and its value that set this mode, as errors name them.
    fn flag(self) -> &'static str {
        match self {
            AuthMode::None => "auth-mode none",
            AuthMode::Token => "auth-mode token",
            AuthMode::File => "auth-mode file",
            AuthMode::Signed => "auth-mode signed",
            AuthMode::Callback => "auth-mode callback",
        }
    }
}

/// What flags have set so far. A flag that means something by itself sets its field of `config`; flags
/// that mean something only together wait for [`Draft::finish`].
#[derive(Default)]
pub(super) struct Draft {
    pub(super) config: Config,
    /// What to do instead of running the server.
    pub(super) instead: Option<Invocation>,
    /// Whether the settings are only to be checked.
    pub(super) check: bool,
    pub(super) auth_mode: AuthMode,
    pub(super) auth_tokens: Vec<(String, String)>,
    pub(super) auth_file: Option<PathBuf>,
    pub(super) auth_secrets: Vec<Secret>,
    pub(super) sign: Option<(Action, SignedKey)>,
    pub(super) sign_for: Option<Duration>,
    pub(super) auth_callback: Option<String>,
    pub(super) auth_callback_timeout: Option<Duration>,
    /// As they are written.
    pub(super) pull: Vec<String>,
    pub(super) tls_cert: Option<PathBuf>,
    pub(super) tls_key: Option<PathBuf>,
    pub(super) record_all: bool,
    pub(super) record_dir: Option<PathBuf>,
    pub(super) record_format: FileFormat,
    pub(super) segment_duration: Duration,
    pub(super) segment_pattern: Option<Pattern>,
}

/// Host and port of an address to listen on; `None` if the system picks the port.
fn listen_place(addr: &str) -> Option<(String, u16)> {
    let (host, port) = addr.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let host = if host.is_empty() { "[::]" } else { host };
    Some((host.to_ascii_lowercase(), port))
}

impl Draft {
    /// Applies the rules that concern more than one flag.
    pub(super) fn finish(mut self, faults: &mut Faults) -> Config {
        let mut found = Vec::new();
        self.config.pull = self.pull(&mut found);
        self.config.record = self.record();
        self.config.tls = self.tls(&mut found);
        if !self.config.proxy_from.is_empty() && self.config.proxy_listen.is_empty() {
            found.push((0, Error::Needs("proxy-from", "proxy-listen")));
        }
        self.check_signing(&mut found);
        self.check_addresses(&mut found);
        let auth = self.auth(&mut found);
        self.config.auth = auth.unwrap_or_else(|error| {
            found.push((0, error));
            Auth::None
        });
        let faulty: Vec<&str> = faults
            .iter()
            .filter_map(|fault| fault.error.flag())
            .collect();
        // What is missing, or there in vain, because it is wrong has been told.
        found.retain(|(_, error)| {
            !matches!(error, Error::Needs(..)) || !error.flags().any(|flag| faulty.contains(&flag))
        });
        for (index, error) in found {
            let place = error.flag().map_or(Place::CommandLine, |flag| {
                self.config.given.place_of(flag, index)
            });
            faults.add(Fault { place, error });
        }
        self.config
    }

    /// Only one socket can listen on an address; each use of port 0 is another.
    fn check_addresses(&self, found: &mut Vec<(usize, Error)>) {
        let config = &self.config;
        let lists = [
            ("listen", &config.listen[..]),
            ("proxy-listen", &config.proxy_listen),
            ("tls-listen", &config.tls_listen),
            ("http-listen", &config.http_listen),
            ("metrics-addr", config.metrics_addr.as_slice()),
        ];
        let mut taken: Vec<(String, u16, &str)> = Vec::new();
        for (flag, addrs) in lists {
            for (index, addr) in addrs.iter().enumerate() {
                let Some((host, port)) = listen_place(addr) else {
                    continue;
                };
                let mut same = taken.iter().filter(|it| (&it.0, it.1) == (&host, port));
                if let Some((_, _, by)) = same.next() {
                    let why = Invalid::because(format_args!("-{by} has this address already"));
                    let value = Some(addr.clone());
                    found.push((index, Error::Invalid { flag, value, why }));
                }
                taken.push((host, port, flag));
            }
        }
    }

    /// A certificate and its key go together.
    fn tls(&mut self, found: &mut Vec<(usize, Error)>) -> Option<TlsFiles> {
        let mut needs = |flag, other| found.push((0, Error::Needs(flag, other)));
        match (self.tls_cert.take(), self.tls_key.take()) {
            (Some(cert), Some(key)) => return Some(TlsFiles { cert, key }),
            (Some(_), None) => needs("tls-cert", "tls-key"),
            (None, Some(_)) => needs("tls-key", "tls-cert"),
            (None, None) if self.config.tls_listen.is_empty() => {}
            (None, None) => needs("tls-listen", "tls-cert and -tls-key"),
        }
        None
    }

    /// What `-pull` means depends on whether it is on demand.
    fn pull(&self, found: &mut Vec<(usize, Error)>) -> Vec<Source> {
        let on_demand = self.config.pull_on_demand;
        if on_demand && self.pull.is_empty() {
            found.push((0, Error::Needs("pull-on-demand", "pull")));
        }
        if on_demand && self.config.wait_stream.is_zero() {
            let why = "wait-stream: the first viewer has to wait";
            found.push((0, Error::Needs("pull-on-demand", why)));
        }
        let sources = self.pull.iter().enumerate();
        // What is wrong in any case was told when it was read.
        let sources = sources.filter(|(_, text)| Source::parse(text, true).is_ok());
        let mut filters = Vec::new();
        let sources = sources.filter_map(|(index, text)| {
            let source = Source::parse(text, on_demand).and_then(|source| {
                let twice = filters.contains(&source.filter);
                filters.push(source.filter.clone());
                match twice {
                    true => Err(DestinationError::SecondSource(source.filter.to_string())),
                    false => Ok(source),
                }
            });
            let source = source.map_err(|error| Error::Invalid {
                flag: "pull",
                value: None,
                why: Invalid::because(error),
            });
            source.map_err(|error| found.push((index, error))).ok()
        });
        sources.collect()
    }

    fn record(&mut self) -> Option<record::RecordSettings> {
        let pattern = self.segment_pattern.take();
        let segments = Segments {
            duration: self.segment_duration,
            pattern: pattern.unwrap_or_else(Pattern::of_segments),
        };
        let dir = self.record_dir.take();
        let settings = record::RecordSettings {
            dir: dir.unwrap_or_else(|| PathBuf::from(RECORD_DIR)),
            segments: (!segments.duration.is_zero()).then_some(segments),
            format: self.record_format,
        };
        self.record_all.then_some(settings)
    }

    /// The query that is to be signed, if any.
    pub(super) fn sign_request(&self) -> Option<SignRequest> {
        let (action, key) = self.sign.clone()?;
        Some(SignRequest {
            action,
            key,
            lifetime: self.sign_for.unwrap_or(SIGN_FOR),
            secret: self.auth_secrets.first()?.clone(),
        })
    }

    /// Only a secret can sign, and only what is signed has a lifetime.
    fn check_signing(&self, found: &mut Vec<(usize, Error)>) {
        if self.sign.is_some() && self.auth_secrets.is_empty() {
            found.push((0, Error::Needs("sign", "auth-secret")));
        }
        if self.sign_for.is_some() && self.sign.is_none() {
            found.push((0, Error::Needs("sign-for", "sign")));
        }
    }

    /// Each mode needs its flags, and they need the mode.
    fn auth(&mut self, found: &mut Vec<(usize, Error)>) -> Result<Auth, Error> {
        let (mode, timeout) = (self.auth_mode, self.auth_callback_timeout);
        let timed = timeout.is_some();
        let tokens = std::mem::take(&mut self.auth_tokens);
        let secrets = std::mem::take(&mut self.auth_secrets);
        // Those that sign only need no mode.
        let secret = !secrets.is_empty() && !self.config.given.has("sign");
        let (file, callback) = (self.auth_file.take(), self.auth_callback.take());
        for (flag, of, given) in [
            ("auth-token", AuthMode::Token, !tokens.is_empty()),
            ("auth-file", AuthMode::File, file.is_some()),
            ("auth-secret", AuthMode::Signed, secret),
            ("auth-callback", AuthMode::Callback, callback.is_some()),
            ("auth-callback-timeout", AuthMode::Callback, timed),
        ] {
            if given && of != mode {
                found.push((0, Error::Needs(flag, of.flag())));
            }
        }
        let needs = |flag| Error::Needs(mode.flag(), flag);
        match mode {
            AuthMode::None => Ok(Auth::None),
            AuthMode::Token if tokens.is_empty() => Err(needs("auth-token")),
            AuthMode::Token => Ok(Auth::Token(tokens)),
            AuthMode::File => file.map(Auth::File).ok_or(needs("auth-file")),
            AuthMode::Signed if secrets.is_empty() => Err(needs("auth-secret")),
            AuthMode::Signed => Ok(Auth::Signed(secrets)),
            AuthMode::Callback => {
                let url = callback.ok_or(needs("auth-callback"))?;
                Ok(Auth::Callback(url, timeout.unwrap_or(CALLBACK_TIMEOUT)))
            }
        }
    }
}
