//! The chunk stream (RTMP §5.3): messages cut into chunks, several at a time.

mod decoder;
mod encoder;

pub use decoder::{Decoder, Error};
pub use encoder::{Chunks, Encoder, MessageHeader};

/// Chunk size of either direction until a Set Chunk Size says otherwise (§5.4.1).
pub const CHUNK_SIZE_DEFAULT: u32 = 128;

/// Most chunk streams that a peer may use on one connection.
pub const CHUNK_STREAMS_MAX: usize = 64;

/// Most bytes of unfinished messages that a peer may leave with us.
pub const PARTIAL_BYTES_MAX: usize = 32 << 20;

/// Longest command message (types 17 and 20) and control message, in bytes.
pub const COMMAND_LEN_MAX: u32 = 64 << 10;

/// Longest data message (types 15 and 18), in bytes.
pub const DATA_LEN_MAX: u32 = 1 << 20;

/// Longest message of any other type: as much as 24 bits can say.
pub const MESSAGE_LEN_MAX: u32 = (16 << 20) - 1;

/// The value of a 24-bit time field that says "see the extended timestamp" (§5.3.1.3).
const EXTENDED: u32 = 0xff_ffff;

/// Chunk stream ids (§5.3.1.1). One message type of one message stream each (§5.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkStreamId(pub u32);

impl ChunkStreamId {
    /// Protocol control and user control (§5.4, §6.2).
    pub const CONTROL: Self = Self(2);

    /// The lowest and highest id that can be written.
    pub const RANGE: std::ops::RangeInclusive<u32> = 2..=65599;

    /// The chunk stream on which we send messages of `kind` for `stream`.
    ///
    /// Control on 2, commands of the connection on 3, then four for each message stream, and the
    /// rare AMF3 data behind all of those.
    pub fn of(kind: super::MessageType, stream: super::StreamId) -> Self {
        use super::MessageType as Kind;
        let base = 4 * stream.0.saturating_sub(1).min(15);
        Self(match (kind, stream.0) {
            (Kind::COMMAND, 0) => 3,
            (Kind::COMMAND, _) => 4 + base,
            (Kind::DATA, _) => 5 + base,
            (Kind::AUDIO, _) => 6 + base,
            (Kind::VIDEO, _) => 7 + base,
            (Kind::DATA_AMF3, _) => 68 + base,
            _ => 2,
        })
    }
}
