//! RTMP 1.0 as values: no socket, no thread, no clock and no log below this line.
//!
//! From the wire upward: [`handshake`], [`chunk`], [`control`] and flow control, [`command`] and
//! [`status`], then the two ends of a conversation: [`session`] is the server's, [`client`] the
//! one that publishes to or plays from another server.

pub mod aggregate;
pub mod chunk;
pub mod client;
pub mod command;
pub mod control;
pub mod data;
pub(crate) mod flow;
pub mod handshake;
pub mod session;
pub mod status;
pub mod stream_key;

use std::sync::Arc;

/// Milliseconds on the publisher's clock. Wraps after 49.7 days (RTMP §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Timestamp(pub u32);

impl Timestamp {
    /// How far `self` lies after `earlier`, in ms; negative if before. Right across the wrap as
    /// long as the two are less than 24.8 days apart.
    pub fn since(self, earlier: Timestamp) -> i32 {
        self.0.wrapping_sub(earlier.0) as i32
    }

    /// This time moved by `ms`, modulo the wrap.
    pub fn plus(self, ms: u32) -> Timestamp {
        Timestamp(self.0.wrapping_add(ms))
    }
}

/// Message stream id: 0 is the connection itself, the others are handed out by `createStream`.
/// Little-endian on the wire, alone among RTMP's integers (§5.3.1.2.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u32);

impl StreamId {
    /// The connection as a whole: `connect`, `createStream` and control messages (§5.4).
    pub const CONTROL: StreamId = StreamId(0);
}

/// The message type id of a message header (§5.4, §7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct MessageType(pub u8);

impl MessageType {
    /// Whether it is audio or video, by itself or with more of it.
    pub(crate) fn is_media(self) -> bool {
        matches!(self, Self::AUDIO | Self::VIDEO | Self::AGGREGATE)
    }

    /// Set Chunk Size (§5.4.1).
    pub const SET_CHUNK_SIZE: Self = Self(1);
    /// Abort Message: the rest of a message will not come (§5.4.2).
    pub const ABORT: Self = Self(2);
    /// Acknowledgement of the bytes that were received (§5.4.3).
    pub const ACKNOWLEDGEMENT: Self = Self(3);
    /// User Control Message (§6.2, §7.1.7).
    pub const USER_CONTROL: Self = Self(4);
    /// Window Acknowledgement Size (§5.4.4).
    pub const WINDOW_ACK_SIZE: Self = Self(5);
    /// Set Peer Bandwidth (§5.4.5).
    pub const SET_PEER_BANDWIDTH: Self = Self(6);
    /// Audio, laid out as the body of an FLV tag (§7.1.4).
    pub const AUDIO: Self = Self(8);
    /// Video, laid out as the body of an FLV tag (§7.1.5).
    pub const VIDEO: Self = Self(9);
    /// Data behind the AMF3 format byte (§7.1.2).
    pub const DATA_AMF3: Self = Self(15);
    /// Command behind the AMF3 format byte (§7.1.1).
    pub const COMMAND_AMF3: Self = Self(17);
    /// Data in AMF0 (§7.1.2).
    pub const DATA: Self = Self(18);
    /// Command in AMF0 (§7.1.1).
    pub const COMMAND: Self = Self(20);
    /// Aggregate: several media and data messages in one (§7.1.6).
    pub const AGGREGATE: Self = Self(22);
}

/// One whole message. Cloning shares the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// When it is due; for commands and control it means nothing.
    pub timestamp: Timestamp,
    /// What the payload is.
    pub kind: MessageType,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// The bytes, made once and never changed.
    pub payload: Arc<[u8]>,
}

impl Message {
    /// A message at time 0: commands, replies and control.
    pub fn untimed(kind: MessageType, stream: StreamId, payload: Vec<u8>) -> Message {
        Message {
            timestamp: Timestamp(0),
            kind,
            stream,
            payload: payload.into(),
        }
    }
}
