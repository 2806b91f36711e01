//! How long a viewer waits for a keyframe before it begins with sound.

use super::media_message::MediaMessage;
use crate::rtmp::Timestamp;
use std::time::{Duration, Instant};

/// How long a viewer waits for a keyframe before it begins with sound: a camera may be off, and
/// encoders with intra refresh mark no keyframe at all.
pub(super) const KEYFRAME_WAIT: Duration = Duration::from_secs(3);

/// A viewer's wait for the beginning of a publication. It is over after [`KEYFRAME_WAIT`], by the
/// clock or by the times of the sound, whichever is sooner.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyframeWait {
    since: Instant,
    first_sound: Option<Timestamp>,
}

impl KeyframeWait {
    /// A wait that begins at `now`.
    pub(super) fn since(now: Instant) -> KeyframeWait {
        KeyframeWait {
            since: now,
            first_sound: None,
        }
    }

    /// Whether it is over by the clock at `now`.
    pub(super) fn has_passed(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= KEYFRAME_WAIT
    }

    /// Whether it is over when `media` passes at `now`.
    pub(super) fn is_over(&mut self, media: &MediaMessage, now: Instant) -> bool {
        let waited = now.saturating_duration_since(self.since);
        let heard = match media.is_sound() {
            true => {
                let time = media.message.timestamp;
                time.since(*self.first_sound.get_or_insert(time))
            }
            false => 0,
        };
        let heard = Duration::from_millis(u64::from(heard.max(0).unsigned_abs()));
        waited.max(heard) >= KEYFRAME_WAIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::{Message, MessageType, StreamId};

    #[test]
    fn it_ends_by_the_clock_or_by_the_sound() {
        type Row = (&'static [(u64, u32)], bool);
        let rows: [Row; 6] = [
            (&[(0, 1000)], false),
            (&[(2999, 1000)], false),
            (&[(3000, 1000)], true),
            (&[(0, 1000), (10, 3999)], false),
            (&[(0, 1000), (10, 4000)], true),
            (&[(0, 9000), (10, 1000), (20, 11_999)], false),
        ];
        for (sounds, want) in rows {
            let began = Instant::now();
            let mut wait = KeyframeWait::since(began);
            let mut is_over = false;
            for (ms, time) in sounds {
                let sound = Message {
                    timestamp: Timestamp(*time),
                    ..Message::untimed(MessageType::AUDIO, StreamId(1), vec![0xaf, 1, 0])
                };
                let now = began + Duration::from_millis(*ms);
                is_over = wait.is_over(&MediaMessage::new(sound), now);
            }
            assert_eq!(is_over, want, "{sounds:?}");
        }
    }
}
