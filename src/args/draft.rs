//! A configuration in the making.

use super::config::{Action, Auth, Config};
use super::error::{Error, Invalid};
use crate::record::{self, Pattern, Segments};
use crate::remote::Source;
use std::path::PathBuf;
use std::time::Duration;

/// Where recordings go.
const RECORD_DIR: &str = "recordings";

/// How long the web service of callback mode may take.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(5);

/// What flags have set so far: a flag that stands for itself sets its field of the configuration;
/// those that mean something only together wait for [`Draft::finish`].
#[derive(Default)]
pub struct Draft {
    pub config: Config,
    /// What is to be done instead of running the server.
    pub instead: Option<Action>,
    /// Empty: not given.
    pub auth_mode: &'static str,
    pub auth_tokens: Vec<(String, String)>,
    pub auth_file: Option<PathBuf>,
    pub auth_callback: Option<String>,
    pub auth_callback_timeout: Option<Duration>,
    pub pull: Vec<String>,
    pub record_all: bool,
    pub record_dir: Option<PathBuf>,
    pub segment_duration: Duration,
    pub segment_pattern: Option<Pattern>,
}

impl Draft {
    /// Applies the rules that concern more than one flag.
    pub fn finish(mut self) -> Result<Config, Error> {
        self.config.pull = self.pull()?;
        self.config.record = self.record();
        self.config.auth = self.auth()?;
        Ok(self.config)
    }

    /// What `-pull` means depends on whether it is on demand.
    fn pull(&self) -> Result<Vec<Source>, Error> {
        let on_demand = self.config.pull_on_demand;
        if on_demand && self.pull.is_empty() {
            return Err(needs("pull-on-demand", "pull"));
        }
        if on_demand && self.config.wait_stream.is_zero() {
            let why = "wait-stream: who comes first has to wait";
            return Err(needs("pull-on-demand", why));
        }
        let sources = self.pull.iter().map(|text| Source::parse(text, on_demand));
        let sources: Result<_, _> = sources.collect();
        sources.map_err(|error| Error::Invalid {
            flag: "pull",
            value: None,
            why: Invalid::because(error),
        })
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

    /// Each mode needs its flags, and they need the mode.
    fn auth(&mut self) -> Result<Auth, Error> {
        let timeout = self.auth_callback_timeout;
        for (flag, mode, given) in [
            ("auth-token", "token", !self.auth_tokens.is_empty()),
            ("auth-file", "file", self.auth_file.is_some()),
            ("auth-callback", "callback", self.auth_callback.is_some()),
            ("auth-callback-timeout", "callback", timeout.is_some()),
        ] {
            if given && mode != self.auth_mode {
                return Err(needs(flag, &format!("auth-mode {mode}")));
            }
        }
        let tokens = std::mem::take(&mut self.auth_tokens);
        match (
            self.auth_mode,
            self.auth_file.take(),
            self.auth_callback.take(),
        ) {
            ("token", ..) if tokens.is_empty() => Err(needs("auth-mode token", "auth-token")),
            ("token", ..) => Ok(Auth::Token(tokens)),
            ("file", Some(file), _) => Ok(Auth::File(file)),
            ("file", None, _) => Err(needs("auth-mode file", "auth-file")),
            ("callback", _, Some(url)) => {
                Ok(Auth::Callback(url, timeout.unwrap_or(CALLBACK_TIMEOUT)))
            }
            ("callback", _, None) => Err(needs("auth-mode callback", "auth-callback")),
            _ => Ok(Auth::None),
        }
    }
}

fn needs(flag: &str, other: &str) -> Error {
    Error::Needs(flag.to_owned(), other.to_owned())
}
