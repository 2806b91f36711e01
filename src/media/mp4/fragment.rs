//! Fragments: `moof` and `mdat` (ISO/IEC 14496-12 §8.8).

use super::boxes::Boxes;
use super::run::{Run, RunEntry};
use super::step::Step;
use super::track::Mp4Track;
use crate::media::clock::TrackClock;
use crate::media::sample::TrackId;
use crate::media::tracks::MediaSample;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// Where the last sample of each track goes, whose duration only the next one tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastSample {
    /// It waits for the next fragment: all durations are right.
    Held,
    /// It is in the fragment, as long as it seems to be. The next fragment says when it begins, and
    /// is right about it.
    Guessed,
    /// The same, and the next fragment is decoded soon enough for players that go on from fragment to
    /// fragment.
    Followed,
}

/// Makes fragments of samples.
#[derive(Debug)]
pub struct Fragmenter {
    queues: Vec<Queue>,
    /// How many fragments there have been.
    sequence: u32,
}

/// The samples of a track that are in no fragment yet.
#[derive(Debug)]
struct Queue {
    track: TrackId,
    timescale: u32,
    clock: TrackClock,
    waiting: Vec<QueuedSample>,
    /// The memory that they take, with the messages that brought them, in bytes.
    waiting_cost: usize,
    /// Of the last picture whose duration was known.
    last_duration: u32,
    step: Step,
    /// What the last fragment has said of its last sample, if it had to guess.
    guessed: Option<Guessed>,
    /// Whether the initialization names the track, so that fragments may.
    is_announced: bool,
}

/// The last sample of a fragment, as the fragment says it.
#[derive(Clone, Copy, Debug)]
struct Guessed {
    time: u64,
    duration: u32,
}

#[derive(Debug)]
struct QueuedSample {
    time: u64,
    /// How long its sound is; 0: not known.
    len: u32,
    composition: i32,
    is_sync: bool,
    data: SampleData,
}

/// The bytes of a sample, in the message that brought them.
type SampleData = (Arc<[u8]>, Range<usize>);

/// A fragment: its boxes and where the bytes of its samples are.
#[derive(Clone, Debug)]
pub struct Fragment {
    sequence: u32,
    /// `moof`, and the header of `mdat`.
    pub(super) head: Vec<u8>,
    /// Where in `head` the `moof` begins.
    pub(super) moof_at: usize,
    pub(super) runs: Vec<Run>,
    data: Vec<SampleData>,
    data_len: usize,
}

impl Fragment {
    fn new(sequence: u32, runs: Vec<Run>, data: Vec<SampleData>) -> Fragment {
        Fragment {
            sequence,
            head: head(sequence, &runs),
            moof_at: 0,
            data_len: data.iter().map(|(_, range)| range.len()).sum(),
            runs,
            data,
        }
    }

    /// The samples of one of its tracks, counted from 0.
    fn run(&self, index: usize) -> Option<(&Run, &[SampleData])> {
        let position = self.runs.iter().position(|run| run.index == index)?;
        let (before, own) = (self.runs.get(..position)?, self.runs.get(position)?);
        let first: usize = before.iter().map(|run| run.entries.len()).sum();
        let data = self.data.get(first..first + own.entries.len())?;
        Some((own, data))
    }

    /// The same fragment with one of its tracks alone, counted from 0; `None` if it has nothing of
    /// that.
    pub(super) fn of_track(&self, index: usize) -> Option<Fragment> {
        let (run, data) = self.run(index)?;
        let (runs, data) = (vec![run.clone()], data.to_vec());
        Some(Fragment::new(self.sequence, runs, data))
    }

    /// Whether it has samples of one of its tracks, counted from 0.
    pub(crate) fn has(&self, index: usize) -> bool {
        self.runs.iter().any(|run| run.index == index)
    }

    /// How many tracks it has samples of.
    pub(super) fn track_count(&self) -> usize {
        self.runs.len()
    }

    /// This fragment and the one that follows it, as one in the place of both.
    pub(super) fn joined(&self, next: &Fragment) -> Fragment {
        let indexes = self.runs.iter().chain(&next.runs).map(|run| run.index);
        let indexes: BTreeSet<usize> = indexes.collect();
        let (mut runs, mut data) = (Vec::new(), Vec::new());
        for index in indexes {
            let parts = [self.run(index), next.run(index)];
            let mut parts = parts.into_iter().flatten();
            let Some((run, own)) = parts.next() else {
                continue;
            };
            let mut run = run.clone();
            data.extend_from_slice(own);
            for (more, own) in parts {
                run.append(more);
                data.extend_from_slice(own);
            }
            runs.push(run);
        }
        Fragment::new(next.sequence, runs, data)
    }

    /// The length of `moof`.
    pub(super) fn moof_len(&self) -> usize {
        self.head.len() - self.moof_at - MDAT_HEADER_LEN
    }

    /// Makes `moof` a `free`, and puts another of `padding` bytes before it.
    pub(super) fn hide(&mut self, padding: usize) {
        if let Some(field) = self.head.get_mut(4..8) {
            field.copy_from_slice(b"free");
        }
        if padding > 0 {
            let mut out = Boxes::default();
            out.put(*b"free", |out| {
                out.zeros(padding.saturating_sub(8));
            });
            out.raw(&self.head);
            self.head = out.into_bytes();
            self.moof_at = padding;
        }
    }

    /// Its length, in bytes.
    pub fn size(&self) -> usize {
        self.head.len() + self.data_len
    }

    /// Its bytes, in pieces.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let head = std::iter::once(&self.head[..]);
        head.chain(
            self.data
                .iter()
                .map(move |(payload, range)| payload.get(range.clone()).unwrap_or_default()),
        )
    }

    /// Appends the whole fragment to `out`.
    pub fn put(&self, out: &mut Vec<u8>) {
        out.reserve(self.size());
        self.pieces().for_each(|piece| out.extend_from_slice(piece));
    }
}

impl Fragmenter {
    /// For the tracks of an [`initialization`](super::initialization).
    pub fn new(tracks: &[Mp4Track]) -> Fragmenter {
        let queue = |track: &Mp4Track| Queue::new(track, true);
        Fragmenter {
            queues: tracks.iter().map(queue).collect(),
            sequence: 0,
        }
    }

    /// Adds a track that the initialization does not name, or another in the place of one that is
    /// there. Fragments have its bytes, and say nothing of them.
    pub(super) fn add(&mut self, track: &Mp4Track) {
        self.queues.push(Queue::new(track, false));
    }

    /// Takes the next sample, whose bytes are in `payload`. `false`: there is no such track.
    pub fn push(&mut self, sample: &MediaSample, payload: &Arc<[u8]>) -> bool {
        let mut queues = self.queues.iter_mut().rev();
        let queue = queues.find(|queue| queue.track == sample.track);
        queue.is_some_and(|queue| {
            queue.push(sample, payload);
            true
        })
    }

    /// Whether a decoder can begin with the first sample of a track that is in no fragment yet.
    pub(crate) fn begins_with_sync(&self, track: TrackId) -> bool {
        let mut queues = self.queues.iter().rev();
        let queue = queues.find(|queue| queue.track == track);
        queue.is_some_and(|queue| queue.waiting.first().is_some_and(|first| first.is_sync))
    }

    /// When the last sample of a track is decoded, in nanoseconds; `None` if it is in a fragment, or
    /// there is no such track.
    pub fn last_ns(&self, track: TrackId) -> Option<u64> {
        let mut queues = self.queues.iter().rev();
        let queue = queues.find(|queue| queue.track == track)?;
        let last = queue.waiting.last()?;
        Some(queue.clock.nanos(last.time))
    }

    /// When a sample would be decoded that came next, in nanoseconds; `None` if there is no such track.
    pub(crate) fn next_ns(&self, sample: &MediaSample) -> Option<u64> {
        let mut queues = self.queues.iter().rev();
        let queue = queues.find(|queue| queue.track == sample.track)?;
        let mut clock = queue.clock;
        let time = clock.next(sample.time_ns, sample.len);
        Some(clock.nanos(time))
    }

    /// The memory that samples take which are in no fragment yet, with the messages that brought them, in
    /// bytes. A message counts for each of its samples.
    pub fn waiting_cost(&self) -> usize {
        self.queues.iter().map(|queue| queue.waiting_cost).sum()
    }

    /// A fragment of what has come since the last one; `None` if that is nothing.
    pub fn cut(&mut self, ending: LastSample) -> Option<Fragment> {
        if ending == LastSample::Followed {
            let is_alone = self.queues.len() == 1;
            let queues = self.queues.iter_mut();
            queues.for_each(|queue| queue.follow(is_alone));
        }
        self.cut_where(
            |queue| match ending {
                LastSample::Held => queue.waiting.len().saturating_sub(1),
                LastSample::Guessed | LastSample::Followed => queue.waiting.len(),
            },
            false,
        )
    }

    /// A fragment of what is decoded before `ns`, in nanoseconds. Pictures whose duration is not known
    /// wait; sound is as long as it says.
    pub fn cut_before(&mut self, ns: u64) -> Option<Fragment> {
        self.cut_where(|queue| queue.count_before(ns), false)
    }

    /// A fragment of what is decoded before `ns`, in nanoseconds, where media has a gap: the last
    /// sample of each track is as long as it seems to be, and not up to the next.
    pub(crate) fn cut_before_gap(&mut self, ns: u64) -> Option<Fragment> {
        self.cut_where(|queue| queue.place_of(ns), true)
    }

    fn cut_where(&mut self, count: impl Fn(&Queue) -> usize, is_gap: bool) -> Option<Fragment> {
        let (mut runs, mut data) = (Vec::new(), Vec::new());
        for (index, queue) in self.queues.iter_mut().enumerate() {
            runs.extend(queue.cut(index, count(queue), is_gap, &mut data));
        }
        if runs.is_empty() {
            return None;
        }
        self.sequence = self.sequence.wrapping_add(1);
        Some(Fragment::new(self.sequence, runs, data))
    }
}

/// How many pictures a second there are taken to be as long as nothing is known.
const FRAMES_A_SECOND: u32 = 30;

/// How long a picture may be taken to be, in seconds: players take the end of the last one for now.
const GUESS_SECS_MAX: u32 = 2;

/// How much earlier than due a picture may be decoded because of a hole before it, in seconds. What
/// comes behind a longer one waits for a keyframe.
const HOLE_SECS_MAX: u64 = 10;

impl Queue {
    fn new(track: &Mp4Track, is_announced: bool) -> Queue {
        let timescale = track.config.timescale();
        Queue {
            track: track.id,
            timescale,
            clock: TrackClock::new(timescale),
            waiting: Vec::new(),
            waiting_cost: 0,
            last_duration: timescale / FRAMES_A_SECOND,
            step: Step::default(),
            guessed: None,
            is_announced,
        }
    }

    fn push(&mut self, sample: &MediaSample, payload: &Arc<[u8]>) {
        let due = self.clock.ticks(sample.time_ns);
        let time = self.clock.next(sample.time_ns, sample.len);
        let mut composition = 0;
        if sample.len == 0 {
            // Where the time of decoding had to be moved, that of showing is what it was.
            let ticks = i64::from(sample.composition_ms) * i64::from(self.timescale) / 1000;
            composition = ticks + due.cast_signed() - time.cast_signed();
            self.step.note(time);
        }
        self.waiting_cost += size_of::<QueuedSample>() + payload.len();
        self.waiting.push(QueuedSample {
            time,
            len: sample.len,
            composition: composition.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
            is_sync: sample.is_sync,
            data: (Arc::clone(payload), sample.data.clone()),
        });
    }

    /// How many samples are decoded before `ns` and have a known duration.
    fn count_before(&self, ns: u64) -> usize {
        let count = self.place_of(ns);
        let last = self.waiting.last().filter(|_| count == self.waiting.len());
        match last {
            Some(last) if last.len == 0 => count - 1,
            _ => count,
        }
    }

    /// Decodes the first sample that waits earlier if it would be decoded too long after a last sample
    /// whose duration was guessed, and shows it when it is due.
    ///
    /// Media Source Extensions take a step of decode times of more than twice the last duration for the
    /// beginning of something else, and leave out everything until the next keyframe, also after a hole
    /// in the sound. Sound that is alone has a hole that players can see and jump.
    fn follow(&mut self, is_alone: bool) {
        let usual = self.step.usual().unwrap_or(self.last_duration);
        self.last_duration = usual.min(self.timescale * GUESS_SECS_MAX);
        let (Some(last), Some(first)) = (self.guessed, self.waiting.first_mut()) else {
            return;
        };
        // Less than twice: players round times.
        let step = u64::from(last.duration) * 15 / 8;
        let early = first.time.saturating_sub(last.time + step);
        let is_entry = first.is_sync && (first.len == 0 || is_alone);
        if is_entry || early > u64::from(self.timescale) * HOLE_SECS_MAX {
            return;
        }
        let early = i32::try_from(early).unwrap_or(0);
        if let Some(composition) = first.composition.checked_add(early) {
            first.composition = composition;
            first.time -= u64::from(early.unsigned_abs());
        }
    }

    /// How many samples are decoded before `ns`.
    fn place_of(&self, ns: u64) -> usize {
        let before = self.clock.ticks(ns);
        self.waiting.partition_point(|sample| sample.time < before)
    }

    fn cut(
        &mut self,
        index: usize,
        count: usize,
        is_gap: bool,
        data: &mut Vec<SampleData>,
    ) -> Option<Run> {
        let time = self.waiting.get(..count)?.first()?.time;
        let next = self.waiting.iter().skip(1).map(|next| next.time);
        let mut nexts: Vec<Option<u64>> = next.map(Some).collect();
        nexts.push(None);
        if is_gap && let Some(last) = nexts.get_mut(count.saturating_sub(1)) {
            *last = None;
        }
        let mut entries = Vec::with_capacity(count);
        for (waiting, next) in self.waiting.drain(..count).zip(nexts) {
            let known = next.map(|next| next.saturating_sub(waiting.time));
            let known = known.map(|ticks| u32::try_from(ticks).unwrap_or(u32::MAX));
            if waiting.len == 0 {
                self.last_duration = known.unwrap_or(self.last_duration);
            }
            let guess = if waiting.len == 0 {
                self.last_duration
            } else {
                waiting.len
            };
            let duration = known.unwrap_or(guess);
            self.guessed = known.is_none().then_some(Guessed {
                time: waiting.time,
                duration,
            });
            entries.push(RunEntry {
                duration,
                composition: waiting.composition,
                is_sync: waiting.is_sync,
                size: waiting.data.1.len() as u32,
            });
            self.waiting_cost -= size_of::<QueuedSample>() + waiting.data.0.len();
            data.push(waiting.data);
        }
        Some(Run {
            index,
            time,
            entries,
            is_announced: self.is_announced,
        })
    }
}

const MDAT_HEADER_LEN: usize = 8;

/// `moof`, and the header of an `mdat` that has the samples of each run in turn, those of announced
/// tracks first.
fn head(sequence: u32, runs: &[Run]) -> Vec<u8> {
    let announced = || runs.iter().filter(|run| run.is_announced);
    let mut offsets = Vec::new();
    let mut out = Boxes::default();
    out.put(*b"moof", |out| {
        out.put_full(*b"mfhd", 0, 0, |out| {
            out.u32(sequence);
        });
        for run in announced() {
            out.put(*b"traf", |out| offsets.push(put_traf(out, run)));
        }
    });
    let mut data_at = out.len() + MDAT_HEADER_LEN as u64;
    let data_len: u64 = runs.iter().map(Run::len).sum();
    out.u32(u32::try_from(data_len + 8).unwrap_or(u32::MAX));
    out.raw(b"mdat");
    let mut head = out.into_bytes();
    for (at, run) in offsets.into_iter().zip(announced()) {
        if let Some(field) = head.get_mut(at..at + 4) {
            field.copy_from_slice(&(data_at as u32).to_be_bytes());
        }
        data_at += run.len();
    }
    head
}

/// Flags of `tfhd` (ISO/IEC 14496-12 §8.8.7).
const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
const DEFAULT_DURATION: u32 = 0x08;
const DEFAULT_FLAGS: u32 = 0x20;

/// Flags of `trun` (ISO/IEC 14496-12 §8.8.8).
const DATA_OFFSET: u32 = 0x001;
const FIRST_SAMPLE_FLAGS: u32 = 0x004;
const SAMPLE_DURATION: u32 = 0x100;
const SAMPLE_SIZE: u32 = 0x200;
const SAMPLE_FLAGS: u32 = 0x400;
const SAMPLE_COMPOSITION: u32 = 0x800;

/// MediaSample flags: it depends on no other; it does, and is no place to begin at.
const SYNC: u32 = 0x0200_0000;
const NOT_SYNC: u32 = 0x0101_0000;

fn sample_flags(entry: &RunEntry) -> u32 {
    if entry.is_sync { SYNC } else { NOT_SYNC }
}

/// Appends what is in a `traf`; returns where the offset of the data is to be written. What is the
/// same for all samples is said once.
fn put_traf(out: &mut Boxes, run: &Run) -> usize {
    let same = |entries: &[RunEntry], of: fn(&RunEntry) -> u32| {
        let first = entries.first().map(of)?;
        entries
            .iter()
            .all(|entry| of(entry) == first)
            .then_some(first)
    };
    let entries = &run.entries[..];
    let duration = same(entries, |entry| entry.duration);
    let all_flags = same(entries, sample_flags);
    let later_flags = same(entries.get(1..).unwrap_or_default(), sample_flags);
    let default_flags = all_flags.or(later_flags);
    let has_composition = entries.iter().any(|entry| entry.composition != 0);
    let when = |condition: bool, flag: u32| if condition { flag } else { 0 };
    let tfhd_flags = DEFAULT_BASE_IS_MOOF
        | when(duration.is_some(), DEFAULT_DURATION)
        | when(default_flags.is_some(), DEFAULT_FLAGS);
    out.put_full(*b"tfhd", 0, tfhd_flags, |out| {
        out.u32(run.index as u32 + 1);
        duration.into_iter().for_each(|duration| {
            out.u32(duration);
        });
        default_flags.into_iter().for_each(|flags| {
            out.u32(flags);
        });
    });
    out.put_full(*b"tfdt", 1, 0, |out| {
        out.u64(run.time);
    });
    let flags = DATA_OFFSET
        | SAMPLE_SIZE
        | when(duration.is_none(), SAMPLE_DURATION)
        | when(
            all_flags.is_none() && later_flags.is_some(),
            FIRST_SAMPLE_FLAGS,
        )
        | when(default_flags.is_none(), SAMPLE_FLAGS)
        | when(has_composition, SAMPLE_COMPOSITION);
    let mut offset_at = 0;
    out.put_full(*b"trun", 1, flags, |out| {
        out.u32(entries.len() as u32);
        offset_at = out.len() as usize;
        out.u32(0);
        if flags & FIRST_SAMPLE_FLAGS != 0 {
            out.u32(entries.first().map_or(SYNC, sample_flags));
        }
        for entry in entries {
            if flags & SAMPLE_DURATION != 0 {
                out.u32(entry.duration);
            }
            out.u32(entry.size);
            if flags & SAMPLE_FLAGS != 0 {
                out.u32(sample_flags(entry));
            }
            if flags & SAMPLE_COMPOSITION != 0 {
                out.i32(entry.composition);
            }
        }
    });
    offset_at
}
