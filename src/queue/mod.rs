//! The way to a peer: one [`Outbox`] for each connection, through which any thread may send without
//! being held up.
//!
//! While the socket takes everything, bytes go straight into it from the thread that has them.
//! What it does not take waits in a queue of `QUEUE_MESSAGES` for the connection's own writer
//! thread, and what comes then queues up behind it, so that order is kept. What a message is as
//! bytes is up to the peer's [`Framing`] and depends on what was sent before: the bytes are made when
//! their turn has come, never earlier.

mod batch;
mod cause;
mod drain;
mod due;
mod egress;
mod feed;
mod framing;
mod held_messages;
mod holder;
mod item;
mod limits;
mod offer;
mod outbox;
mod peer_kind;
mod peer_memory;
mod role;
mod shared_bytes;
mod shared_run;
mod transport;
mod writer;

pub(crate) use batch::Batch;
pub use cause::Cause;
pub use feed::{Feed, FeedLimits, Intake, Taken, feed, feed_within};
pub use framing::Framing;
pub(crate) use framing::Leaders;
pub use limits::message_cost;
pub use offer::{Offer, QueueFull};
pub use outbox::Outbox;
pub use peer_kind::PeerKind;
pub use role::Role;
pub(crate) use shared_bytes::SharedBytes;
pub use transport::Transport;
pub use writer::{Done, Writer, outbox};
