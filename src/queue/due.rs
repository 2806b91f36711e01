//! A message of our own that a peer is sent however much waits for it.

use super::egress::Egress;
use super::framing::MessageClass;
use super::item::Encoding;
use super::offer::Offer;
use super::outbox::Outbox;
use crate::rtmp::Message;

impl Outbox {
    /// Sends a message of our own, at once or as soon as there is room; it takes the place of one that
    /// still waits for that. `false`: nothing is sent any more. Never waits.
    pub fn push_when_room(&self, message: Message) -> bool {
        let mut egress = self.lock();
        let offer = self.push(&mut egress, MessageClass::Reply, vec![message.clone()]);
        egress.due = (offer == Offer::Full).then_some(message);
        offer != Offer::Closed
    }

    /// There is room: sends what waits for that.
    pub(super) fn send_due(&self, egress: &mut Egress) {
        let Some(message) = egress.due.take() else {
            return;
        };
        let encoding = Encoding::new(MessageClass::Reply);
        match self.enqueue_rest(egress, Vec::new(), encoding, vec![message.clone()]) {
            Offer::Full => egress.due = Some(message),
            Offer::Sent | Offer::Queued | Offer::Closed => self.count_messages(1),
        }
    }
}
