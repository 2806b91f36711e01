//! What a player gets that takes one track of each kind: of several tracks the first, by itself.

use super::{AUDIO, MANY_TRACKS_MANY_CODECS, Numbers, TrackBody, VIDEO, parts, read_mod_ex};
use crate::bytes::Cursor;
use crate::rtmp::MessageType;

/// The first track's part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FirstTrack {
    /// The message as it is: it is of one track, and does not say so.
    Whole,
    /// This payload, in which nothing says that there are other tracks.
    Alone(Vec<u8>),
    /// Nothing: the message is about other tracks, or cannot be read.
    Nothing,
}

impl FirstTrack {
    /// Looks at a payload of any type.
    pub(crate) fn new(kind: MessageType, payload: &[u8]) -> FirstTrack {
        match (kind, payload.first()) {
            (MessageType::AUDIO, Some(first)) if first >> 4 == 9 => of_enhanced(payload, &AUDIO),
            (MessageType::VIDEO, Some(first)) if first & 0x80 != 0 => of_enhanced(payload, &VIDEO),
            _ => FirstTrack::Whole,
        }
    }
}

fn of_enhanced(payload: &[u8], numbers: &Numbers) -> FirstTrack {
    let mut cursor = Cursor::new(payload);
    let first = cursor.u8().unwrap_or_default();
    let frame_type = first >> 4 & 0x07;
    let Ok((p, _)) = read_mod_ex(&mut cursor, first & 0x0f) else {
        return FirstTrack::Whole;
    };
    if p != numbers.multitrack || (numbers.command)(p, frame_type) {
        return FirstTrack::Whole;
    }
    // Up to and with the byte that says what the packet is.
    let front = &payload[..payload.len() - cursor.rest().len()];
    let Ok(byte) = cursor.u8() else {
        return FirstTrack::Nothing;
    };
    let (shape, inner) = (byte >> 4, byte & 0x0f);
    if shape > MANY_TRACKS_MANY_CODECS || inner == numbers.multitrack {
        return FirstTrack::Nothing;
    }
    let parts = parts(&mut cursor, shape).unwrap_or_default();
    match parts.iter().find(|part| part.track == 0) {
        Some(part) => FirstTrack::Alone(alone(front, inner, part)),
        None => FirstTrack::Nothing,
    }
}

/// The part as a packet of type `p` by itself.
fn alone(front: &[u8], p: u8, part: &TrackBody) -> Vec<u8> {
    let mut payload = front.to_vec();
    if let Some(last) = payload.last_mut() {
        *last = *last & 0xf0 | p;
    }
    payload.extend_from_slice(&part.codec);
    payload.extend_from_slice(part.data);
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_tracks_the_first_is_left() {
        let (audio, video) = (MessageType::AUDIO, MessageType::VIDEO);
        let alone = |payload: &[u8]| FirstTrack::Alone(payload.to_vec());
        #[rustfmt::skip]
        let rows: [(MessageType, &[u8], FirstTrack); 16] = [
            (video, &[0x17, 1, 0, 0, 0, 9], FirstTrack::Whole),
            (audio, &[0xaf, 1, 9], FirstTrack::Whole),
            (audio, &[], FirstTrack::Whole),
            (MessageType::DATA, b"\x96\x00avc1\x01x", FirstTrack::Whole),
            (video, b"\x91hvc1x", FirstTrack::Whole),
            (video, b"\xd6\x01", FirstTrack::Whole),
            (video, b"\x96\x00avc1\x01x", FirstTrack::Nothing),
            (video, b"\xa6\x01avc1\x00xy", alone(b"\xa1avc1xy")),
            (audio, b"\x95\x01mp4a\x00xy", alone(b"\x91mp4axy")),
            (video, b"\x96\x10avc1\x01\0\0\x01x\x00\0\0\x02yz", alone(b"\x90avc1yz")),
            (video, b"\xa6\x23avc1\x00\0\0\x01xhvc1\x01\0\0\x01y", alone(b"\xa3avc1x")),
            (audio, b"\x95\x21mp4a\x01\0\0\x01xOpus\x00\0\0\x01y", alone(b"\x91Opusy")),
            (video, b"\x97\x02\x01\xe2\x40\x06\x01hvc1\x00xy", alone(b"\x97\x02\x01\xe2\x40\x01hvc1xy")),
            (video, b"\x96", FirstTrack::Nothing),
            (video, b"\x96\x06avc1\x00x", FirstTrack::Nothing),
            (video, b"\x96\x10avc1\x00\0\0\x09x", FirstTrack::Nothing),
        ];
        for (kind, payload, want) in rows {
            assert_eq!(FirstTrack::new(kind, payload), want, "{payload:02x?}");
        }
    }
}
