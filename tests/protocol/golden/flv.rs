//! Group L: FLV files.
//!
//! Our code writes FLV and never reads it, so the files are taken apart here, by FLV E.2 to E.4
//! alone; the bodies in them go through the layers that read them.

use super::chunks::data_summary;
use super::media::summary;
use super::table::{Direction, Row};
use super::{Outcome, same, untested};
use crate::support::notation::{Notation, tag};
use rtmp_server::bytes::{Cursor, Short};
use rtmp_server::media::flv::{Flags, put_header, put_tag};
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};

pub fn check(row: &Row, direction: Direction) -> Outcome {
    match direction {
        Direction::Decode => decode(row),
        Direction::Encode => same(encoded(row), row.bytes.clone()),
        _ => untested(),
    }
}

/// The bytes of a row by our encoder.
fn encoded(row: &Row) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (text, body) = row.halves();
    if body.is_none() {
        put_header(flags(row), &mut bytes);
        return bytes;
    }
    let Message {
        kind,
        timestamp,
        payload,
        ..
    } = Notation::new(text).part();
    put_tag(kind, timestamp.0, &payload, &mut bytes);
    bytes
}

fn flags(row: &Row) -> Flags {
    Flags {
        audio: row.meaning.contains("audio"),
        video: row.meaning.contains("video"),
    }
}

fn decode(row: &Row) -> Outcome {
    let (tag_text, body_text) = row.halves();
    let Some(body_text) = body_text else {
        return header(row);
    };
    let want = Notation::new(tag_text).part();
    let got = tag_content(&row.bytes).map_err(|_| "a tag shorter than it says")?;
    same(&got, &want)?;
    same(tag(&want), row.bytes.clone())?;
    let above = match got.kind {
        MessageType::AUDIO | MessageType::VIDEO => summary(got.kind, &got.payload),
        _ => data_summary(got)?,
    };
    same(above.as_str(), body_text)
}

/// The file header: signature, version, flags, length, and the size of no tag before the first.
fn header(row: &Row) -> Outcome {
    let Flags { audio, video } = flags(row);
    let flags = 4 * u8::from(audio) + u8::from(video);
    let want = [b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0];
    same(&row.bytes[..], &want)
}

/// What a tag holds, its sizes checked.
fn tag_content(bytes: &[u8]) -> Result<Message, Short> {
    let mut cursor = Cursor::new(bytes);
    let kind = MessageType(cursor.u8()?);
    let len = cursor.u24()?;
    let low = cursor.u24()?;
    let high = u32::from(cursor.u8()?);
    let stream = StreamId(cursor.u24()?);
    let payload = cursor.take(len as usize)?.into();
    if cursor.u32()? != len + 11 || !cursor.is_empty() {
        return Err(Short);
    }
    Ok(Message {
        timestamp: Timestamp(high << 24 | low),
        kind,
        stream,
        payload,
    })
}
