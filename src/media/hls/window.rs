//! The segments that a playlist names, and what they are made of.

use super::grid::{PartGrid, TICKS_A_SECOND};
use std::collections::VecDeque;
use std::sync::Arc;

/// How many whole segments a playlist names, as long as memory allows.
pub(crate) const WINDOW_SEGMENTS: usize = 8;

/// How many it names at most, where they are so short that players would have to keep away from the
/// end by more than these.
pub(crate) const WINDOW_SEGMENTS_MAX: usize = 24;

/// Players keep three target durations away from the end, where they know nothing of parts.
pub(super) const HOLD_BACK_TARGETS: u64 = 3;

/// What a decoder needs before the first segment: a resource of its own.
#[derive(Debug)]
pub(super) struct Init {
    pub name: String,
    pub data: Arc<[u8]>,
}

/// A part of a segment.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub name: String,
    /// As the playlist says it, in ticks.
    pub duration: i64,
    /// Whether it begins with a keyframe.
    pub is_independent: bool,
    pub data: Arc<[u8]>,
}

/// A segment, whole or as far as it has come.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub name: String,
    pub init: Arc<Init>,
    /// Whether its times and its configuration have nothing to do with the segment before.
    pub is_discontinuity: bool,
    /// When its first picture was made, in ms since 1970.
    pub program_ms: i64,
    /// When it begins on the clock of its media, in ms.
    pub media_ms: i64,
    pub parts: Vec<Part>,
    /// How long its media is, in ticks, once it is whole. Its parts may say less: where media has a
    /// gap, none of them may say how long it is.
    pub duration: i64,
}

impl Segment {
    /// Bytes of all its parts.
    pub(super) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.data.len()).sum()
    }

    /// Whether it begins with a keyframe.
    pub(super) fn is_independent(&self) -> bool {
        self.parts.first().is_some_and(|part| part.is_independent)
    }
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resource {
    /// These bytes, in order.
    Whole(Vec<Arc<[u8]>>),
    /// A part that is still to come.
    Hinted,
}

/// The segments of a playlist.
#[derive(Debug)]
pub(super) struct Window {
    /// Whole segments, oldest first.
    pub segments: VecDeque<Segment>,
    /// The one that grows.
    pub open: Option<Segment>,
    /// The last one that the playlist does not name any more: players may still ask for it.
    removed: Option<Segment>,
    /// The number of the first of `segments`.
    pub media_sequence: u64,
    /// How many discontinuities are in front of the first of `segments`.
    pub discontinuity_sequence: u64,
    /// The name of the next part.
    pub hint: String,
}

impl Window {
    /// Nothing yet, but that the first part will be called `hint`, and the first segment has the number
    /// `first`. Discontinuities are counted from 0 on: some players count up to their number.
    pub(super) fn new(hint: String, first: u64) -> Window {
        Window {
            segments: VecDeque::new(),
            open: None,
            removed: None,
            media_sequence: first,
            discontinuity_sequence: 0,
            hint,
        }
    }

    /// The number of the segment that grows, or of the next one.
    pub(super) fn open_sequence(&self) -> u64 {
        self.media_sequence + self.segments.len() as u64
    }

    /// Whether there is enough to play: a whole segment, and something behind it. Of one segment alone
    /// some players ask for the same again and again.
    pub(super) fn has_begun(&self) -> bool {
        self.segments.len() > 1 || self.segments.len() == 1 && self.open_parts() > 0
    }

    /// The number of parts of the segment that grows.
    pub(super) fn open_parts(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.parts.len())
    }

    /// Segment and part that came last; `None` before the first.
    pub(super) fn last(&self) -> Option<(u64, usize)> {
        match (self.open_parts(), self.segments.back()) {
            (0, None) => None,
            (0, Some(last)) => Some((self.open_sequence() - 1, last.parts.len() - 1)),
            (parts, _) => Some((self.open_sequence(), parts - 1)),
        }
    }

    /// Ends the segment that grows, of `duration` ticks, if it has a part, and forgets those that are too old. Returns
    /// what it has: ticks and bytes.
    pub(super) fn close(&mut self, duration: i64, target_s: u64) -> Option<(i64, usize)> {
        let mut open = self.open.take().filter(|open| !open.parts.is_empty())?;
        open.duration = duration.max(1);
        let closed = (open.duration, open.len());
        self.segments.push_back(open);
        while self.has_old(target_s) {
            self.forget_oldest();
        }
        Some(closed)
    }

    /// Whether the rest would do without the oldest segment.
    fn has_old(&self, target_s: u64) -> bool {
        if self.segments.len() <= WINDOW_SEGMENTS {
            return false;
        }
        let newer = self.segments.iter().skip(1).map(|newer| newer.duration);
        let needed = (HOLD_BACK_TARGETS + 1) * target_s * TICKS_A_SECOND.unsigned_abs();
        newer.sum::<i64>().unsigned_abs() >= needed || self.segments.len() > WINDOW_SEGMENTS_MAX
    }

    /// Takes the oldest segment out of the playlist.
    fn forget_oldest(&mut self) {
        let Some(oldest) = self.segments.pop_front() else {
            return;
        };
        self.media_sequence += 1;
        self.discontinuity_sequence += u64::from(oldest.is_discontinuity);
        self.removed = Some(oldest);
    }

    /// Gives memory back: what the playlist does not name first, then the oldest that it names. One
    /// whole segment stays. Whether there was anything to give.
    pub(super) fn shrink(&mut self) -> bool {
        if self.removed.take().is_some() {
            return true;
        }
        let has_more = self.segments.len() > 1;
        if has_more {
            self.forget_oldest();
            self.removed = None;
        }
        has_more
    }

    /// Dates the segment that grows and those before it up to the last discontinuity: `anchor_ms` is how
    /// much later than its media's clock that of the world is. Where no segment grows, what is there is
    /// of a time before the break.
    pub(super) fn date(&mut self, anchor_ms: i64) {
        let Some(open) = &mut self.open else { return };
        let newest_first = std::iter::once(open).chain(self.segments.iter_mut().rev());
        for segment in newest_first {
            segment.program_ms = anchor_ms.saturating_add(segment.media_ms);
            if segment.is_discontinuity {
                break;
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = &Segment> {
        let removed = self.removed.iter();
        removed.chain(&self.segments).chain(&self.open)
    }

    /// Bytes of all segments that there are.
    pub(super) fn len(&self) -> usize {
        self.all().map(Segment::len).sum()
    }

    /// The resource of that name.
    pub(super) fn resource(&self, name: &str) -> Option<Resource> {
        if name == self.hint {
            return Some(Resource::Hinted);
        }
        for segment in self.all() {
            if segment.init.name == name {
                return Some(Resource::Whole(vec![Arc::clone(&segment.init.data)]));
            }
            let is_open = self.open.as_ref().is_some_and(|open| open.name == name);
            if segment.name == name && !is_open {
                let parts = segment.parts.iter().map(|part| Arc::clone(&part.data));
                return Some(Resource::Whole(parts.collect()));
            }
            if let Some(part) = segment.parts.iter().find(|part| part.name == name) {
                return Some(Resource::Whole(vec![Arc::clone(&part.data)]));
            }
        }
        None
    }

    /// From which of `segments` on parts are named: those that players at the end may still need.
    pub(super) fn first_with_parts(&self, grid: &PartGrid) -> usize {
        const SEGMENTS: usize = 2;
        let mut first = self.segments.len();
        let mut passed = 0;
        for segment in self.segments.iter().rev() {
            let named = self.segments.len() - first;
            if named >= SEGMENTS && passed >= grid.hold_back() + grid.longest {
                break;
            }
            passed += segment.duration;
            first -= 1;
        }
        first
    }
}
