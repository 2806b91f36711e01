//! Clients and servers as peers: how much may wait for each, and whose it is.

use super::limits::{QUEUE_MESSAGES, RELAY_QUEUE_MESSAGES};
use crate::memory::Owner;

/// What kind of peer an outbox leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerKind {
    /// A client that is connected to this server, and to whom its memory counts.
    Client(Owner),
    /// Another server, to which this one is connected as a client.
    Server,
}

impl PeerKind {
    /// Items that may wait for such a peer.
    pub(super) fn queue_messages(self) -> usize {
        match self {
            PeerKind::Client(_) => QUEUE_MESSAGES,
            PeerKind::Server => RELAY_QUEUE_MESSAGES,
        }
    }

    /// To whom the memory counts that such a peer takes.
    pub(super) fn owner(self) -> Option<Owner> {
        match self {
            PeerKind::Client(owner) => Some(owner),
            PeerKind::Server => None,
        }
    }
}
