//! How often publications and playbacks may begin.
//!
//! Each beginning can cost threads, files, programs and log lines, and a client can end it at once
//! to begin another.

use super::Context;
use crate::auth::Action;
use crate::rtmp::stream_key::StreamKey;
use crate::sync::Mutex;
use std::collections::HashMap;

use std::time::{Duration, Instant};

/// A number of beginnings at once, and one more after each interval.
#[derive(Clone, Copy, Debug)]
pub struct PaceLimit {
    at_once: u32,
    interval: Duration,
}

/// Publications and playbacks of one connection.
pub const PER_CONNECTION: PaceLimit = PaceLimit {
    at_once: 20,
    interval: Duration::from_millis(500),
};

/// Publications of one key, by whichever connections.
pub const PER_KEY: PaceLimit = PaceLimit {
    at_once: 100,
    interval: Duration::from_millis(250),
};

/// Keys that are remembered without a look whether they still have to be.
const KEYS_MIN: usize = 64;

/// Beginnings that came so far.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// When the rate will have made up for all of them.
    settled: Instant,
}

impl Pace {
    /// None so far.
    pub fn new(now: Instant) -> Pace {
        Pace { settled: now }
    }

    /// Counts one more at `now`, unless it comes too early.
    pub fn pass(&mut self, rate: PaceLimit, now: Instant) -> bool {
        let from = self.settled.max(now);
        let early = from.saturating_duration_since(now) > rate.interval * (rate.at_once - 1);
        if !early {
            self.settled = from + rate.interval;
        }
        !early
    }
}

/// The pace of each key that was published a moment ago.
#[derive(Debug, Default)]
pub struct KeyPaces(Mutex<Paces>);

#[derive(Debug, Default)]
struct Paces {
    known: HashMap<StreamKey, Pace>,
    /// How many were left at the last look.
    kept: usize,
}

impl KeyPaces {
    /// Counts one more publication of `key` at `now`, unless it comes too early.
    pub fn pass(&self, key: &StreamKey, now: Instant) -> bool {
        let mut paces = self.0.lock();
        if paces.known.len() >= 2 * paces.kept.max(KEYS_MIN) {
            paces.known.retain(|_, pace| pace.settled > now);
            paces.kept = paces.known.len();
        }
        let pace = paces.known.entry(key.clone());
        pace.or_insert(Pace::new(now)).pass(PER_KEY, now)
    }
}

impl Context {
    /// Whether a connection with this `pace` may begin to publish or play `key` now.
    pub fn may_begin(&self, action: Action, key: &StreamKey, pace: &mut Pace) -> bool {
        let now = Instant::now();
        let of_key = || action != Action::Publish || self.key_paces.pass(key, now);
        let may = pace.pass(PER_CONNECTION, now) && of_key();
        if !may {
            self.counters.beginnings_refused.add(1);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: PaceLimit = PaceLimit {
        at_once: 3,
        interval: Duration::from_secs(1),
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
            assert_eq!(pace.pass(RATE, now), want, "row {index}");
        }
    }

    #[test]
    fn keys_have_a_pace_each_and_are_forgotten() {
        let (paces, start) = (KeyPaces::default(), Instant::now());
        let key = |number: usize| StreamKey::new(&format!("live/{number}")).unwrap();
        let passed = (0..200).filter(|_| paces.pass(&key(0), start)).count();
        assert_eq!(passed, PER_KEY.at_once as usize);
        for number in 1..1000 {
            assert!(paces.pass(&key(number), start + Duration::from_secs(number as u64)));
        }
        assert!(paces.0.lock().known.len() <= 2 * KEYS_MIN + 100);
        assert!(paces.pass(&key(0), start + Duration::from_secs(1000)));
    }
}
