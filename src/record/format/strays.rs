//! Messages that have no place in a recording, and do not change its format either.

use crate::media::Codec;
use crate::media::tracks::TrackEvent;

/// Messages of codecs that MP4 has no place for, each alone on its track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Strays {
    /// How many there were.
    pub count: u64,
    /// The codec of the last.
    pub codec: Option<Codec>,
}

impl Strays {
    /// Takes note of what a message says of a track.
    pub(super) fn see(&mut self, event: &TrackEvent) {
        match event {
            TrackEvent::Unsupported(_, codec) => {
                self.count += 1;
                self.codec = Some(*codec);
            }
            // The one before was none.
            TrackEvent::StaysUnsupported(..) => self.count = self.count.saturating_sub(1),
            _ => {}
        }
    }

    /// Adds those of another file.
    pub(crate) fn add(&mut self, other: Strays) {
        self.count += other.count;
        self.codec = other.codec.or(self.codec);
    }
}
