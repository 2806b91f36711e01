//! What a peer makes us hold beside what waits for it.

use crate::memory::{Account, Budget};
use std::sync::Arc;

/// What a peer makes us hold beside what waits for it.
#[derive(Debug)]
pub(super) struct PeerMemory {
    /// Messages of it that are not complete, and buffers for them.
    pub(super) unfinished: Account,
    /// What it must not miss, as long as there is no room in its queue.
    pub(super) pending: Account,
}

impl PeerMemory {
    pub(super) fn new(budget: &Arc<Budget>) -> PeerMemory {
        PeerMemory {
            unfinished: Account::new(budget),
            pending: Account::new(budget),
        }
    }

    pub(super) fn budget(&self) -> &Arc<Budget> {
        self.unfinished.budget()
    }
}
