//! The `moov` of a complete file: the tables of all samples.

use super::boxes::Boxes;
use super::header::{Durations, MOVIE_TIMESCALE, TrackHeader, put_mvhd, put_udta};
use super::index::SampleIndex;
use super::sample_table::{SampleTable, TableKind};
use super::track::{Movie, Mp4Track};
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
            out.u32(table.rows_len());
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
