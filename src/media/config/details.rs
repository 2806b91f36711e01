//! What codecs say of their tracks and frames, in the terms of a sample entry.

use crate::media::colour::Colour;
use std::fmt::Write;

/// What a sample entry says beside the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Details {
    /// Of a track of pictures.
    Video {
        /// Width after cropping, in pixels.
        width: u16,
        /// Height after cropping, in pixels.
        height: u16,
        /// Width and height of a pixel, where it is known not to be a square.
        pixel_aspect: Option<[u16; 2]>,
        /// What the publisher says of its colours.
        colour: Colour,
    },
    /// Of a track of sound.
    Audio(AudioDetails),
}

/// What a sample entry says of sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioDetails {
    /// Number of channels, that of low frequencies included.
    pub channels: u8,
    /// Samples a second: the time scale of the track.
    pub rate: u32,
    /// Bits of a sample; 16 where the codec has no such thing.
    pub bits: u8,
    /// Samples of a frame, where all frames have the same.
    pub frame_len: Option<u32>,
}

/// What a frame of sound says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SoundFrame {
    /// Its length, in samples.
    pub len: u32,
    /// Samples a second and channels, where frames say so.
    pub stream: Option<(u32, u8)>,
}

/// The record of a codec, and what goes beside it.
pub(super) type Read = Option<(Vec<u8>, Details)>;

/// Pictures of that size; `None` if there is no such size.
pub(super) fn video(record: &[u8], width: u32, height: u32) -> Read {
    let size = |pixels: u32| u16::try_from(pixels).ok().filter(|pixels| *pixels > 0);
    let details = Details::Video {
        width: size(width)?,
        height: size(height)?,
        pixel_aspect: None,
        colour: Colour::default(),
    };
    Some((record.to_vec(), details))
}

/// Fewest samples a second: with fewer, the clock of a track is coarser than the milliseconds of messages.
pub(crate) const RATE_MIN: u32 = 1000;

/// Sound; `None` if there is no such sound.
pub(super) fn audio(record: Vec<u8>, details: AudioDetails) -> Read {
    let possible = details.rate >= RATE_MIN && details.channels > 0 && details.frame_len != Some(0);
    possible.then_some((record, Details::Audio(details)))
}

/// Bytes in hexadecimal capitals.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}
