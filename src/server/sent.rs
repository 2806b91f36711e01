//! Whether a peer takes what it is sent, as far as its socket shows.

use crate::queue::Outbox;
use crate::sys;
use std::net::TcpStream;

/// What had gone to a peer at some moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sent {
    /// Messages of audio, video and data.
    media: u64,
    bytes: u64,
}

impl Sent {
    /// What has gone through `outbox` until now.
    pub(super) fn through(outbox: &Outbox) -> Sent {
        Sent {
            media: outbox.media(),
            bytes: outbox.bytes(),
        }
    }

    /// Whether there was media since, and the peer's system has acknowledged more than was sent
    /// then. Counts from now on the next time.
    pub(super) fn takes_more(&mut self, outbox: &Outbox, socket: &TcpStream) -> bool {
        let now = Sent::through(outbox);
        let last = std::mem::replace(self, now);
        let unacknowledged = sys::unacknowledged(socket).unwrap_or(u64::MAX);
        now.media > last.media && now.bytes.saturating_sub(unacknowledged) > last.bytes
    }
}
