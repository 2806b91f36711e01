//! Messages of a stream, made up.

use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};

const AVC: &str =
    "1700000000014d400dffe10019674d400deca0a0cfcf8088000003000800000301e078a14cb001000468ce0fc8";
/// Another level: another configuration.
const OTHER_AVC: &str =
    "1700000000014d4015ffe10019674d400deca0a0cfcf8088000003000800000301e078a14cb001000468ce0fc8";
const AAC: &str = "af00121056e500";
/// Another rate: another configuration.
const OTHER_AAC: &str = "af001190";
/// The end of the pictures.
const AVC_END: &str = "1702000000";

pub fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn message(kind: MessageType, ms: u32, payload: Vec<u8>) -> Message {
    Message {
        timestamp: Timestamp(ms),
        ..Message::untimed(kind, StreamId(1), payload)
    }
}

pub fn avc_header(ms: u32) -> Message {
    message(MessageType::VIDEO, ms, bytes(AVC))
}

pub fn other_avc_header(ms: u32) -> Message {
    message(MessageType::VIDEO, ms, bytes(OTHER_AVC))
}

pub fn aac_header(ms: u32) -> Message {
    message(MessageType::AUDIO, ms, bytes(AAC))
}

pub fn other_aac_header(ms: u32) -> Message {
    message(MessageType::AUDIO, ms, bytes(OTHER_AAC))
}

pub fn avc_end(ms: u32) -> Message {
    message(MessageType::VIDEO, ms, bytes(AVC_END))
}

/// A picture whose bytes are `id`.
pub fn picture(ms: u32, is_key: bool, id: u32) -> Message {
    let front = [if is_key { 0x17 } else { 0x27 }, 1, 0, 0, 0];
    message(
        MessageType::VIDEO,
        ms,
        [&front[..], &id.to_be_bytes()].concat(),
    )
}

/// A sound whose bytes are `id`.
pub fn sound(ms: u32, id: u32) -> Message {
    message(
        MessageType::AUDIO,
        ms,
        [&[0xaf, 1][..], &id.to_be_bytes()].concat(),
    )
}

/// The header of FLAC in mono, whose STREAMINFO says this rate.
pub fn flac_header(rate: u32) -> Message {
    let mut info = [0; 34];
    // 20 bits of the rate, 3 of channels less 1, 5 of bits less 1.
    info[10..14].copy_from_slice(&(rate << 12 | 15 << 4).to_be_bytes());
    message(MessageType::AUDIO, 0, [&b"\x90fLaC"[..], &info].concat())
}

/// A frame of FLAC that says to have `len` samples, with `id` behind its header.
pub fn flac(ms: u32, len: u32, id: u32) -> Message {
    let [.., high, low] = (len - 1).to_be_bytes();
    let frame = [0xff, 0xf8, 0x70, 0x08, 0, high, low];
    message(
        MessageType::AUDIO,
        ms,
        [&b"\x91fLaC"[..], &frame, &id.to_be_bytes()].concat(),
    )
}

/// The same as a message of a track.
pub fn of_track(message: &Message, track: u8) -> Message {
    let (first, rest) = (message.payload[0], &message.payload);
    let payload = match (message.kind, first) {
        (MessageType::VIDEO, _) => {
            let (inner, body) = if rest[1] == 0 {
                (0, &rest[5..])
            } else {
                (1, &rest[2..])
            };
            let front = [0x80 | first & 0xf0 | 6, inner];
            [&front[..], b"avc1", &[track], body].concat()
        }
        _ => [&[0x95, rest[1]][..], b"mp4a", &[track], &rest[2..]].concat(),
    };
    Message {
        payload: payload.into(),
        ..message.clone()
    }
}

/// When the sound number `index` at 44.1 kHz is due, in ms.
pub fn sound_ms(index: u32) -> u32 {
    (u64::from(index) * 1_024_000 / 44_100) as u32
}

/// Pictures `fps` times a second with a keyframe every `gop` of them, and sound, for `seconds`.
pub fn steady(fps: u32, gop: u32, seconds: u32) -> Vec<Message> {
    let pictures = (0..fps * seconds).map(|index| {
        let ms = index * 1000 / fps;
        picture(ms, index % gop == 0, index)
    });
    let sounds = (0..).map(|index| sound(sound_ms(index), index));
    let sounds = sounds.take_while(|sound| sound.timestamp.0 < seconds * 1000);
    let mut media: Vec<Message> = pictures.chain(sounds).collect();
    media.sort_by_key(|message| message.timestamp.0);
    [vec![avc_header(0), aac_header(0)], media].concat()
}
