//! The clock of time limits: it stands still while this process does.
//!
//! A virtual machine is paused, a laptop sleeps, an operator sends SIGSTOP: what peers said meanwhile
//! waits in the sockets, so none of them was silent. The clock follows the system's for a second
//! beyond the last [beat](Beat::note); what passes after that is not counted.
//!
//! Times of this clock may be compared with each other, and not with those of [`Instant::now`].

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How far the clock goes beyond the last beat.
const BEYOND_MAX: Duration = Duration::from_secs(1);

/// Where both clocks begin.
static EPOCH: OnceLock<Instant> = OnceLock::new();

static CLOCK: Clock = Clock::new();

/// Times in nanoseconds after [`EPOCH`].
#[derive(Debug)]
struct Clock {
    /// How far it is behind the system's clock.
    behind: AtomicU64,
    /// Where it stops unless there is another beat.
    stop: AtomicU64,
}

impl Clock {
    /// One that goes like the system's.
    const fn new() -> Clock {
        Clock {
            behind: AtomicU64::new(0),
            stop: AtomicU64::new(u64::MAX),
        }
    }

    /// What it shows when the system's clock shows `system`.
    fn at(&self, system: u64) -> u64 {
        // A new end belongs to a new distance, which is stored before it.
        let stop = self.stop.load(Ordering::Acquire);
        let time = system.saturating_sub(self.behind.load(Ordering::Relaxed));
        time.min(stop)
    }

    fn beat(&self, system: u64) {
        let now = self.at(system);
        self.behind.store(system - now, Ordering::Relaxed);
        let stop = now + BEYOND_MAX.as_nanos() as u64;
        self.stop.store(stop, Ordering::Release);
    }

    /// There is no beat any more.
    fn go_free(&self, system: u64) {
        self.beat(system);
        self.stop.store(u64::MAX, Ordering::Release);
    }
}

fn epoch() -> Instant {
    *EPOCH.get_or_init(Instant::now)
}

fn system_ns() -> u64 {
    epoch().elapsed().as_nanos() as u64
}

/// What time it is on this clock.
pub(crate) fn now() -> Instant {
    epoch() + Duration::from_nanos(CLOCK.at(system_ns()))
}

/// How long it is since `then`.
pub(crate) fn since(then: Instant) -> Duration {
    now().saturating_duration_since(then)
}

/// How long it is until `end`; zero if that has passed.
pub(crate) fn until(end: Instant) -> Duration {
    end.saturating_duration_since(now())
}

/// Keeps the clock going. While there is none, it goes like the system's.
#[derive(Debug)]
pub(crate) struct Beat(());

impl Beat {
    /// Begins with the first beat.
    pub(crate) fn begin() -> Beat {
        let beat = Beat(());
        beat.note();
        beat
    }

    /// The process runs: to be called several times a second.
    pub(crate) fn note(&self) {
        CLOCK.beat(system_ns());
    }
}

impl Drop for Beat {
    fn drop(&mut self) {
        CLOCK.go_free(system_ns());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn it_goes_on_a_second_after_the_last_beat_and_no_further() {
        let clock = Clock::new();
        assert_eq!(clock.at(5 * SECOND), 5 * SECOND);
        clock.beat(5 * SECOND);
        // What the system's clock shows, whether there is a beat then, and what this one shows.
        let rows = [
            (5 * SECOND + 1, false, 5 * SECOND + 1),
            (6 * SECOND, true, 6 * SECOND),
            (7 * SECOND, false, 7 * SECOND),
            // It stood still from here on.
            (107 * SECOND, false, 7 * SECOND),
            (107 * SECOND, true, 7 * SECOND),
            (107 * SECOND + 1, false, 7 * SECOND + 1),
            (108 * SECOND, true, 8 * SECOND),
            (200 * SECOND, true, 9 * SECOND),
            (201 * SECOND, false, 10 * SECOND),
        ];
        for (system, is_beat, want) in rows {
            if is_beat {
                clock.beat(system);
            }
            assert_eq!(clock.at(system), want, "at {system}");
        }
        clock.go_free(201 * SECOND);
        assert_eq!(clock.at(301 * SECOND), 110 * SECOND);
    }
}
