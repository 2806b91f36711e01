//! Where all the samples of a track are, in little memory: what the last `moov` of a file is made
//! of.
//!
//! A recording may last for days, so samples are not kept one by one. Few different durations and
//! composition offsets occur in a track, and so each pair of them has a number of one byte; what is
//! repeated is counted. Sizes have as many bytes as they need.

use super::run::{Run, RunEntry};

/// The samples of a track.
#[derive(Debug, Default)]
pub(super) struct SampleIndex {
    /// Numbers of timings, see [`Runs`].
    timings: Packed,
    /// What the numbers mean.
    palette: Vec<SampleTiming>,
    /// The last timing and how often in a row it has come; it is not in `timings` yet.
    repeated: Option<(SampleTiming, u64)>,
    sizes: Packed,
    /// Of each chunk, how far it begins behind the one before, and how many samples it has.
    chunks: Packed,
    /// Where the last chunk begins.
    last_chunk: u64,
    /// How many there are.
    pub count: u64,
    pub sync_count: u64,
    pub chunk_count: u64,
    /// When the first sample is decoded.
    pub start: Option<u64>,
    /// How long all take together, on the track's clock.
    pub duration: u64,
    /// When the first picture is shown and the last is over, on a clock that begins at `start`.
    pub shown: Option<(i64, i64)>,
}

/// The properties that many samples of a track share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SampleTiming {
    pub duration: u32,
    pub composition: i32,
    pub is_sync: bool,
}

/// Most timings that have a number; the codes above are taken.
const PALETTE_MAX: usize = 254;

/// The timing that follows has no number.
const LITERAL: u8 = 254;

/// The timing before comes again, as often as the number behind this says.
const REPEAT: u8 = 255;

impl SampleIndex {
    /// Adds the samples of a fragment, whose bytes are in the file from `at` on.
    pub(super) fn push(&mut self, run: &Run, at: u64) {
        self.start.get_or_insert(run.time);
        for entry in &run.entries {
            self.push_entry(entry);
        }
        self.chunks.put_varint(at - self.last_chunk.min(at));
        self.chunks.put_varint(run.entries.len() as u64);
        self.last_chunk = at;
        self.chunk_count += 1;
    }

    fn push_entry(&mut self, entry: &RunEntry) {
        let time = self.duration.cast_signed() + i64::from(entry.composition);
        let end = time + i64::from(entry.duration);
        let (first, last) = self.shown.unwrap_or((time, end));
        self.shown = Some((first.min(time), last.max(end)));
        self.duration += u64::from(entry.duration);
        self.count += 1;
        self.sync_count += u64::from(entry.is_sync);
        self.sizes.put_varint(entry.size.into());
        let timing = SampleTiming {
            duration: entry.duration,
            composition: entry.composition,
            is_sync: entry.is_sync,
        };
        match &mut self.repeated {
            Some((repeated, times)) if *repeated == timing => *times += 1,
            _ => {
                self.flush_repeated();
                self.repeated = Some((timing, 1));
            }
        }
    }

    /// Writes the timing that does not come again for now.
    fn flush_repeated(&mut self) {
        let Some((timing, times)) = self.repeated.take() else {
            return;
        };
        let found = self.palette.iter().position(|known| *known == timing);
        let number = found.or_else(|| {
            let is_room = self.palette.len() < PALETTE_MAX;
            is_room.then(|| {
                self.palette.push(timing);
                self.palette.len() - 1
            })
        });
        match number {
            Some(number) => self.timings.push(number as u8),
            None => {
                self.timings.push(LITERAL);
                self.timings.put_varint(timing.duration.into());
                self.timings.put_varint(zigzag(timing.composition));
                self.timings.push(timing.is_sync.into());
            }
        }
        if times > 1 {
            self.timings.push(REPEAT);
            self.timings.put_varint(times - 1);
        }
    }

    /// Whether any picture is shown at another time than it is decoded.
    pub(super) fn has_compositions(&self) -> bool {
        self.runs().any(|(timing, _)| timing.composition != 0)
    }

    /// Where the last chunk begins.
    pub(super) fn last_chunk(&self) -> u64 {
        self.last_chunk
    }

    /// How much memory it takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        let palette = self.palette.capacity() * size_of::<SampleTiming>();
        let packed = [&self.timings, &self.sizes, &self.chunks];
        palette + packed.iter().map(|packed| packed.memory()).sum::<usize>()
    }

    /// The timings of all samples in order, with how often each is repeated.
    pub(super) fn runs(&self) -> impl Iterator<Item = (SampleTiming, u64)> {
        let packed = Runs {
            bytes: self.timings.iter(),
            palette: &self.palette,
            last: None,
        };
        packed.chain(self.repeated)
    }

    /// The sizes of all samples in order.
    pub(super) fn sizes(&self) -> impl Iterator<Item = u32> {
        let mut bytes = self.sizes.iter();
        std::iter::from_fn(move || varint(&mut bytes).map(|size| size as u32))
    }

    /// Where each chunk begins, and how many samples it has.
    pub(super) fn chunks(&self) -> impl Iterator<Item = (u64, u32)> {
        let (mut bytes, mut at) = (self.chunks.iter(), 0);
        std::iter::from_fn(move || {
            at += varint(&mut bytes)?;
            Some((at, varint(&mut bytes)? as u32))
        })
    }
}

/// Reads packed timings: each with how often it comes again.
struct Runs<'a, I> {
    bytes: I,
    palette: &'a [SampleTiming],
    last: Option<SampleTiming>,
}

impl<I: Iterator<Item = u8>> Iterator for Runs<'_, I> {
    type Item = (SampleTiming, u64);

    fn next(&mut self) -> Option<(SampleTiming, u64)> {
        let timing = match self.bytes.next()? {
            REPEAT => return Some((self.last?, varint(&mut self.bytes)?)),
            LITERAL => SampleTiming {
                duration: varint(&mut self.bytes)? as u32,
                composition: unzigzag(varint(&mut self.bytes)?),
                is_sync: self.bytes.next()? != 0,
            },
            number => *self.palette.get(usize::from(number))?,
        };
        self.last = Some(timing);
        Some((timing, 1))
    }
}

/// Small numbers for small offsets, whatever their sign.
fn zigzag(value: i32) -> u64 {
    u64::from((value << 1 ^ value >> 31).cast_unsigned())
}

fn unzigzag(value: u64) -> i32 {
    let value = value as u32;
    (value >> 1).cast_signed() ^ -((value & 1).cast_signed())
}

/// Seven bits a byte, the least significant first; the last byte has no high bit.
fn varint(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = bytes.next()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
        shift += 7;
        if shift > 63 {
            return None;
        }
    }
}

/// Bytes that grow without ever being copied.
#[derive(Debug, Default)]
struct Packed {
    blocks: Vec<Vec<u8>>,
}

const BLOCK_LEN: usize = 4096;

impl Packed {
    fn push(&mut self, byte: u8) {
        match self.blocks.last_mut() {
            Some(block) if block.len() < BLOCK_LEN => block.push(byte),
            _ => {
                let mut block = Vec::with_capacity(BLOCK_LEN);
                block.push(byte);
                self.blocks.push(block);
            }
        }
    }

    fn put_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    fn iter(&self) -> impl Iterator<Item = u8> {
        self.blocks.iter().flatten().copied()
    }

    fn memory(&self) -> usize {
        self.blocks.len() * BLOCK_LEN + self.blocks.capacity() * size_of::<Vec<u8>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u32) -> RunEntry {
        RunEntry {
            duration: 1500 + number % 3,
            composition: (number % 5) as i32 * 1500 - 3000,
            is_sync: number.is_multiple_of(60),
            size: number * 977 % 90_000,
        }
    }

    fn unpacked(index: &SampleIndex) -> Vec<RunEntry> {
        let timings = index.runs().flat_map(|(timing, times)| {
            std::iter::repeat_n(timing, usize::try_from(times).unwrap())
        });
        let entry = |(timing, size): (SampleTiming, u32)| RunEntry {
            duration: timing.duration,
            composition: timing.composition,
            is_sync: timing.is_sync,
            size,
        };
        timings.zip(index.sizes()).map(entry).collect()
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        let few: Vec<RunEntry> = (0..10_000).map(entry).collect();
        let same = vec![entry(7); 1000];
        let many: Vec<RunEntry> = (0..1000_u32)
            .map(|number| RunEntry {
                duration: number.wrapping_mul(0x9e37_79b9),
                composition: number.wrapping_mul(0x85eb_ca6b).cast_signed(),
                ..entry(number)
            })
            .collect();
        let edge = [i32::MIN, -1, 0, 1, i32::MAX].map(|composition| RunEntry {
            composition,
            size: u32::MAX,
            ..entry(1)
        });
        for entries in [few, same, many, edge.to_vec(), vec![]] {
            let mut index = SampleIndex::default();
            for (number, entries) in (1..).zip(entries.chunks(7)) {
                let run = Run {
                    index: 0,
                    time: 0,
                    entries: entries.to_vec(),
                    is_announced: true,
                };
                index.push(&run, number * 0x1_0000_0000);
            }
            assert_eq!(unpacked(&index), entries);
            assert_eq!(index.count, entries.len() as u64);
            let (chunks, samples): (Vec<u64>, Vec<u32>) = index.chunks().unzip();
            assert_eq!(chunks.len(), entries.len().div_ceil(7));
            assert!(
                (1..)
                    .zip(chunks)
                    .all(|(number, at)| at == number * 0x1_0000_0000)
            );
            assert_eq!(samples.iter().sum::<u32>() as usize, entries.len());
        }
    }
}
