//! One playlist's media: samples in, parts and segments out.

use super::clock::Clock;
use super::grid::{TICKS_A_MS, TICKS_A_SECOND};
use super::rates::Rates;
use super::rules::{FIRST_SEGMENT, Rules, target_s};
use super::window::{Init, Part, Segment, Window};
use crate::media::config::Config;
use crate::media::mp4::{Fragmenter, LastSample, Movie, Mp4Track, initialization};
use crate::media::sample::{MediaType, TrackId};
use crate::media::tracks::MediaSample;
use std::sync::Arc;

/// Makes names that nobody can guess and that are never used again.
pub type Names = Box<dyn FnMut() -> String + Send>;

/// A segment whose samples have this many bytes ends with its part, without a keyframe.
pub(crate) const SEGMENT_LEN_MAX: usize = 16 << 20;

/// A part whose samples have this many bytes ends with the next picture.
pub(crate) const PART_LEN_MAX: usize = 8 << 20;

/// How long a sample is that nothing follows or precedes.
const LONE: i64 = TICKS_A_SECOND / 30;

/// The other track goes on for this long without a picture before parts are cut without one.
const STALL: i64 = TICKS_A_SECOND;

/// Samples that are in no part yet take at most this many bytes of memory, with the messages that brought
/// them. Beyond it those that do not end parts are left out: their times stand still, or lie far ahead.
pub(crate) const WAITING_LEN_MAX: usize = 2 * PART_LEN_MAX;

const NANOS_A_TICK: i64 = 10_000;

/// A playlist and what it is made of.
pub(super) struct Rendition {
    /// The name of the playlist, without its ending.
    pub name: String,
    /// The tracks that it has now, pictures first.
    pub tracks: Vec<Mp4Track>,
    pub window: Window,
    period: Option<Period>,
    /// Whether the next segment follows a break.
    is_broken: bool,
    /// Whether somebody may have read when what follows the last break was made.
    is_dated: bool,
    pub rates: Rates,
}

/// Media of one configuration and one clock.
struct Period {
    init: Arc<Init>,
    fragmenter: Fragmenter,
    /// The track at whose samples parts end.
    lead: TrackId,
    clock: Option<Clock>,
    /// Bytes of samples that are in no part yet.
    waiting_len: usize,
    /// The last sample of the other track.
    other: Option<Other>,
    /// How far that has gone on since the lead's last sample, less what parts were made of.
    idle: i64,
    /// Samples of before this have come too late, in nanoseconds.
    from_ns: u64,
}

impl Period {
    /// Where what has come ends, in ticks: with the lead, unless that has stopped for `stop` ticks.
    fn end(&self, stop: i64) -> i64 {
        let lead = self.clock.map(|clock| match clock.interval {
            0 => clock.last_at + LONE,
            interval => clock.last_at + interval,
        });
        let other = self.other.map(|last| last.at + last.interval);
        let other = other.filter(|other| lead.is_none_or(|lead| *other - lead >= stop));
        lead.max(other).unwrap_or_default()
    }
}

/// A sample of the track that does not lead, in ticks.
#[derive(Clone, Copy, Debug)]
struct Other {
    at: i64,
    /// How long after the one before.
    interval: i64,
}

/// Where a part ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Before what is decoded then, in ticks.
    At(i64),
    /// Behind everything that there is.
    All,
    /// In a gap of media, in nanoseconds.
    Gap(u64),
}

/// Ticks in nanoseconds. Times were rounded down to ticks, so this is the last that is not later.
fn nanos(ticks: i64) -> u64 {
    let nanos = ticks.saturating_mul(NANOS_A_TICK);
    nanos.max(0).unsigned_abs()
}

/// What of a segment has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cut {
    Nothing,
    Part,
    Segment,
}

impl Rendition {
    /// An empty playlist, which counts from `first` on.
    pub(super) fn new(name: String, first: u64, names: &mut Names) -> Rendition {
        Rendition {
            name,
            tracks: Vec::new(),
            window: Window::new(names(), first),
            period: None,
            is_broken: false,
            is_dated: false,
            rates: Rates::default(),
        }
    }

    /// Goes on with these tracks, the first of which leads.
    pub(super) fn begin(&mut self, tracks: Vec<Mp4Track>, names: &mut Names) {
        let Some(lead) = tracks.first().map(|track| track.id) else {
            return;
        };
        let data = initialization(&tracks, &Movie::default());
        self.period = Some(Period {
            init: Arc::new(Init {
                name: names(),
                data: data.into(),
            }),
            fragmenter: Fragmenter::new(&tracks),
            lead,
            clock: None,
            waiting_len: 0,
            other: None,
            idle: 0,
            from_ns: 0,
        });
        self.is_dated = false;
        self.tracks = tracks;
    }

    /// Whether samples of a track belong here.
    pub(super) fn has(&self, track: TrackId) -> bool {
        self.period.is_some() && self.tracks.iter().any(|own| own.id == track)
    }

    /// The configuration of its pictures and of its sound.
    pub(super) fn config(&self, medium: MediaType) -> Option<&Config> {
        let mut tracks = self.tracks.iter();
        let track = tracks.find(|track| track.id.medium == medium)?;
        Some(&track.config)
    }

    /// Takes a sample of one of its tracks. The target duration is set when the first segment of the
    /// first playlist ends; until then one of another ends only if it is no longer than that will be.
    pub(super) fn push(
        &mut self,
        sample: &MediaSample,
        payload: &Arc<[u8]>,
        rules: &mut Rules,
        is_first: bool,
        names: &mut Names,
    ) -> Cut {
        let may_close = is_first || rules.target_s.is_some();
        let Some(period) = &mut self.period else {
            return Cut::Nothing;
        };
        if sample.time_ns < period.from_ns {
            return Cut::Nothing;
        }
        let is_lead = sample.track == period.lead;
        if !is_lead && period.fragmenter.waiting_cost() >= WAITING_LEN_MAX {
            return Cut::Nothing;
        }
        period.fragmenter.push(sample, payload);
        period.waiting_len += sample.data.len();
        let ns = period.fragmenter.last_ns(sample.track);
        let at = i64::try_from(ns.unwrap_or(sample.time_ns) / NANOS_A_TICK.unsigned_abs())
            .unwrap_or(i64::MAX);
        let cut = if is_lead {
            // Sound that went on alone is in parts of its own when pictures come back.
            let stalled = period.idle >= STALL;
            let caught_up = match stalled {
                true => self.catch_up(at, may_close, rules, names),
                false => Cut::Nothing,
            };
            caught_up.max(self.push_lead(at, sample.is_sync, may_close, rules, names))
        } else {
            self.push_other(at, may_close, rules, names)
        };
        if !self.is_dated {
            self.window.date(rules.anchor_ms);
            self.is_dated = cut != Cut::Nothing && self.window.has_begun();
        }
        cut
    }

    /// Whether players may have read when the media since the last break is from.
    pub(super) fn is_dated(&self) -> bool {
        self.is_dated
    }

    /// The middle of the gap in front of a sample, in nanoseconds, if it is one with which the segment
    /// would be longer than may be said.
    pub(super) fn gap_before(&self, sample: &MediaSample, rules: &Rules) -> Option<u64> {
        let period = self.period.as_ref()?;
        let clock = period.clock?;
        if sample.track != period.lead {
            return None;
        }
        let ns = period.fragmenter.next_ns(sample)?;
        let at = i64::try_from(ns / NANOS_A_TICK.unsigned_abs()).ok()?;
        let before = clock.last_at.max(clock.part_at);
        let len = at - clock.segment_at;
        // The second sample may be the first to tell how seldom they come.
        let is_second = rules.target_s.is_none() && before == clock.segment_at;
        if is_second && len <= 2 * FIRST_SEGMENT {
            return None;
        }
        let is_gap = at - before > rules.grid.longest && len > rules.longest();
        (is_gap || rules.is_too_long(len)).then(|| nanos(before + (at - before) / 2))
    }

    /// Ends part and segment at the gap around `gap_ns`, in nanoseconds, or here if its own media has gone
    /// on beyond that. What follows is behind a break, of the same configuration.
    pub(super) fn skip(&mut self, gap_ns: u64, rules: &mut Rules, names: &mut Names) {
        let clock = self.clock_mut().copied();
        let has_gap = clock.is_none_or(|clock| nanos(clock.last_at) < gap_ns);
        let (ending, from_ns) = match has_gap {
            true => (Ending::Gap(gap_ns), gap_ns),
            false => (Ending::All, 0),
        };
        self.close_period(ending, rules, names);
        self.is_dated = false;
        if let Some(period) = &mut self.period {
            period.clock = None;
            period.other = None;
            period.idle = 0;
            period.from_ns = from_ns;
        }
    }

    fn push_lead(
        &mut self,
        at: i64,
        is_sync: bool,
        may_close: bool,
        rules: &mut Rules,
        names: &mut Names,
    ) -> Cut {
        let Some(period) = &mut self.period else {
            return Cut::Nothing;
        };
        period.idle = 0;
        let Some(clock) = &mut period.clock else {
            period.clock = Some(Clock {
                segment_at: at,
                part_at: at,
                last_at: at,
                interval: 0,
            });
            self.open_segment(rules, names);
            return Cut::Nothing;
        };
        clock.interval = (at - clock.last_at).max(0);
        if clock.interval < TICKS_A_SECOND {
            let (frames, ticks) = &mut self.rates.frames;
            *frames += 1;
            *ticks += clock.interval.unsigned_abs();
        }
        clock.last_at = at;
        let (clock, medium) = (*clock, period.lead.medium);
        let len = at - clock.part_at;
        // Sound that is ahead of its pictures may be in parts already, which the segment has to last.
        let is_behind = at <= clock.part_at;
        let may_end = may_close || at - clock.segment_at <= rules.shortest_target();
        if may_end && is_sync && !is_behind && clock.segment_is_due(at, medium, rules) {
            self.cut_part(Ending::At(at), rules.grid.last(len), names);
            if let Some(clock) = self.clock_mut() {
                // What could not be said of this segment is not owed by the next one.
                clock.part_at = at;
            }
            if may_close {
                let len = at - clock.segment_at;
                rules.target_s.get_or_insert(target_s(len));
            }
            self.close_segment(at, rules, names);
            return Cut::Segment;
        }
        let is_large = self.waiting_len() >= PART_LEN_MAX;
        if !clock.part_is_due(at, &rules.grid) && !is_large {
            return Cut::Nothing;
        }
        let printed = rules.grid.inner(len);
        if !self.cut_part(Ending::At(at), printed, names) {
            return Cut::Nothing;
        }
        if let Some(clock) = self.clock_mut()
            && at - clock.part_at > rules.grid.longest
        {
            // Nothing came for long: only the segment can say so.
            clock.part_at = at;
        }
        self.close_if_long(at, clock.interval, may_close, rules, names)
    }

    /// A sample of the other track. Where pictures stand still, sound goes on.
    fn push_other(
        &mut self,
        at: i64,
        may_close: bool,
        rules: &mut Rules,
        names: &mut Names,
    ) -> Cut {
        let Some(period) = &mut self.period else {
            return Cut::Nothing;
        };
        let interval = at - period.other.map_or(at, |last| last.at);
        period.other = Some(Other { at, interval });
        period.idle += interval.clamp(0, rules.grid.usual);
        if period.idle < STALL + rules.grid.usual {
            return Cut::Nothing;
        }
        let cut = self.cut_other(may_close, rules, names);
        cut.unwrap_or(Cut::Nothing)
    }

    /// Makes parts of what the other track alone has had up to `at`, but for what may share a part with
    /// what follows.
    fn catch_up(&mut self, at: i64, may_close: bool, rules: &mut Rules, names: &mut Names) -> Cut {
        let usual = rules.grid.usual;
        let mut all = Cut::Nothing;
        while let Some(period) = &self.period
            && let Some(clock) = period.clock
            && period.idle >= usual
            && at - clock.part_at >= usual * 3 / 2
            && let Some(cut) = self.cut_other(may_close, rules, names)
        {
            all = all.max(cut);
        }
        all
    }

    /// Ends a part of the usual length, in which the lead has no more samples. `None`: nothing is in it.
    fn cut_other(&mut self, may_close: bool, rules: &mut Rules, names: &mut Names) -> Option<Cut> {
        let usual = rules.grid.usual;
        let period = self.period.as_mut()?;
        let end = period.clock?.part_at + usual;
        period.idle -= usual;
        let is_cut = self.cut_part(Ending::At(end), usual, names);
        // The next part has to reach a picture that comes back.
        is_cut.then(|| self.close_if_long(end, 2 * usual, may_close, rules, names))
    }

    fn clock_mut(&mut self) -> Option<&mut Clock> {
        self.period.as_mut()?.clock.as_mut()
    }

    /// The memory of all segments, and of what is in none yet, in bytes.
    pub(super) fn held_len(&self) -> usize {
        let period = self.period.as_ref();
        let waiting = period.map_or(0, |period| period.fragmenter.waiting_cost());
        self.window.len() + waiting
    }

    fn waiting_len(&self) -> usize {
        self.period.as_ref().map_or(0, |period| period.waiting_len)
    }

    /// Ends the part. Whether there was anything in it.
    fn cut_part(&mut self, ending: Ending, duration: i64, names: &mut Names) -> bool {
        let Some(period) = &mut self.period else {
            return false;
        };
        let (Some(clock), Some(open)) = (&mut period.clock, &mut self.window.open) else {
            return false;
        };
        let begins_with_sync = period.fragmenter.begins_with_sync(period.lead);
        let fragment = match ending {
            Ending::At(at) => period.fragmenter.cut_before(nanos(at)),
            Ending::All => period.fragmenter.cut(LastSample::Guessed),
            Ending::Gap(ns) => period.fragmenter.cut_before_gap(ns),
        };
        let Some(fragment) = fragment else {
            return false;
        };
        let mut data = Vec::new();
        fragment.put(&mut data);
        period.waiting_len = 0;
        open.parts.push(Part {
            name: std::mem::replace(&mut self.window.hint, names()),
            duration,
            is_independent: begins_with_sync && fragment.has(0),
            data: data.into(),
        });
        clock.part_at += duration;
        true
    }

    /// Ends the segment behind its last part, which ends at `at`, if it could become longer than may
    /// be said, with another part and a sample `ahead` ticks later.
    fn close_if_long(
        &mut self,
        at: i64,
        ahead: i64,
        may_close: bool,
        rules: &mut Rules,
        names: &mut Names,
    ) -> Cut {
        let Some(clock) = self.clock_mut().copied() else {
            return Cut::Part;
        };
        let len = at - clock.segment_at;
        let medium = self.period.as_ref().map(|period| period.lead.medium);
        let longest = match (may_close, medium) {
            (true, _) => rules.longest(),
            // Every sound begins a segment that stands by itself; pictures wait for a keyframe.
            (false, Some(MediaType::Audio)) if len <= rules.shortest_target() => {
                rules.shortest_target()
            }
            (false, _) => return Cut::Part,
        };
        let is_large = self
            .window
            .open
            .as_ref()
            .is_some_and(|open| open.len() >= SEGMENT_LEN_MAX);
        let next = rules.grid.longest.max(ahead);
        if len + next <= longest && !is_large {
            return Cut::Part;
        }
        if may_close {
            rules.target_s.get_or_insert(target_s(2 * FIRST_SEGMENT));
        }
        if let Some(part) = self
            .window
            .open
            .as_mut()
            .and_then(|open| open.parts.last_mut())
        {
            // The last part may be as short as it is.
            part.duration = rules.grid.last(part.duration + at - clock.part_at);
        }
        if let Some(clock) = self.clock_mut() {
            clock.part_at = at;
        }
        self.close_segment(at, rules, names);
        Cut::Segment
    }

    /// Ends the segment at `at`, where the next one begins.
    fn close_segment(&mut self, at: i64, rules: &Rules, names: &mut Names) {
        let begun = self.clock_mut().map_or(at, |clock| clock.segment_at);
        let target_s = rules.target_s.unwrap_or_default();
        let closed = self.window.close(at - begun, target_s);
        closed.into_iter().for_each(|closed| self.rates.add(closed));
        self.open_segment(rules, names);
    }

    fn open_segment(&mut self, rules: &Rules, names: &mut Names) {
        let Some(period) = &mut self.period else {
            return;
        };
        let Some(clock) = &mut period.clock else {
            return;
        };
        clock.segment_at = clock.part_at;
        self.window.open = Some(Segment {
            name: names(),
            init: Arc::clone(&period.init),
            is_discontinuity: std::mem::take(&mut self.is_broken),
            program_ms: 0,
            media_ms: clock.segment_at / TICKS_A_MS,
            parts: Vec::new(),
            duration: 0,
        });
        self.window.date(rules.anchor_ms);
    }

    /// Ends part and segment with what there is. What follows, if anything, follows a break.
    pub(super) fn end_period(&mut self, rules: &mut Rules, names: &mut Names) {
        self.close_period(Ending::All, rules, names);
        self.period = None;
    }

    /// Ends part and segment with what there is up to `ending`.
    fn close_period(&mut self, ending: Ending, rules: &mut Rules, names: &mut Names) {
        let period = self.period.as_ref();
        let mut end = period.map_or(0, |period| period.end(rules.grid.usual));
        if ending == Ending::All {
            self.catch_up(end, true, rules, names);
        }
        let mut duration = 0;
        if let Some(clock) = self.clock_mut().copied() {
            end = end.max(clock.part_at + 1);
            // The parts of a segment are no longer than may be said of it.
            let room = rules.longest() - (clock.part_at - clock.segment_at);
            let len = (end - clock.part_at).min(room);
            self.cut_part(ending, rules.grid.last(len), names);
            duration = end - clock.segment_at;
        }
        let open = self.window.open.as_ref();
        let was_broken = open.is_some_and(|open| open.is_discontinuity && open.parts.is_empty());
        if open.is_some_and(|open| !open.parts.is_empty()) {
            rules
                .target_s
                .get_or_insert(target_s(duration.max(rules.segment)));
        }
        let duration = duration.min(rules.longest());
        let closed = self
            .window
            .close(duration, rules.target_s.unwrap_or_default());
        closed.into_iter().for_each(|closed| self.rates.add(closed));
        self.is_broken |= was_broken || !self.window.segments.is_empty();
    }
}
