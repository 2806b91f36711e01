//! What a connection is used for, counted so that its last use takes leave of the peer.

use super::Outbox;
use crate::rtmp::Message;
use std::sync::Arc;

/// One publication or subscription of a connection, as long as it is held.
pub struct Role {
    outbox: Arc<Outbox>,
    /// Whether it is counted no more.
    ended: bool,
}

impl Role {
    /// A role that `outbox` counts already.
    pub(super) fn new(outbox: Arc<Outbox>) -> Role {
        let ended = false;
        Role { outbox, ended }
    }

    /// The way to whoever has the role.
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// The stream that it was about is over: tells the peer, and takes leave of it if it has no
    /// other role.
    pub fn end(mut self, messages: Vec<Message>) {
        self.ended = true;
        self.outbox.end_role(messages);
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        if !self.ended {
            self.outbox.lock().roles -= 1;
        }
    }
}
