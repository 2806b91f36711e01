//! What players of FLV get of a payload: one track, in the legacy form where there is one, and
//! nothing around it that only few players know.

use super::{AUDIO, Numbers, VIDEO, read_mod_ex};
use crate::bytes::Cursor;
use crate::rtmp::MessageType;

/// The body of a tag: some bytes, and behind them the end of the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TagBody {
    front: [u8; FRONT_LEN_MAX],
    front_len: usize,
    /// Where the rest begins in the payload.
    pub(crate) from: usize,
}

/// The packet type of colours and of channel layouts. Decoders find both in what they decode, and
/// mpegts.js ends with an error at such a packet.
const DETAILS: u8 = 4;

/// The longest front: that of AVC, with a composition time.
const FRONT_LEN_MAX: usize = 5;

impl TagBody {
    fn new(front: &[u8], from: usize) -> TagBody {
        let mut bytes = [0; FRONT_LEN_MAX];
        bytes[..front.len()].copy_from_slice(front);
        TagBody {
            front: bytes,
            front_len: front.len(),
            from,
        }
    }

    /// The type of the tag for a message and its body; `None`: it has no place in FLV, or players
    /// would take it for something else.
    pub(crate) fn of(kind: MessageType, payload: &[u8]) -> Option<(MessageType, TagBody)> {
        let first = payload.first().copied().unwrap_or_default();
        let whole = TagBody::new(&[], 0);
        Some(match kind {
            MessageType::AUDIO if first >> 4 == 9 => (kind, of_enhanced_audio(payload)?),
            MessageType::VIDEO if first & 0x80 != 0 => (kind, of_enhanced_video(payload)?),
            MessageType::AUDIO | MessageType::VIDEO | MessageType::DATA => (kind, whole),
            // AMF0 behind a format byte.
            MessageType::DATA_AMF3 if first == 0 => (MessageType::DATA, TagBody::new(&[], 1)),
            _ => return None,
        })
    }

    /// What stands before the rest of the payload.
    pub(crate) fn front(&self) -> &[u8] {
        &self.front[..self.front_len]
    }

    /// How long the body is, made of a payload of `payload_len` bytes.
    pub(crate) fn len(&self, payload_len: usize) -> usize {
        self.front_len + payload_len.saturating_sub(self.from)
    }
}

/// An enhanced packet of one track, without ModEx.
struct Packet {
    /// The first byte but for the packet type.
    high: u8,
    packet_type: u8,
    four_cc: [u8; 4],
    /// Where the FourCC is in the payload.
    four_cc_at: usize,
}

impl Packet {
    fn read(payload: &[u8], numbers: &Numbers) -> Option<Packet> {
        let mut cursor = Cursor::new(payload);
        let first = cursor.u8().ok()?;
        let (packet_type, _) = read_mod_ex(&mut cursor, first & 0x0f).ok()?;
        let is_command = (numbers.command)(packet_type, first >> 4 & 0x07);
        if packet_type == numbers.multitrack || packet_type == DETAILS || is_command {
            return None;
        }
        let four_cc_at = payload.len() - cursor.rest().len();
        Some(Packet {
            high: first & 0xf0,
            packet_type,
            four_cc: cursor.array().ok()?,
            four_cc_at,
        })
    }

    /// The packet as it is, without ModEx.
    fn enhanced(&self) -> TagBody {
        TagBody::new(&[self.high | self.packet_type], self.four_cc_at)
    }

    /// A front in place of everything up to what follows the FourCC.
    fn behind(&self, front: &[u8]) -> TagBody {
        TagBody::new(front, self.four_cc_at + 4)
    }
}

fn of_enhanced_video(payload: &[u8]) -> Option<TagBody> {
    let packet = Packet::read(payload, &VIDEO)?;
    if packet.four_cc != *b"avc1" {
        return Some(packet.enhanced());
    }
    let avc = packet.high & 0x70 | 7;
    Some(match packet.packet_type {
        0 => packet.behind(&[avc, 0, 0, 0, 0]),
        // The composition time is part of what follows the FourCC.
        1 => packet.behind(&[avc, 1]),
        2 => packet.behind(&[avc, 2, 0, 0, 0]),
        3 => packet.behind(&[avc, 1, 0, 0, 0]),
        _ => return None,
    })
}

fn of_enhanced_audio(payload: &[u8]) -> Option<TagBody> {
    let packet = Packet::read(payload, &AUDIO)?;
    Some(match (&packet.four_cc, packet.packet_type) {
        (b"mp4a", 0) => packet.behind(&[0xaf, 0]),
        (b"mp4a", 1) => packet.behind(&[0xaf, 1]),
        (b".mp3", 1) => packet.behind(&[0x2f]),
        // The end of a track has no legacy form.
        (b"mp4a" | b".mp3", _) => return None,
        _ => packet.enhanced(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A payload, and the tag that it becomes.
    type Row = (
        MessageType,
        &'static [u8],
        Option<(MessageType, &'static [u8])>,
    );

    #[test]
    fn a_payload_is_as_players_of_flv_know_it() {
        let (audio, video) = (MessageType::AUDIO, MessageType::VIDEO);
        let (data, data3) = (MessageType::DATA, MessageType::DATA_AMF3);
        #[rustfmt::skip]
        let rows: [Row; 38] = [
            // Legacy forms stay.
            (video, b"\x17\x01\0\0\x28x", Some((video, b"\x17\x01\0\0\x28x"))),
            (video, b"\x1c\x01\0\0\x28x", Some((video, b"\x1c\x01\0\0\x28x"))),
            (video, b"\x12x", Some((video, b"\x12x"))),
            (video, b"\x57\x00", Some((video, b"\x57\x00"))),
            (audio, b"\xaf\x01x", Some((audio, b"\xaf\x01x"))),
            (audio, b"\x2fx", Some((audio, b"\x2fx"))),
            (audio, b"", Some((audio, b""))),
            (data, b"\x02x", Some((data, b"\x02x"))),
            (data3, b"\0\x02x", Some((data, b"\x02x"))),
            (data3, b"\x11x", None),
            (MessageType::COMMAND, b"x", None),
            // AVC.
            (video, b"\x90avc1xy", Some((video, b"\x17\0\0\0\0xy"))),
            (video, b"\x91avc1\0\0\x28xy", Some((video, b"\x17\x01\0\0\x28xy"))),
            (video, b"\xa1avc1\xff\xff\xd8xy", Some((video, b"\x27\x01\xff\xff\xd8xy"))),
            (video, b"\xb3avc1xy", Some((video, b"\x37\x01\0\0\0xy"))),
            (video, b"\x92avc1", Some((video, b"\x17\x02\0\0\0"))),
            (video, b"\x94avc1x", None),
            (video, b"\x95avc1x", None),
            // AAC and MP3.
            (audio, b"\x90mp4axy", Some((audio, b"\xaf\0xy"))),
            (audio, b"\x91mp4axy", Some((audio, b"\xaf\x01xy"))),
            (audio, b"\x92mp4a", None),
            (audio, b"\x94mp4a\x01\x02", None),
            (audio, b"\x91.mp3xy", Some((audio, b"\x2fxy"))),
            (audio, b"\x90.mp3", None),
            // What has no legacy form stays enhanced.
            (video, b"\x90hvc1x", Some((video, b"\x90hvc1x"))),
            (video, b"\xa1hvc1\0\0\x28x", Some((video, b"\xa1hvc1\0\0\x28x"))),
            (video, b"\x94hvc1x", None),
            (audio, b"\x91Opusx", Some((audio, b"\x91Opusx"))),
            (audio, b"\x94ac-3x", None),
            // ModEx goes.
            (video, b"\xa7\x02\x01\xe2\x40\x01hvc1\0\0\0x", Some((video, b"\xa1hvc1\0\0\0x"))),
            (video, b"\x97\x02\x01\xe2\x40\x07\x00x\x03avc1y", Some((video, b"\x17\x01\0\0\0y"))),
            (audio, b"\x97\x02\x01\xe2\x40\x01mp4ax", Some((audio, b"\xaf\x01x"))),
            // Several tracks, commands, and what cannot be read.
            (video, b"\x96\x01avc1\x00x", None),
            (audio, b"\x95\x01mp4a\x00x", None),
            (video, b"\xd1\x00", None),
            (video, b"\x97\x02\x01", None),
            (video, b"\x91avc", None),
            (audio, b"\x91", None),
        ];
        for (kind, payload, want) in rows {
            let got = TagBody::of(kind, payload).map(|(kind, body)| {
                let bytes = [body.front(), &payload[body.from..]].concat();
                assert_eq!(bytes.len(), body.len(payload.len()), "{payload:02x?}");
                (kind, bytes)
            });
            let got = got.as_ref().map(|(kind, bytes)| (*kind, &bytes[..]));
            assert_eq!(got, want, "{payload:02x?}");
        }
    }
}
