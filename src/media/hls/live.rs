//! The tracks of a stream as long as nothing breaks: which sample belongs where.

use super::preroll::Preroll;
use crate::media::mp4::Mp4Track;
use crate::media::sample::{MediaType, TrackId};
use crate::media::tracks::MediaSample;

/// A track without a sample for this long while the others go on is gone, in ms.
const GONE_MS: u64 = 5000;

/// Steps of a track's clock that are no breaks, back and forward, in ms.
const BACK_MS_MAX: u64 = 1000;
const FORWARD_MS_MAX: u64 = 10_000;

const MS: u64 = 1_000_000;

/// The tracks that are packaged.
pub(super) struct Live {
    marks: Vec<Mark>,
    /// Whether they share a playlist: then tracks may come and go.
    share: bool,
    /// Media breaks at the next keyframe: sound has come, gone, or changed. Until then its samples
    /// are left out if they are of another configuration.
    breaks_at_keyframe: bool,
    muted: Option<TrackId>,
}

/// What becomes of a sample.
pub(super) enum Place {
    /// It follows the ones before.
    Here,
    /// It belongs to what begins with it.
    Behind(Preroll),
    Nowhere,
}

/// How far a track has come, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Mark {
    track: TrackId,
    last: Option<u64>,
    /// How far the other has gone on since then.
    idle: u64,
    /// Whether the publisher has said that it is over, and sent nothing of it since.
    is_over: bool,
}

impl Mark {
    fn new(track: TrackId) -> Mark {
        Mark {
            track,
            last: None,
            idle: 0,
            is_over: false,
        }
    }
}

/// A longer step of a track is one of the stream as a whole, in nanoseconds.
const STEP_MAX: u64 = 1_000_000_000;

/// Whether a clock that does this has been set anew.
fn is_jump(last: u64, time: u64) -> bool {
    time.saturating_add(BACK_MS_MAX * MS) < last || time > last.saturating_add(FORWARD_MS_MAX * MS)
}

impl Live {
    /// These tracks, which `share` a playlist or have one each.
    pub(super) fn new(tracks: &[Mp4Track], share: bool) -> Live {
        Live {
            marks: tracks.iter().map(|track| Mark::new(track.id)).collect(),
            share,
            breaks_at_keyframe: false,
            muted: None,
        }
    }

    /// Whether one of these is of the same medium as `track` and comes before it.
    fn has_before(&self, track: TrackId) -> bool {
        let is_before = |mark: &Mark| mark.track.medium == track.medium && mark.track < track;
        self.marks.iter().any(is_before)
    }

    /// When the last sample of a track was due, if it has had one; `None` if it is none of these.
    fn last(&self, track: TrackId) -> Option<Option<u64>> {
        let mut marks = self.marks.iter();
        let mark = marks.find(|mark| mark.track == track)?;
        Some(mark.last)
    }

    /// The place of the next sample.
    pub(super) fn place(&mut self, sample: &MediaSample, is_supported: bool) -> Place {
        let is_picture = sample.track.medium == MediaType::Video;
        if let Some(gone) = self.gone(sample).filter(|_| self.share)
            && let Place::Behind(preroll) = self.break_for(gone, Preroll::that_goes_on())
        {
            return Place::Behind(preroll);
        }
        if self.breaks_at_keyframe && is_picture && sample.is_sync {
            return Place::Behind(Preroll::default());
        }
        let Some(last) = self.last(sample.track) else {
            let is_other = self.has_before(sample.track);
            if !self.share || is_other || !sample.is_sync || !is_supported {
                return Place::Nowhere;
            }
            let place = self.break_for(sample.track, Preroll::default());
            if let Place::Nowhere = place {
                self.marks.push(Mark::new(sample.track));
                self.note(sample);
            }
            return place;
        };
        if last.is_some_and(|last| is_jump(last, sample.time_ns)) && self.is_jump(sample.time_ns) {
            return Place::Behind(Preroll::default());
        }
        if self.muted == Some(sample.track) {
            // What it is left out for may be gone, so its time counts.
            self.note(sample);
            return Place::Nowhere;
        }
        Place::Here
    }

    /// The publisher says that a track is over. Where only a keyframe of it was waited for, there will
    /// be none.
    pub(super) fn end(&mut self, track: TrackId) -> Place {
        let mut marks = self.marks.iter_mut();
        if let Some(mark) = marks.find(|mark| mark.track == track) {
            mark.is_over = true;
        }
        match self.breaks_at_keyframe && !self.has_pictures() {
            true => Place::Behind(Preroll::default()),
            false => Place::Nowhere,
        }
    }

    /// Whether pictures are to come: those that have a playlist of their own are waited for.
    fn has_pictures(&self) -> bool {
        let is_to_come = |mark: &Mark| !mark.is_over || !self.share;
        let mut marks = self.marks.iter();
        marks.any(|mark| mark.track.medium == MediaType::Video && is_to_come(mark))
    }

    /// Whether this time is far from that of all tracks.
    fn is_jump(&self, time: u64) -> bool {
        let mut lasts = self.marks.iter().filter_map(|mark| mark.last);
        lasts.all(|last| is_jump(last, time))
    }

    /// How far a track has gone on with `sample`.
    fn step(&self, sample: &MediaSample) -> u64 {
        let last = self.last(sample.track).flatten();
        let step = last.map_or(0, |last| sample.time_ns.saturating_sub(last));
        step.min(STEP_MAX)
    }

    /// A track without a sample for too long while that of `sample` went on.
    fn gone(&self, sample: &MediaSample) -> Option<TrackId> {
        let step = self.step(sample);
        let is_gone = |mark: &&Mark| mark.track != sample.track && mark.idle + step > GONE_MS * MS;
        self.marks.iter().find(is_gone).map(|gone| gone.track)
    }

    /// Breaks for a change of `track`, to go on with `preroll`: at once, but for sound beside
    /// pictures, which would be lost up to the next keyframe.
    pub(super) fn break_for(&mut self, track: TrackId, preroll: Preroll) -> Place {
        if track.medium == MediaType::Video || !self.has_pictures() {
            return Place::Behind(preroll);
        }
        self.breaks_at_keyframe = true;
        self.muted = Some(track);
        Place::Nowhere
    }

    /// Takes note of how far a track has come.
    pub(super) fn note(&mut self, sample: &MediaSample) {
        let step = self.step(sample);
        for mark in &mut self.marks {
            if mark.track == sample.track {
                mark.last = mark.last.max(Some(sample.time_ns));
                (mark.idle, mark.is_over) = (0, false);
            } else {
                mark.idle += step;
            }
        }
    }
}
