//! How long to wait before something that failed is tried again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The first pause, doubled each time up to the longest.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// The pauses between attempts: 1, 2, 4 … 30 s, and from the start again after an attempt that
/// lasted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    next: Duration,
    /// What lasts so long did not fail at once.
    steady: Duration,
}

impl Backoff {
    /// Begins with the first pause, now and after an attempt that lasted for `steady`.
    pub(crate) fn new(steady: Duration) -> Backoff {
        Backoff {
            next: PAUSE_MIN,
            steady,
        }
    }

    /// The pause after an attempt that has failed now, and did what it is for for as long as `worked`.
    pub(crate) fn pause(&mut self, worked: Duration) -> Duration {
        if worked >= self.steady {
            self.next = PAUSE_MIN;
        }
        let pause = self.next;
        self.next = (pause * 2).min(PAUSE_MAX);
        pause
    }
}

/// Up to a fifth more or less than `pause`, by chance: so that not all who lost the same server
/// come back to it at once.
pub(crate) fn jittered(pause: Duration) -> Duration {
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
    fn chance_moves_a_pause_by_a_fifth_at_most() {
        let pauses: Vec<u128> = (0..200)
            .map(|_| jittered(Duration::from_secs(10)).as_millis())
            .collect();
        assert!(pauses.iter().all(|ms| (8000..12000).contains(ms)));
        assert!(pauses.iter().any(|ms| *ms != pauses[0]));
    }
}
