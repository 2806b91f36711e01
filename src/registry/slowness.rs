//! How long a viewer has been behind its stream, and what it has missed.

use crate::log;
use std::time::{Duration, Instant};

/// How long a viewer may stay behind before it is hung up on.
pub const BEHIND_MAX: Duration = Duration::from_secs(30);

/// Whether a viewer takes less than there is.
#[derive(Debug, Default)]
pub(super) struct Slowness(Option<Episode>);

/// A time during which a viewer takes less than there is.
#[derive(Debug)]
struct Episode {
    since: Instant,
    dropped: u64,
}

/// Whether a viewer may stay.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// It is not behind, or not for too long.
    Left,
    /// It has been behind for [`BEHIND_MAX`], and is to be hung up on.
    Exhausted,
}

impl Slowness {
    /// Whether the viewer is behind.
    pub(super) fn is_behind(&self) -> bool {
        self.0.is_some()
    }

    /// The viewer is behind from `now` on.
    pub(super) fn begin(&mut self, now: Instant) {
        let (since, dropped) = (now, 0);
        self.0 = Some(Episode { since, dropped });
    }

    /// Counts a message that the viewer was not sent, if it is behind.
    pub(super) fn count_drop(&mut self) {
        if let Some(episode) = &mut self.0 {
            episode.dropped += 1;
        }
    }

    /// The viewer has taken everything: logs what it has missed, if it was behind.
    pub(super) fn end(&mut self, now: Instant, conn_id: &str) {
        if let Some(episode) = self.0.take() {
            let behind_sec = log::Seconds(now.saturating_duration_since(episode.since));
            log!(Warn, "viewer was too slow"; conn_id = conn_id,
                dropped = episode.dropped, behind_sec = behind_sec);
        }
    }

    /// Looks whether the viewer has been behind for too long, and logs it, once.
    pub(super) fn check(&mut self, now: Instant, conn_id: &str) -> Patience {
        let too_long =
            |episode: &mut Episode| now.saturating_duration_since(episode.since) >= BEHIND_MAX;
        let Some(episode) = self.0.take_if(too_long) else {
            return Patience::Left;
        };
        log!(Warn, "viewer too slow, hanging up"; conn_id = conn_id,
            dropped = episode.dropped, behind_sec = BEHIND_MAX.as_secs());
        Patience::Exhausted
    }
}
