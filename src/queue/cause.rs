//! Why the way to a peer was closed.

use std::fmt;

/// Why a connection was ended by somebody other than its own reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The peer is gone: the socket takes nothing more from us.
    PeerGone,
    /// The peer took nothing for as long as a write may take.
    TookNothing,
    /// The peer did not take what waited for it when nothing more came.
    RestNotTaken,
    /// A viewer stayed behind its stream for too long.
    Behind,
    /// A viewer missed more headers than can be kept for it.
    HeadersMissed,
    /// There was no room to tell a viewer that it plays.
    QueueFull,
    /// What waits for all peers took too much memory, and most of it waited for this one.
    Memory,
    /// Messages of the peer that are not complete took too much memory.
    Unfinished,
    /// What is kept of the peer's stream took too much memory.
    Kept,
    /// Somebody asked for it.
    Asked,
}

impl Cause {
    /// Whether it is an ordinary end, and no fault of the peer or the network.
    pub fn is_ordinary(self) -> bool {
        matches!(self, Cause::PeerGone | Cause::Asked)
    }

    /// Whether others needed the memory.
    pub(crate) fn is_memory(self) -> bool {
        matches!(self, Cause::Memory | Cause::Unfinished | Cause::Kept)
    }

    /// Whether the peer did not take what it was sent.
    pub fn took_too_long(self) -> bool {
        matches!(self, Cause::TookNothing | Cause::RestNotTaken)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Cause::PeerGone => "peer closed",
            Cause::TookNothing => "hung up on: took nothing for 30 s",
            Cause::RestNotTaken => "hung up on: did not take the rest within 60 s",
            Cause::Behind => "hung up on: stayed behind for 30 s",
            Cause::HeadersMissed => "hung up on: takes no headers",
            Cause::QueueFull => "hung up on: takes no replies",
            Cause::Memory => "hung up on: most memory of all peers waited for it",
            Cause::Unfinished => {
                "hung up on: its unfinished messages took most memory of all peers"
            }
            Cause::Kept => "hung up on: headers and data of its stream took most memory",
            Cause::Asked => "hung up on as asked",
        })
    }
}
