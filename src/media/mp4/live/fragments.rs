//! When a fragment of a live response ends: with each picture.

use crate::media::mp4::{Fragment, Fragmenter, LastSample, Mp4Track};
use crate::media::sample::MediaType;
use crate::media::tracks::MediaSample;
use std::sync::Arc;

/// How long the sound of a fragment is, in ms, where there are no pictures.
pub(crate) const SOUND_FRAGMENT_MS: u64 = 100;

/// How long sound waits for a picture, in ms, once there were some. Some players show nothing of
/// fragments that do not have both, so this is not short.
pub(crate) const PICTURE_WAIT_MS: u64 = 500;

/// A fragment ends when its samples take this many bytes of memory, with the messages that brought them:
/// their times may stand still.
pub(crate) const FRAGMENT_LEN_MAX: usize = 16 << 20;

/// How far the times of a track may go back, in ms.
pub(crate) const BACK_MS_MAX: u64 = 5000;

/// What a player can do with a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Begin with it: its picture is a keyframe, or the response has no pictures at all.
    Any,
    /// Begin with its sound, in a response that has pictures: there is none in this fragment.
    Sound,
    /// Go on with it: its picture needs the one before.
    None,
}

/// A fragment of a live response.
#[derive(Clone, Debug)]
pub struct LiveFragment {
    fragment: Fragment,
    entry: Entry,
    time_ms: u64,
    /// How many tracks the response has.
    tracks: usize,
    /// Which of the tracks is the sound.
    sound: Option<usize>,
}

impl LiveFragment {
    /// What a player can do with it.
    pub fn entry(&self) -> Entry {
        self.entry
    }

    /// When its last sample is due, in ms.
    pub fn time_ms(&self) -> u64 {
        self.time_ms
    }

    /// Whether it has samples of all tracks of the response.
    pub fn is_complete(&self) -> bool {
        self.fragment.track_count() == self.tracks
    }

    /// This fragment and the one that follows it, as one in the place of both.
    pub fn joined(&self, next: &LiveFragment) -> LiveFragment {
        LiveFragment {
            fragment: self.fragment.joined(&next.fragment),
            time_ms: next.time_ms,
            ..*self
        }
    }

    /// The fragment with all of its tracks.
    pub fn whole(&self) -> &Fragment {
        &self.fragment
    }

    /// The same with its sound alone, for players that have not begun with pictures.
    pub fn sound(&self) -> Option<Fragment> {
        self.fragment.of_track(self.sound?)
    }
}

/// The times of a track went back by more than [`BACK_MS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WentBack;

/// Makes fragments of the samples of a response.
#[derive(Debug)]
pub(super) struct LiveFragments {
    tracks: Vec<Mp4Track>,
    fragmenter: Fragmenter,
    /// Of each track, when its last sample was due, in nanoseconds.
    last_ns: Vec<u64>,
    /// Whether there has been a keyframe: nothing can be done with pictures before.
    has_keyframe: bool,
    /// Since when sound waits, in nanoseconds.
    waiting_ns: Option<u64>,
}

impl LiveFragments {
    /// Fragments of these tracks, of which at most one is of pictures, and one of sound.
    pub(super) fn new(tracks: Vec<Mp4Track>) -> LiveFragments {
        LiveFragments {
            fragmenter: Fragmenter::new(&tracks),
            last_ns: vec![0; tracks.len()],
            tracks,
            has_keyframe: false,
            waiting_ns: None,
        }
    }

    pub(super) fn tracks(&self) -> &[Mp4Track] {
        &self.tracks
    }

    fn position(&self, medium: MediaType) -> Option<usize> {
        self.tracks
            .iter()
            .position(|track| track.medium() == medium)
    }

    /// Pictures begin anew, with a keyframe.
    pub(super) fn restart(&mut self) {
        self.has_keyframe = false;
    }

    /// Takes the next sample, whose bytes are in `payload`; of other tracks it is left out. Returns
    /// the fragment that ends with it.
    pub(super) fn push(
        &mut self,
        sample: &MediaSample,
        payload: &Arc<[u8]>,
    ) -> Result<Option<LiveFragment>, WentBack> {
        let mut ids = self.tracks.iter().map(|track| track.id);
        let Some(index) = ids.position(|id| id == sample.track) else {
            return Ok(None);
        };
        let last_ns = self.last_ns.get(index).copied().unwrap_or_default();
        if last_ns.saturating_sub(sample.time_ns) > BACK_MS_MAX * 1_000_000 {
            return Err(WentBack);
        }
        let is_picture = sample.track.medium == MediaType::Video;
        self.has_keyframe |= is_picture && sample.is_sync;
        if is_picture && !self.has_keyframe {
            return Ok(None);
        }
        if let Some(last_ns) = self.last_ns.get_mut(index) {
            *last_ns = sample.time_ns;
        }
        self.fragmenter.push(sample, payload);
        if is_picture {
            let entry = if sample.is_sync {
                Entry::Any
            } else {
                Entry::None
            };
            return Ok(self.cut(entry));
        }
        let since_ns = *self.waiting_ns.get_or_insert(sample.time_ns);
        let wait_ms = match self.has_keyframe {
            true => PICTURE_WAIT_MS,
            false => SOUND_FRAGMENT_MS,
        };
        // The sound itself is a part of what has waited.
        let len_ns = u64::from(sample.len) * 1_000_000_000 / u64::from(self.rate(index));
        let has_waited = (sample.time_ns + len_ns).saturating_sub(since_ns) >= wait_ms * 1_000_000;
        match has_waited || self.held_len() >= FRAGMENT_LEN_MAX {
            true => Ok(self.flush()),
            false => Ok(None),
        }
    }

    /// Bytes of what waits for the next picture.
    pub(super) fn held_len(&self) -> usize {
        self.fragmenter.waiting_cost()
    }

    fn rate(&self, index: usize) -> u32 {
        let track = self.tracks.get(index);
        track.map_or(1, |track| track.config.timescale()).max(1)
    }

    /// A fragment of the sound that waits, if any does.
    pub(super) fn flush(&mut self) -> Option<LiveFragment> {
        let has_pictures = self.position(MediaType::Video).is_some();
        self.cut(if has_pictures {
            Entry::Sound
        } else {
            Entry::Any
        })
    }

    fn cut(&mut self, entry: Entry) -> Option<LiveFragment> {
        self.waiting_ns = None;
        let fragment = self.fragmenter.cut(LastSample::Followed)?;
        Some(LiveFragment {
            fragment,
            entry,
            time_ms: self.last_ns.iter().max().map_or(0, |ns| ns / 1_000_000),
            tracks: self.tracks.len(),
            sound: self.position(MediaType::Audio),
        })
    }
}
