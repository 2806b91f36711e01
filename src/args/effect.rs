//! When a flag takes effect that has changed while the server runs. Every flag has its place in this table.

use super::config::{Auth, Config};
use std::fmt;

/// When a changed flag takes effect, once the configuration is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// For everything that happens from then on.
    AtOnce,
    /// What is published is left as it is.
    NextPublication,
    /// Those who play or wait are left as they are.
    NextViewer,
    /// Playlists of HLS keep their durations.
    NextPlaylist,
    /// The server has to be started anew.
    Restart,
    /// It stands on the command line alone, which cannot change.
    Never,
}

/// As the README calls it.
impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Effect::AtOnce => "at once",
            Effect::NextPublication => "with the next publication",
            Effect::NextViewer => "with the next viewer",
            Effect::NextPlaylist => "with the next start of a playlist",
            Effect::Restart => "after a restart",
            Effect::Never => "on the command line only",
        })
    }
}

/// All flags, by when they take effect.
pub const EFFECTS: &[(Effect, &[&str])] = &[
    (
        Effect::AtOnce,
        &[
            "log-level",
            "on-duplicate",
            "grace",
            "auth-mode",
            "auth-token",
            "auth-file",
            "auth-secret",
            "auth-callback",
            "auth-callback-timeout",
            "allow-publish",
            "allow-play",
            "hook-script",
            "hook-webhook",
            "hook-stdio-format",
            "hook-timeout",
            "hook-concurrency",
            "notify",
            "notify-method",
            "notify-update",
            "relay-to",
            "tls-cert",
            "tls-key",
            "pull",
            "pull-on-demand",
            "max-connections",
            "max-connections-per-ip",
            "max-memory",
            "http-host",
            "http-origin",
            "api-token",
            "reconnect-url",
            "shutdown-timeout",
        ],
    ),
    (
        Effect::NextPublication,
        &[
            "gop-cache",
            "run-on-publish",
            "record-all",
            "record-dir",
            "record-format",
            "segment-duration",
            "segment-pattern",
        ],
    ),
    (Effect::NextViewer, &["tracks", "wait-stream"]),
    (Effect::NextPlaylist, &["hls-segment", "hls-part"]),
    (
        Effect::Restart,
        &[
            "listen",
            "log-format",
            "chunk-size",
            "merge",
            "metrics-addr",
            "http-listen",
            "tls-listen",
            "proxy-listen",
            "proxy-from",
        ],
    ),
    (
        Effect::Never,
        &["config", "check", "sign", "sign-for", "version", "help"],
    ),
];

/// Whether `flag` has no place in a file.
pub(super) fn is_on_command_line_only(flag: &str) -> bool {
    let mut never = EFFECTS
        .iter()
        .filter(|(effect, _)| *effect == Effect::Never);
    never.any(|(_, flags)| flags.contains(&flag))
}

impl Config {
    /// The flags whose values differ between two configurations, and that take effect as `which` says.
    pub fn changed(&self, other: &Config, which: impl Fn(Effect) -> bool) -> Vec<&'static str> {
        let groups = EFFECTS.iter().filter(|(effect, _)| which(*effect));
        let flags = groups.flat_map(|(_, flags)| *flags).copied();
        flags.filter(|flag| self.differs(other, flag)).collect()
    }

    fn differs(&self, other: &Config, flag: &str) -> bool {
        // What a file of a secret says may change while its name stays.
        let by_content = match flag {
            "api-token" => self.api_token != other.api_token,
            "auth-secret" => match (&self.auth, &other.auth) {
                (Auth::Signed(ours), Auth::Signed(others)) => ours != others,
                _ => false,
            },
            _ => false,
        };
        by_content || self.given.differs(&other.given, flag)
    }
}

#[cfg(test)]
mod tests {
    use super::super::flags;
    use super::*;

    #[test]
    fn every_flag_has_one_place_in_the_table() {
        let mut listed: Vec<&str> = EFFECTS
            .iter()
            .flat_map(|(_, flags)| *flags)
            .copied()
            .collect();
        let mut all: Vec<&str> = flags::all().map(|flag| flag.name).collect();
        listed.sort_unstable();
        all.sort_unstable();
        assert_eq!(listed, all);
    }
}
