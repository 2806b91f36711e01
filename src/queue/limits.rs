//! How much may wait for a peer, and what it is counted as.

use crate::rtmp::Message;
use std::time::Duration;

/// Items that wait for a client: messages, or batches that belong together.
pub(super) const QUEUE_MESSAGES: usize = 100;

/// Items that wait for a server that we send to: far away, and one for many.
pub(super) const RELAY_QUEUE_MESSAGES: usize = 1000;

/// Bytes of memory that wait for a peer, beyond which the queue counts as full for media.
pub(super) const QUEUE_BYTES_MAX: usize = 16 << 20;

/// Bytes of memory that a message costs beside its payload: itself, and what its payload is
/// allocated with.
pub(super) const MESSAGE_COST: usize = size_of::<Message>() + 32;

/// The memory that a message takes, in bytes.
pub fn message_cost(message: &Message) -> usize {
    message.payload.len() + MESSAGE_COST
}

/// Messages of our own that wait for a peer, beyond which the queue counts as full for those: they
/// are small, but a peer can ask for as many as it likes.
pub(super) const REPLIES_MAX: usize = 1000;

/// How long a connection's own replies wait for room in its queue.
pub(super) const REPLY_WAIT: Duration = Duration::from_millis(200);

/// Bytes that are made ready to be sent at a time.
pub(super) const PIECE_LEN: usize = 64 << 10;

/// The same on a writer thread, which holds them for as long as a slow peer takes.
pub(super) const HELD_PIECE_LEN: usize = 16 << 10;
