//! What the first bytes of audio and video messages say: codec, tracks, header, keyframe.
//!
//! Legacy bodies by FLV E.4.2 and E.4.3, the rest by Enhanced RTMP v2. Nothing here changes a
//! payload; what cannot be understood is [`Content::Unknown`] and passes through.

pub mod colour;
pub mod config;
pub(crate) mod first_track;
pub mod flv;
pub mod hls;
pub mod mp4;
pub mod opening;
pub(crate) mod other_tracks;
pub mod sample;
pub(crate) mod tag_body;
pub mod tracks;

mod bits;
mod clock;

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
    /// A header without a configuration, a picture or a sound without a byte: nothing that a
    /// decoder could use, nor anything that makes what came before obsolete.
    Empty,
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

    /// Adds the track with this id.
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

    /// Whether a track of `other` is in this set.
    pub fn shares(&self, other: Tracks) -> bool {
        let mut words = self.0.iter().zip(other.0);
        words.any(|(word, wanted)| word & wanted != 0)
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
    /// FourCC of Enhanced RTMP v2.
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
    /// What the message holds.
    pub content: Content,
    /// The tracks that have it.
    pub tracks: Tracks,
    /// The codec of the first track; `None` where the message does not say.
    pub codec: Option<Codec>,
}

impl Packet {
    /// Whether it holds a picture or a sound, whose time is that of the publisher's clock.
    pub fn is_frame(&self) -> bool {
        matches!(
            self.content,
            Content::Keyframe | Content::Frame | Content::Disposable
        )
    }

    /// Reads the front of an audio or video payload. Of any other type, and of a payload that ends
    /// too early, the content is unknown.
    pub fn new(kind: MessageType, payload: &[u8]) -> Packet {
        let unknown = Packet {
            content: Content::Unknown,
            tracks: Tracks::one(0),
            codec: None,
        };
        let Some(first) = payload.first() else {
            let empty = Packet {
                content: Content::Empty,
                ..unknown
            };
            return match kind {
                MessageType::AUDIO | MessageType::VIDEO => empty,
                _ => unknown,
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
        content: content.of(cursor.rest()),
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
            0 => Content::Header.of(behind_time(cursor.rest())),
            1 => picture(frame_type).of(behind_time(cursor.rest())),
            2 => Content::End,
            _ => Content::Unknown,
        },
        _ => picture(frame_type).of(cursor.rest()),
    };
    Ok(Packet {
        content,
        tracks: Tracks::one(0),
        codec: Some(Codec::LegacyVideo(codec)),
    })
}

impl Content {
    /// What this is if `body` is all that it holds.
    fn of(self, body: &[u8]) -> Content {
        let needs_body = matches!(
            self,
            Content::Header
                | Content::Config
                | Content::Keyframe
                | Content::Frame
                | Content::Disposable
        );
        match needs_body && body.is_empty() {
            true => Content::Empty,
            false => self,
        }
    }
}

/// What follows a composition time, which is three bytes; nothing of a body that is too short for one.
fn behind_time(body: &[u8]) -> &[u8] {
    body.get(3..).unwrap_or_default()
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
    /// Whether packet type `p` of this codec begins with a composition time.
    composition_time: fn(p: u8, codec: &[u8; 4]) -> bool,
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
    composition_time: |p, codec| p == 1 && matches!(codec, b"avc1" | b"hvc1" | b"vvc1"),
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
    composition_time: |_, _| false,
};

/// Reads the front of an ExAudio or ExVideo body (Enhanced RTMP v2).
fn enhanced(payload: &[u8], numbers: &Numbers) -> Result<Packet, Short> {
    let mut cursor = Cursor::new(payload);
    let first = cursor.u8()?;
    let frame_type = first >> 4 & 0x07;
    let (p, _) = read_mod_ex(&mut cursor, first & 0x0f)?;
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
        let parts = parts(&mut cursor, shape)?;
        let content = |part: &TrackBody| {
            let body = part.body(numbers, inner);
            (numbers.content)(inner, frame_type).of(body)
        };
        // Of a track whose part is empty the message holds nothing, unless all are.
        let is_full = |part: &&TrackBody| content(part) != Content::Empty;
        let mut told: Vec<&TrackBody> = parts.iter().filter(is_full).collect();
        if told.is_empty() {
            told.extend(&parts);
        }
        packet.content = told.first().map_or(Content::Unknown, |part| content(part));
        packet.codec = parts.first().map(|part| Codec::FourCc(part.codec));
        packet.tracks = Tracks::default();
        told.iter()
            .for_each(|part| packet.tracks.insert(part.track));
    } else {
        let part = TrackBody {
            track: 0,
            codec: cursor.array()?,
            data: cursor.rest(),
        };
        let content = (numbers.content)(p, frame_type);
        packet.content = content.of(part.body(numbers, p));
        packet.codec = Some(Codec::FourCc(part.codec));
    }
    Ok(packet)
}

/// The ModEx that says how many nanoseconds later than its message a frame is due.
const NANOSECOND_OFFSET: u8 = 0;

/// Reads ModEx prefixes; returns the packet type behind the last of them, and the nanoseconds.
fn read_mod_ex(cursor: &mut Cursor, mut p: u8) -> Result<(u8, u32), Short> {
    let mut nanos = 0;
    while p == MOD_EX {
        let mut size = usize::from(cursor.u8()?) + 1;
        if size == 256 {
            size = usize::from(cursor.u16()?) + 1;
        }
        let data = cursor.take(size)?;
        let next = cursor.u8()?;
        if next >> 4 == NANOSECOND_OFFSET {
            let offset = Cursor::new(data).u24().unwrap_or_default();
            nanos = if offset < 1_000_000 { offset } else { 0 };
        }
        p = next & 0x0f;
    }
    Ok((p, nanos))
}

const ONE_TRACK: u8 = 0;
const MANY_TRACKS_MANY_CODECS: u8 = 2;

/// What a message holds of one track.
struct TrackBody<'a> {
    track: u8,
    codec: [u8; 4],
    /// All that follows the FourCC and the track id.
    data: &'a [u8],
}

impl<'a> TrackBody<'a> {
    /// What a decoder gets of it when it is of packet type `p`.
    fn body(&self, numbers: &Numbers, p: u8) -> &'a [u8] {
        match (numbers.composition_time)(p, &self.codec) {
            true => behind_time(self.data),
            false => self.data,
        }
    }
}

/// The parts of a multitrack body, in order.
fn parts<'a>(cursor: &mut Cursor<'a>, shape: u8) -> Result<Vec<TrackBody<'a>>, Short> {
    let mut parts = Vec::new();
    let mut codec = [0; 4];
    if shape != MANY_TRACKS_MANY_CODECS {
        codec = cursor.array()?;
    }
    loop {
        if shape == MANY_TRACKS_MANY_CODECS {
            codec = cursor.array()?;
        }
        let track = cursor.u8()?;
        let data = match shape {
            ONE_TRACK => cursor.take(cursor.rest().len())?,
            _ => {
                let size = cursor.u24()?;
                cursor.take(size as usize)?
            }
        };
        parts.push(TrackBody { track, codec, data });
        if cursor.is_empty() {
            break;
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// For each codec a header and a picture or a sound, without what follows.
    #[test]
    fn what_has_nothing_behind_its_front_is_empty() {
        let (audio, video) = (MessageType::AUDIO, MessageType::VIDEO);
        let rows: [(MessageType, &[u8], Content); 27] = [
            (video, &[0x17, 0, 0, 0, 0], Content::Header),
            (video, &[0x17, 1, 0, 0, 0], Content::Keyframe),
            (video, &[0x27, 1, 0, 0, 0], Content::Frame),
            (video, &[0x37, 1, 0, 0, 0], Content::Disposable),
            (video, &[0x1c, 0, 0, 0, 0], Content::Header),
            (video, &[0x1c, 1, 0, 0, 0], Content::Keyframe),
            (video, &[0x12], Content::Keyframe),
            (video, &[0x17, 0, 0, 0], Content::Empty),
            (video, &[0x17, 1, 0], Content::Empty),
            (video, b"\xa1hvc1\0", Content::Empty),
            (video, b"\x90avc1", Content::Header),
            (video, b"\x90hvc1", Content::Header),
            (video, b"\x90av01", Content::Header),
            (video, b"\x90vp09", Content::Header),
            (video, b"\x95av01", Content::Header),
            (video, b"\x94hvc1", Content::Config),
            (video, b"\x91hvc1\0\0\0", Content::Keyframe),
            (video, b"\x93hvc1", Content::Keyframe),
            (video, b"\xa1av01", Content::Frame),
            (video, b"\x97\x00\x00\x01hvc1\0\0\0", Content::Keyframe),
            (video, b"\x96\x00avc1\x01", Content::Header),
            (audio, &[0xaf, 0], Content::Header),
            (audio, &[0xaf, 1], Content::Frame),
            (audio, &[0x2f], Content::Frame),
            (audio, b"\x90Opus", Content::Header),
            (audio, b"\x91fLaC", Content::Frame),
            (audio, b"\x94Opus", Content::Config),
        ];
        for (kind, front, full) in rows {
            let content = |payload: &[u8]| Packet::new(kind, payload).content;
            assert_eq!(content(front), Content::Empty, "{front:02x?}");
            let with_body = [front, &[1]].concat();
            assert_eq!(content(&with_body), full, "{with_body:02x?}");
        }
        assert_eq!(Packet::new(audio, &[]).content, Content::Empty);
        assert_eq!(Packet::new(video, &[]).content, Content::Empty);
    }

    #[test]
    fn of_several_tracks_those_without_anything_are_not_told() {
        let rows: [(&[u8], Content, &[u8]); 3] = [
            (
                b"\x96\x10avc1\x00\0\0\0\x01\0\0\x01x",
                Content::Header,
                &[1],
            ),
            (
                b"\x96\x10avc1\x00\0\0\x01x\x01\0\0\x01x",
                Content::Header,
                &[0, 1],
            ),
            (b"\x96\x10avc1\x00\0\0\0\x01\0\0\0", Content::Empty, &[0, 1]),
        ];
        for (payload, content, tracks) in rows {
            let packet = Packet::new(MessageType::VIDEO, payload);
            assert_eq!(packet.content, content, "{payload:02x?}");
            assert_eq!(packet.tracks.iter().collect::<Vec<_>>(), tracks);
        }
    }
}
