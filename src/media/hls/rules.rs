//! What holds for all playlists of a stream: how long parts and segments are, and when they were.

use super::grid::{PartGrid, TICKS_A_MS, TICKS_A_SECOND};

/// Of a stream whose keyframes are not known, the first segment ends without one when it is this
/// long: somebody waits for it.
pub(super) const FIRST_SEGMENT: i64 = 6 * TICKS_A_SECOND;

/// How much earlier than a segment may end a keyframe ends it, but for less than a picture: messages
/// have whole milliseconds.
pub(super) const EARLY: i64 = 50 * TICKS_A_MS;

/// Longest target duration, in seconds.
pub(crate) const TARGET_S_MAX: u64 = 30;

/// The target duration for segments that are about `natural` ticks long: half as much more, for it
/// never changes.
pub(super) fn target_s(natural: i64) -> u64 {
    let second = TICKS_A_SECOND.unsigned_abs();
    let target = (natural.unsigned_abs() * 3 / 2).div_ceil(second);
    target.clamp(1, TARGET_S_MAX)
}

/// What holds for all playlists of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub grid: PartGrid,
    /// The shortest segment, in ticks.
    pub segment: i64,
    /// The target duration; `None` until the first segment is there.
    pub target_s: Option<u64>,
    /// How much later than the stream's clock that of the world is, in ms.
    pub anchor_ms: i64,
}

impl Rules {
    /// What no segment is longer than, in ticks.
    pub(super) fn longest(&self) -> i64 {
        self.target_s.map_or(FIRST_SEGMENT, |target_s| {
            target_s.cast_signed() * TICKS_A_SECOND
        })
    }

    /// Whether the length of a segment rounds to more than the target duration, if that is known.
    pub(super) fn is_too_long(&self, len: i64) -> bool {
        self.target_s.is_some() && len >= self.longest() + TICKS_A_SECOND / 2
    }

    /// The shortest that the target duration can still become, in ticks.
    pub(super) fn shortest_target(&self) -> i64 {
        let shortest = || target_s((self.segment - EARLY).max(0));
        self.target_s.unwrap_or_else(shortest).cast_signed() * TICKS_A_SECOND
    }
}
