//! AAC: AudioSpecificConfig (ISO/IEC 14496-3 §1.6.2.1).

use super::details::{AudioDetails, Read, audio};
use crate::bytes::Short;
use crate::media::bits::Bits;

/// Samples a second by index.
const RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// The index that says that the rate itself follows.
const EXPLICIT_RATE: u32 = 15;

/// Channels by configuration; of 0 and those behind the frames say how many.
const CHANNELS: [u8; 15] = [2, 1, 2, 3, 4, 5, 6, 8, 2, 2, 2, 7, 8, 24, 8];

/// Audio object types (ISO/IEC 14496-3 table 1.17).
const SBR: u32 = 5;
const PS: u32 = 29;
const LD: u32 = 23;
const ELD: u32 = 39;

/// Reads an AudioSpecificConfig. Times are counted in samples of the core: where spectral band
/// replication doubles the rate, half of those that are heard.
pub(super) fn read(header: &[u8]) -> Read {
    audio(header.to_vec(), details(header).ok()?)
}

fn details(header: &[u8]) -> Result<AudioDetails, Short> {
    let mut bits = Bits::new(header);
    let mut object = object_type(&mut bits)?;
    let rate = rate(&mut bits)?;
    let channels = bits.take(4)?;
    let channels = *CHANNELS.get(channels as usize).ok_or(Short)?;
    let parametric = object == PS && channels == 1;
    if object == SBR || object == PS {
        self::rate(&mut bits)?;
        object = object_type(&mut bits)?;
    }
    let is_short = bits.flag().unwrap_or_default();
    let frame_len = match (object, is_short) {
        (LD | ELD, false) => 512,
        (LD | ELD, true) => 480,
        (_, false) => 1024,
        (_, true) => 960,
    };
    Ok(AudioDetails {
        channels: if parametric { 2 } else { channels },
        rate,
        bits: 16,
        frame_len: Some(frame_len),
    })
}

fn object_type(bits: &mut Bits) -> Result<u32, Short> {
    match bits.take(5)? {
        31 => Ok(32 + bits.take(6)?),
        object => Ok(object),
    }
}

fn rate(bits: &mut Bits) -> Result<u32, Short> {
    match bits.take(4)? {
        EXPLICIT_RATE => bits.take(24),
        index => RATES.get(index as usize).copied().ok_or(Short),
    }
}

/// `mp4a.40.N`, N being the audio object type.
pub(super) fn codec_string(record: &[u8]) -> String {
    let object = object_type(&mut Bits::new(record)).unwrap_or_default();
    format!("mp4a.40.{object}")
}
