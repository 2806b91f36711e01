//! What the first bytes of audio and video messages say: codec, tracks, header, keyframe.
//!
//! Legacy bodies by FLV E.4.2 and E.4.3, the rest by Enhanced RTMP v2. Nothing here changes a
//! payload; what cannot be understood is [`Content::Unknown`] and passes through.

use crate::bytes::{Cursor, Short};
use crate::rtmp::MessageType;
use std::fmt;

/// What a message holds, for all of its tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// What a decoder needs before the first frame.
    Header,
    /// Colour information or channel layout: wanted by late joiners like a header.
    Config,
    /// A picture that needs no other.
    Keyframe,
    /// A picture that needs others, or any sound.
    Frame,
    /// A picture that no other needs.
    Disposable,
    /// The end of a track.
    End,
    /// A command to the player, without picture or sound.
    Command,
    /// Something that no specification explains.
    Unknown,
}

/// A set of track ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tracks([u64; 4]);

impl Tracks {
    /// The set of `track` alone. Track 0 is the one that is sent without saying so.
    pub fn one(track: u8) -> Tracks {
        let mut tracks = Tracks::default();
        tracks.insert(track);
        tracks
    }

    /// Adds a track.
    pub fn insert(&mut self, track: u8) {
        self.0[usize::from(track) / 64] |= 1 << (track % 64);
    }

    /// Adds all of `other`.
    pub fn extend(&mut self, other: Tracks) {
        self.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(word, more)| *word |= more);
    }

    /// Whether every track of `other` is in this set.
    pub fn contains(&self, other: Tracks) -> bool {
        self.0
            .iter()
            .zip(other.0)
            .all(|(word, wanted)| word & wanted == wanted)
    }

    /// The ids, in order.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..=255).filter(move |track| self.contains(Tracks::one(*track)))
    }
}

/// Which codec, in the words of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// CodecID of FLV E.4.3.
    LegacyVideo(u8),
    /// SoundFormat of FLV E.4.2.
    LegacyAudio(u8),
    /// Enhanced RTMP.
    FourCc([u8; 4]),
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Codec::LegacyVideo(7) => write!(f, "H264"),
            Codec::LegacyVideo(2) => write!(f, "H263"),
            Codec::LegacyVideo(4 | 5) => write!(f, "VP6"),
            Codec::LegacyVideo(12) => write!(f, "H265"),
            Codec::LegacyVideo(id) => write!(f, "video-{id}"),
            Codec::LegacyAudio(10) => write!(f, "AAC"),
            Codec::LegacyAudio(2 | 14) => write!(f, "MP3"),
            Codec::LegacyAudio(11) => write!(f, "Speex"),
            Codec::LegacyAudio(7) => write!(f, "G711A"),
            Codec::LegacyAudio(8) => write!(f, "G711U"),
            Codec::LegacyAudio(id) => write!(f, "audio-{id}"),
            Codec::FourCc(code) => f.write_str(four_cc_name(code)),
        }
    }
}

fn four_cc_name(code: &[u8; 4]) -> &'static str {
    match code {
        b"avc1" => "H264",
        b"hvc1" => "H265",
        b"vvc1" => "H266",
        b"av01" => "AV1",
        b"vp08" => "VP8",
        b"vp09" => "VP9",
        b"mp4a" => "AAC",
        b".mp3" => "MP3",
        b"Opus" => "Opus",
        b"fLaC" => "FLAC",
        b"ac-3" => "AC3",
        b"ec-3" => "EAC3",
        _ => "unknown",
    }
}

/// What one audio or video message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// What it holds.
    pub content: Content,
    /// Which tracks it holds that of.
    pub tracks: Tracks,
    /// The codec of the first track; `None` where the message does not say.
    pub codec: Option<Codec>,
}

impl Packet {
    /// Reads the front of an audio or video payload. Of any other type, and of a payload that ends
    /// too early, the content is unknown; empty audio is silence.
    pub fn new(kind: MessageType, payload: &[u8]) -> Packet {
        let unknown = Packet {
            content: Content::Unknown,
            tracks: Tracks::one(0),
            codec: None,
        };
        let Some(first) = payload.first() else {
            let silence = Packet {
                content: Content::Frame,
                ..unknown
            };
            return if kind == MessageType::AUDIO {
                silence
            } else {
                unknown
            };
        };
        let packet = match kind {
            MessageType::AUDIO if first >> 4 == 9 => enhanced(payload, &AUDIO),
            MessageType::AUDIO => legacy_audio(payload),
            MessageType::VIDEO if first & 0x80 != 0 => enhanced(payload, &VIDEO),
            MessageType::VIDEO => legacy_video(payload),
            _ => return unknown,
        };
        packet.unwrap_or(unknown)
    }
}

fn legacy_audio(payload: &[u8]) -> Result<Packet, Short> {
    let mut cursor = Cursor::new(payload);
    let format = cursor.u8()? >> 4;
    let content = match format {
        10 if cursor.u8()? == 0 => Content::Header,
        _ => Content::Frame,
    };
    Ok(Packet {
        content,
        tracks: Tracks::one(0),
        codec: Some(Codec::LegacyAudio(format)),
    })
}

fn legacy_video(payload: &[u8]) -> Result<Packet, Short> {
    let mut cursor = Cursor::new(payload);
    let first = cursor.u8()?;
    let (frame_type, codec) = (first >> 4, first & 0x0f);
    let content = match (frame_type, codec) {
        (COMMAND_FRAME, _) => Content::Command,
        // 7 is AVC; 12 is what some encoders call HEVC, laid out the same way.
        (_, 7 | 12) => match cursor.u8()? {
            0 => Content::Header,
            1 => picture(frame_type),
            2 => Content::End,
            _ => Content::Unknown,
        },
        _ => picture(frame_type),
    };
    Ok(Packet {
        content,
        tracks: Tracks::one(0),
        codec: Some(Codec::LegacyVideo(codec)),
    })
}

/// The frame type that carries a command instead of a picture.
const COMMAND_FRAME: u8 = 5;

fn picture(frame_type: u8) -> Content {
    match frame_type {
        1 | 4 => Content::Keyframe,
        3 => Content::Disposable,
        _ => Content::Frame,
    }
}

/// Where the packet types of Enhanced RTMP audio and video differ.
struct Numbers {
    multitrack: u8,
    /// What packet type `p` holds; for video also by the frame type.
    content: fn(p: u8, frame_type: u8) -> Content,
    /// Whether packet type `p` with this frame type is a command, which has no FourCC.
    command: fn(p: u8, frame_type: u8) -> bool,
}

/// ModEx has the same packet type in both.
const MOD_EX: u8 = 7;

const VIDEO: Numbers = Numbers {
    multitrack: 6,
    content: |p, frame_type| match p {
        0 | 5 => Content::Header,
        1 | 3 => picture(frame_type),
        2 => Content::End,
        4 => Content::Config,
        _ => Content::Unknown,
    },
    // Metadata is no command, whatever its frame type says.
    command: |p, frame_type| p != 4 && frame_type == COMMAND_FRAME,
};

const AUDIO: Numbers = Numbers {
    multitrack: 5,
    content: |p, _| match p {
        0 => Content::Header,
        1 => Content::Frame,
        2 => Content::End,
        4 => Content::Config,
        _ => Content::Unknown,
    },
    command: |_, _| false,
};

/// Reads the front of an ExAudio or ExVideo body (Enhanced RTMP v2).
fn enhanced(payload: &[u8], numbers: &Numbers) -> Result<Packet, Short> {
    let mut cursor = Cursor::new(payload);
    let first = cursor.u8()?;
    let frame_type = first >> 4 & 0x07;
    let p = skip_mod_ex(&mut cursor, first & 0x0f)?;
    let mut packet = Packet {
        content: Content::Unknown,
        tracks: Tracks::one(0),
        codec: None,
    };
    if (numbers.command)(p, frame_type) {
        packet.content = Content::Command;
    } else if p == numbers.multitrack {
        let [byte] = cursor.array()?;
        let (shape, inner) = (byte >> 4, byte & 0x0f);
        if shape > MANY_TRACKS_MANY_CODECS || inner == numbers.multitrack {
            return Ok(packet);
        }
        packet.content = (numbers.content)(inner, frame_type);
        (packet.tracks, packet.codec) = tracks(&mut cursor, shape)?;
    } else {
        packet.content = (numbers.content)(p, frame_type);
        packet.codec = Some(Codec::FourCc(cursor.array()?));
    }
    Ok(packet)
}

/// Skips ModEx prefixes; returns the packet type behind the last of them.
fn skip_mod_ex(cursor: &mut Cursor, mut p: u8) -> Result<u8, Short> {
    while p == MOD_EX {
        let mut size = usize::from(cursor.u8()?) + 1;
        if size == 256 {
            size = usize::from(cursor.u16()?) + 1;
        }
        cursor.take(size)?;
        p = cursor.u8()? & 0x0f;
    }
    Ok(p)
}

const ONE_TRACK: u8 = 0;
const MANY_TRACKS_MANY_CODECS: u8 = 2;

/// The track ids of a multitrack body, and the first codec.
fn tracks(cursor: &mut Cursor, shape: u8) -> Result<(Tracks, Option<Codec>), Short> {
    let mut tracks = Tracks::default();
    let mut codec = None;
    if shape != MANY_TRACKS_MANY_CODECS {
        codec = Some(Codec::FourCc(cursor.array()?));
    }
    loop {
        if shape == MANY_TRACKS_MANY_CODECS {
            let code = Codec::FourCc(cursor.array()?);
            codec.get_or_insert(code);
        }
        tracks.insert(cursor.u8()?);
        if shape == ONE_TRACK {
            break;
        }
        let size = cursor.u24()?;
        cursor.take(size as usize)?;
        if cursor.is_empty() {
            break;
        }
    }
    Ok((tracks, codec))
}
