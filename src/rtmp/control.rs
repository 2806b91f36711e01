//! Protocol control (RTMP §5.4) and user control messages (§6.2, §7.1.7).

use super::{Message, MessageType, StreamId};
use crate::bytes::{Cursor, Short, put_u16, put_u32};
use std::fmt;

/// A message of type 1 to 6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The sender's later chunks hold this many bytes; the chunk layer obeys it.
    SetChunkSize(u32),
    /// The open message of this chunk stream will not be finished; the chunk layer obeys it.
    Abort(u32),
    /// The sender has received this many bytes in all, modulo 2^32.
    Acknowledgement(u32),
    /// The sender wants an acknowledgement each time it has sent this many bytes.
    WindowAckSize(u32),
    /// The receiver should leave no more than `size` bytes unacknowledged.
    SetPeerBandwidth {
        /// The window, in bytes.
        size: u32,
        /// How binding it is.
        limit: BandwidthLimit,
    },
    /// A user control message, which has type 4 (§6.2).
    User(UserControl),
}

/// The limit type of Set Peer Bandwidth (§5.4.5). Unknown ones are kept and mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BandwidthLimit(pub u8);

impl BandwidthLimit {
    /// The window is to be the one given.
    pub const HARD: BandwidthLimit = BandwidthLimit(0);
    /// The smaller of the one given and the one in force.
    pub const SOFT: BandwidthLimit = BandwidthLimit(1);
    /// As hard if the last one was hard, else nothing.
    pub const DYNAMIC: BandwidthLimit = BandwidthLimit(2);
}

/// The events of user control messages (§7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserControl {
    /// The stream can be used.
    StreamBegin(StreamId),
    /// The stream's playback is over.
    StreamEof(StreamId),
    /// There is no more data on the stream for now.
    StreamDry(StreamId),
    /// How much the client buffers of a stream.
    SetBufferLength(StreamId, u32),
    /// The stream is a recording.
    StreamIsRecorded(StreamId),
    /// Asks for an answer with the same number.
    PingRequest(u32),
    /// Answers a ping request with the number that it had.
    PingResponse(u32),
    /// An event that no specification defines; to be ignored.
    Unknown(u16),
}

/// A control message that is not what its type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Shorter than the layout of its type.
    Truncated {
        /// The message type id.
        kind: u8,
        /// The length it has.
        len: usize,
    },
    /// Not one of the types 1 to 6.
    NotControl(u8),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Truncated { kind, len } => {
                write!(f, "control message of type {kind} has only {len} bytes")
            }
            Error::NotControl(kind) => write!(f, "type {kind} is not a control message"),
        }
    }
}

impl std::error::Error for Error {}

impl Control {
    /// Reads a message of type 1 to 6. What follows the layout of the type is ignored.
    ///
    /// # Errors
    ///
    /// Any [`Error`] is a violation by the peer; drop the connection.
    pub fn parse(kind: MessageType, payload: &[u8]) -> Result<Control, Error> {
        let truncated = |Short| Error::Truncated {
            kind: kind.0,
            len: payload.len(),
        };
        let mut cursor = Cursor::new(payload);
        let value = |cursor: &mut Cursor| cursor.u32().map_err(truncated);
        Ok(match kind {
            MessageType::SET_CHUNK_SIZE => Control::SetChunkSize(value(&mut cursor)?),
            MessageType::ABORT => Control::Abort(value(&mut cursor)?),
            MessageType::ACKNOWLEDGEMENT => Control::Acknowledgement(value(&mut cursor)?),
            MessageType::WINDOW_ACK_SIZE => Control::WindowAckSize(value(&mut cursor)?),
            MessageType::SET_PEER_BANDWIDTH => {
                let size = value(&mut cursor)?;
                let limit = BandwidthLimit(cursor.u8().map_err(truncated)?);
                Control::SetPeerBandwidth { size, limit }
            }
            MessageType::USER_CONTROL => {
                Control::User(UserControl::parse(cursor).map_err(truncated)?)
            }
            MessageType(kind) => return Err(Error::NotControl(kind)),
        })
    }

    /// The message to send, on the connection itself at time 0.
    pub fn message(self) -> Message {
        let mut payload = Vec::with_capacity(10);
        let kind = match self {
            Control::SetChunkSize(size) => {
                put_u32(&mut payload, size);
                MessageType::SET_CHUNK_SIZE
            }
            Control::Abort(csid) => {
                put_u32(&mut payload, csid);
                MessageType::ABORT
            }
            Control::Acknowledgement(received) => {
                put_u32(&mut payload, received);
                MessageType::ACKNOWLEDGEMENT
            }
            Control::WindowAckSize(size) => {
                put_u32(&mut payload, size);
                MessageType::WINDOW_ACK_SIZE
            }
            Control::SetPeerBandwidth { size, limit } => {
                put_u32(&mut payload, size);
                payload.push(limit.0);
                MessageType::SET_PEER_BANDWIDTH
            }
            Control::User(event) => {
                event.put(&mut payload);
                MessageType::USER_CONTROL
            }
        };
        Message::untimed(kind, StreamId::CONTROL, payload)
    }
}

impl UserControl {
    fn parse(mut cursor: Cursor) -> Result<UserControl, Short> {
        let event = cursor.u16()?;
        Ok(match event {
            0 => UserControl::StreamBegin(StreamId(cursor.u32()?)),
            1 => UserControl::StreamEof(StreamId(cursor.u32()?)),
            2 => UserControl::StreamDry(StreamId(cursor.u32()?)),
            3 => UserControl::SetBufferLength(StreamId(cursor.u32()?), cursor.u32()?),
            4 => UserControl::StreamIsRecorded(StreamId(cursor.u32()?)),
            6 => UserControl::PingRequest(cursor.u32()?),
            7 => UserControl::PingResponse(cursor.u32()?),
            event => UserControl::Unknown(event),
        })
    }

    fn put(self, out: &mut Vec<u8>) {
        let (event, value, more) = match self {
            UserControl::StreamBegin(stream) => (0, Some(stream.0), None),
            UserControl::StreamEof(stream) => (1, Some(stream.0), None),
            UserControl::StreamDry(stream) => (2, Some(stream.0), None),
            UserControl::SetBufferLength(stream, ms) => (3, Some(stream.0), Some(ms)),
            UserControl::StreamIsRecorded(stream) => (4, Some(stream.0), None),
            UserControl::PingRequest(time) => (6, Some(time), None),
            UserControl::PingResponse(time) => (7, Some(time), None),
            UserControl::Unknown(event) => (event, None, None),
        };
        put_u16(out, event);
        [value, more]
            .into_iter()
            .flatten()
            .for_each(|value| put_u32(out, value));
    }

    /// The message to send.
    pub fn message(self) -> Message {
        Control::User(self).message()
    }
}
