//! How far apart the keyframes of a publication are.

use super::media_message::MediaMessage;
use crate::rtmp::Timestamp;

/// The keyframes of the lowest track that has any.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Keyframes {
    /// The track that is looked at, and when its last keyframe was due.
    last: Option<(u8, Timestamp)>,
    gap_ms: Option<u32>,
}

impl Keyframes {
    pub(super) fn note(&mut self, media: &MediaMessage) {
        let Some(lowest) = media.packet.tracks.iter().next() else {
            return;
        };
        let time = media.message.timestamp;
        match self.last {
            Some((track, _)) if track < lowest => return,
            Some((track, last)) if track == lowest => {
                let gap = u32::try_from(time.since(last));
                self.gap_ms = gap.ok().filter(|gap| *gap > 0).or(self.gap_ms);
            }
            _ => {}
        }
        self.last = Some((lowest, time));
    }

    /// The time between the last two, in ms.
    pub(super) fn gap_ms(self) -> Option<u32> {
        self.gap_ms
    }
}
