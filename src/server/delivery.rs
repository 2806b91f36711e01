//! Whether a peer takes what it is sent, as far as its socket shows.

use crate::net::Socket;
use crate::queue::Outbox;
use crate::sys;

/// What had gone to a peer at some moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivery {
    /// Messages of audio, video and data.
    media: u64,
    bytes: u64,
}

impl Delivery {
    /// What has gone through `outbox` until now.
    pub(super) fn until_now(outbox: &Outbox) -> Delivery {
        Delivery {
            media: outbox.media(),
            bytes: outbox.bytes(),
        }
    }

    /// Whether there was media since, and the peer's system has acknowledged more than was sent
    /// then. Counts from now on the next time.
    pub(super) fn has_advanced(&mut self, outbox: &Outbox, socket: &Socket) -> bool {
        let now = Delivery::until_now(outbox);
        let last = std::mem::replace(self, now);
        let unacknowledged = sys::unacknowledged(socket).unwrap_or(u64::MAX);
        now.media > last.media && now.bytes.saturating_sub(unacknowledged) > last.bytes
    }
}
