//! AV1: AV1CodecConfigurationRecord (AV1 in ISO Base Media File SampleFormat §2.3.3) and the sequence
//! header (AV1 §5.5).

use super::details::{Read, video};
use crate::bytes::{Cursor, Short};
use crate::media::bits::Bits;

/// OBU types (AV1 §6.2.2).
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;

/// Reads av1C. Where it has no sequence header, that of the first frame is taken.
pub(crate) fn read(header: &[u8], frame: Option<&[u8]>) -> Read {
    let (fields, obus) = header.split_at_checked(4)?;
    if fields[0] != 0x81 {
        return None;
    }
    let size = find_size(obus).or_else(|| find_size(frame?));
    let (width, height) = size?;
    video(header, width, height)
}

/// How many bytes of a frame are temporal delimiters, which have no place in MP4.
pub(crate) fn delimiters_len(frame: &[u8]) -> usize {
    let mut cursor = Cursor::new(frame);
    let mut len = 0;
    while let Ok((TEMPORAL_DELIMITER, _)) = obu(&mut cursor) {
        len = frame.len() - cursor.rest().len();
    }
    len
}

/// `av01.P.LLT.DD`: profile, level and tier, bit depth.
pub(crate) fn codec_string(record: &[u8]) -> String {
    let Some([_, second, third, _]) = record.first_chunk() else {
        return "av01".to_owned();
    };
    let tier = if third & 0x80 == 0 { 'M' } else { 'H' };
    let depth = match third >> 5 & 3 {
        0 | 1 => 8,
        2 => 10,
        _ => 12,
    };
    let (profile, level) = (second >> 5, second & 0x1f);
    format!("av01.{profile}.{level:02}{tier}.{depth:02}")
}

fn find_size(obus: &[u8]) -> Option<(u32, u32)> {
    let mut cursor = Cursor::new(obus);
    while let Ok((kind, body)) = obu(&mut cursor) {
        if kind == SEQUENCE_HEADER {
            return sequence_size(body).ok();
        }
    }
    None
}

/// The next open bitstream unit: its type and its payload (AV1 §5.3).
fn obu<'a>(cursor: &mut Cursor<'a>) -> Result<(u8, &'a [u8]), Short> {
    let first = cursor.u8()?;
    if first & 0x04 != 0 {
        cursor.u8()?;
    }
    let kind = first >> 3 & 0x0f;
    if first & 0x02 == 0 {
        return Ok((kind, cursor.take(cursor.rest().len())?));
    }
    let mut size = 0_u64;
    for index in 0..8 {
        let byte = cursor.u8()?;
        size |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let size = usize::try_from(size).map_err(|_| Short)?;
            return Ok((kind, cursor.take(size)?));
        }
    }
    Err(Short)
}

fn sequence_size(header: &[u8]) -> Result<(u32, u32), Short> {
    let mut bits = Bits::new(header);
    bits.skip(3 + 1)?; // seq_profile, still_picture
    if bits.flag()? {
        bits.skip(5)?; // reduced_still_picture_header: a level alone
    } else {
        skip_operating_points(&mut bits)?;
    }
    let width_bits = bits.take(4)? + 1;
    let height_bits = bits.take(4)? + 1;
    Ok((bits.take(width_bits)? + 1, bits.take(height_bits)? + 1))
}

fn skip_operating_points(bits: &mut Bits) -> Result<(), Short> {
    let mut delay_bits = None;
    if bits.flag()? {
        bits.skip(64)?; // num_units_in_display_tick, time_scale
        if bits.flag()? {
            bits.unsigned()?; // num_ticks_per_picture_minus_1
        }
        if bits.flag()? {
            delay_bits = Some(bits.take(5)? as usize + 1);
            bits.skip(32 + 5 + 5)?; // the rest of decoder_model_info
        }
    }
    let display_delay = bits.flag()?;
    for _ in 0..=bits.take(5)? {
        bits.skip(12)?; // operating_point_idc
        if bits.take(5)? > 7 {
            bits.skip(1)?; // seq_tier
        }
        if let Some(delay_bits) = delay_bits
            && bits.flag()?
        {
            bits.skip(2 * delay_bits + 1)?;
        }
        if display_delay && bits.flag()? {
            bits.skip(4)?;
        }
    }
    Ok(())
}
