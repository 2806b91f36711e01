//! What comes before media of one configuration can begin: which tracks there are is not known yet.

use crate::amf0::Pairs;
use crate::media::config::Config;
use crate::media::mp4::{Mp4Track, is_supported};
use crate::media::opening::Opening;
use crate::media::sample::{MediaType, TrackId};
use crate::media::tracks::{MediaSample, StreamTracks, TRACKS_WAIT_MS};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

/// A sample, and the message that has its bytes.
pub(super) type Sample = (MediaSample, Arc<[u8]>);

/// A keyframe is waited for for this long, in ms. Then a stream begins with its sound.
pub(crate) const KEYFRAME_WAIT_MS: u64 = 6000;

/// Samples that wait take at most this many bytes of memory, with the messages that brought them.
pub(crate) const PREROLL_LEN_MAX: usize = 32 << 20;

/// At most this many samples wait.
pub(crate) const PREROLL_SAMPLES_MAX: usize = 8192;

/// Samples that wait until it is known which tracks begin.
#[derive(Debug, Default)]
pub(super) struct Preroll {
    opening: Opening,
    pending: Vec<Sample>,
    len: usize,
    /// Tracks that have had a sample that a decoder can begin with, and how they were configured then:
    /// by the time all is known they may have ended.
    begun: BTreeMap<TrackId, Config>,
    /// Whether these are the tracks that go on where another has stopped: nothing else is waited for.
    goes_on: bool,
    /// When the first and the last sample were due, in nanoseconds.
    span: Option<(u64, u64)>,
}

impl Preroll {
    /// Of tracks that go on where another has stopped.
    pub(super) fn that_goes_on() -> Preroll {
        Preroll {
            goes_on: true,
            ..Preroll::default()
        }
    }

    /// Takes note of the stream's metadata.
    pub(super) fn announce(&mut self, properties: &Pairs) {
        self.opening.announce(properties);
    }

    /// Takes a sample of one of `tracks`; of pictures those before the first keyframe are left out.
    pub(super) fn push(
        &mut self,
        sample: &MediaSample,
        payload: &Arc<[u8]>,
        tracks: &StreamTracks,
    ) {
        let time = sample.time_ns;
        let (first, last) = self.span.unwrap_or((time, time));
        self.span = Some((first, last.max(time)));
        if let Entry::Vacant(begins) = self.begun.entry(sample.track) {
            let config = tracks.config(sample.track).filter(|_| sample.is_sync);
            let Some(config) = config else { return };
            begins.insert(config.clone());
        }
        self.opening.see(sample);
        let sample = (sample.clone(), Arc::clone(payload));
        self.len += Preroll::cost(&sample);
        self.pending.push(sample);
    }

    /// The memory of a sample that waits, in bytes.
    fn cost((_, payload): &Sample) -> usize {
        size_of::<Sample>() + payload.len()
    }

    /// The memory of what waits, in bytes.
    pub(super) fn held_len(&self) -> usize {
        self.len
    }

    fn span_ms(&self) -> u64 {
        self.span
            .map_or(0, |(first, last)| (last - first) / 1_000_000)
    }

    /// The same from the first sample that was kept.
    fn kept_ms(&self) -> u64 {
        let (first, last) = (self.pending.first(), self.span);
        let ns = first
            .zip(last)
            .map(|((first, _), (_, last))| last.saturating_sub(first.time_ns));
        ns.unwrap_or_default() / 1_000_000
    }

    /// Whether samples of a track wait.
    pub(super) fn holds(&self, track: TrackId) -> bool {
        self.begun.contains_key(&track)
    }

    /// Whether no other track of its medium comes before this one.
    pub(super) fn leads(&self, track: TrackId) -> bool {
        let mut begun = self.begun.keys();
        begun.find(|begun| begun.medium == track.medium) == Some(&track)
    }

    /// Forgets tracks that are not the first of their medium among those that are known.
    pub(super) fn forget_others(&mut self, tracks: &StreamTracks) {
        let supported = tracks
            .known()
            .filter(|(_, config)| is_supported(config.format));
        let known: Vec<TrackId> = supported.map(|(id, _)| id).collect();
        let is_before =
            |track: &TrackId, other: &TrackId| other.medium == track.medium && other < track;
        let others = self.begun.keys().copied();
        let others: Vec<TrackId> = others
            .filter(|track| known.iter().any(|other| is_before(track, other)))
            .collect();
        others.into_iter().for_each(|track| self.forget(track));
    }

    /// Forgets the samples of a track.
    pub(super) fn forget(&mut self, track: TrackId) {
        self.begun.remove(&track);
        let (gone, rest) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition::<Vec<Sample>, _>(|(sample, _)| sample.track == track);
        self.pending = rest;
        self.len -= gone.iter().map(Preroll::cost).sum::<usize>();
    }

    /// The tracks that can begin, pictures first.
    pub(super) fn tracks(&self) -> Vec<Mp4Track> {
        let begun = self.begun.iter();
        let supported = begun.filter(|(_, config)| is_supported(config.format));
        let track = |(id, config): (&TrackId, &Config)| Mp4Track {
            id: *id,
            config: config.clone(),
        };
        supported.map(track).collect()
    }

    /// Whether it is known which tracks begin. At least `probe_ms` have to have come.
    pub(super) fn is_over(&self, tracks: &StreamTracks, probe_ms: u64) -> bool {
        let span_ms = self.span_ms();
        let is_full = self.len > PREROLL_LEN_MAX || self.pending.len() > PREROLL_SAMPLES_MAX;
        if span_ms >= KEYFRAME_WAIT_MS || is_full {
            return !self.pending.is_empty();
        }
        if self.goes_on {
            return !self.pending.is_empty();
        }
        let lacks = |medium: MediaType| {
            let mut known = tracks.known();
            known.any(|(id, config)| {
                id.medium == medium && is_supported(config.format) && !self.begun.contains_key(&id)
            })
        };
        // What was left out before the first keyframe is no time that sound could have come in.
        let is_late = self.kept_ms() >= TRACKS_WAIT_MS;
        span_ms >= probe_ms
            && self.opening.is_over(tracks)
            && !lacks(MediaType::Video)
            && (is_late || !lacks(MediaType::Audio))
    }

    /// The time between two samples of the tracks that lead, in ticks: that of the slowest.
    pub(super) fn frame(&self, tracks: &[Mp4Track]) -> Option<i64> {
        let has_pictures = tracks
            .iter()
            .any(|track| track.id.medium == MediaType::Video);
        let lead = if has_pictures {
            MediaType::Video
        } else {
            MediaType::Audio
        };
        let mut spans: BTreeMap<TrackId, (u64, u64, u64)> = BTreeMap::new();
        let samples = self.pending.iter().map(|(sample, _)| sample);
        for sample in samples.filter(|sample| sample.track.medium == lead) {
            let time = sample.time_ns;
            let (first, last, count) = spans.entry(sample.track).or_insert((time, time, 0));
            (*first, *last) = ((*first).min(time), (*last).max(time));
            *count += 1;
        }
        let frames = spans.into_values().filter(|(.., count)| *count > 1);
        let frames = frames.map(|(first, last, count)| (last - first) / (count - 1) / 10_000);
        frames.max().map(u64::cast_signed)
    }

    /// The samples of these tracks, from where they begin together.
    pub(super) fn take(self, tracks: &[Mp4Track]) -> Vec<Sample> {
        let lead = tracks.iter().map(|track| track.id).min();
        let start = self
            .pending
            .iter()
            .find(|(sample, _)| Some(sample.track) == lead)
            .map_or(0, |(sample, _)| sample.time_ns);
        let is_used = |(sample, _): &Sample| {
            let is_early = sample.track.medium == MediaType::Audio && sample.time_ns < start;
            !is_early && tracks.iter().any(|track| track.id == sample.track)
        };
        self.pending.into_iter().filter(is_used).collect()
    }
}
