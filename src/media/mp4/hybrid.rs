//! Files that are a stream of fragments as long as they are written, and have one index in the end.
//!
//! | when | what is in the file |
//! |---|---|
//! | at the start | `ftyp`, a `free` of 16 bytes, a `moov` without samples |
//! | for each fragment | `free`, which is a `moof` but for its type, and `mdat`; then the type is made `moof` |
//! | at the end | a `free` header, and in that box `moov` with all samples; then the `free` behind `ftyp` becomes the header of an `mdat` that reaches up to that `moov` |
//!
//! So a crash at any byte costs no more than the fragment that was being written: a `moof` that is
//! cut off makes a file unreadable for some players, but a `free` that is cut off does not. And the
//! file is finished by one small write, before which it is a stream of fragments and after which it
//! is a movie with one index. Nothing is moved.
//!
//! When the power fails, a file may end where a page of memory does. So a `moof` lies within one
//! page, if it is small enough, with a `free` before it where that is needed.

use super::boxes::Boxes;
use super::fragment::{Fragment, Fragmenter, LastSample};
use super::header::{FTYP_LEN, put_empty_moov, put_ftyp};
use super::index::SampleIndex;
use super::movie::put_moov;
use super::track::{Movie, Mp4Track};
use crate::media::sample::{MediaType, TrackId};
use crate::media::tracks::MediaSample;
use std::sync::Arc;

/// A fragment ends at a keyframe that is at least this much later than its beginning, in ms.
pub(crate) const FRAGMENT_MIN_MS: u64 = 250;

/// A fragment ends when it is this long, in ms, with or without a keyframe.
pub(crate) const FRAGMENT_MAX_MS: u64 = 1000;

/// A fragment ends when its samples take this many bytes of memory, with the messages that brought them.
pub(crate) const FRAGMENT_LEN_MAX: usize = 16 << 20;

/// How much memory the index of a file may take, in bytes. A file that has more of it is full.
pub const INDEX_LEN_MAX: usize = 64 << 20;

/// How much of a file reaches the disk at once.
const PAGE_LEN: u64 = 4096;

/// Length of the `free` that becomes the header of an `mdat`.
const RESERVED_LEN: usize = 16;

/// Bytes to be written over those that are in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch<const LEN: usize> {
    /// Position in the file, in bytes.
    pub at: u64,
    /// The bytes that belong there.
    pub bytes: [u8; LEN],
}

/// A file that is being written. It says which bytes belong where; the caller writes them.
#[derive(Debug)]
pub struct Hybrid {
    tracks: Vec<Mp4Track>,
    movie: Movie,
    fragmenter: Fragmenter,
    indexes: Vec<SampleIndex>,
    /// The track at whose keyframes fragments begin.
    lead: Option<TrackId>,
    /// When the first sample that is in no fragment yet is decoded, in nanoseconds.
    start_ns: Option<u64>,
    /// Length of the file.
    len: u64,
}

impl Hybrid {
    /// A file of these tracks, and what it begins with.
    pub fn new(tracks: Vec<Mp4Track>, movie: Movie) -> (Hybrid, Vec<u8>) {
        let mut out = Boxes::default();
        put_ftyp(&mut out, *b"isom");
        out.put(*b"free", |out| {
            out.zeros(RESERVED_LEN - 8);
        });
        put_empty_moov(&mut out, &tracks, &movie);
        let beginning = out.into_bytes();
        let videos = tracks
            .iter()
            .filter(|track| track.medium() == MediaType::Video);
        let hybrid = Hybrid {
            fragmenter: Fragmenter::new(&tracks),
            indexes: tracks.iter().map(|_| SampleIndex::default()).collect(),
            lead: videos.map(|track| track.id).min(),
            tracks,
            movie,
            start_ns: None,
            len: beginning.len() as u64,
        };
        (hybrid, beginning)
    }

    /// The length of the file, when everything that was said to be [`written`](Self::written) is.
    pub fn file_len(&self) -> u64 {
        self.len
    }

    /// Whether the file has a track.
    pub fn has(&self, track: TrackId) -> bool {
        self.tracks.iter().any(|own| own.id == track)
    }

    /// Adds a track that was not known when the file began, or one in the place of another with the
    /// same id, whose configuration has changed. The finished file has all of it; in the
    /// fragments nothing is said of it, so a crash costs what has come of it.
    pub fn add(&mut self, track: Mp4Track) {
        self.fragmenter.add(&track);
        self.indexes.push(SampleIndex::default());
        self.tracks.push(track);
    }

    /// How many tracks it has.
    pub fn track_count(&self) -> usize {
        self.tracks.len()
    }

    /// Whether the index has become too large for another fragment: it is time for the next file.
    pub fn is_full(&self) -> bool {
        self.memory() >= INDEX_LEN_MAX
    }

    /// The memory of the index and of what is in no fragment yet, in bytes.
    pub fn held_len(&self) -> usize {
        self.memory() + self.fragmenter.waiting_cost()
    }

    /// The memory of the index, in bytes.
    pub fn memory(&self) -> usize {
        self.indexes.iter().map(SampleIndex::memory).sum()
    }

    /// Takes the next sample, whose bytes are in `payload`; of a track that is not in the file it is
    /// left out. Returns the fragment that is to be written, if one is complete.
    pub fn push(&mut self, sample: &MediaSample, payload: &Arc<[u8]>) -> Option<Fragment> {
        if !self.fragmenter.push(sample, payload) {
            return None;
        }
        let start = *self.start_ns.get_or_insert(sample.time_ns);
        let passed = sample.time_ns.saturating_sub(start) / 1_000_000;
        let is_entry = sample.is_sync && self.lead == Some(sample.track);
        let is_due = is_entry && passed >= FRAGMENT_MIN_MS
            || passed >= FRAGMENT_MAX_MS
            || self.fragmenter.waiting_cost() >= FRAGMENT_LEN_MAX;
        if !is_due {
            return None;
        }
        // The last sample of each track waits for its duration, and this one is among them.
        self.start_ns = Some(sample.time_ns);
        self.cut(LastSample::Held)
    }

    /// The fragment of all that is left, to be written before the end.
    pub fn end(&mut self) -> Option<Fragment> {
        self.start_ns = None;
        self.cut(LastSample::Guessed)
    }

    fn cut(&mut self, ending: LastSample) -> Option<Fragment> {
        let mut fragment = self.fragmenter.cut(ending)?;
        fragment.hide(padding(self.len, fragment.moof_len()));
        Some(fragment)
    }

    /// Takes note that a fragment has been written, whole and at the end of the file. What is
    /// returned makes it one that counts. Of a fragment that was not written the file knows nothing;
    /// what there is of it is to be cut off.
    pub fn written(&mut self, fragment: &Fragment) -> Patch<4> {
        let at = self.len + fragment.moof_at as u64 + 4;
        let mut data_at = self.len + fragment.head.len() as u64;
        for run in &fragment.runs {
            if let Some(index) = self.indexes.get_mut(run.index) {
                index.push(run, data_at);
            }
            data_at += run.len();
        }
        self.len += fragment.size() as u64;
        Patch {
            at,
            bytes: *b"moof",
        }
    }

    /// What makes the file complete.
    pub fn trailer(&self) -> Trailer<'_> {
        let mut moov = Boxes::default();
        put_moov(&mut moov, &self.tracks, &self.indexes, &self.movie);
        Trailer { moov, at: self.len }
    }
}

/// How much is to be left free at `at`, so that the `len` bytes behind it are in one page.
fn padding(at: u64, len: usize) -> usize {
    let left = PAGE_LEN - at % PAGE_LEN;
    let len = len as u64;
    if len <= left || len > PAGE_LEN {
        return 0;
    }
    // A box is not shorter than its header.
    let padding = if left < HEADER_LEN {
        left + PAGE_LEN
    } else {
        left
    };
    padding as usize
}

/// The end of a file: what is appended, and then the write that makes it count. Between the two the
/// disk should be told to keep what it has.
#[derive(Debug)]
pub struct Trailer<'a> {
    moov: Boxes<'a>,
    /// Where in the file the trailer begins.
    at: u64,
}

/// Length of the header of a box.
const HEADER_LEN: u64 = 8;

impl Trailer<'_> {
    /// The length of the appended part, in bytes.
    pub fn size(&self) -> u64 {
        HEADER_LEN + self.moov.len()
    }

    /// Passes the appended part to `sink`, in pieces, until `sink` fails.
    ///
    /// # Errors
    ///
    /// What `sink` returned.
    pub fn write<E>(&self, mut sink: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut header = Boxes::default();
        header
            .u32(u32::try_from(self.size()).unwrap_or(u32::MAX))
            .raw(b"free");
        sink(&header.into_bytes())?;
        self.moov.write(&mut sink)
    }

    /// The write over the beginning that finishes the file.
    pub fn patch(&self) -> Patch<RESERVED_LEN> {
        let len = self.at + HEADER_LEN - FTYP_LEN as u64;
        let mut bytes = [0; RESERVED_LEN];
        match u32::try_from(len) {
            Ok(len) => {
                bytes[..4].copy_from_slice(&len.to_be_bytes());
                bytes[4..8].copy_from_slice(b"mdat");
            }
            Err(_) => {
                bytes[..8].copy_from_slice(b"\0\0\0\x01mdat");
                bytes[8..].copy_from_slice(&len.to_be_bytes());
            }
        }
        Patch {
            at: FTYP_LEN as u64,
            bytes,
        }
    }
}
