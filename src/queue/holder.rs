//! How the connection of a peer gives way when memory is short, and waits when it is used up.

use super::cause::Cause;
use super::egress::{Closing, Egress};
use super::outbox::Outbox;
use super::peer_memory::PeerMemory;
use crate::memory::{GaveWay, Holder, Holding};
use crate::sync;
use std::time::{Duration, Instant};

/// How long a peer that sends a long message is not read from, where there is no room for more of it.
const ROOM_WAIT: Duration = Duration::from_secs(10);

/// Pause between two looks for room.
const ROOM_POLL: Duration = Duration::from_millis(5);

impl Outbox {
    /// Says how much memory messages of the peer take that are not complete. Whether there is room for
    /// more of them.
    #[must_use]
    pub fn set_unfinished(&self, bytes: usize) -> bool {
        let unfinished = &self.memory.unfinished;
        unfinished.set(bytes);
        unfinished.may_grow()
    }

    /// Waits until there is room for more of messages that are not complete, or until the connection is
    /// over. To be called on the thread that reads from the peer.
    pub fn wait_for_room(&self) {
        let unfinished = &self.memory.unfinished;
        let end = Instant::now() + ROOM_WAIT;
        while !unfinished.may_grow() && self.cause().is_none() {
            if Instant::now() >= end {
                self.hang_up(Cause::Unfinished);
            }
            sync::sleep(ROOM_POLL);
        }
    }

    /// Says how much memory that takes which the peer must not miss and has no room for.
    pub(crate) fn set_pending(&self, bytes: usize) {
        self.memory.pending.set(bytes);
    }

    fn held_locked(&self, egress: &Egress) -> usize {
        let PeerMemory {
            unfinished,
            pending,
        } = &self.memory;
        match egress.closing {
            // It gives all of it back already.
            Closing::Closed(Some(_)) => 0,
            _ => egress.waiting.bytes + unfinished.bytes() + pending.bytes(),
        }
    }
}

impl Holder for Outbox {
    fn held_bytes(&self) -> usize {
        self.held_locked(&self.lock())
    }

    fn holding(&self) -> Holding {
        let egress = self.lock();
        let source = egress.media_source.only();
        Holding {
            shared: source.map(|source| (source, egress.waiting.shared)),
            ..Holding::own(self.owner(), self.held_locked(&egress))
        }
    }

    fn give_way(&self) -> Option<GaveWay> {
        let unfinished = self.memory.unfinished.bytes();
        let cause = match unfinished > self.waiting_bytes() {
            true => Cause::Unfinished,
            false => Cause::Memory,
        };
        self.hang_up(cause);
        Some(GaveWay::Peer)
    }
}
