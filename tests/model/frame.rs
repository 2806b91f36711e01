//! What publishers send: messages of every kind, each with a mark that tells it from all others.

use rtmp_server::amf0::{self, Value};
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};
use std::fmt;
use std::rc::Rc;

/// In front of each mark.
const MAGIC: &[u8; 4] = b"MaRk";

/// An AVC configuration: 16 by 16 pixels.
const AVC_CONFIG: &[u8] = b"\x01\x42\xc0\x0a\xff\xe1\0\x0a\x67\x42\xc0\x0a\xdd\x34\x2c\
    \x08\0\x08\x01\0\x04\x68\xce\x3c\x80";

/// An AAC configuration: two channels at 44.1 kHz.
const AAC_CONFIG: &[u8] = &[0x12, 0x10];

/// Pictures or sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Medium {
    Video,
    Audio,
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Kept for late joiners, and always at time 0.
    Metadata,
    /// Data that passes.
    Text,
    Header(Medium),
    Key,
    Inter,
    /// A picture that no other needs.
    Disposable,
    Sound,
    /// A picture or a sound without a byte: it passes, and nothing begins with it.
    Empty(Medium),
    /// The end of a track.
    End,
}

/// Which bytes stand for a codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Legacy,
    /// With a FourCC, by Enhanced RTMP.
    Enhanced,
}

/// Which message of which publication something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    pub publication: u32,
    pub number: u32,
}

impl Mark {
    fn bytes(self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(MAGIC);
        bytes[4..8].copy_from_slice(&self.publication.to_be_bytes());
        bytes[8..].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }

    /// Bytes of a mark.
    pub const LEN: usize = 12;

    pub fn is_at(window: &[u8]) -> bool {
        window.starts_with(MAGIC)
    }

    /// All marks in these bytes, in order.
    pub fn find(bytes: &[u8]) -> Vec<Mark> {
        let windows = bytes.windows(12).filter(|window| window[..4] == *MAGIC);
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | u32::from(*byte))
        };
        windows
            .map(|window| Mark {
                publication: number(&window[4..8]),
                number: number(&window[8..]),
            })
            .collect()
    }
}

/// A message of a publication.
#[derive(Debug)]
pub struct Frame {
    pub kind: Kind,
    pub track: u8,
    pub mark: Mark,
    /// Which of the publication's clocks its time is of: it has another after `publish` is asked
    /// for again.
    pub clock: u32,
    /// Whether viewers see it at that time: nobody has seen an earlier publication.
    pub is_unmoved: bool,
    /// The time since the publication began, in ms, whatever its clock says.
    pub elapsed_ms: i32,
    /// As the publisher sends it.
    pub sent: Message,
    /// The payload that viewers get.
    pub seen: Rc<[u8]>,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (
            Mark {
                publication,
                number,
            },
            time,
        ) = (self.mark, self.sent.timestamp.0);
        let track = self.track;
        write!(f, "{:?}/{track} {publication}.{number} @{time}", self.kind)
    }
}

impl Frame {
    pub fn medium(&self) -> Option<Medium> {
        match self.kind {
            Kind::Metadata | Kind::Text => None,
            Kind::Header(medium) | Kind::Empty(medium) => Some(medium),
            Kind::Key | Kind::Inter | Kind::Disposable | Kind::End => Some(Medium::Video),
            Kind::Sound => Some(Medium::Audio),
        }
    }

    /// Whether it is a picture that needs another.
    pub fn is_dependent(&self) -> bool {
        matches!(self.kind, Kind::Inter | Kind::Disposable)
    }

    pub fn is_picture(&self) -> bool {
        self.is_dependent() || self.kind == Kind::Key
    }

    /// Whether a viewer needs it, however late it gets it.
    pub fn is_kept(&self) -> bool {
        matches!(self.kind, Kind::Metadata | Kind::Header(_))
    }

    /// Whether its time is one of the publisher's clock.
    pub fn is_timed(&self) -> bool {
        self.is_picture() || self.kind == Kind::Sound
    }

    /// Whether it stands in the place of `other`.
    pub fn replaces(&self, other: &Frame) -> bool {
        self.is_kept() && (self.kind, self.track) == (other.kind, other.track)
    }

    /// Whether this is what `message` brings to a viewer, whatever its time.
    pub fn is_in(&self, message: &Message) -> bool {
        self.sent.kind == message.kind && *self.seen == *message.payload
    }
}

/// The payload that viewers get, and the message that a publisher sends. `len` more bytes make it
/// larger.
pub fn message(
    kind: Kind,
    track: u8,
    form: Form,
    mark: Mark,
    time: u32,
    len: usize,
) -> (Rc<[u8]>, Message) {
    let message_type = match kind {
        Kind::Metadata | Kind::Text => MessageType::DATA,
        Kind::Sound | Kind::Header(Medium::Audio) | Kind::Empty(Medium::Audio) => {
            MessageType::AUDIO
        }
        _ => MessageType::VIDEO,
    };
    let body = body(kind, mark, len);
    let payload = match kind {
        Kind::Metadata | Kind::Text => body.clone(),
        _ => [front(kind, track, form), body.clone()].concat(),
    };
    let sent = match kind {
        Kind::Metadata => [amf0::encode(&[Value::text("@setDataFrame")]), body].concat(),
        _ => payload.clone(),
    };
    let message = Message {
        timestamp: Timestamp(time),
        kind: message_type,
        stream: StreamId(1),
        payload: sent.into(),
    };
    (payload.into(), message)
}

/// What is behind the bytes that say what it is.
fn body(kind: Kind, mark: Mark, len: usize) -> Vec<u8> {
    let mark = mark.bytes();
    let unit = |kind: u8| {
        let size = (1 + mark.len() + len) as u32;
        [&size.to_be_bytes()[..], &[kind], &mark, &vec![7; len]].concat()
    };
    match kind {
        Kind::Metadata => {
            let number = |at: usize| {
                let bytes = mark[at..at + 4].try_into().expect("four bytes");
                Value::Number(f64::from(u32::from_be_bytes(bytes)))
            };
            let members = Value::object([
                ("videocodecid", Value::Number(7.0)),
                ("audiocodecid", Value::Number(10.0)),
                ("mark", Value::StrictArray(vec![number(4), number(8)])),
            ]);
            amf0::encode(&[Value::text("onMetaData"), members])
        }
        Kind::Text => {
            let number = f64::from(mark[11]) + 256.0 * f64::from(mark[10]);
            let publication = f64::from(mark[7]);
            amf0::encode(&[
                Value::text("onTextData"),
                Value::Number(publication),
                Value::Number(number),
            ])
        }
        Kind::Header(Medium::Video) => [AVC_CONFIG, &mark].concat(),
        Kind::Header(Medium::Audio) => [AAC_CONFIG, &mark].concat(),
        Kind::Key => unit(0x65),
        Kind::Inter => unit(0x41),
        Kind::Disposable => unit(0x01),
        Kind::Sound => [&mark[..], &vec![7; len]].concat(),
        Kind::Empty(_) | Kind::End => Vec::new(),
    }
}

/// The bytes that say what it is. A second track of a kind exists only in the enhanced form.
fn front(kind: Kind, track: u8, form: Form) -> Vec<u8> {
    let frame_type: u8 = match kind {
        Kind::Inter => 2,
        Kind::Disposable => 3,
        _ => 1,
    };
    let is_audio = matches!(
        kind,
        Kind::Sound | Kind::Header(Medium::Audio) | Kind::Empty(Medium::Audio)
    );
    if form == Form::Legacy && track == 0 {
        let packet = match kind {
            Kind::Header(_) => 0,
            Kind::End => 2,
            _ => 1,
        };
        return match is_audio {
            true => vec![0xaf, packet],
            false => vec![frame_type << 4 | 7, packet, 0, 0, 0],
        };
    }
    let (first, multitrack, fourcc) = match is_audio {
        true => (0x90, 5, b"mp4a"),
        false => (0x80 | frame_type << 4, 6, b"avc1"),
    };
    let packet = match (kind, is_audio) {
        (Kind::Header(_), _) => 0,
        (Kind::End, _) => 2,
        (_, true) => 1,
        // Coded frames without a composition time.
        (_, false) => 3,
    };
    match track {
        0 => [&[first | packet][..], fourcc].concat(),
        _ => [&[first | multitrack, packet][..], fourcc, &[track]].concat(),
    }
}
