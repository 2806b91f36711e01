//! The end of the way to a peer: what waits is sent, and then the connection closes.

use super::cause::Cause;
use super::egress::{Closing, Egress};
use super::framing::MessageClass;
use super::item::Item;
use super::offer::Offer;
use super::outbox::Outbox;
use crate::awake;
use crate::rtmp::Message;
use std::io;
use std::time::Duration;

/// How long a peer may take for everything that waits when nothing more comes. A peer that is behind its
/// stream has less than that to catch up.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);

impl Outbox {
    /// Closes the connection after everything that waits and these closing messages were sent.
    /// Nothing is taken after that. Never waits.
    pub fn drain_and_close(&self, closing_messages: Vec<Message>) {
        self.drain_within(DRAIN_LIMIT, closing_messages);
    }

    /// As [`drain_and_close`](Outbox::drain_and_close), and cuts the connection if that takes longer.
    pub(crate) fn drain_within(&self, limit: Duration, closing_messages: Vec<Message>) {
        self.drain_locked(&mut self.lock(), limit, closing_messages);
    }

    fn drain_locked(&self, egress: &mut Egress, limit: Duration, messages: Vec<Message>) {
        match &mut egress.closing {
            Closing::Open => {
                egress.closing = Closing::Draining(messages);
                self.drain_end.get_or_init(|| awake::now() + limit);
                // When there is no room for it, the writer has enough to do to look by itself.
                self.enqueue(egress, Item::Wake);
            }
            Closing::Draining(closing_messages) => closing_messages.extend(messages),
            Closing::Closed(_) => {}
        }
    }

    /// One step, so that of two roles that end at once exactly one is the last.
    pub(super) fn end_role(&self, messages: Vec<Message>) {
        let mut egress = self.lock();
        egress.roles -= 1;
        let is_last = egress.roles == 0;
        if is_last || self.push(&mut egress, MessageClass::Reply, messages.clone()) == Offer::Full {
            self.drain_locked(&mut egress, DRAIN_LIMIT, messages);
        }
    }

    /// How long the next write to the peer may take; `None`: only as long as any.
    ///
    /// # Errors
    ///
    /// `WouldBlock`, as of a write that took too long: the peer has not taken everything in time.
    pub(super) fn time_to_drain(&self) -> io::Result<Option<Duration>> {
        let Some(end) = self.drain_end.get() else {
            return Ok(None);
        };
        let left = awake::until(*end);
        if left.is_zero() {
            self.lock().close(Cause::RestNotTaken);
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Some(left))
    }
}
