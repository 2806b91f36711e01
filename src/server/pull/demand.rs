//! Who wants a stream that is pulled.

use super::fetches::Fetch;
use crate::registry::Registry;
use crate::rtmp::stream_key::StreamKey;
use crate::sync::Mutex;
use std::net::IpAddr;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a stream that is pulled on demand goes on when nobody watches any more.
const UNWATCHED_MAX: Duration = Duration::from_secs(30);

/// Whether a pull is wanted.
pub(super) enum Demand {
    Always,
    /// As long as somebody watches.
    Viewers {
        /// Counts against the limits of what is fetched.
        fetch: Fetch,
        /// The servers on the way to the viewer who came first.
        via: Vec<String>,
        audience: Mutex<DemandState>,
        /// Whether media has come.
        has_come: AtomicBool,
    },
}

/// Who watches a stream that is pulled on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DemandState {
    /// Somebody is about to, as of then.
    Expected(Instant),
    There,
    /// Nobody does, since then.
    Gone(Instant),
}

impl Demand {
    pub(super) fn expected(fetch: Fetch, via: Vec<String>) -> Demand {
        Demand::Viewers {
            fetch,
            via,
            audience: Mutex::new(DemandState::Expected(Instant::now())),
            has_come: AtomicBool::new(false),
        }
    }

    fn audience(&self) -> Option<MutexGuard<'_, DemandState>> {
        match self {
            Demand::Always => None,
            Demand::Viewers { audience, .. } => Some(audience.lock()),
        }
    }

    /// Who wanted it, if nothing has come yet.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match self {
            Demand::Always => None,
            Demand::Viewers { fetch, .. } => fetch.address(),
        }
    }

    /// The servers on the way to those who want it.
    pub(super) fn via(&self, key: &StreamKey, registry: &Registry) -> Vec<String> {
        match self {
            Demand::Always => Vec::new(),
            Demand::Viewers { via, .. } => registry.shortest_way(key).unwrap_or(via.clone()),
        }
    }

    /// Whether nobody has watched for so long that it is given up.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let since = match self.audience().as_deref() {
            Some(DemandState::Expected(since) | DemandState::Gone(since)) => *since,
            Some(DemandState::There) | None => return false,
        };
        now.saturating_duration_since(since) >= UNWATCHED_MAX
    }

    /// Notes that media has come.
    pub(super) fn set_come(&self) {
        if let Demand::Viewers {
            fetch, has_come, ..
        } = self
        {
            has_come.store(true, Ordering::Relaxed);
            fetch.has_come();
        }
    }

    pub(super) fn has_come(&self) -> bool {
        match self {
            Demand::Always => true,
            Demand::Viewers { has_come, .. } => has_come.load(Ordering::Relaxed),
        }
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.audience().as_deref(), Some(DemandState::Gone(_)))
    }

    /// Somebody watches, or nobody does any more.
    pub(super) fn set_watched(&self, watched: bool) {
        let Some(mut audience) = self.audience() else {
            return;
        };
        match (watched, *audience) {
            (true, _) => *audience = DemandState::There,
            (false, DemandState::Gone(_)) => {}
            (false, _) => *audience = DemandState::Gone(Instant::now()),
        }
    }
}
