//! Tables of samples in a complete movie (ISO/IEC 14496-12 §8.6.1, §8.7).

use super::index::SampleIndex;

/// What the rows of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableKind {
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
    /// The table of `kind` of the samples in `index`; composition offsets are raised by `shift`.
    pub(super) fn new(kind: TableKind, index: &'a SampleIndex, shift: i64) -> SampleTable<'a> {
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

    /// How many rows there are.
    pub(super) fn rows_len(&self) -> u32 {
        self.count
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
    pub(super) fn len(&self) -> u64 {
        4 * self.width() as u64 * u64::from(self.count)
    }

    /// Passes the rows to `sink`, in pieces, until `sink` fails.
    pub(super) fn write<E>(&self, sink: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
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
