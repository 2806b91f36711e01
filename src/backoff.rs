//! How long to wait before something that failed is tried again.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// The first pause, doubled each time up to the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The pauses between attempts: 1, 2, 4 … 30 s, and from the start again after an attempt that
/// lasted.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    next: Duration,
    /// What lasts so long did not fail at once.
    steady: Duration,
}

impl Backoff {
    /// Begins with the first pause, now and after an attempt that lasted for `steady`.
    pub fn new(steady: Duration) -> Backoff {
        Backoff {
            next: PAUSE_MIN,
            steady,
        }
    }

    /// The pause after an attempt that has failed now, and did what it is for for as long as `worked`.
    pub fn pause(&mut self, worked: Duration) -> Duration {
        if worked >= self.steady {
            self.next = PAUSE_MIN;
        }
        let pause = self.next;
        self.next = (pause * 2).min(PAUSE_MAX);
        pause
    }
}

/// Lets something begin a number of times at once, and from then on once in each period.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// When the next may begin at the latest, if all before had been a period apart.
    due: Instant,
    at_once: u32,
    period: Duration,
}

impl Pace {
    /// Nothing has begun by `now`.
    pub fn new(at_once: u32, period: Duration, now: Instant) -> Pace {
        Pace {
            due: now,
            at_once,
            period,
        }
    }

    /// Counts one that begins at `now`. `false`: it may not begin yet.
    #[must_use]
    pub fn begin(&mut self, now: Instant) -> bool {
        if self.due > now + self.at_once * self.period {
            return false;
        }
        self.due = self.due.max(now) + self.period;
        true
    }

    /// Whether it is as if nothing had begun by `now`.
    pub fn is_over(&self, now: Instant) -> bool {
        self.due <= now
    }
}

/// Up to a fifth more or less than `pause`, by chance: so that not all who lost the same server
/// come back to it at once.
pub fn jittered(pause: Duration) -> Duration {
    let chance = RandomState::new().hash_one(0) % 400;
    pause * (800 + chance as u32) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_begin_anew_after_what_lasted() {
        let mut backoff = Backoff::new(Duration::from_secs(5));
        let mut pauses = |count: usize, worked: u64| -> Vec<u64> {
            let pause = |_| backoff.pause(Duration::from_secs(worked)).as_secs();
            (0..count).map(pause).collect()
        };
        assert_eq!(pauses(7, 0), [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(pauses(2, 6), [1, 1]);
        assert_eq!(pauses(2, 0), [2, 4]);
    }

    #[test]
    fn a_pace_allows_some_at_once_and_then_one_a_period() {
        let start = Instant::now();
        let mut pace = Pace::new(3, Duration::from_secs(1), start);
        let mut begun = |tenths: u64, count: usize| {
            let now = start + Duration::from_millis(tenths * 100);
            (0..count).filter(|_| pace.begin(now)).count()
        };
        // When, how many ask, how many may.
        let rows = [(0, 9, 4), (9, 1, 0), (10, 2, 1), (35, 9, 2), (100, 9, 4)];
        for (tenths, asked, want) in rows {
            assert_eq!(begun(tenths, asked), want, "{tenths}");
        }
        assert!(!pace.is_over(start + Duration::from_millis(13_900)));
        assert!(pace.is_over(start + Duration::from_secs(14)));
    }

    #[test]
    fn chance_moves_a_pause_by_a_fifth_at_most() {
        let pauses: Vec<u128> = (0..200)
            .map(|_| jittered(Duration::from_secs(10)).as_millis())
            .collect();
        assert!(pauses.iter().all(|ms| (8000..12000).contains(ms)));
        assert!(pauses.iter().any(|ms| *ms != pauses[0]));
    }
}
