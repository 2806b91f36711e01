//! A reader of FLV files that lets nothing pass which the specification (FLV E.2 to E.5, Enhanced
//! RTMP v2) does not allow.

use rtmp_server::amf0::{self, Value};
use rtmp_server::media::{Content, Packet};
use rtmp_server::rtmp::MessageType;

const AUDIO: u8 = 8;
const VIDEO: u8 = 9;
const AMF3: u8 = 15;
const SCRIPT: u8 = 18;

/// A tag, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    pub kind: u8,
    pub time_ms: u32,
    pub body: Vec<u8>,
    /// Where it begins.
    pub position: usize,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flv {
    pub flags: u8,
    pub tags: Vec<Tag>,
    /// Bytes at the end that are no whole tag.
    pub rest: usize,
}

/// Whether a message or a tag is more than a header or nothing: what a recording has to have.
pub fn is_frame(kind: u8, body: &[u8]) -> bool {
    let kind = MessageType(kind);
    let media = matches!(kind, MessageType::AUDIO | MessageType::VIDEO);
    let content = Packet::new(kind, body).content;
    let other = matches!(content, Content::Header | Content::Config | Content::Empty);
    media && !other
}

/// Reads all whole tags.
pub fn read(bytes: &[u8]) -> Result<Flv, String> {
    let (header, mut rest) = bytes.split_at_checked(13).ok_or("no header")?;
    let flags = header[4];
    if header != [b'F', b'L', b'V', 1, flags & 5, 0, 0, 0, 9, 0, 0, 0, 0] {
        return Err(format!("header {header:02x?}"));
    }
    let mut tags = Vec::new();
    while let Some((tag, len)) = tag(rest, bytes.len() - rest.len())? {
        tags.push(tag);
        rest = &rest[len..];
    }
    Ok(Flv {
        flags,
        tags,
        rest: rest.len(),
    })
}

/// The tag at the front of `bytes`, and its length with the size behind it.
fn tag(bytes: &[u8], position: usize) -> Result<Option<(Tag, usize)>, String> {
    let Some((header, rest)) = bytes.split_first_chunk::<11>() else {
        return Ok(None);
    };
    let [kind, l2, l1, l0, t2, t1, t0, t3, stream @ ..] = *header;
    let len = u32::from_be_bytes([0, l2, l1, l0]);
    let time_ms = u32::from_be_bytes([t3, t2, t1, t0]);
    if !matches!(kind, AUDIO | VIDEO | AMF3 | SCRIPT) || stream != [0; 3] || time_ms >> 31 != 0 {
        return Err(format!("tag {header:02x?} at {position}"));
    }
    let Some((body, rest)) = rest.split_at_checked(len as usize) else {
        return Ok(None);
    };
    let Some(size) = rest.first_chunk() else {
        return Ok(None);
    };
    if u32::from_be_bytes(*size) != len + 11 || len == 0 {
        return Err(format!("size {size:02x?} behind {len} bytes at {position}"));
    }
    let tag = Tag {
        kind,
        time_ms,
        body: body.to_vec(),
        position,
    };
    Ok(Some((tag, 11 + len as usize + 4)))
}

impl Flv {
    /// Tags that are audio or video.
    pub fn media(&self) -> impl Iterator<Item = &Tag> {
        let tags = self.tags.iter();
        tags.filter(|tag| matches!(tag.kind, AUDIO | VIDEO))
    }

    /// The latest time, in ms.
    pub fn duration_ms(&self) -> u32 {
        self.media().map(|tag| tag.time_ms).max().unwrap_or(0)
    }

    /// The kind, time and body of each tag but the first, one a line.
    pub fn text(&self) -> String {
        let line = |tag: &Tag| {
            let kind = match tag.kind {
                AUDIO => "audio",
                VIDEO => "video",
                AMF3 => "data3",
                _ => "data",
            };
            let body: Vec<String> = tag.body.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{kind} @{} {}", tag.time_ms, body.join(" "))
        };
        let lines = self.tags.iter().skip(1).map(line);
        lines.collect::<Vec<_>>().join("; ")
    }

    /// The metadata, which is the first tag.
    pub fn metadata(&self) -> Value {
        let first = self.tags.first().expect("a first tag");
        assert_eq!((first.kind, first.time_ms, first.position), (SCRIPT, 0, 13));
        let mut values = amf0::decode(&first.body).expect("AMF0");
        assert_eq!(values.len(), 2, "{values:?}");
        assert_eq!(values[0], Value::text("onMetaData"));
        values.remove(1)
    }

    /// The index, if there is one: position and time of each keyframe.
    pub fn index(&self) -> Vec<(usize, u32)> {
        let metadata = self.metadata();
        let Some(index) = metadata.get("keyframes") else {
            return Vec::new();
        };
        let numbers = |name| match index.get(name) {
            Some(Value::StrictArray(numbers)) => numbers
                .iter()
                .map(|number| number.as_number().expect("a number"))
                .collect::<Vec<f64>>(),
            other => panic!("{name}: {other:?}"),
        };
        let (positions, times) = (numbers("filepositions"), numbers("times"));
        assert_eq!(positions.len(), times.len());
        let times = times.iter().map(|time| (time * 1000.0).round() as u32);
        positions
            .iter()
            .map(|position| *position as usize)
            .zip(times)
            .collect()
    }

    /// Checks what a file says of itself when it is complete.
    pub fn check_complete(&self, bytes: &[u8]) {
        assert_eq!(self.rest, 0, "no part of a tag at the end");
        let metadata = self.metadata();
        let seconds = f64::from(self.duration_ms()) / 1000.0;
        let index = self.index();
        let rows = [
            ("duration", Value::Number(seconds)),
            ("lasttimestamp", Value::Number(seconds)),
            ("filesize", Value::Number(bytes.len() as f64)),
            ("hasKeyframes", Value::Boolean(!index.is_empty())),
        ];
        for (name, want) in rows {
            assert_eq!(metadata.get(name), Some(&want), "{name}");
        }
        for (position, time_ms) in index {
            let of_index = |tag: &&Tag| tag.position == position;
            let tag = self.tags.iter().find(of_index).expect("a tag");
            assert_eq!((tag.kind, tag.time_ms), (VIDEO, time_ms));
        }
        let has = |kind| u8::from(self.media().any(|tag| tag.kind == kind));
        assert_eq!(self.flags, 4 * has(AUDIO) + has(VIDEO), "flags");
    }
}
