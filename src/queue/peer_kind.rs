//! Clients and servers as peers: how much may wait for each.

use super::limits::{QUEUE_MESSAGES, RELAY_QUEUE_MESSAGES};

/// What kind of peer an outbox leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerKind {
    /// A client that is connected to this server.
    Client,
    /// Another server, to which this one is connected as a client.
    Server,
}

impl PeerKind {
    /// Items that may wait for such a peer.
    pub(super) fn queue_messages(self) -> usize {
        match self {
            PeerKind::Client => QUEUE_MESSAGES,
            PeerKind::Server => RELAY_QUEUE_MESSAGES,
        }
    }
}
