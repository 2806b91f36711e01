//! VP9 and VP8: VPCodecConfigurationRecord (VP Codec ISO Media File SampleFormat Binding) and the headers
//! of key frames (VP9 §6.2, RFC 6386 §9.1).

use super::details::{Read, video};
use crate::bytes::{Cursor, Short};
use crate::media::bits::Bits;

/// Length of a record without data for initialization, which neither codec has.
const RECORD_LEN: usize = 8;

/// Version and flags of the box, which ffmpeg sends in front of the record.
const VERSION_AND_FLAGS: [u8; 4] = [1, 0, 0, 0];

/// Reads vpcC; the size is that of the first key frame.
pub(super) fn read(header: &[u8], (width, height): (u32, u32)) -> Read {
    let behind = header.strip_prefix(&VERSION_AND_FLAGS);
    let record = behind.filter(|record| record.len() >= RECORD_LEN);
    video(record.unwrap_or(header).get(..RECORD_LEN)?, width, height)
}

/// `vp09.PP.LL.DD`: profile, level, bit depth.
pub(super) fn codec_string(name: &str, record: &[u8]) -> String {
    let Some([profile, level, third]) = record.first_chunk() else {
        return name.to_owned();
    };
    format!("{name}.{profile:02}.{level:02}.{:02}", third >> 4)
}

/// Width and height of a VP9 key frame.
pub(crate) fn vp9_size(frame: &[u8]) -> Option<(u32, u32)> {
    read_vp9_size(&mut Bits::new(frame)).ok()
}

fn read_vp9_size(bits: &mut Bits) -> Result<(u32, u32), Short> {
    const SRGB: u32 = 7;
    if bits.take(2)? != 2 {
        return Err(Short);
    }
    let profile = bits.take(1)? | bits.take(1)? << 1;
    if profile == 3 {
        bits.skip(1)?;
    }
    let (existing, inter) = (bits.flag()?, bits.flag()?);
    bits.skip(2)?; // show_frame, error_resilient_mode
    if existing || inter || bits.take(24)? != 0x49_83_42 {
        return Err(Short);
    }
    if profile >= 2 {
        bits.skip(1)?; // ten_or_twelve_bit
    }
    let is_srgb = bits.take(3)? == SRGB;
    match (is_srgb, profile & 1 == 1) {
        (false, true) => bits.skip(1 + 3)?,
        (false, false) | (true, true) => bits.skip(1)?,
        (true, false) => {}
    }
    Ok((bits.take(16)? + 1, bits.take(16)? + 1))
}

/// Width and height of a VP8 key frame.
pub(crate) fn vp8_size(frame: &[u8]) -> Option<(u32, u32)> {
    let mut cursor = Cursor::new(frame);
    let [tag, _, _] = cursor.array().ok()?;
    let start: [u8; 3] = cursor.array().ok()?;
    if tag & 1 != 0 || start != [0x9d, 0x01, 0x2a] {
        return None;
    }
    let mut size = || {
        cursor
            .array()
            .map(|bytes| u16::from_le_bytes(bytes) & 0x3fff)
    };
    Some((size().ok()?.into(), size().ok()?.into()))
}
