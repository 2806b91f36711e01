//! Who wants a stream that is pulled.

use super::fetches::Fetch;
use crate::awake;
use crate::registry::Registry;
use crate::rtmp::stream_key::StreamKey;
use crate::sync::{Mutex, MutexGuard, Rank};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a stream that is pulled on demand goes on when nobody watches any more.
const UNWATCHED_MAX: Duration = Duration::from_secs(30);

/// Whether a pull is wanted.
pub(super) struct Demand {
    reason: Mutex<Reason>,
    /// Whether media has come.
    has_come: AtomicBool,
}

/// Why a pull is wanted.
enum Reason {
    /// The configuration says so.
    Always,
    /// As long as somebody watches.
    Viewers {
        /// Counts against the limits of what is fetched.
        fetch: Fetch,
        /// The servers on the way to the viewer who came first.
        via: Vec<String>,
        audience: DemandState,
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
    fn new(reason: Reason) -> Demand {
        Demand {
            reason: Mutex::ranked(Rank::Demand, reason),
            has_come: AtomicBool::new(false),
        }
    }

    /// A pull that is wanted whether anybody watches or not.
    pub(super) fn always() -> Demand {
        Demand::new(Reason::Always)
    }

    /// A pull for somebody who is about to watch, on the way `via`.
    pub(super) fn expected(fetch: Fetch, via: Vec<String>) -> Demand {
        Demand::new(Reason::of_viewers(fetch, via))
    }

    fn reason(&self) -> MutexGuard<'_, Reason> {
        self.reason.lock()
    }

    /// Whether it is wanted without viewers.
    pub(super) fn is_always(&self) -> bool {
        matches!(*self.reason(), Reason::Always)
    }

    /// It is wanted without viewers from now on.
    pub(super) fn set_always(&self) {
        *self.reason() = Reason::Always;
    }

    /// It is wanted only for viewers from now on, as if one were about to watch.
    pub(super) fn set_expected(&self, fetch: Fetch) {
        if self.has_come() {
            fetch.has_come();
        }
        *self.reason() = Reason::of_viewers(fetch, Vec::new());
    }

    /// Who wanted it, if nothing has come yet.
    pub(super) fn address(&self) -> Option<IpAddr> {
        match &*self.reason() {
            Reason::Always => None,
            Reason::Viewers { fetch, .. } => fetch.address(),
        }
    }

    /// The servers on the way to those who want it.
    pub(super) fn via(&self, key: &StreamKey, registry: &Registry) -> Vec<String> {
        let first = match &*self.reason() {
            Reason::Always => return Vec::new(),
            Reason::Viewers { via, .. } => via.clone(),
        };
        registry.shortest_way(key).unwrap_or(first)
    }

    /// Whether nobody has watched for so long that it is given up.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let since = match &*self.reason() {
            Reason::Viewers {
                audience: DemandState::Expected(since) | DemandState::Gone(since),
                ..
            } => *since,
            Reason::Viewers { .. } | Reason::Always => return false,
        };
        now.saturating_duration_since(since) >= UNWATCHED_MAX
    }

    /// Notes that media has come.
    pub(super) fn set_come(&self) {
        self.has_come.store(true, Ordering::Relaxed);
        if let Reason::Viewers { fetch, .. } = &*self.reason() {
            fetch.has_come();
        }
    }

    pub(super) fn has_come(&self) -> bool {
        self.has_come.load(Ordering::Relaxed)
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_gone(&self) -> bool {
        let gone = |audience: &DemandState| matches!(audience, DemandState::Gone(_));
        matches!(&*self.reason(), Reason::Viewers { audience, .. } if gone(audience))
    }

    /// Somebody watches, or nobody does any more.
    pub(super) fn set_watched(&self, watched: bool) {
        let mut reason = self.reason();
        let Reason::Viewers { audience, .. } = &mut *reason else {
            return;
        };
        match (watched, *audience) {
            (true, _) => *audience = DemandState::There,
            (false, DemandState::Gone(_)) => {}
            (false, _) => *audience = DemandState::Gone(awake::now()),
        }
    }
}

impl Reason {
    fn of_viewers(fetch: Fetch, via: Vec<String>) -> Reason {
        let audience = DemandState::Expected(awake::now());
        Reason::Viewers {
            fetch,
            via,
            audience,
        }
    }
}
