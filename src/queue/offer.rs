//! What becomes of messages that are offered to a peer.

use std::error::Error;
use std::fmt;

/// What became of something offered to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// All of it is on its way.
    Sent,
    /// It waits in the queue.
    Queued,
    /// There is no room for it; nothing of it was taken.
    Full,
    /// The connection is closed or closing.
    Closed,
}

/// There is no room for a reply in the peer's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueFull;

impl fmt::Display for QueueFull {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("no room for a reply in the queue")
    }
}

impl Error for QueueFull {}
