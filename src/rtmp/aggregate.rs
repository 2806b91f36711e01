//! Aggregate messages (RTMP §7.1.6): several media messages in one, laid out as FLV tags.

use super::{Message, MessageType, Timestamp};
use crate::bytes::{Cursor, Short};
use std::fmt;

/// Why an aggregate is refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// A message in it goes on beyond its end.
    Truncated,
    /// A message in it is neither audio nor video nor data.
    Kind(u8),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Truncated => write!(f, "aggregate ends inside a message"),
            Error::Kind(kind) => write!(f, "aggregate holds a message of type {kind}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Short> for Error {
    fn from(_: Short) -> Self {
        Error::Truncated
    }
}

/// Takes an aggregate apart. Times are moved so that the first is the aggregate's own; the message
/// stream is the aggregate's, whatever the parts say.
///
/// # Errors
///
/// Any [`Error`]: none of it is to be used.
pub fn split(aggregate: &Message) -> Result<Vec<Message>, Error> {
    let mut cursor = Cursor::new(&aggregate.payload);
    let mut messages = Vec::new();
    let mut first = None;
    while !cursor.is_empty() {
        let kind = MessageType(cursor.u8()?);
        let len = cursor.u24()?;
        let low = cursor.u24()?;
        let high = cursor.u8()?;
        cursor.u24()?; // stream id
        let payload = cursor.take(len as usize)?.into();
        cursor.u32()?; // back pointer
        match kind {
            MessageType::AUDIO
            | MessageType::VIDEO
            | MessageType::DATA
            | MessageType::DATA_AMF3 => {}
            MessageType(kind) => return Err(Error::Kind(kind)),
        }
        let time = Timestamp(u32::from(high) << 24 | low);
        let offset = time.since(*first.get_or_insert(time)) as u32;
        let timestamp = aggregate.timestamp.plus(offset);
        messages.push(Message {
            timestamp,
            kind,
            stream: aggregate.stream,
            payload,
        });
    }
    Ok(messages)
}
