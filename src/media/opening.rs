//! When enough is known of a stream to name its tracks.
//!
//! What a file or a stream of fragments begins with names all of its tracks, so it cannot be written
//! before they are known; and a track that never comes must not hold up those that are there.

use super::sample::{MediaType, TrackId};
use super::tracks::{MediaSample, StreamTracks, TRACKS_WAIT_MS};
use crate::amf0::{Pairs, Value};
use std::collections::BTreeSet;

/// Waits for the tracks of a stream.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    /// Whether the stream's metadata speaks of pictures and of sound.
    video: bool,
    audio: bool,
    /// StreamTracks that have had a frame.
    seen: BTreeSet<TrackId>,
    /// When the first frame was due that a decoder can begin with, in nanoseconds.
    first_ns: Option<u64>,
    /// When the last of all frames was due, in nanoseconds.
    last_ns: u64,
}

impl Opening {
    /// Takes note of what the stream's metadata announces.
    pub fn announce(&mut self, properties: &Pairs) {
        let has = |name: &str| {
            let mut pairs = properties.iter();
            let value = pairs.find(|(key, _)| key == name.as_bytes());
            value.is_some_and(|(_, value)| !matches!(value, Value::Null | Value::Undefined))
        };
        self.video = has("videocodecid");
        self.audio = has("audiocodecid");
    }

    /// Takes note of a frame.
    pub fn see(&mut self, sample: &MediaSample) {
        if sample.is_sync {
            self.first_ns.get_or_insert(sample.time_ns);
        }
        self.last_ns = self.last_ns.max(sample.time_ns);
        self.seen.insert(sample.track);
    }

    /// Whether the tracks that are known now are those to begin with.
    pub fn is_over(&self, tracks: &StreamTracks) -> bool {
        if self.first_ns.is_none() {
            return false;
        }
        let has = |medium| tracks.known().any(|(id, _)| id.medium == medium);
        // What a publisher says of colours stands right before the first picture.
        let starts = |id: TrackId| id.medium == MediaType::Video && !self.seen.contains(&id);
        let lacks = tracks.is_incomplete()
            || tracks.known().any(|(id, _)| starts(id))
            || self.video && !has(MediaType::Video)
            || self.audio && !has(MediaType::Audio);
        !lacks || self.has_waited()
    }

    /// Whether tracks have been waited for as long as they may be.
    pub fn has_waited(&self) -> bool {
        let waited = |first_ns| self.last_ns.saturating_sub(first_ns) >= TRACKS_WAIT_MS * 1_000_000;
        self.first_ns.is_some_and(waited)
    }
}
