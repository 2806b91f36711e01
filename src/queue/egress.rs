//! The state of the way to a peer: whoever holds its lock decides what the peer sees next.

use super::Cause;
use super::item::Weight;
use crate::rtmp::Message;
use crate::rtmp::chunk::Encoder;

/// The end of the line: whoever holds its lock decides what the peer sees next.
pub(super) struct Egress {
    pub(super) encoder: Encoder,
    /// What is in the queue or in the writer's hands. While anything is, only the writer sends.
    pub(super) waiting: Weight,
    /// Publications and subscriptions that the connection has.
    pub(super) roles: usize,
    pub(super) closing: Closing,
}

pub(super) enum Closing {
    /// Not at all.
    Open,
    /// After everything that waits and these messages.
    Draining(Vec<Message>),
    /// The connection is over; nothing is taken any more. Why, if it was not the peer's farewell.
    Closed(Option<Cause>),
}

impl Egress {
    /// The connection is over. The first cause is the true one.
    pub(super) fn close(&mut self, cause: Cause) {
        if !matches!(self.closing, Closing::Closed(Some(_))) {
            self.closing = Closing::Closed(Some(cause));
        }
    }
}
