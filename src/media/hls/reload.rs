//! Requests for a playlist that is to have something which may not be there yet: `_HLS_msn` and
//! `_HLS_part` of Low-Latency HLS.

use super::grid::{PartGrid, TICKS_A_SECOND};
use super::window::Window;

/// What a request for a playlist asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reload {
    /// The number of a segment, `_HLS_msn`.
    pub segment: Option<u64>,
    /// The number of a part in it, `_HLS_part`.
    pub part: Option<u64>,
}

/// When a request for a playlist is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// What is asked for is there.
    Ready,
    /// It is still to come.
    Waits,
    /// It is too far ahead, or nothing that could be.
    Impossible,
}

/// How many segments beyond the one that grows may be asked for.
const SEGMENTS_AHEAD_MAX: u64 = 1;

/// How many parts beyond the next one may be asked for.
fn parts_ahead_max(grid: &PartGrid) -> u64 {
    const PARTS: i64 = 3;
    let parts = if grid.longest < TICKS_A_SECOND {
        PARTS * TICKS_A_SECOND / grid.longest
    } else {
        PARTS
    };
    parts.unsigned_abs()
}

impl Reload {
    /// Whether `window` has what is asked for. A playlist without a whole segment is none.
    pub(super) fn readiness(self, window: &Window, grid: &PartGrid, is_over: bool) -> Readiness {
        let growing = window.open_sequence();
        let parts = window.open_parts() as u64;
        if is_over && (self.segment.is_some() || self.part.is_none()) {
            return match window.segments.is_empty() {
                true => Readiness::Waits,
                false => Readiness::Ready,
            };
        }
        let (segment, part) = match (self.segment, self.part) {
            (None, Some(_)) => return Readiness::Impossible,
            (None, None) if !window.has_begun() => return Readiness::Waits,
            (None, None) => return Readiness::Ready,
            (Some(segment), part) => (segment, part),
        };
        if segment > growing + SEGMENTS_AHEAD_MAX {
            return Readiness::Impossible;
        }
        // Of a segment that is whole everything is there. A part that it does not have is the first
        // of the next one.
        let whole = segment.checked_sub(window.media_sequence);
        let whole = whole.and_then(|index| window.segments.get(usize::try_from(index).ok()?));
        let is_there = match (whole, part) {
            (Some(_), None) => true,
            (Some(whole), Some(part)) => {
                part < whole.parts.len() as u64 || segment + 1 < growing || parts > 0
            }
            (None, _) if segment < growing => true,
            (None, None) => false,
            (None, Some(part)) if segment == growing => {
                if part > parts + parts_ahead_max(grid) {
                    return Readiness::Impossible;
                }
                part < parts
            }
            (None, Some(_)) => false,
        };
        if is_there && window.has_begun() {
            Readiness::Ready
        } else {
            Readiness::Waits
        }
    }
}
