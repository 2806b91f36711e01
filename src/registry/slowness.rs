//! How long a viewer has been behind its stream, and what it has missed.

use crate::log;
use std::time::{Duration, Instant};

/// How long a viewer may stay behind before it is hung up on.
pub const BEHIND_MAX: Duration = Duration::from_secs(30);

/// Whether a viewer takes less than there is. From the first time that it does to the next keyframe after
/// the last is one episode.
#[derive(Debug, Default)]
pub(super) enum Slowness {
    #[default]
    InStep,
    /// It has not taken what it was sent, since then.
    Behind { since: Instant, missed: Missed },
    /// It has taken what it was sent, and is sent no pictures before the next keyframe.
    Resyncing(Missed),
}

/// What an episode has cost a viewer.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Missed {
    dropped: u64,
    /// For how long it was behind, without the time since it last fell behind.
    behind: Duration,
}

impl Missed {
    fn tell(self, conn_id: &str) {
        log!(Warn, "viewer was too slow"; conn_id = conn_id,
            dropped = self.dropped, behind_sec = log::Seconds(self.behind));
    }
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
        matches!(self, Slowness::Behind { .. })
    }

    /// The viewer is behind at `now`. Whether an episode begins.
    pub(super) fn fall_behind(&mut self, now: Instant) -> bool {
        let (missed, begins) = match self {
            Slowness::InStep => (Missed::default(), true),
            Slowness::Resyncing(missed) => (*missed, false),
            Slowness::Behind { .. } => return false,
        };
        *self = Slowness::Behind { since: now, missed };
        begins
    }

    /// Counts a message that the viewer was not sent, if that is because it is slow.
    pub(super) fn count_drop(&mut self) {
        match self {
            Slowness::InStep => {}
            Slowness::Behind { missed, .. } | Slowness::Resyncing(missed) => missed.dropped += 1,
        }
    }

    /// The viewer has taken everything. If it `lacks` no pictures, logs what it has missed, if anything.
    pub(super) fn catch_up(&mut self, now: Instant, lacks: bool, conn_id: &str) {
        let Some(missed) = self.end(now) else { return };
        match lacks {
            true => *self = Slowness::Resyncing(missed),
            false => missed.tell(conn_id),
        }
    }

    /// The viewer leaves: logs what it has missed, if anything.
    pub(super) fn leave(&mut self, now: Instant, conn_id: &str) {
        let missed = self.end(now);
        missed.into_iter().for_each(|missed| missed.tell(conn_id));
    }

    fn end(&mut self, now: Instant) -> Option<Missed> {
        match std::mem::take(self) {
            Slowness::InStep => None,
            Slowness::Resyncing(missed) => Some(missed),
            Slowness::Behind { since, missed } => {
                let behind = missed.behind + now.saturating_duration_since(since);
                Some(Missed { behind, ..missed })
            }
        }
    }

    /// Looks whether the viewer has been behind for too long, and logs it, once.
    pub(super) fn check(&mut self, now: Instant, conn_id: &str) -> Patience {
        let Slowness::Behind { since, missed } = *self else {
            return Patience::Left;
        };
        if now.saturating_duration_since(since) < BEHIND_MAX {
            return Patience::Left;
        }
        *self = Slowness::InStep;
        log!(Warn, "viewer too slow, hanging up"; conn_id = conn_id,
            dropped = missed.dropped, behind_sec = BEHIND_MAX.as_secs());
        Patience::Exhausted
    }
}
