//! What is true of every subscriber, whatever it is sent.

use super::due::DueNotices;
use crate::queue::{Cause, Offer, Outbox, Role};
use crate::registry::phase::ViewerPhase;
use crate::registry::presence::Place;
use crate::registry::recipient::{Notice, Recipient};
use crate::registry::slowness::{Patience, Slowness};
use crate::registry::subscription_id::SubscriptionId;
use std::time::Instant;

/// Who it is, how far it has come, and whether it takes what it is sent.
pub(super) struct Subscriber {
    pub(super) id: SubscriptionId,
    /// Others see by it that the viewer is there.
    pub(super) place: Place,
    pub(super) role: Role,
    pub(super) recipient: Recipient,
    pub(super) phase: ViewerPhase,
    pub(super) slowness: Slowness,
    /// What the recipient is to be told when there is room.
    pub(super) due: DueNotices,
    /// Bytes that its connection had been sent when the publication began, or when it joined.
    pub(super) bytes_before: u64,
}

impl Subscriber {
    /// One that waits for a publisher until `deadline`.
    pub(super) fn new(
        (id, place): (SubscriptionId, Place),
        role: Role,
        recipient: Recipient,
        deadline: Instant,
    ) -> Subscriber {
        Subscriber {
            id,
            place,
            bytes_before: role.outbox().bytes(),
            role,
            recipient,
            phase: ViewerPhase::Waiting(deadline),
            slowness: Slowness::default(),
            due: DueNotices::default(),
        }
    }

    /// The outbox of its connection.
    pub(super) fn outbox(&self) -> &Outbox {
        self.role.outbox()
    }

    /// Tells the recipient something, at once or when there is room.
    pub(super) fn notify(&mut self, notice: Notice) {
        self.owe(notice);
        self.push_due();
    }

    /// The recipient is to be told this, if it is told such things at all.
    fn owe(&mut self, notice: Notice) {
        if self.recipient.notices.notice(notice).is_some() {
            self.due.add(notice);
        }
    }

    /// Tells the recipient what is due, if there is room.
    pub(super) fn push_due(&mut self) -> Offer {
        if self.due.is_empty() {
            return Offer::Sent;
        }
        let messages = self.due.messages(self.recipient.notices.as_ref());
        let offer = self.outbox().push_reply(messages);
        if offer != Offer::Full {
            self.due.clear();
        }
        offer
    }

    /// There was no room for something; returns as [`count_drop`](Self::count_drop).
    pub(super) fn drop_one(&mut self, now: Instant) -> u64 {
        self.fall_behind(now);
        self.count_drop()
    }

    /// Something is left out because of what is missing; it counts only if that was lost, or if the
    /// recipient is behind.
    pub(super) fn skip_one(&mut self, is_lost: bool) -> u64 {
        match is_lost || self.slowness.is_behind() {
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
        if self.slowness.fall_behind(now) {
            self.owe(Notice::TooSlow);
        }
    }

    /// It has taken everything; whether it `lacks` pictures all the same, up to a keyframe.
    pub(super) fn caught_up(&mut self, now: Instant, lacks: bool) {
        self.slowness.catch_up(now, lacks, &self.recipient.conn_id);
    }

    /// It leaves, or is told that the stream is over.
    pub(super) fn leave(&mut self, now: Instant) {
        self.slowness.leave(now, &self.recipient.conn_id);
    }

    /// One that has taken everything is not behind any more, and one that has room is told what is
    /// due. One that has been behind for too long is hung up on.
    pub(super) fn check(&mut self, now: Instant, lacks: bool) {
        // It may be sent nothing more for long, paused say, so this is not left to the next message.
        self.push_due();
        if self.outbox().waiting() == 0 {
            self.caught_up(now, lacks);
        }
        if self.slowness.check(now, &self.recipient.conn_id) == Patience::Exhausted {
            self.outbox().hang_up(Cause::Behind);
        }
    }
}
