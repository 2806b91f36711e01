//! How long parts are.
//!
//! What a playlist says of its parts must not change as long as it lives: players of Apple give up
//! for good when it does, or when one part is longer than `PART-TARGET` by its last digit. So the
//! length of parts is fixed beforehand, as a whole number of pictures, and `PART-TARGET` is a little
//! more. Pictures that come at other times than expected make parts longer or shorter; what of that
//! is beyond the limits is not said of this part but of the next.

/// Units of durations in playlists: 10 µs, which five digits behind the point say exactly.
pub(crate) const TICKS_A_SECOND: i64 = 100_000;

/// Ticks of a millisecond.
pub(super) const TICKS_A_MS: i64 = TICKS_A_SECOND / 1000;

/// By how much a part may be longer than expected, in percent.
const MARGIN_PERCENT: i64 = 8;

/// The shortest that a part may be, but for the last of a segment, in percent of `PART-TARGET`.
const SHORTEST_PERCENT: i64 = 85;

/// Pictures that come more seldom do not make parts longer, in ticks.
const FRAME_MAX: i64 = TICKS_A_SECOND;

/// The length of parts, in ticks. It holds as long as a playlist lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PartGrid {
    /// What parts are meant to have.
    pub usual: i64,
    /// What no part has more of: `PART-TARGET`, in whole milliseconds.
    pub longest: i64,
    /// What parts have at least, but for the last of a segment.
    pub shortest: i64,
}

impl PartGrid {
    /// For parts of about `part` ticks, of pictures that come every `frame` ticks.
    pub(super) fn new(part: i64, frame: Option<i64>) -> PartGrid {
        let part = part.max(TICKS_A_MS);
        let usual = match frame {
            Some(frame @ 1..=FRAME_MAX) => frame * ((part + frame / 2) / frame).max(1),
            _ => part,
        };
        let longest = usual + usual * MARGIN_PERCENT / 100;
        let longest = (longest + TICKS_A_MS - 1) / TICKS_A_MS * TICKS_A_MS;
        PartGrid {
            usual,
            longest,
            shortest: (longest * SHORTEST_PERCENT + 99) / 100,
        }
    }

    /// What is said of a part that is `len` ticks long, and is not the last of its segment.
    pub(super) fn inner(&self, len: i64) -> i64 {
        len.clamp(self.shortest, self.longest)
    }

    /// What is said of the last part of a segment.
    pub(super) fn last(&self, len: i64) -> i64 {
        len.clamp(1, self.longest)
    }

    /// `PART-HOLD-BACK`: how far from the end players keep.
    pub(super) fn hold_back(&self) -> i64 {
        3 * self.longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_whole_pictures_and_fit() {
        #[rustfmt::skip]
        let rows = [
            // Wished, between pictures; usual, longest.
            (50_000, Some(3333), 49_995, 54_000),
            (50_000, Some(4000), 52_000, 56_200),
            (50_000, Some(4171), 50_052, 54_100),
            (50_000, Some(1667), 50_010, 54_100),
            (50_000, Some(6667), 46_669, 50_500),
            (50_000, Some(20_000), 60_000, 64_800),
            (50_000, Some(60_000), 60_000, 64_800),
            (50_000, Some(500_000), 50_000, 54_000),
            (50_000, Some(0), 50_000, 54_000),
            (50_000, None, 50_000, 54_000),
            (20_000, Some(3333), 19_998, 21_600),
            (0, None, 100, 200),
        ];
        for (part, frame, usual, longest) in rows {
            let grid = PartGrid::new(part, frame);
            assert_eq!(
                (grid.usual, grid.longest),
                (usual, longest),
                "{part} {frame:?}"
            );
            assert!(grid.inner(0) * 100 >= 85 * longest);
            assert_eq!(grid.inner(i64::MAX), longest);
            assert_eq!(grid.last(-1), 1);
        }
    }
}
