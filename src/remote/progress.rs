//! State and counters of a link to another server.

use crate::queue::Outbox;
use crate::stats::LinkState;
use crate::sync::{Mutex, MutexGuard};
use std::sync::Arc;

/// The state of a link; the thread that has the connection keeps it up to date.
pub(crate) struct LinkProgress(Mutex<ProgressState>);

struct ProgressState {
    state: LinkState,
    attempts: u64,
    last_error: Option<String>,
    redirected_to: Option<String>,
    /// The way to the server, while there is one.
    outbox: Option<Arc<Outbox>>,
    /// What went through the ways there were before.
    messages: u64,
    bytes: u64,
    drops: u64,
    received: u64,
}

/// State and counters of a link, over all of its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinkStats {
    /// How far it is.
    pub state: LinkState,
    /// How many times it was connected anew.
    pub reconnects: u64,
    /// Why it was last lost, if it was.
    pub last_error: Option<String>,
    /// Where the server sent us, as it may be shown.
    pub redirected_to: Option<String>,
    /// Messages sent, over all connections.
    pub messages: u64,
    /// Bytes sent, over all connections.
    pub bytes: u64,
    /// Messages left out because the server was too slow.
    pub drops: u64,
    /// Bytes received, over all connections.
    pub received: u64,
}

impl Default for LinkProgress {
    fn default() -> Self {
        LinkProgress(Mutex::new(ProgressState {
            state: LinkState::Connecting,
            attempts: 0,
            last_error: None,
            redirected_to: None,
            outbox: None,
            messages: 0,
            bytes: 0,
            drops: 0,
            received: 0,
        }))
    }
}

impl LinkProgress {
    fn lock(&self) -> MutexGuard<'_, ProgressState> {
        self.0.lock()
    }

    /// It is being connected.
    pub(crate) fn connecting(&self) {
        let mut state = self.lock();
        state.state = LinkState::Connecting;
        state.attempts += 1;
        state.redirected_to = None;
    }

    /// The server sent us to this address, as it may be shown.
    pub(crate) fn redirected(&self, to: String) {
        let mut state = self.lock();
        state.state = LinkState::Connecting;
        state.redirected_to = Some(to);
    }

    /// Media goes through `outbox`, or comes.
    pub(crate) fn connected(&self, outbox: &Arc<Outbox>) {
        let mut state = self.lock();
        state.state = LinkState::Connected;
        state.outbox = Some(Arc::clone(outbox));
    }

    /// Counts bytes that came.
    pub(crate) fn received(&self, bytes: usize) {
        self.lock().received += bytes as u64;
    }

    /// It was lost, and will be tried again.
    pub(crate) fn waiting(&self, error: String) {
        let mut state = self.lock();
        state.state = LinkState::Waiting;
        state.last_error = Some(error);
    }

    /// Lets go of the way to the server, and adds up what went through it.
    pub(crate) fn settle(&self) {
        let mut state = self.lock();
        if let Some(outbox) = state.outbox.take() {
            state.messages += outbox.messages();
            state.bytes += outbox.bytes();
            state.drops += outbox.drops();
        }
    }

    /// Bytes sent, over all connections.
    pub(crate) fn bytes(&self) -> u64 {
        self.stats().bytes
    }

    /// Its state and counters now.
    pub(crate) fn stats(&self) -> LinkStats {
        let state = self.lock();
        let now = |read: fn(&Outbox) -> u64| state.outbox.as_deref().map_or(0, read);
        LinkStats {
            state: state.state,
            reconnects: state.attempts.saturating_sub(1),
            last_error: state.last_error.clone(),
            redirected_to: state.redirected_to.clone(),
            messages: state.messages + now(Outbox::messages),
            bytes: state.bytes + now(Outbox::bytes),
            drops: state.drops + now(Outbox::drops),
            received: state.received,
        }
    }
}
