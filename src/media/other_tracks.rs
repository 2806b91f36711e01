//! What is left of a message of several tracks without some of them.

use super::{AUDIO, MANY_TRACKS_MANY_CODECS, TrackBody, Tracks, VIDEO, parts, read_mod_ex};
use crate::bytes::Cursor;
use crate::rtmp::MessageType;

/// The payload of a message of several tracks without the parts that are of the tracks in `gone`; `None` if
/// nothing is left, or it is no such message.
pub(crate) fn other_tracks(kind: MessageType, payload: &[u8], gone: Tracks) -> Option<Vec<u8>> {
    let multitrack = match kind {
        MessageType::AUDIO => AUDIO.multitrack,
        MessageType::VIDEO => VIDEO.multitrack,
        _ => return None,
    };
    let mut cursor = Cursor::new(payload);
    let first = cursor.u8().ok()?;
    let (p, _) = read_mod_ex(&mut cursor, first & 0x0f).ok()?;
    let shape = cursor.u8().ok()? >> 4;
    if p != multitrack || shape > MANY_TRACKS_MANY_CODECS {
        return None;
    }
    let front = payload.len() - cursor.rest().len();
    let parts = parts(&mut cursor, shape).ok()?;
    let stays = |part: &&TrackBody| !gone.contains(Tracks::one(part.track));
    let one_codec = shape != MANY_TRACKS_MANY_CODECS;
    let mut left = payload.get(..front)?.to_vec();
    left.extend(parts.iter().find(stays)?.codec.iter().filter(|_| one_codec));
    for part in parts.iter().filter(stays) {
        left.extend(part.codec.iter().filter(|_| !one_codec));
        let [_, size @ ..] = u32::try_from(part.data.len()).ok()?.to_be_bytes();
        left.push(part.track);
        left.extend(size);
        left.extend(part.data);
    }
    Some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message, the track that goes, and what is left.
    type Row = (MessageType, &'static [u8], u8, Option<&'static [u8]>);

    #[test]
    fn of_several_tracks_the_others_are_left() {
        let (audio, video) = (MessageType::AUDIO, MessageType::VIDEO);
        #[rustfmt::skip]
        let rows: [Row; 10] = [
            (audio, b"\x95\x11mp4a\x00\0\0\x01x\x01\0\0\x02yz", 0, Some(b"\x95\x11mp4a\x01\0\0\x02yz")),
            (audio, b"\x95\x11mp4a\x00\0\0\x01x\x01\0\0\x02yz", 1, Some(b"\x95\x11mp4a\x00\0\0\x01x")),
            (audio, b"\x95\x21mp4a\x01\0\0\x01xOpus\x00\0\0\x01y", 1, Some(b"\x95\x21Opus\x00\0\0\x01y")),
            (video, b"\xa6\x23avc1\x00\0\0\x01xhvc1\x01\0\0\x01yav01\x02\0\0\x01z", 1,
                Some(b"\xa6\x23avc1\x00\0\0\x01xav01\x02\0\0\x01z")),
            (video, b"\x97\x02\x01\xe2\x40\x06\x11hvc1\x00\0\0\x01x\x01\0\0\x01y", 0,
                Some(b"\x97\x02\x01\xe2\x40\x06\x11hvc1\x01\0\0\x01y")),
            (audio, b"\x95\x11mp4a\x00\0\0\x01x", 0, None),
            (audio, b"\xaf\x01x", 0, None),
            (audio, b"\x95\x31mp4a\x00\0\0\x01x", 1, None),
            (video, b"\x96", 0, None),
            (MessageType::DATA, b"\x96\x11avc1\x00\0\0\x01x", 1, None),
        ];
        for (kind, payload, gone, want) in rows {
            let left = other_tracks(kind, payload, Tracks::one(gone));
            assert_eq!(left.as_deref(), want, "{payload:02x?} without {gone}");
        }
    }
}
