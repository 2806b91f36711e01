//! The times of messages, without their wrap.

use crate::media::Packet;
use crate::rtmp::{Message, Timestamp};

/// In front of all times, in ms: players drop what is shown before 0, and some pictures are shown
/// before they are decoded.
const BASE_MS: i64 = 10_000;

/// The time of the last frame, as it was and without its wrap.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct StreamClock(Option<(Timestamp, i64)>);

impl StreamClock {
    /// The time of a message. Headers are dated as encoders like, and move nothing: a date of 0 would
    /// lie before some times and behind others.
    pub(super) fn ms(&mut self, message: &Message) -> u64 {
        let time = message.timestamp;
        let ms = match self.0 {
            Some((last, ms)) => ms + i64::from(time.since(last)),
            None => i64::from(time.0),
        };
        if Packet::new(message.kind, &message.payload).is_frame() {
            self.0 = Some((time, ms));
        }
        (ms + BASE_MS).max(0).unsigned_abs()
    }

    /// The time of the last frame; 0 before the first.
    pub(super) fn now_ms(&self) -> u64 {
        self.0.map_or(0, |(_, ms)| ms + BASE_MS).unsigned_abs()
    }
}
