//! H.265: HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 §8.3.3) and the sequence parameter set
//! in it (H.265 §7.3.2.2).

use super::avc::cropped;
use super::details::{Read, video};
use crate::bytes::{Cursor, Short};
use crate::media::bits::{Bits, unescaped};

/// How many bytes of a sequence parameter set are read.
const SPS_LEN_MAX: usize = 1024;

/// The NAL unit type of a sequence parameter set.
const SPS: u8 = 33;

/// Reads hvcC, and the size of pictures in its first parameter set.
pub(super) fn read(header: &[u8]) -> Read {
    let (width, height) = size(header).ok()?;
    video(header, width, height)
}

fn size(header: &[u8]) -> Result<(u32, u32), Short> {
    let mut cursor = Cursor::new(header);
    if cursor.u8()? != 1 {
        return Err(Short);
    }
    cursor.take(21)?;
    for _ in 0..cursor.u8()? {
        let kind = cursor.u8()? & 0x3f;
        for _ in 0..cursor.u16()? {
            let len = cursor.u16()?;
            let nal = cursor.take(len.into())?;
            if kind == SPS {
                return sps_size(&unescaped(nal, SPS_LEN_MAX));
            }
        }
    }
    Err(Short)
}

fn sps_size(sps: &[u8]) -> Result<(u32, u32), Short> {
    let mut bits = Bits::new(sps);
    bits.skip(16 + 4)?; // NAL unit header, sps_video_parameter_set_id
    let sub_layers = bits.take(3)?;
    bits.skip(1)?; // sps_temporal_id_nesting_flag
    bits.skip(88 + 8)?; // general profile, general level
    let mut present = Vec::new();
    for _ in 0..sub_layers {
        present.push((bits.flag()?, bits.flag()?));
    }
    if sub_layers > 0 {
        bits.skip(2 * (8 - sub_layers as usize))?;
    }
    for (profile, level) in present {
        bits.skip(88 * usize::from(profile) + 8 * usize::from(level))?;
    }
    bits.unsigned()?; // sps_seq_parameter_set_id
    let chroma_format = bits.unsigned()?;
    let separate_planes = chroma_format == 3 && bits.flag()?;
    let (crop_x, crop_y) = match chroma_format {
        1 if !separate_planes => (2, 2),
        2 if !separate_planes => (2, 1),
        _ => (1, 1),
    };
    let width = bits.unsigned()?;
    let height = bits.unsigned()?;
    let mut crop = [0; 4];
    if bits.flag()? {
        for side in &mut crop {
            *side = bits.unsigned()?;
        }
    }
    let [left, right, top, bottom] = crop;
    Ok((
        cropped(width, 1, crop_x, left, right)?,
        cropped(height, 1, crop_y, top, bottom)?,
    ))
}

/// `hvc1.` with profile, compatibility, tier and level, constraints (ISO/IEC 14496-15 annex E.3).
pub(super) fn codec_string(record: &[u8]) -> String {
    let Some(fields) = record.first_chunk::<13>() else {
        return "hvc1".to_owned();
    };
    let [_, profile, a, b, c, d, constraints @ .., level] = fields;
    let space = ["", "A", "B", "C"][usize::from(profile >> 6)];
    let tier = if profile & 0x20 == 0 { 'L' } else { 'H' };
    let compatibility = u32::from_be_bytes([*a, *b, *c, *d]).reverse_bits();
    let profile = profile & 0x1f;
    let used = constraints.iter().rposition(|byte| *byte != 0);
    let constraints = &constraints[..used.map_or(0, |last| last + 1)];
    let constraints: String = constraints
        .iter()
        .map(|byte| format!(".{byte:X}"))
        .collect();
    format!("hvc1.{space}{profile}.{compatibility:X}.{tier}{level}{constraints}")
}
