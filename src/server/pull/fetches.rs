//! How many streams are fetched from other servers because somebody wants them, and for whom.

use crate::awake;
use crate::ip_range::network;
use crate::sync::{Mutex, MutexGuard, Rank};
use std::collections::HashMap;
use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Streams that are fetched on demand at a time.
pub(super) const FETCHES_MAX: usize = 1024;

/// Of those, streams of which nothing has come yet.
pub(super) const PENDING_MAX: usize = 512;

/// Of those, streams that one address wants; of IPv6, one network of 64 bits.
pub(super) const PENDING_PER_ADDRESS_MAX: usize = 32;

/// How long a fetch that brought nothing counts after its end: not to be begun anew at once.
const COOLING: Duration = Duration::from_secs(1);

/// All that are counted. Cloning shares them.
#[derive(Clone, Default)]
pub(super) struct Fetches(Arc<Mutex<FetchTable>>);

#[derive(Default)]
struct FetchTable {
    all: usize,
    pending: usize,
    /// Those that are pending, by who wants them; never 0.
    by_address: HashMap<IpAddr, usize>,
    /// Ended ones that count still, in the order of their ends.
    cooling: VecDeque<(Instant, IpAddr)>,
}

/// Why a stream is not fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchRefused {
    /// [`FETCHES_MAX`] or [`PENDING_MAX`] are.
    Total,
    /// [`PENDING_PER_ADDRESS_MAX`] are for that address.
    Address,
}

impl fmt::Display for FetchRefused {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            FetchRefused::Total => "too many streams are fetched",
            FetchRefused::Address => "too many streams are fetched for that address",
        })
    }
}

impl std::error::Error for FetchRefused {}

/// A fetch, counted until it is dropped.
pub(super) struct Fetch {
    fetches: Fetches,
    /// Who wants it, as long as nothing has come.
    pending: Mutex<Option<IpAddr>>,
}

impl Fetches {
    fn lock(&self) -> MutexGuard<'_, FetchTable> {
        self.0.lock()
    }

    /// One more, for `ip`; `None`: for nobody whom it could be counted for.
    ///
    /// # Errors
    ///
    /// [`FetchRefused`].
    pub(super) fn begin(&self, ip: Option<IpAddr>) -> Result<Fetch, FetchRefused> {
        let address = ip.map(network);
        let mut state = self.lock();
        if state.all >= FETCHES_MAX {
            return Err(FetchRefused::Total);
        }
        if let Some(address) = address {
            if state.pending >= PENDING_MAX {
                return Err(FetchRefused::Total);
            }
            let own = state.by_address.entry(address).or_default();
            if *own >= PENDING_PER_ADDRESS_MAX {
                return Err(FetchRefused::Address);
            }
            *own += 1;
            state.pending += 1;
        }
        state.all += 1;
        drop(state);
        Ok(Fetch {
            fetches: self.clone(),
            pending: Mutex::ranked(Rank::Fetch, address),
        })
    }

    /// Forgets those that have counted for long enough.
    pub(super) fn expire(&self, now: Instant) {
        let mut state = self.lock();
        while let Some((ended, address)) = state.cooling.front().copied()
            && now.saturating_duration_since(ended) >= COOLING
        {
            state.cooling.pop_front();
            state.settle(address);
        }
    }
}

impl FetchTable {
    /// One less is pending for `address`.
    fn settle(&mut self, address: IpAddr) {
        self.pending -= 1;
        if let Some(own) = self.by_address.get_mut(&address) {
            *own -= 1;
            if *own == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

impl Fetch {
    fn pending(&self) -> MutexGuard<'_, Option<IpAddr>> {
        self.pending.lock()
    }

    /// Notes that something has come: it is not pending any more.
    pub(super) fn has_come(&self) {
        if let Some(address) = self.pending().take() {
            self.fetches.lock().settle(address);
        }
    }

    /// Who wants it, if nothing has come.
    pub(super) fn address(&self) -> Option<IpAddr> {
        *self.pending()
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        let pending = self.pending().take();
        let mut state = self.fetches.lock();
        state.all -= 1;
        if let Some(address) = pending {
            state.cooling.push_back((awake::now(), address));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn fetches_are_bounded_in_all_and_by_address() {
        let fetches = Fetches::default();
        let mut held = Vec::new();
        let mut fill = |who: &str, count: usize| {
            (0..count).find_map(|_| match fetches.begin(ip(who)) {
                Ok(fetch) => {
                    held.push(fetch);
                    None
                }
                Err(full) => Some(full),
            })
        };
        assert_eq!(fill("10.0.0.1", 32), None);
        assert_eq!(fill("10.0.0.1", 1), Some(FetchRefused::Address));
        assert_eq!(fill("::ffff:10.0.0.1", 1), Some(FetchRefused::Address));
        assert_eq!(fill("2001:db8::1", 20), None);
        assert_eq!(fill("2001:db8::2:1", 12), None);
        assert_eq!(fill("2001:db8::3", 1), Some(FetchRefused::Address));
        for host in 0..14 {
            assert_eq!(fill(&format!("10.0.1.{host}"), 32), None);
        }
        assert_eq!(fill("10.0.0.2", 1), Some(FetchRefused::Total));
        held.iter().for_each(Fetch::has_come);
        let mut fill = |count: usize| {
            (0..count).find_map(|_| fetches.begin(None).map(|fetch| held.push(fetch)).err())
        };
        assert_eq!(fill(512), None);
        assert_eq!(fill(1), Some(FetchRefused::Total));
        drop(held);
        assert_eq!(fetches.lock().all, 0);
        assert!(fetches.lock().by_address.is_empty());
    }

    #[test]
    fn what_brought_nothing_counts_a_little_longer() {
        let fetches = Fetches::default();
        let begin = || fetches.begin(ip("10.0.0.1"));
        for _ in 0..PENDING_PER_ADDRESS_MAX {
            drop(begin().unwrap());
        }
        let now = Instant::now();
        assert_eq!(begin().err(), Some(FetchRefused::Address));
        fetches.expire(now);
        assert_eq!(begin().err(), Some(FetchRefused::Address));
        fetches.expire(now + COOLING);
        let fetch = begin().unwrap();
        fetch.has_come();
        drop(fetch);
        assert_eq!(fetches.lock().pending, 0);
    }
}
