//! The way to a peer: one [`Outbox`] for each connection, through which any thread may send without
//! being held up.
//!
//! While the socket takes everything, bytes go straight into it from the thread that has them.
//! What it does not take waits in a queue of `QUEUE_MESSAGES` for the connection's own writer
//! thread, and what comes then queues up behind it, so that order is kept. What a message is as
//! bytes is up to the peer's [`Framing`] and depends on what was sent before: the bytes are made when
//! their turn has come, never earlier.

mod batch;
mod budget;
mod cause;
mod egress;
mod feed;
mod framing;
mod item;
mod outbox;
mod role;
mod writer;

pub(crate) use batch::Batch;
pub use budget::Budget;
pub use cause::Cause;
pub use feed::{Feed, FeedLimits, Intake, Taken, feed};
pub use framing::Framing;
pub(crate) use framing::Leaders;
pub use outbox::{Outbox, PeerKind, QueueFull, outbox};
pub use role::Role;
pub use writer::{Done, Writer};

use crate::rtmp::Message;
use std::io;
use std::time::Duration;

/// Items that wait for a client: messages, or batches that belong together.
pub(crate) const QUEUE_MESSAGES: usize = 100;

/// Items that wait for a server that we send to: far away, and one for many.
pub(crate) const RELAY_QUEUE_MESSAGES: usize = 1000;

/// Bytes of memory that wait for a peer, beyond which the queue counts as full for media.
pub(crate) const QUEUE_BYTES_MAX: usize = 16 << 20;

/// Bytes of memory that a message costs beside its payload: itself, and what its payload is
/// allocated with.
const MESSAGE_COST: usize = size_of::<Message>() + 32;

/// The memory that a message takes, in bytes.
pub fn message_cost(message: &Message) -> usize {
    message.payload.len() + MESSAGE_COST
}

/// Messages of our own that wait for a peer, beyond which the queue counts as full for those: they
/// are small, but a peer can ask for as many as it likes.
pub(crate) const REPLIES_MAX: usize = 1000;

/// How long a connection's own replies wait for room in its queue.
pub(crate) const REPLY_WAIT: Duration = Duration::from_millis(200);

/// Bytes that are made ready to be sent at a time.
const PIECE_LEN: usize = 64 << 10;

/// A connection as the queue sees it.
pub trait Transport: Send + Sync {
    /// Sends what can be sent without waiting; returns how many bytes that was.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing can be sent now; any other means that the connection is over.
    fn send_now(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Ends the connection in both directions, which wakes its threads.
    fn hang_up(&self);
}

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
