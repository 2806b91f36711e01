//! H.264: AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3) and the sequence parameter set in
//! it (H.264 §7.3.2.1).

use super::details::{Details, Read, hex, video};
use crate::bytes::{Cursor, Short};
use crate::media::bits::{Bits, unescaped};

/// How many bytes of a sequence parameter set are read. What follows the fields that are used may be
/// longer.
const SPS_LEN_MAX: usize = 1024;

/// Reads avcC, and what its first parameter set says of pictures.
pub(super) fn read(header: &[u8]) -> Read {
    let sps = sps(header).ok()?;
    let (record, mut details) = video(header, sps.width, sps.height)?;
    if let Details::Video { pixel_aspect, .. } = &mut details {
        *pixel_aspect = sps.pixel_aspect;
    }
    Some((record, details))
}

/// What a sequence parameter set says of pictures.
struct Sps {
    width: u32,
    height: u32,
    pixel_aspect: Option<[u16; 2]>,
}

/// `avc1.PPCCLL`: profile, constraints, level.
pub(super) fn codec_string(record: &[u8]) -> String {
    format!("avc1.{}", hex(record.get(1..4).unwrap_or_default()))
}

fn sps(header: &[u8]) -> Result<Sps, Short> {
    let mut cursor = Cursor::new(header);
    if cursor.u8()? != 1 {
        return Err(Short);
    }
    cursor.take(4)?;
    if cursor.u8()? & 0x1f == 0 {
        return Err(Short);
    }
    let len = cursor.u16()?;
    read_sps(&unescaped(cursor.take(len.into())?, SPS_LEN_MAX))
}

/// Profiles whose sets say more of chroma (H.264 §7.3.2.1.1).
const HIGH_PROFILES: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];

fn read_sps(sps: &[u8]) -> Result<Sps, Short> {
    let mut bits = Bits::new(sps);
    bits.skip(8)?;
    let profile = bits.take(8)?;
    bits.skip(16)?;
    bits.unsigned()?; // seq_parameter_set_id
    let mut chroma_format = 1;
    let mut separate_planes = false;
    if HIGH_PROFILES.contains(&profile) {
        chroma_format = bits.unsigned()?;
        separate_planes = chroma_format == 3 && bits.flag()?;
        bits.unsigned()?; // bit_depth_luma_minus8
        bits.unsigned()?; // bit_depth_chroma_minus8
        bits.skip(1)?; // qpprime_y_zero_transform_bypass_flag
        if bits.flag()? {
            skip_scaling_lists(&mut bits, if chroma_format == 3 { 12 } else { 8 })?;
        }
    }
    bits.unsigned()?; // log2_max_frame_num_minus4
    match bits.unsigned()? {
        0 => {
            bits.unsigned()?; // log2_max_pic_order_cnt_lsb_minus4
        }
        1 => {
            bits.skip(1)?; // delta_pic_order_always_zero_flag
            bits.signed()?; // offset_for_non_ref_pic
            bits.signed()?; // offset_for_top_to_bottom_field
            for _ in 0..bits.unsigned()? {
                bits.signed()?; // offset_for_ref_frame
            }
        }
        _ => {}
    }
    bits.unsigned()?; // max_num_ref_frames
    bits.skip(1)?; // gaps_in_frame_num_value_allowed_flag
    let width_mbs = bits.unsigned()?.checked_add(1).ok_or(Short)?;
    let height_units = bits.unsigned()?.checked_add(1).ok_or(Short)?;
    let fields = if bits.flag()? { 1 } else { 2 };
    if fields == 2 {
        bits.skip(1)?; // mb_adaptive_frame_field_flag
    }
    bits.skip(1)?; // direct_8x8_inference_flag
    // Chroma that has planes of its own is cropped like luma (H.264 §7.4.2.1.1).
    let (crop_x, crop_y) = match chroma_format {
        1 if !separate_planes => (2, 2),
        2 if !separate_planes => (2, 1),
        _ => (1, 1),
    };
    let mut crop = [0; 4];
    if bits.flag()? {
        for side in &mut crop {
            *side = bits.unsigned()?;
        }
    }
    let [left, right, top, bottom] = crop;
    let width = cropped(width_mbs, 16, crop_x, left, right)?;
    let height = cropped(height_units, 16 * fields, crop_y * fields, top, bottom)?;
    Ok(Sps {
        width,
        height,
        // It is optional, and the size holds without it.
        pixel_aspect: read_pixel_aspect(&mut bits).ok().flatten(),
    })
}

/// Sizes of a pixel by aspect_ratio_idc (H.264 table E-1). 0 is not specified.
const PIXEL_ASPECTS: [[u16; 2]; 17] = [
    [0, 0],
    [1, 1],
    [12, 11],
    [10, 11],
    [16, 11],
    [40, 33],
    [24, 11],
    [20, 11],
    [32, 11],
    [80, 33],
    [18, 11],
    [15, 11],
    [64, 33],
    [160, 99],
    [4, 3],
    [3, 2],
    [2, 1],
];

/// The beginning of vui_parameters (H.264 §E.1.1), if there are any.
fn read_pixel_aspect(bits: &mut Bits) -> Result<Option<[u16; 2]>, Short> {
    const EXTENDED_SAR: usize = 255;
    // vui_parameters_present_flag, aspect_ratio_info_present_flag
    if !bits.flag()? || !bits.flag()? {
        return Ok(None);
    }
    let aspect = match bits.take(8)? as usize {
        EXTENDED_SAR => [bits.take(16)? as u16, bits.take(16)? as u16],
        idc => PIXEL_ASPECTS.get(idc).copied().unwrap_or_default(),
    };
    Ok(Some(aspect).filter(|[width, height]| *width > 0 && *height > 0 && width != height))
}

fn skip_scaling_lists(bits: &mut Bits, lists: u32) -> Result<(), Short> {
    for list in 0..lists {
        if !bits.flag()? {
            continue;
        }
        let (mut last, mut next) = (8_i32, 8_i32);
        for _ in 0..if list < 6 { 16 } else { 64 } {
            if next != 0 {
                next = last.wrapping_add(bits.signed()?).rem_euclid(256);
            }
            last = if next == 0 { last } else { next };
        }
    }
    Ok(())
}

/// `count` units of `unit` pixels, less the crop on both sides in units of `crop_unit`.
pub(super) fn cropped(
    count: u32,
    unit: u32,
    crop_unit: u32,
    before: u32,
    behind: u32,
) -> Result<u32, Short> {
    let all = count.checked_mul(unit).ok_or(Short)?;
    let crop = before.checked_add(behind).ok_or(Short)?;
    let crop = crop.checked_mul(crop_unit).ok_or(Short)?;
    all.checked_sub(crop).ok_or(Short)
}
