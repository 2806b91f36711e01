//! Where a playlist is: the part and the segment that grow, and when they are due to end.

use super::grid::PartGrid;
use super::rules::{EARLY, Rules};
use crate::media::sample::MediaType;

/// Where a playlist is, on the clock of its lead, in ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Where the segment begins.
    pub segment_at: i64,
    /// Where the part begins, by what was said of all parts before it.
    pub part_at: i64,
    /// When the lead's last sample is decoded, and how long after the one before.
    pub last_at: i64,
    pub interval: i64,
}

impl Clock {
    /// Whether the part is to end before the sample at `at`: the next one would be farther from the
    /// grid.
    pub(super) fn part_is_due(&self, at: i64, grid: &PartGrid) -> bool {
        let interval = self.interval.min(grid.usual);
        at - self.part_at + interval / 2 >= grid.usual
    }

    /// Whether the segment is to end before the keyframe at `at`.
    pub(super) fn segment_is_due(&self, at: i64, medium: MediaType, rules: &Rules) -> bool {
        let len = at - self.segment_at;
        match medium {
            MediaType::Video => len >= rules.segment - EARLY.min(self.interval),
            // Every sound could begin a segment: those that begin a part do.
            MediaType::Audio => {
                self.part_is_due(at, &rules.grid) && len >= rules.segment - rules.grid.usual / 2
            }
        }
    }
}
