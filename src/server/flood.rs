//! Lines that anyone can cause, as often as they like.

use crate::log::RateLimit;
use std::time::Duration;

/// Lines of one kind that are written in a period.
const FLOOD_LINES: u64 = 100;

const FLOOD_PERIOD: Duration = Duration::from_secs(10);

/// A limit for one kind of line.
pub(super) const fn flood_limit() -> RateLimit {
    RateLimit::burst(FLOOD_LINES, FLOOD_PERIOD)
}
