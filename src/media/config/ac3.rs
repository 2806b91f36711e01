//! AC-3 and E-AC-3: the header of a frame (ETSI TS 102 366 §4.4, §E.1.3) and dac3, dec3 (annex F).

use super::details::{AudioDetails, Read, SoundFrame, audio};
use crate::bytes::Short;
use crate::media::bits::{BitWriter, Bits};

/// What every frame begins with.
const SYNC_WORD: u32 = 0x0b77;

/// Samples of a block.
const BLOCK_LEN: u32 = 256;

/// Samples a second by fscod.
const RATES: [u32; 3] = [48_000, 44_100, 32_000];

/// Full-range channels by acmod.
const CHANNELS: [u8; 8] = [2, 1, 2, 3, 3, 4, 4, 5];

/// What both kinds of frames say of themselves.
#[derive(Clone, Copy)]
struct Ac3Header {
    fscod: u32,
    bsid: u32,
    bsmod: u32,
    acmod: u32,
    lfeon: u32,
    rate: u32,
    blocks: u32,
    /// Of E-AC-3: whether the frame adds channels to the one before it.
    is_dependent: bool,
    /// Of E-AC-3, in bytes.
    len: usize,
    /// Of AC-3: bit rate and frame size.
    frmsizecod: u32,
}

impl Ac3Header {
    fn channels(&self) -> u8 {
        CHANNELS[self.acmod as usize % 8] + self.lfeon as u8
    }

    fn details(&self) -> AudioDetails {
        AudioDetails {
            channels: self.channels(),
            rate: self.rate,
            bits: 16,
            frame_len: None,
        }
    }
}

/// Reads the first frame of AC-3.
pub(crate) fn read_ac3(frame: &[u8]) -> Read {
    let header = ac3(frame).ok()?;
    let record = BitWriter::default()
        .put(2, header.fscod)
        .put(5, header.bsid)
        .put(3, header.bsmod)
        .put(3, header.acmod)
        .put(1, header.lfeon)
        .put(5, header.frmsizecod >> 1)
        .put(5, 0);
    audio(record.bytes(), header.details())
}

/// Reads the first frame of E-AC-3. Of several programmes the first is described.
pub(crate) fn read_eac3(frame: &[u8]) -> Read {
    let header = eac3(frame).ok()?;
    let samples = header.blocks * BLOCK_LEN;
    let bit_rate = header.len as u64 * 8 * u64::from(header.rate) / u64::from(samples) / 1000;
    let record = BitWriter::default()
        .put(13, u32::try_from(bit_rate).unwrap_or(0x1fff).min(0x1fff))
        .put(3, 0) // one independent substream
        .put(2, header.fscod)
        .put(5, header.bsid)
        .put(2, 0) // reserved, asvc
        .put(3, header.bsmod)
        .put(3, header.acmod)
        .put(1, header.lfeon)
        .put(3 + 4 + 1, 0); // reserved, no dependent substreams, reserved
    audio(record.bytes(), header.details())
}

/// A frame of AC-3.
pub(crate) fn ac3_frame(frame: &[u8]) -> Option<SoundFrame> {
    sound(ac3(frame).ok()?, 6)
}

/// All the frames of E-AC-3 in one message: what hearers get at the same time counts once.
pub(crate) fn eac3_frame(frame: &[u8]) -> Option<SoundFrame> {
    let first = eac3(frame).ok()?;
    let mut blocks = first.blocks;
    let mut rest = frame.get(first.len..).unwrap_or_default();
    while let Ok(next) = eac3(rest) {
        let more = if next.is_dependent { 0 } else { next.blocks };
        blocks = blocks.saturating_add(more);
        rest = rest.get(next.len..).unwrap_or_default();
    }
    sound(first, blocks)
}

fn sound(header: Ac3Header, blocks: u32) -> Option<SoundFrame> {
    Some(SoundFrame {
        len: blocks.saturating_mul(BLOCK_LEN),
        stream: Some((header.rate, header.channels())),
    })
}

fn ac3(frame: &[u8]) -> Result<Ac3Header, Short> {
    let mut bits = Bits::new(frame);
    if bits.take(16)? != SYNC_WORD {
        return Err(Short);
    }
    bits.skip(16)?; // crc1
    let fscod = bits.take(2)?;
    let frmsizecod = bits.take(6)?;
    let bsid = bits.take(5)?;
    let bsmod = bits.take(3)?;
    let acmod = bits.take(3)?;
    if bsid > 10 || frmsizecod > 37 {
        return Err(Short);
    }
    if acmod & 1 != 0 && acmod != 1 {
        bits.skip(2)?; // cmixlev
    }
    if acmod & 4 != 0 {
        bits.skip(2)?; // surmixlev
    }
    if acmod == 2 {
        bits.skip(2)?; // dsurmod
    }
    Ok(Ac3Header {
        fscod,
        bsid,
        bsmod,
        acmod,
        lfeon: bits.take(1)?,
        // Half and quarter rates (bsid 9 and 10) are what some encoders make of AC-3.
        rate: RATES.get(fscod as usize).ok_or(Short)? >> bsid.saturating_sub(8),
        blocks: 6,
        is_dependent: false,
        len: 0,
        frmsizecod,
    })
}

fn eac3(frame: &[u8]) -> Result<Ac3Header, Short> {
    let mut bits = Bits::new(frame);
    if bits.take(16)? != SYNC_WORD {
        return Err(Short);
    }
    let strmtyp = bits.take(2)?;
    let substream = bits.take(3)?;
    let len = 2 * (bits.take(11)? as usize + 1);
    let fscod = bits.take(2)?;
    let code = bits.take(2)?;
    let (rate, blocks) = match fscod {
        3 => (RATES.get(code as usize).ok_or(Short)? / 2, 6),
        _ => (RATES[fscod as usize], [1, 2, 3, 6][code as usize]),
    };
    let acmod = bits.take(3)?;
    let lfeon = bits.take(1)?;
    let bsid = bits.take(5)?;
    if !(11..=16).contains(&bsid) {
        return Err(Short);
    }
    Ok(Ac3Header {
        fscod,
        bsid,
        bsmod: 0, // far behind, and optional
        acmod,
        lfeon,
        rate,
        blocks,
        is_dependent: strmtyp == 1 || substream != 0,
        len,
        frmsizecod: 0,
    })
}
