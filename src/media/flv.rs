//! FLV files (Adobe Flash Video File Format 10.1, annex E; Enhanced RTMP v2): written, not read.
//!
//! A file is a header, then tags, each with its size behind it. The body of a tag is the payload of
//! an RTMP message, byte for byte. The first tag is a `ScriptTag`, which says how long the file is
//! and where its keyframes are; that is known at the end only, and then written over it in place.

use crate::amf0::{Decoder, Pairs, Value};
use crate::bytes::{put_u24, put_u32};
use crate::rtmp::MessageType;
use crate::rtmp::data::ON_META_DATA;

/// Length of the header, with the size of no tag that stands before the first one.
pub(crate) const HEADER_LEN: usize = 13;

/// Where the byte of the flags is.
pub(crate) const FLAGS_AT: u64 = 4;

/// Length of what stands before the body of a tag.
pub(crate) const TAG_HEADER_LEN: usize = 11;

/// Longest body of a tag: its length has 24 bits, as that of an RTMP message.
pub const BODY_LEN_MAX: usize = 0xff_ffff;

/// Latest time of a tag, in ms: times are signed.
pub(crate) const TIME_MAX: u32 = i32::MAX as u32;

/// What kinds of media a file says that it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// Whether it has audio tags (TypeFlagsAudio).
    pub audio: bool,
    /// Whether it has video tags (TypeFlagsVideo).
    pub video: bool,
}

impl Flags {
    /// The byte at `FLAGS_AT` (FLV E.2).
    pub fn byte(self) -> u8 {
        u8::from(self.audio) << 2 | u8::from(self.video)
    }

    /// Adds the kind of a message.
    pub fn insert(&mut self, kind: MessageType) {
        self.audio |= kind == MessageType::AUDIO;
        self.video |= kind == MessageType::VIDEO;
    }
}

/// Appends the header (FLV E.2, E.3).
pub fn put_header(flags: Flags, out: &mut Vec<u8>) {
    out.extend_from_slice(&[b'F', b'L', b'V', 1, flags.byte(), 0, 0, 0, 9]);
    put_u32(out, 0);
}

/// Appends a tag and the size behind it (FLV E.4.1). `time_ms` is at most `TIME_MAX`; a body that
/// is longer than [`BODY_LEN_MAX`] cannot be written and is left out.
pub fn put_tag(kind: MessageType, time_ms: u32, body: &[u8], out: &mut Vec<u8>) {
    if body.len() > BODY_LEN_MAX {
        return;
    }
    let len = body.len() as u32;
    out.push(kind.0);
    put_u24(out, len);
    put_u24(out, time_ms);
    out.push((time_ms >> 24) as u8);
    put_u24(out, 0); // stream id
    out.extend_from_slice(body);
    put_u32(out, TAG_HEADER_LEN as u32 + len);
}

/// Whether a message is the stream's metadata.
pub(crate) fn is_metadata(kind: MessageType, payload: &[u8]) -> bool {
    let body = amf0(kind, payload).unwrap_or_default();
    let name = body.strip_prefix(&[0x02, 0, ON_META_DATA.len() as u8]);
    name.is_some_and(|rest| rest.starts_with(ON_META_DATA))
}

/// The properties of the stream's metadata, in order and without those that a file says of itself;
/// `None` if the message is something else or cannot be read.
pub fn properties(kind: MessageType, payload: &[u8]) -> Option<Pairs> {
    if !is_metadata(kind, payload) {
        return None;
    }
    let mut decoder = Decoder::new(amf0(kind, payload)?);
    decoder.next().ok()??;
    let value = decoder.next().ok()??;
    let of_stream = |(name, _): &&(Vec<u8>, Value)| !OF_FILE.iter().any(|own| own == name);
    Some(value.pairs().iter().filter(of_stream).cloned().collect())
}

/// The AMF0 values of a data message: of type 15 they stand behind a format byte.
fn amf0(kind: MessageType, payload: &[u8]) -> Option<&[u8]> {
    match kind {
        MessageType::DATA => Some(payload),
        MessageType::DATA_AMF3 => payload.get(1..),
        _ => None,
    }
}

/// What the index is called, if it is one: ffmpeg calls it invalid if it has fewer than two entries.
const INDEX: &str = "keyframes";

/// What it is called if it is empty: a name of the same length.
const NO_INDEX: &str = "unindexed";

/// Names of properties that are true of one file only, not of the stream.
const OF_FILE: [&[u8]; 13] = [
    b"duration",
    b"filesize",
    b"lasttimestamp",
    b"lastkeyframetimestamp",
    b"lastkeyframelocation",
    b"hasKeyframes",
    INDEX.as_bytes(),
    NO_INDEX.as_bytes(),
    b"datasize",
    b"audiosize",
    b"videosize",
    b"canSeekToEnd",
    b"padding",
];

/// Where a file can be read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyframe {
    /// Its time, in ms.
    pub time_ms: u32,
    /// Where its tag begins in the file.
    pub position: u64,
}

/// Properties of a complete file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileTotals<'a> {
    /// The last time of audio and video in it, in ms.
    pub duration_ms: u32,
    /// Its length, in bytes.
    pub filesize: u64,
    /// Its keyframes, in order.
    pub keyframes: &'a [Keyframe],
}

/// The first tag of a file: `onMetaData` (FLV E.5).
///
/// It has the publisher's properties, those of the file, and the index of keyframes that players
/// seek by. What is not in the index is in an array of numbers, called `padding`, behind it: so the
/// length is always the same.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ScriptTag {
    properties: Pairs,
    room: usize,
}

impl ScriptTag {
    /// With the publisher's `properties`, as [`properties`] finds them, and an index of at most
    /// `room` keyframes. Properties that are too many for a tag are left out, all of them.
    pub(crate) fn new(properties: Pairs, room: usize) -> ScriptTag {
        let script = ScriptTag { properties, room };
        if script.body(&FileTotals::default()).len() <= BODY_LEN_MAX {
            return script;
        }
        ScriptTag {
            properties: Pairs::new(),
            room,
        }
    }

    /// The body of the tag. Of more keyframes than there is room for, some are in the index, evenly
    /// chosen and the first among them; a single one is not worth an index.
    pub(crate) fn body(&self, totals: &FileTotals) -> Vec<u8> {
        let number = |number: u64| Value::Number(number as f64);
        let seconds = |ms: u32| Value::Number(f64::from(ms) / 1000.0);
        let keyframes = thinned(totals.keyframes, self.room);
        let positions = keyframes.iter().map(|keyframe| number(keyframe.position));
        let times = keyframes.iter().map(|keyframe| seconds(keyframe.time_ms));
        let index = [
            ("filepositions", Value::StrictArray(positions.collect())),
            ("times", Value::StrictArray(times.collect())),
        ];
        let (name, left) = match keyframes.len() {
            0 => (NO_INDEX, 2 * self.room),
            len => (INDEX, 2 * (self.room - len)),
        };
        let before = [
            ("duration", seconds(totals.duration_ms)),
            ("filesize", number(totals.filesize)),
            ("lasttimestamp", seconds(totals.duration_ms)),
            ("hasKeyframes", Value::Boolean(!keyframes.is_empty())),
        ];
        let after = [
            (name, Value::object(index)),
            ("padding", Value::StrictArray(vec![number(0); left])),
        ];
        let pair = |(name, value): (&str, Value)| (name.as_bytes().to_vec(), value);
        let mut pairs: Pairs = before.map(pair).into();
        pairs.extend(self.properties.iter().cloned());
        pairs.extend(after.map(pair));
        on_meta_data(pairs)
    }
}

/// The body of a tag for metadata that changes in the middle of a file.
pub(crate) fn changed_metadata(properties: &Pairs) -> Vec<u8> {
    on_meta_data(properties.clone())
}

fn on_meta_data(pairs: Pairs) -> Vec<u8> {
    let mut body = Vec::new();
    Value::text(ON_META_DATA).encode(&mut body);
    Value::EcmaArray(pairs.len() as u32, pairs).encode(&mut body);
    body
}

/// At most `room` of the keyframes, evenly chosen; none if it would be one.
fn thinned(keyframes: &[Keyframe], room: usize) -> Vec<Keyframe> {
    let len = keyframes.len();
    if len.min(room) < 2 {
        return Vec::new();
    }
    if len <= room {
        return keyframes.to_vec();
    }
    (0..room)
        .map(|index| keyframes[index * len / room])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amf0;

    fn keyframes(count: u64) -> Vec<Keyframe> {
        (0..count)
            .map(|index| Keyframe {
                time_ms: index as u32 * 500,
                position: 1000 + index * 10,
            })
            .collect()
    }

    fn pairs(properties: &[(&str, Value)]) -> Pairs {
        let pairs = properties.iter();
        pairs
            .map(|(name, value)| (name.as_bytes().to_vec(), value.clone()))
            .collect()
    }

    #[test]
    fn a_script_has_one_length_whatever_is_in_it() {
        let script = ScriptTag::new(pairs(&[("width", Value::Number(640.0))]), 4);
        let len = script.body(&FileTotals::default()).len();
        #[rustfmt::skip]
        let rows: [(u64, &[f64]); 6] = [
            (0, &[]),
            (1, &[]),
            (2, &[0.0, 0.5]),
            (4, &[0.0, 0.5, 1.0, 1.5]),
            (5, &[0.0, 0.5, 1.0, 1.5]),
            (40, &[0.0, 5.0, 10.0, 15.0]),
        ];
        for (count, times) in rows {
            let keyframes = keyframes(count);
            let totals = FileTotals {
                duration_ms: 12_345,
                filesize: 1 << 40,
                keyframes: &keyframes,
            };
            let body = script.body(&totals);
            assert_eq!(body.len(), len, "{count}");
            let values = amf0::decode(&body).unwrap();
            let [name, value] = &values[..] else {
                panic!("{values:?}")
            };
            assert_eq!(name.as_text(), Some("onMetaData"));
            let numbers: [(&str, f64); 4] = [
                ("duration", 12.345),
                ("filesize", (1_u64 << 40) as f64),
                ("lasttimestamp", 12.345),
                ("width", 640.0),
            ];
            for (name, want) in numbers {
                assert_eq!(value.get(name), Some(&Value::Number(want)), "{name}");
            }
            let has = Value::Boolean(count > 1);
            assert_eq!(value.get("hasKeyframes"), Some(&has));
            let names = if count > 1 {
                (INDEX, NO_INDEX)
            } else {
                (NO_INDEX, INDEX)
            };
            assert_eq!(value.get(names.1), None);
            let index = value.get(names.0).unwrap();
            let times = times.iter().map(|time| Value::Number(*time)).collect();
            assert_eq!(index.get("times"), Some(&Value::StrictArray(times)));
        }
    }

    #[test]
    fn properties_are_the_publishers_in_its_order() {
        let given = [
            ("width", Value::Number(1.0)),
            ("duration", Value::Number(9.0)),
            ("encoder", Value::text("x")),
            ("keyframes", Value::object([])),
            ("padding", Value::text("y")),
            ("Duration", Value::Null),
        ];
        let kept = [0, 2, 5].map(|index| given[index].clone());
        let ecma = amf0::encode(&[
            Value::text("onMetaData"),
            Value::EcmaArray(7, pairs(&given)),
        ]);
        let object = amf0::encode(&[Value::text("onMetaData"), Value::Object(pairs(&given))]);
        let nothing = amf0::encode(&[Value::text("onMetaData"), Value::Null]);
        let other = amf0::encode(&[Value::text("onMetaDatum"), Value::object([])]);
        let longer = amf0::encode(&[Value::text("onMetaData2"), Value::object([])]);
        let behind_format = [&[0], &ecma[..]].concat();
        let (data, data3) = (MessageType::DATA, MessageType::DATA_AMF3);
        let none = Some(Vec::new());
        let rows = [
            (data, &ecma[..], true, Some(pairs(&kept))),
            (data, &object, true, Some(pairs(&kept))),
            (data3, &behind_format, true, Some(pairs(&kept))),
            (data, &nothing, true, none),
            (data, &ecma[..ecma.len() - 1], true, None),
            (data, &ecma[..13], true, None),
            (data, &ecma[..12], false, None),
            (data, &behind_format, false, None),
            (data3, &[], false, None),
            (data, &other, false, None),
            (data, &longer, false, None),
            (MessageType::AUDIO, &ecma, false, None),
        ];
        for (kind, payload, is, want) in rows {
            assert_eq!(is_metadata(kind, payload), is, "{payload:?}");
            assert_eq!(properties(kind, payload), want, "{payload:?}");
        }
    }

    #[test]
    fn a_body_that_fits_no_tag_is_left_out() {
        let mut out = Vec::new();
        put_tag(MessageType::VIDEO, 0, &vec![0; BODY_LEN_MAX + 1], &mut out);
        assert!(out.is_empty());
        put_tag(MessageType::VIDEO, 0, &vec![0; BODY_LEN_MAX], &mut out);
        assert_eq!(out.len(), TAG_HEADER_LEN + BODY_LEN_MAX + 4);
        assert_eq!(out[1..4], [0xff; 3]);
        let long = Value::LongString(vec![b'x'; BODY_LEN_MAX]);
        let script = ScriptTag::new(pairs(&[("text", long)]), 0);
        assert_eq!(script, ScriptTag::new(Pairs::new(), 0));
    }
}
