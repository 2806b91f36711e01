//! The frames in audio and video messages: their track, when they are due, where their bytes are.
//!
//! Legacy bodies by FLV E.4.2 and E.4.3, the rest by Enhanced RTMP v2. A message may hold a frame of
//! each of several tracks. Nothing is copied: a [`Part`] says where in the payload it lies.

use super::{
    AUDIO, COMMAND_FRAME, Codec, Content, MANY_TRACKS_MANY_CODECS, Numbers, ONE_TRACK, VIDEO,
    picture, read_mod_ex,
};
use crate::bytes::{Cursor, Short};
use crate::rtmp::MessageType;
use std::ops::Range;

/// Whether a track has sound or pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaType {
    /// Pictures; they have a decode time and a composition time.
    Video,
    /// Sound; every frame can be decoded by itself.
    Audio,
}

/// A track of a stream. The ids of sound and of pictures are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackId {
    /// Whether it has sound or pictures.
    pub medium: MediaType,
    /// The id in multitrack messages; 0 in all others.
    pub id: u8,
}

/// What a message holds of one track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The track that the part belongs to.
    pub track: TrackId,
    /// Its codec, in the words of the message.
    pub codec: Codec,
    /// What it is: [`Content::Header`] is the codec's configuration, [`Content::Config`] colour
    /// information or a channel layout. Never [`Content::Command`] or [`Content::Unknown`].
    pub content: Content,
    /// How much later than the message it is due, in nanoseconds: less than a millisecond.
    pub nanos: u32,
    /// How much later than it is decoded a picture is shown, in ms.
    pub composition_ms: i32,
    /// Where in the payload its bytes are: what a container keeps. A frame is never empty.
    pub data: Range<usize>,
}

/// The parts of an audio or video message, in order. Empty messages, frames without a byte, commands
/// and what no specification explains have none; what is cut off ends with the part before.
pub fn parts(kind: MessageType, payload: &[u8]) -> Parts<'_> {
    let mut cursor = Cursor::new(payload);
    let front = match kind {
        MessageType::AUDIO => Front::audio(&mut cursor),
        MessageType::VIDEO => Front::video(&mut cursor),
        _ => Err(Short),
    };
    Parts {
        len: payload.len(),
        cursor,
        front: front.ok().flatten(),
    }
}

/// The iterator that [`parts`] returns.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    len: usize,
    cursor: Cursor<'a>,
    /// What is true of all parts that are left; `None`: there are none.
    front: Option<Front>,
}

impl Iterator for Parts<'_> {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        while let Some(front) = self.front.take() {
            match self.part(&front) {
                Ok(Some(part)) => return Some(part),
                Ok(None) => {}
                Err(Short) => self.front = None,
            }
        }
        None
    }
}

impl Parts<'_> {
    /// The next part; `None` if it is one to leave out.
    fn part(&mut self, front: &Front) -> Result<Option<Part>, Short> {
        let Layout::Tracks(shape) = front.layout else {
            return front.part(self.len, 0, front.codec, self.cursor);
        };
        let mut codec = front.codec;
        if shape == MANY_TRACKS_MANY_CODECS {
            codec = Some(Codec::FourCc(self.cursor.array()?));
        }
        let id = self.cursor.u8()?;
        let size = match shape {
            ONE_TRACK => self.cursor.rest().len(),
            _ => self.cursor.u24()? as usize,
        };
        let own = self.cursor.take(size)?;
        if !self.cursor.is_empty() {
            self.front = Some(*front);
        }
        let start = self.len - self.cursor.rest().len() - own.len();
        // One that is too short for what stands in front of it takes nothing from the others.
        let part = front.part(own.len(), id, codec, Cursor::new(own));
        Ok(part.unwrap_or_default().map(|part| Part {
            data: start + part.data.start..start + part.data.end,
            ..part
        }))
    }
}

/// How the rest of a message is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// One track, of legacy form.
    Legacy,
    /// One track, of Enhanced RTMP.
    Enhanced,
    /// Tracks with their ids, of this multitrack type.
    Tracks(u8),
}

/// What stands in front of the first track.
#[derive(Clone, Copy, Debug)]
struct Front {
    medium: MediaType,
    layout: Layout,
    /// `None` where each track has its own.
    codec: Option<Codec>,
    packet_type: u8,
    content: Content,
    nanos: u32,
}

/// Packet types of coded pictures with a composition time, in legacy and enhanced form.
const CODED_FRAMES: u8 = 1;

/// The packet type of an AV1 sequence start in the form of MPEG-2 transport streams.
const MPEG2_TS_SEQUENCE_START: u8 = 5;

impl Front {
    fn audio(cursor: &mut Cursor) -> Result<Option<Front>, Short> {
        let first = cursor.u8()?;
        let format = first >> 4;
        if format == 9 {
            return Front::enhanced(cursor, first, MediaType::Audio, &AUDIO);
        }
        let content = match format {
            10 if cursor.u8()? == 0 => Content::Header,
            _ => Content::Frame,
        };
        Ok(Some(Front {
            medium: MediaType::Audio,
            layout: Layout::Legacy,
            codec: Some(Codec::LegacyAudio(format)),
            packet_type: 0,
            content,
            nanos: 0,
        }))
    }

    fn video(cursor: &mut Cursor) -> Result<Option<Front>, Short> {
        let first = cursor.u8()?;
        if first & 0x80 != 0 {
            return Front::enhanced(cursor, first, MediaType::Video, &VIDEO);
        }
        let (frame_type, codec) = (first >> 4, first & 0x0f);
        let mut packet_type = CODED_FRAMES;
        if matches!(codec, 7 | 12) && frame_type != COMMAND_FRAME {
            packet_type = cursor.u8()?;
        }
        let content = match (frame_type, packet_type) {
            (COMMAND_FRAME, _) => return Ok(None),
            (_, 0) => Content::Header,
            (_, CODED_FRAMES) => picture(frame_type),
            (_, 2) => Content::End,
            _ => return Ok(None),
        };
        Ok(Some(Front {
            medium: MediaType::Video,
            layout: Layout::Legacy,
            codec: Some(Codec::LegacyVideo(codec)),
            packet_type,
            content,
            nanos: 0,
        }))
    }

    fn enhanced(
        cursor: &mut Cursor,
        first: u8,
        medium: MediaType,
        numbers: &Numbers,
    ) -> Result<Option<Front>, Short> {
        let frame_type = first >> 4 & 0x07;
        let (mut packet_type, nanos) = read_mod_ex(cursor, first & 0x0f)?;
        if (numbers.command)(packet_type, frame_type) {
            return Ok(None);
        }
        let mut layout = Layout::Enhanced;
        if packet_type == numbers.multitrack {
            let byte = cursor.u8()?;
            packet_type = byte & 0x0f;
            layout = Layout::Tracks(byte >> 4);
            if byte >> 4 > MANY_TRACKS_MANY_CODECS || packet_type == numbers.multitrack {
                return Ok(None);
            }
        }
        let mut codec = None;
        if layout != Layout::Tracks(MANY_TRACKS_MANY_CODECS) {
            codec = Some(Codec::FourCc(cursor.array()?));
        }
        let content = (numbers.content)(packet_type, frame_type);
        let other = medium == MediaType::Video && packet_type == MPEG2_TS_SEQUENCE_START;
        Ok((content != Content::Unknown && !other).then_some(Front {
            medium,
            layout,
            codec,
            packet_type,
            content,
            nanos,
        }))
    }

    /// The part whose body `cursor` stands before, which ends with the `len` bytes it is in.
    fn part(
        &self,
        len: usize,
        id: u8,
        codec: Option<Codec>,
        mut cursor: Cursor,
    ) -> Result<Option<Part>, Short> {
        let Some(codec) = codec else { return Ok(None) };
        let mut composition_ms = 0;
        if self.content != Content::End && self.has_composition_time(codec) {
            let time = cursor.u24()?;
            composition_ms = (time << 8).cast_signed() >> 8;
        }
        let is_frame = matches!(
            self.content,
            Content::Keyframe | Content::Frame | Content::Disposable
        );
        if is_frame && cursor.is_empty() {
            return Ok(None);
        }
        Ok(Some(Part {
            track: TrackId {
                medium: self.medium,
                id,
            },
            codec,
            content: self.content,
            nanos: self.nanos,
            composition_ms: if is_frame { composition_ms } else { 0 },
            data: len - cursor.rest().len()..len,
        }))
    }

    fn has_composition_time(&self, codec: Codec) -> bool {
        match codec {
            Codec::LegacyVideo(7 | 12) => true,
            Codec::FourCc(code) => {
                self.medium == MediaType::Video
                    && self.packet_type == CODED_FRAMES
                    && matches!(&code, b"avc1" | b"hvc1" | b"vvc1")
            }
            _ => false,
        }
    }
}
