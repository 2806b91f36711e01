//! What waits until it is known which tracks a live response has.

use crate::amf0::Pairs;
use crate::media::opening::Opening;
use crate::media::sample::TrackId;
use crate::media::tracks::{MediaSample, StreamTracks, TRACKS_WAIT_MS};
use std::sync::Arc;

/// How many bytes may wait before the response begins with the tracks that are known.
pub(crate) const OPENING_LEN_MAX: usize = 16 << 20;

/// A frame, and the message that brought it.
pub(super) type Held = (MediaSample, Arc<[u8]>);

/// A response that has not begun.
#[derive(Debug, Default)]
pub(super) struct Pending {
    opening: Opening,
    held: Vec<Held>,
    held_len: usize,
    /// The times of the first and the latest frame of any kind, in ms.
    frames_ms: Option<(u64, u64)>,
}

impl Pending {
    /// Takes note of what the stream's metadata announces.
    pub(super) fn announce(&mut self, properties: &Pairs) {
        self.opening.announce(properties);
    }

    /// Takes note of a frame, which need not be one that MP4 has a place for.
    pub(super) fn note_frame(&mut self, time_ms: u64) {
        let (first, last) = self.frames_ms.unwrap_or((time_ms, time_ms));
        self.frames_ms = Some((first.min(time_ms), last.max(time_ms)));
    }

    /// Keeps a frame until the tracks are known.
    pub(super) fn hold(&mut self, sample: MediaSample, payload: &Arc<[u8]>) {
        self.opening.see(&sample);
        self.held_len += size_of::<Held>() + payload.len();
        self.held.push((sample, Arc::clone(payload)));
    }

    /// Bytes of the messages of the frames that wait, and of what they are kept in.
    pub(super) fn held_len(&self) -> usize {
        self.held_len
    }

    /// Forgets the frames of a track that were of another configuration.
    pub(super) fn forget(&mut self, track: TrackId) {
        self.held.retain(|(sample, _)| sample.track != track);
    }

    /// Whether the tracks that are known now are those to begin with.
    pub(super) fn is_over(&self, tracks: &StreamTracks) -> bool {
        self.held_len >= OPENING_LEN_MAX || self.opening.is_over(tracks) || self.is_idle(tracks)
    }

    /// Whether frames have come for as long as tracks are waited for.
    pub(super) fn has_waited(&self) -> bool {
        self.frames_ms
            .is_some_and(|(first, last)| last - first >= TRACKS_WAIT_MS)
    }

    /// Whether frames come, and none that could be used.
    fn is_idle(&self, tracks: &StreamTracks) -> bool {
        let awaits = tracks.is_incomplete() && tracks.unreadable().is_none();
        self.has_waited() && !awaits && tracks.known().next().is_none()
    }

    pub(super) fn into_held(self) -> Vec<Held> {
        self.held
    }
}
