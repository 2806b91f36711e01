//! What the answers to all requests are made from.

use super::rates::Rates;
use crate::http::server::HostNames;
use crate::stats::Snapshot;
use crate::sync::Mutex;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

/// How old the snapshot behind a response may be.
const FRESH: Duration = Duration::from_millis(100);

/// The server whose state is shown.
pub trait AdminSource: Send + Sync {
    /// The state of the server now.
    fn snapshot(&self) -> Snapshot;

    /// Ends a connection. `false`: there is no such connection.
    fn hang_up_connection(&self, id: &str) -> bool;

    /// Ends the publication of a stream. `false`: there is no such stream.
    fn hang_up_stream(&self, key: &str) -> bool;

    /// Whether the server is about to end.
    fn is_stopping(&self) -> bool;
}

/// What all HTTP connections share: how to look at the server, and what was seen of it last.
pub(super) struct AdminState {
    pub(super) source: Arc<dyn AdminSource>,
    pub(super) token: Option<String>,
    pub(super) hosts: HostNames,
    rates: Mutex<Rates>,
    /// The last snapshot and when it was taken.
    last: Mutex<Option<(Instant, Arc<Snapshot>)>>,
}

impl AdminState {
    pub(super) fn new(
        source: Arc<dyn AdminSource>,
        token: Option<String>,
        hosts: HostNames,
    ) -> AdminState {
        AdminState {
            source,
            token,
            hosts,
            rates: Mutex::default(),
            last: Mutex::default(),
        }
    }

    /// A snapshot at most as old as [`FRESH`]. Threads that ask while one is taken share it.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        let mut last = self.last.lock();
        match &*last {
            Some((at, snapshot)) if at.elapsed() < FRESH => Arc::clone(snapshot),
            _ => {
                let snapshot = Arc::new(self.source.snapshot());
                *last = Some((Instant::now(), Arc::clone(&snapshot)));
                snapshot
            }
        }
    }

    /// Makes the next snapshot a new one.
    pub(super) fn forget_snapshot(&self) {
        *self.last.lock() = None;
    }

    pub(super) fn rates(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock()
    }
}
