//! How often something may begin: a number of times at once, then once in each period.

use std::time::{Duration, Instant};

/// A number of beginnings at once, and one more after each period.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Beginnings without a pause; at least 1.
    pub at_once: u32,
    /// The time that makes up for one beginning.
    pub period: Duration,
}

/// The beginnings up to now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// When the rate will have made up for all of them.
    settled: Instant,
}

impl Pace {
    /// Nothing has begun by `now`.
    pub(crate) fn new(now: Instant) -> Pace {
        Pace { settled: now }
    }

    /// Counts one more beginning at `now`. `false`: it comes too early and is not counted.
    #[must_use]
    pub(crate) fn begin(&mut self, rate: Rate, now: Instant) -> bool {
        let from = self.settled.max(now);
        let early = from.saturating_duration_since(now) > rate.period * (rate.at_once - 1);
        if !early {
            self.settled = from + rate.period;
        }
        !early
    }

    /// Whether nothing needs to be remembered: it is as if nothing had begun by `now`.
    pub(crate) fn is_settled(&self, now: Instant) -> bool {
        self.settled <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        at_once: 3,
        period: Duration::from_secs(1),
    };

    #[test]
    fn some_may_begin_at_once_and_others_one_by_one() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let rows = [
            (0, true),
            (0, true),
            (0, true),
            (0, false),
            (999, false),
            (1000, true),
            (1000, false),
            (2500, true),
            (2500, false),
            // After a while it is as at the start.
            (60_000, true),
            (60_000, true),
            (60_000, true),
            (60_000, false),
        ];
        for (index, (ms, want)) in rows.into_iter().enumerate() {
            let now = start + Duration::from_millis(ms);
            assert_eq!(pace.begin(RATE, now), want, "row {index}");
        }
        assert!(!pace.is_settled(start + Duration::from_millis(62_999)));
        assert!(pace.is_settled(start + Duration::from_secs(63)));
    }
}
