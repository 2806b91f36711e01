//! FLAC: STREAMINFO and the header of a frame (RFC 9639 §8.2, §9.1).

use super::details::{AudioDetails, Read, SoundFrame, audio};
use crate::bytes::Short;
use crate::media::bits::Bits;

const STREAMINFO_LEN: usize = 34;

/// Reads the header: STREAMINFO, perhaps with its block header, and that perhaps with the marker of
/// a stream before it.
pub(super) fn read(header: &[u8]) -> Read {
    let header = header.strip_prefix(b"fLaC").unwrap_or(header);
    let info = match header.len() {
        STREAMINFO_LEN => header,
        _ => header.get(4..4 + STREAMINFO_LEN)?,
    };
    let mut bits = Bits::new(info.get(10..)?);
    let details = AudioDetails {
        rate: bits.take(20).ok()?,
        channels: bits.take(3).ok()? as u8 + 1,
        bits: bits.take(5).ok()? as u8 + 1,
        frame_len: None,
    };
    audio(info.to_vec(), details)
}

/// The length of a frame.
pub(super) fn frame(frame: &[u8]) -> Option<SoundFrame> {
    let len = read_len(&mut Bits::new(frame)).ok()?;
    Some(SoundFrame { len, stream: None })
}

fn read_len(bits: &mut Bits) -> Result<u32, Short> {
    if bits.take(15)? != 0x7ffc {
        return Err(Short);
    }
    bits.skip(1)?; // blocking strategy
    let code = bits.take(4)?;
    bits.skip(4 + 4 + 3 + 1)?; // rate, channels, bits of a sample, reserved
    match code {
        1 => Ok(192),
        2..=5 => Ok(576 << (code - 2)),
        8..=15 => Ok(256 << (code - 8)),
        6 | 7 => {
            skip_coded_number(bits)?;
            Ok(bits.take(if code == 6 { 8 } else { 16 })? + 1)
        }
        _ => Err(Short),
    }
}

/// A number in the manner of UTF-8, of one to seven bytes.
fn skip_coded_number(bits: &mut Bits) -> Result<(), Short> {
    let first = bits.take(8)? as u8;
    let more = first.leading_ones().saturating_sub(1);
    bits.skip(8 * more as usize)
}
