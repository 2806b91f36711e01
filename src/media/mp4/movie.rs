//! The `moov` of a complete file: the tables of all samples.

use super::boxes::Boxes;
use super::header::{Durations, MOVIE_TIMESCALE, TrackHeader, put_mvhd, put_udta};
use super::index::SampleIndex;
use super::{Movie, Mp4Track};
use crate::media::config::SampleFormat;

/// Appends `moov`. Tracks without a sample are left out.
pub(super) fn put_moov<'a>(
    out: &mut Boxes<'a>,
    tracks: &[Mp4Track],
    indexes: &'a [SampleIndex],
    movie: &Movie,
) {
    let used = || {
        let numbered = (1..).zip(tracks).zip(indexes);
        numbered.filter_map(|((number, track), index)| {
            let timing = TrackTiming::new(track, index)?;
            Some((number, track, index, timing))
        })
    };
    // What is shown or heard first is where the movie begins.
    let first = used().map(|(.., timing)| timing.start).min().unwrap_or(0);
    let duration = used().map(|(.., timing)| timing.end(first)).max();
    out.put(*b"moov", |out| {
        put_mvhd(out, movie, tracks.len(), duration.unwrap_or(0));
        for (number, track, index, timing) in used() {
            let durations = Durations {
                movie: timing.end(first),
                media: index.duration,
            };
            let header = TrackHeader::new(tracks, track, number, movie);
            let edits = |out: &mut Boxes<'a>| timing.put_edits(out, first);
            header.put(out, durations, edits, |out| {
                put_tables(out, index, timing.shift);
                put_roll(out, track, index);
            });
        }
        put_udta(out, movie);
    });
}

/// When a track is shown.
#[derive(Clone, Copy, Debug)]
struct TrackTiming {
    /// When its first picture or sound is due, and how long it lasts, in ticks of the movie.
    start: i64,
    len: u64,
    /// When the first picture is shown on the track's clock, which begins with the first that is
    /// decoded.
    media_time: u64,
    /// By how much all composition offsets are raised, so that this is not negative.
    shift: i64,
}

impl TrackTiming {
    fn new(track: &Mp4Track, index: &SampleIndex) -> Option<TrackTiming> {
        let (first, end) = index.shown?;
        let timescale = i128::from(track.config.timescale());
        let on_movie_clock = |ticks: i64, round: i128| {
            let ticks = i128::from(ticks) * i128::from(MOVIE_TIMESCALE) + round;
            i64::try_from(ticks.div_euclid(timescale)).unwrap_or(i64::MAX)
        };
        let start = index.start?.cast_signed().saturating_add(first);
        let shift = first.min(0).saturating_neg();
        Some(TrackTiming {
            start: on_movie_clock(start, timescale / 2),
            len: on_movie_clock(end - first, timescale - 1).unsigned_abs(),
            media_time: (first + shift).unsigned_abs(),
            shift,
        })
    }

    /// How much later than the movie, which begins at `first`, the track begins.
    fn delay(self, first: i64) -> u64 {
        self.start.abs_diff(first)
    }

    /// When it is over, on a clock that begins with the movie.
    fn end(self, first: i64) -> u64 {
        self.delay(first) + self.len
    }

    /// An edit list (ISO/IEC 14496-12 §8.6.6), where the track does not begin with the movie or
    /// shows its first picture later than it decodes it.
    fn put_edits(self, out: &mut Boxes, first: i64) {
        /// Nothing of the track is shown.
        const EMPTY: i32 = -1;
        /// At its own speed.
        const RATE: u32 = 0x1_0000;
        let empty = self.delay(first);
        if empty == 0 && self.media_time == 0 {
            return;
        }
        let short = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let media_time = i32::try_from(self.media_time).unwrap_or(i32::MAX);
        out.put(*b"edts", |out| {
            out.put_full(*b"elst", 0, 0, |out| {
                out.u32(1 + u32::from(empty > 0));
                if empty > 0 {
                    out.u32(short(empty)).i32(EMPTY).u32(RATE);
                }
                out.u32(short(self.len)).i32(media_time).u32(RATE);
            });
        });
    }
}

fn put_tables<'a>(out: &mut Boxes<'a>, index: &'a SampleIndex, shift: i64) {
    let put = |out: &mut Boxes<'a>, name: &[u8; 4], version: u8, kind: TableKind| {
        let table = SampleTable::new(kind, index, shift);
        out.put_full(*name, version, 0, |out| {
            if kind == TableKind::Sizes {
                out.u32(0); // there is no one size
            }
            out.u32(table.count);
            out.table(table);
        });
    };
    put(out, b"stts", 0, TableKind::Durations);
    if index.has_compositions() {
        // Version 1: offsets have a sign.
        put(out, b"ctts", 1, TableKind::Compositions);
    }
    if index.sync_count < index.count {
        put(out, b"stss", 0, TableKind::Syncs);
    }
    put(out, b"stsc", 0, TableKind::Chunks);
    put(out, b"stsz", 0, TableKind::Sizes);
    match u32::try_from(index.last_chunk()) {
        Ok(_) => put(out, b"stco", 0, TableKind::Offsets),
        Err(_) => put(out, b"co64", 0, TableKind::LongOffsets),
    }
}

/// Says how many samples before the one that is sought a decoder has to begin with, where it has to
/// (AudioRollRecoveryEntry, ISO/IEC 14496-12 §10.1).
fn put_roll(out: &mut Boxes, track: &Mp4Track, index: &SampleIndex) {
    /// What a decoder of Opus hears before it is right: 80 ms, in samples (Encapsulation of Opus in
    /// ISOBMFF §4.3.6.2).
    const OPUS_ROLL: u32 = 3840;
    let samples = match track.config.format {
        // The window of a frame reaches into the one before.
        SampleFormat::Aac => 1,
        SampleFormat::Opus => {
            let first = index.runs().next().map_or(0, |(timing, _)| timing.duration);
            OPUS_ROLL.div_ceil(first.max(1)) as i16
        }
        _ => return,
    };
    out.put_full(*b"sgpd", 1, 0, |out| {
        out.raw(b"roll")
            .u32(2)
            .u32(1)
            .u16((-samples).cast_unsigned());
    });
    out.put_full(*b"sbgp", 0, 0, |out| {
        out.raw(b"roll").u32(1).u32(index.count as u32).u32(1);
    });
}

/// What the rows of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TableKind {
    /// Of `stts`: samples, duration.
    Durations,
    /// Of `ctts`: samples, offset.
    Compositions,
    /// Of `stss`: number of the sample.
    Syncs,
    /// Of `stsc`: number of the chunk, samples of each from there on, description.
    Chunks,
    /// Of `stsz`: size in bytes.
    Sizes,
    /// Of `stco`: offset in the file.
    Offsets,
    /// Of `co64`: offset, of two words.
    LongOffsets,
}

/// A table of samples, which is written from the index when it is its turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct SampleTable<'a> {
    kind: TableKind,
    index: &'a SampleIndex,
    shift: i64,
    count: u32,
}

/// How many bytes of a table are gathered before they are written.
const PIECE_LEN: usize = 64 << 10;

impl<'a> SampleTable<'a> {
    fn new(kind: TableKind, index: &'a SampleIndex, shift: i64) -> SampleTable<'a> {
        let mut table = SampleTable {
            kind,
            index,
            shift,
            count: 0,
        };
        table.count = match kind {
            TableKind::Syncs => index.sync_count as u32,
            TableKind::Sizes => index.count as u32,
            TableKind::Offsets | TableKind::LongOffsets => index.chunk_count as u32,
            TableKind::Durations | TableKind::Compositions | TableKind::Chunks => {
                table.rows().count() as u32
            }
        };
        table
    }

    /// Words of a row.
    fn width(&self) -> usize {
        match self.kind {
            TableKind::Syncs | TableKind::Sizes | TableKind::Offsets => 1,
            TableKind::Durations | TableKind::Compositions | TableKind::LongOffsets => 2,
            TableKind::Chunks => 3,
        }
    }

    /// The length of all rows, in bytes.
    pub fn len(&self) -> u64 {
        4 * self.width() as u64 * u64::from(self.count)
    }

    /// Passes the rows to `sink`, in pieces, until `sink` fails.
    pub fn write<E>(&self, sink: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let width = self.width();
        let mut piece = Vec::with_capacity(PIECE_LEN + 12);
        for row in self.rows() {
            for word in row.into_iter().take(width) {
                piece.extend_from_slice(&word.to_be_bytes());
            }
            if piece.len() >= PIECE_LEN {
                sink(&piece)?;
                piece.clear();
            }
        }
        sink(&piece)
    }

    /// The rows, in as many words as the widest has.
    fn rows(&self) -> Box<dyn Iterator<Item = [u32; 3]> + 'a> {
        let (index, shift) = (self.index, self.shift);
        match self.kind {
            TableKind::Durations => {
                let durations = index.runs().map(|(timing, times)| (timing.duration, times));
                Box::new(merged(durations).map(|(duration, times)| [times as u32, duration, 0]))
            }
            TableKind::Compositions => {
                let raised = move |offset: i32| (i64::from(offset) + shift) as u32;
                let offsets = index
                    .runs()
                    .map(|(timing, times)| (timing.composition, times));
                let row = move |(offset, times)| [times as u32, raised(offset), 0];
                Box::new(merged(offsets).map(row))
            }
            TableKind::Syncs => {
                let mut before = 0_u64;
                let numbers = index.runs().flat_map(move |(timing, times)| {
                    let first = before + 1;
                    before += times;
                    first..first + if timing.is_sync { times } else { 0 }
                });
                Box::new(numbers.map(|number| [number as u32, 0, 0]))
            }
            TableKind::Chunks => {
                let samples = index.chunks().map(|(_, samples)| (samples, 1));
                let mut before = 0_u64;
                Box::new(merged(samples).map(move |(samples, chunks)| {
                    let first = before as u32 + 1;
                    before += chunks;
                    [first, samples, 1]
                }))
            }
            TableKind::Sizes => Box::new(index.sizes().map(|size| [size, 0, 0])),
            TableKind::Offsets => Box::new(index.chunks().map(|(at, _)| [at as u32, 0, 0])),
            TableKind::LongOffsets => {
                let words = |at: u64| [(at >> 32) as u32, at as u32, 0];
                Box::new(index.chunks().map(move |(at, _)| words(at)))
            }
        }
    }
}

/// Merges neighbours that are equal, and adds up how often they come.
fn merged<T: PartialEq>(runs: impl Iterator<Item = (T, u64)>) -> impl Iterator<Item = (T, u64)> {
    let mut runs = runs.peekable();
    std::iter::from_fn(move || {
        let (value, mut times) = runs.next()?;
        while let Some((_, more)) = runs.next_if(|(next, _)| *next == value) {
            times += more;
        }
        Some((value, times))
    })
}
