//! What a connection is used for, counted so that the end of its last use closes it.

use super::outbox::Outbox;
use crate::rtmp::Message;
use std::sync::Arc;

/// One publication or subscription of a connection, as long as it is held.
pub struct Role {
    outbox: Arc<Outbox>,
    /// Whether the outbox does not count it any more.
    ended: bool,
}

impl Outbox {
    /// Counts a publication or subscription of this connection for as long as it lasts.
    pub fn take_role(self: &Arc<Self>) -> Role {
        self.lock().roles += 1;
        Role {
            outbox: Arc::clone(self),
            ended: false,
        }
    }
}

impl Role {
    /// The outbox of the connection that has the role.
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// The stream of the role is over: the peer is sent these messages, and the connection is closed
    /// if it has no other role.
    pub fn end(mut self, closing_messages: Vec<Message>) {
        self.ended = true;
        self.outbox.end_role(closing_messages);
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        if !self.ended {
            self.outbox.lock().roles -= 1;
        }
    }
}
