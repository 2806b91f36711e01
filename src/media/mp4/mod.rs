//! MP4 (ISO/IEC 14496-12): samples in, boxes out. Written, not read.
//!
//! There are two users. Media over HTTP sends [`initialization`] and then fragments, which a
//! [`Fragmenter`] makes as often as it is asked to; [`live`] makes a response of them that players
//! show as it comes. A recording has a [`Hybrid`]: fragments for as long as it is written, and in the
//! end an index of all samples, which makes it a file as any other.

pub mod live;

mod boxes;
mod entry;
mod fragment;
mod header;
mod hybrid;
mod index;
mod movie;
mod run;
mod sample_table;
mod step;
mod track;

pub use fragment::{Fragment, Fragmenter, LastSample};
pub use hybrid::{Hybrid, INDEX_LEN_MAX, Patch, Trailer};
pub use track::{Movie, Mp4Track};

use super::config::SampleFormat;

/// Whether files of this codec are played anywhere. VP8 has a place in MP4, which no browser knows.
pub(crate) fn is_supported(format: SampleFormat) -> bool {
    format != SampleFormat::Vp8
}

/// What a stream of fragments begins with: `ftyp` and a `moov` without samples. The tracks of
/// fragments are counted from 1 in the order of `tracks`.
pub fn initialization(tracks: &[Mp4Track], movie: &Movie) -> Vec<u8> {
    let mut out = boxes::Boxes::default();
    header::put_ftyp(&mut out, *b"cmfc");
    header::put_empty_moov(&mut out, tracks, movie);
    out.into_bytes()
}
