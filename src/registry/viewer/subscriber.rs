//! What is true of every subscriber, whatever it is sent.

use crate::queue::{Cause, Offer, Outbox, Role};
use crate::registry::phase::ViewerPhase;
use crate::registry::recipient::{Notice, Recipient};
use crate::registry::slowness::{Patience, Slowness};
use crate::registry::subscription_id::SubscriptionId;
use std::time::Instant;

/// Who it is, how far it has come, and whether it takes what it is sent.
pub(super) struct Subscriber {
    pub(super) id: SubscriptionId,
    pub(super) role: Role,
    pub(super) recipient: Recipient,
    pub(super) phase: ViewerPhase,
    pub(super) slowness: Slowness,
    /// Whether the recipient is to be told that it is too slow.
    pub(super) notice_pending: bool,
    /// Bytes that its connection had been sent when the publication began, or when it joined.
    pub(super) bytes_before: u64,
}

impl Subscriber {
    /// One that waits for a publisher until `deadline`.
    pub(super) fn new(
        id: SubscriptionId,
        role: Role,
        recipient: Recipient,
        deadline: Instant,
    ) -> Subscriber {
        Subscriber {
            id,
            bytes_before: role.outbox().bytes(),
            role,
            recipient,
            phase: ViewerPhase::Waiting(deadline),
            slowness: Slowness::default(),
            notice_pending: false,
        }
    }

    /// The outbox of its connection.
    pub(super) fn outbox(&self) -> &Outbox {
        self.role.outbox()
    }

    /// Tells the recipient something that nothing depends on.
    pub(super) fn notify(&self, notice: Notice) {
        if let Some(message) = self.recipient.notices.notice(notice) {
            self.outbox().push_reply(vec![message]);
        }
    }

    /// Tells the recipient that it is too slow, if that is due.
    pub(super) fn push_notice(&mut self) -> Offer {
        let due = self.notice_pending.then_some(Notice::TooSlow);
        let message = due.and_then(|notice| self.recipient.notices.notice(notice));
        let offer = message.map_or(Offer::Sent, |message| {
            self.outbox().push_reply(vec![message])
        });
        self.notice_pending &= offer == Offer::Full;
        offer
    }

    /// There was no room for something; returns as [`count_drop`](Self::count_drop).
    pub(super) fn drop_one(&mut self, now: Instant) -> u64 {
        self.fall_behind(now);
        self.count_drop()
    }

    /// Something is left out because of what is missing; it counts only if that was dropped.
    pub(super) fn skip_one(&mut self) -> u64 {
        match self.slowness.is_behind() {
            true => self.count_drop(),
            false => 0,
        }
    }

    /// Counts a message that was left out; returns 1 for a player, and 0 for a server.
    fn count_drop(&mut self) -> u64 {
        self.slowness.count_drop();
        self.outbox().count_drops(1);
        u64::from(self.recipient.is_player())
    }

    pub(super) fn fall_behind(&mut self, now: Instant) {
        if !self.slowness.is_behind() {
            self.slowness.begin(now);
            self.notice_pending = true;
        }
    }

    pub(super) fn caught_up(&mut self, now: Instant) {
        self.slowness.end(now, &self.recipient.conn_id);
    }

    /// One that has taken everything is not behind any more. One that has been behind for too
    /// long is hung up on.
    pub(super) fn check_behind(&mut self, now: Instant) {
        // It may be sent nothing more for long, paused say, so this is not left to the next message.
        if self.outbox().waiting() == 0 {
            self.caught_up(now);
        }
        if self.slowness.check(now, &self.recipient.conn_id) == Patience::Exhausted {
            self.outbox().hang_up(Cause::Behind);
        }
    }
}
