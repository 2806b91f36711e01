//! MPEG-1 and MPEG-2 audio: the header of a frame (ISO/IEC 11172-3 §2.4.1.3, 13818-3 §2.4.2.3).

use super::details::{AudioDetails, Read, SoundFrame, audio};
use crate::bytes::Cursor;

/// Object type of MPEG-1 audio (ISO/IEC 14496-1 §7.2.6.6.2).
pub(crate) const MPEG1_AUDIO: u8 = 0x6b;

/// Object type of MPEG-2 audio.
pub(crate) const MPEG2_AUDIO: u8 = 0x69;

/// Reads the header of the first frame.
pub(super) fn read(frame: &[u8]) -> Read {
    let header = MpegAudioHeader::new(frame)?;
    let object = if header.is_mpeg1 {
        MPEG1_AUDIO
    } else {
        MPEG2_AUDIO
    };
    let details = AudioDetails {
        channels: header.channels,
        rate: header.rate,
        bits: 16,
        frame_len: None,
    };
    audio(vec![object], details)
}

/// All the frames in one message: some publishers send several at once.
pub(super) fn frame(bytes: &[u8]) -> Option<SoundFrame> {
    let first = MpegAudioHeader::new(bytes)?;
    let (mut len, mut rest) = (first.samples, bytes);
    let mut last = first.bytes;
    while last > 0 {
        rest = rest.get(last..).unwrap_or_default();
        let Some(next) = MpegAudioHeader::new(rest) else {
            break;
        };
        len = len.saturating_add(next.samples);
        last = next.bytes;
    }
    Some(SoundFrame {
        len,
        stream: Some((first.rate, first.channels)),
    })
}

struct MpegAudioHeader {
    is_mpeg1: bool,
    rate: u32,
    channels: u8,
    samples: u32,
    /// Length of the frame; 0 if it does not say.
    bytes: usize,
}

/// kbit/s by index: MPEG-1 layers I, II, III; MPEG-2 layer I; layers II and III.
const BIT_RATES: [[u32; 15]; 5] = [
    [
        0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448,
    ],
    [
        0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
    ],
    [
        0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
    ],
    [
        0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256,
    ],
    [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
];

impl MpegAudioHeader {
    fn new(frame: &[u8]) -> Option<MpegAudioHeader> {
        let word = Cursor::new(frame).u32().ok()?;
        let field = |shift: u32, len: u32| word >> shift & ((1 << len) - 1);
        let (version, layer) = (field(19, 2), 4 - field(17, 2));
        if field(21, 11) != 0x7ff || version == 1 || layer == 4 {
            return None;
        }
        let is_mpeg1 = version == 3;
        // MPEG-2 halves the rates, what is called MPEG-2.5 halves them again.
        let halves = match version {
            3 => 0,
            2 => 1,
            _ => 2,
        };
        let rate = [44_100, 48_000, 32_000].get(field(10, 2) as usize)? >> halves;
        let row = match (is_mpeg1, layer) {
            (true, layer) => layer as usize - 1,
            (false, 1) => 3,
            (false, _) => 4,
        };
        let bit_rate = BIT_RATES[row].get(field(12, 4) as usize)? * 1000;
        let samples = match (layer, is_mpeg1) {
            (1, _) => 384,
            (3, false) => 576,
            _ => 1152,
        };
        let slot = if layer == 1 { 4 } else { 1 };
        let slots = samples / 8 / slot * bit_rate / rate;
        let bytes = match bit_rate {
            0 => 0,
            _ => (slots + field(9, 1)) * slot,
        };
        Some(MpegAudioHeader {
            is_mpeg1,
            rate,
            channels: if field(6, 2) == 3 { 1 } else { 2 },
            samples,
            bytes: bytes as usize,
        })
    }
}
