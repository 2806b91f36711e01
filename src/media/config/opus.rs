//! Opus: the identification header (RFC 7845 §5.1), dOps (Encapsulation of Opus in ISO Base Media
//! File SampleFormat §4.3.2) and the first byte of a packet (RFC 6716 §3.1).

use super::details::{AudioDetails, Read, SoundFrame, audio};
use crate::bytes::{Cursor, Short, put_u16, put_u32};

/// Opus counts in these, whatever was encoded.
const RATE: u32 = 48_000;

/// The header that an empty one stands for: two channels and the delay of libopus.
const DEFAULT_CHANNELS: u8 = 2;
const DEFAULT_PRE_SKIP: u16 = 312;

/// Reads OpusHead, which may be empty.
pub(super) fn read(header: &[u8]) -> Read {
    let (record, channels) = match header.is_empty() {
        true => (
            dops(DEFAULT_CHANNELS, DEFAULT_PRE_SKIP, RATE, 0, 0),
            DEFAULT_CHANNELS,
        ),
        false => convert(header).ok()?,
    };
    let details = AudioDetails {
        channels,
        rate: RATE,
        bits: 16,
        frame_len: None,
    };
    audio(record, details)
}

/// dOps, whose fields have the other byte order.
fn convert(header: &[u8]) -> Result<(Vec<u8>, u8), Short> {
    let mut cursor = Cursor::new(header);
    if cursor.take(8)? != b"OpusHead" || cursor.u8()? >> 4 != 0 {
        return Err(Short);
    }
    let channels = cursor.u8()?;
    let pre_skip = cursor.u16()?.swap_bytes();
    let input_rate = cursor.u32_le()?;
    let gain = cursor.u16()?.swap_bytes();
    let family = cursor.u8()?;
    let mut record = dops(channels, pre_skip, input_rate, gain, family);
    if family != 0 {
        record.extend_from_slice(cursor.take(2 + usize::from(channels))?);
    }
    Ok((record, channels))
}

fn dops(channels: u8, pre_skip: u16, input_rate: u32, gain: u16, family: u8) -> Vec<u8> {
    let mut record = vec![0, channels];
    put_u16(&mut record, pre_skip);
    put_u32(&mut record, input_rate);
    put_u16(&mut record, gain);
    record.push(family);
    record
}

/// Samples of the longest packet: 120 ms (RFC 6716 §3.2.5).
const PACKET_LEN_MAX: u32 = 5760;

/// The length of a packet.
pub(super) fn frame(packet: &[u8]) -> Option<SoundFrame> {
    let mut cursor = Cursor::new(packet);
    let first = cursor.u8().ok()?;
    let config = first >> 3;
    let len = match config {
        0..12 => [480, 960, 1920, 2880][usize::from(config % 4)],
        12..16 => [480, 960][usize::from(config % 2)],
        _ => [120, 240, 480, 960][usize::from(config % 4)],
    };
    let count = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(cursor.u8().ok()? & 0x3f),
    };
    let len = len * count;
    (len <= PACKET_LEN_MAX).then_some(SoundFrame { len, stream: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_has_120_ms_at_most() {
        let rows: [(&[u8], Option<u32>); 7] = [
            (&[0xfc], Some(960)),
            (&[0xfd], Some(1920)),
            (&[0xff, 6], Some(5760)),
            (&[0xff, 7], None),
            (&[0x1b, 2], Some(5760)),
            (&[0x1b, 34], None),
            (&[0xff], None),
        ];
        for (packet, len) in rows {
            let found = frame(packet).map(|frame| frame.len);
            assert_eq!(found, len, "{packet:02x?}");
        }
    }
}
