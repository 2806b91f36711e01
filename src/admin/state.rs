//! What the answers to all requests are made from.

use super::rates::Rates;
use crate::http::server::HostNames;
use crate::stats::Snapshot;
use crate::sync::{Mutex, MutexGuard, Rank, RwLock};
use std::sync::Arc;
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

/// Which requests are served, and which may end streams and connections.
#[derive(Clone, Default)]
pub struct Access {
    /// Lets its bearer end streams and connections from anywhere. Requests from this machine need
    /// none.
    pub token: Option<String>,
    /// Names that requests may be for, beside `localhost` and the addresses that they come in on.
    pub hosts: Vec<String>,
}

/// What all HTTP connections share: how to look at the server, and what was seen of it last.
pub(super) struct AdminState {
    pub(super) source: Arc<dyn AdminSource>,
    /// The token of [`Access`], and its names.
    access: RwLock<Arc<(Option<String>, HostNames)>>,
    rates: Mutex<Rates>,
    /// The last snapshot and when it was taken.
    last: Mutex<Option<(Instant, Arc<Snapshot>)>>,
}

impl AdminState {
    pub(super) fn new(source: Arc<dyn AdminSource>, access: Access) -> AdminState {
        AdminState {
            source,
            access: RwLock::new(Arc::new((access.token, HostNames(access.hosts)))),
            rates: Mutex::default(),
            last: Mutex::ranked(Rank::Snapshot, None),
        }
    }

    /// The token that lets its bearer end streams, and the names that requests may be for.
    pub(super) fn access(&self) -> Arc<(Option<String>, HostNames)> {
        Arc::clone(&self.access.read())
    }

    /// Sets what requests may do from now on.
    pub(super) fn set_access(&self, access: Access) {
        *self.access.write() = Arc::new((access.token, HostNames(access.hosts)));
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
