//! How often publications and playbacks may begin.
//!
//! Each beginning can cost threads, files, programs and log lines, and a client can end it at once
//! to begin another.

use crate::auth::Action;
use crate::ip_range::network;
use crate::pace::{Pace, Rate};
use crate::rtmp::stream_key::StreamKey;
use crate::stats::Counters;
use crate::sync::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Publications and playbacks of one connection.
const PER_CONNECTION: Rate = Rate {
    at_once: 20,
    period: Duration::from_millis(500),
};

/// Publications of one key, by all connections together.
const PER_KEY: Rate = Rate {
    at_once: 100,
    period: Duration::from_millis(250),
};

/// Events that clients of one address, or network of IPv6, are not let in.
const DENIALS: Rate = Rate {
    at_once: 20,
    period: Duration::from_millis(500),
};

/// Most addresses that have a pace for these events; those of others are not told of meanwhile.
const DENIED_MAX: usize = 4096;

/// Keys that are remembered without a look whether they still have to be.
const KEYS_MIN: usize = 64;

/// Decides whether a publication or a playback may begin now.
#[derive(Debug)]
pub(super) struct Pacing {
    keys: KeyPaces,
    denials: Mutex<HashMap<IpAddr, Pace>>,
    counters: Arc<Counters>,
}

impl Pacing {
    /// Nothing has begun yet; refusals are counted in `counters`.
    pub(super) fn new(counters: Arc<Counters>) -> Pacing {
        Pacing {
            keys: KeyPaces::default(),
            denials: Mutex::default(),
            counters,
        }
    }

    /// Counts one more beginning of a connection with this `pace`. `false`: it comes too early.
    #[must_use]
    pub(super) fn may_begin(&self, action: Action, key: &StreamKey, pace: &mut Pace) -> bool {
        let now = Instant::now();
        let key_may = || action != Action::Publish || self.keys.begin(key, now);
        let may = pace.begin(PER_CONNECTION, now) && key_may();
        if !may {
            self.counters.beginnings_refused.add(1);
        }
        may
    }

    /// Counts one more client at `ip` that is not let in at `now`. `false`: the hooks have been told of
    /// enough of them.
    #[must_use]
    pub(super) fn may_tell_of_denial(&self, ip: IpAddr, now: Instant) -> bool {
        let address = network(ip);
        let mut paces = self.denials.lock();
        if paces.len() >= DENIED_MAX && !paces.contains_key(&address) {
            paces.retain(|_, pace| !pace.is_settled(now));
            if paces.len() >= DENIED_MAX {
                return false;
            }
        }
        let pace = paces.entry(address).or_insert(Pace::new(now));
        pace.begin(DENIALS, now)
    }
}

/// The pace of each key that was published a moment ago.
#[derive(Debug, Default)]
struct KeyPaces(Mutex<PaceTable>);

#[derive(Debug, Default)]
struct PaceTable {
    paces: HashMap<StreamKey, Pace>,
    /// Keys that were left when settled ones were last forgotten.
    left: usize,
}

impl KeyPaces {
    /// Counts one more publication of `key` at `now`, unless it comes too early.
    fn begin(&self, key: &StreamKey, now: Instant) -> bool {
        let mut table = self.0.lock();
        if table.paces.len() >= 2 * table.left.max(KEYS_MIN) {
            table.paces.retain(|_, pace| !pace.is_settled(now));
            table.left = table.paces.len();
        }
        let pace = table.paces.entry(key.clone());
        pace.or_insert(Pace::new(now)).begin(PER_KEY, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_told_of_some_denials_of_each_address() {
        let (pacing, start) = (Pacing::new(Arc::default()), Instant::now());
        let told = |ip: &str, now| {
            let ip = ip.parse().unwrap();
            (0..3000)
                .filter(|_| pacing.may_tell_of_denial(ip, now))
                .count()
        };
        let later = start + Duration::from_secs(2);
        let rows = [
            ("192.0.2.1", start, 20),
            ("::ffff:192.0.2.1", start, 0),
            ("2001:db8::1", start, 20),
            ("2001:db8::2", start, 0),
            ("192.0.2.1", later, 4),
        ];
        for (ip, now, want) in rows {
            assert_eq!(told(ip, now), want, "{ip}");
        }
        for number in 0..10_000u32 {
            let ip = IpAddr::V4(number.into());
            let _ = pacing.may_tell_of_denial(ip, later);
        }
        assert_eq!(pacing.denials.lock().len(), DENIED_MAX);
        assert!(pacing.may_tell_of_denial([192, 0, 2, 9].into(), later + Duration::from_secs(60)));
    }

    #[test]
    fn keys_have_a_pace_each_and_are_forgotten() {
        let (paces, start) = (KeyPaces::default(), Instant::now());
        let key = |number: usize| StreamKey::new(&format!("live/{number}")).unwrap();
        let passed = (0..200).filter(|_| paces.begin(&key(0), start)).count();
        assert_eq!(passed, PER_KEY.at_once as usize);
        for number in 1..1000 {
            assert!(paces.begin(&key(number), start + Duration::from_secs(number as u64)));
        }
        assert!(paces.0.lock().paces.len() <= 2 * KEYS_MIN + 100);
        assert!(paces.begin(&key(0), start + Duration::from_secs(1000)));
    }
}
