//! When a peer was last heard of.

use crate::awake;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Kept up to date by the thread that reads from a peer, looked at by others.
#[derive(Debug)]
pub struct LastHeard {
    since: Instant,
    /// When the peer was heard of, in ms after `since`.
    at_ms: AtomicU64,
}

impl LastHeard {
    /// A peer that was heard of just now.
    pub fn now() -> LastHeard {
        LastHeard {
            since: awake::now(),
            at_ms: AtomicU64::new(0),
        }
    }

    /// Notes that something came from the peer.
    pub fn note(&self) {
        self.at_ms.store(self.elapsed_ms(), Ordering::Relaxed);
    }

    /// For how long nothing has come.
    pub fn silence(&self) -> Duration {
        let at_ms = self.at_ms.load(Ordering::Relaxed);
        Duration::from_millis(self.elapsed_ms().saturating_sub(at_ms))
    }

    fn elapsed_ms(&self) -> u64 {
        awake::since(self.since).as_millis() as u64
    }
}
