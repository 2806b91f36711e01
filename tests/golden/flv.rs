//! Group L: FLV files.
//!
//! No code of ours writes FLV, so the files are taken apart here, by FLV E.2 to E.4 alone, to
//! keep them alive for the day it does; the bodies in them go through the layers that read them.

use crate::chunks::data_summary;
use crate::media::summary;
use crate::notation::{Notation, tag};
use crate::table::{Direction, Row};
use crate::{Outcome, same, untested};
use rtmp_server::bytes::{Cursor, Short};
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};

pub fn check(row: &Row, direction: Direction) -> Outcome {
    if direction != Direction::Decode {
        return untested();
    }
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
    let (audio, video) = (row.meaning.contains("audio"), row.meaning.contains("video"));
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
