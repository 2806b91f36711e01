//! Messages to bytes.

use super::{CHUNK_SIZE_DEFAULT, ChunkStreamId, EXTENDED};
use crate::bytes::{put_u24, put_u32};
use crate::rtmp::{Message, MessageType, StreamId, Timestamp};
use std::sync::Arc;

/// What the peer knows of one of our chunk streams: all that the next header can leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageHeader {
    timestamp: Timestamp,
    /// The step to the last message; `None` right after a header of format 0. By §5.3.1.2.4 the
    /// step would then be the whole timestamp, but not every peer reads it so.
    delta: Option<u32>,
    len: u32,
    kind: MessageType,
    stream: StreamId,
}

/// How a message is introduced (§5.3.1.2).
enum ChunkFormat {
    /// Everything, with an absolute time (fmt 0).
    Full,
    /// Step in ms, length and type (fmt 1).
    Kind(u32),
    /// The step in ms, and nothing else (fmt 2).
    Step(u32),
    /// Nothing: all as before, the step too (fmt 3).
    Same,
}

/// Cuts messages into chunks, with the shortest header that says it.
///
/// Time that goes backward, a step that would need the extended field, and another message stream
/// are always written as format 0, so that no step is ever negative or extended.
#[derive(Clone, Debug)]
pub struct Encoder {
    chunk_size: u32,
    streams: Vec<(ChunkStreamId, MessageHeader)>,
}

impl Default for Encoder {
    fn default() -> Self {
        Encoder {
            chunk_size: CHUNK_SIZE_DEFAULT,
            streams: Vec::new(),
        }
    }
}

impl Encoder {
    /// An encoder that already writes chunks of `chunk_size` bytes.
    pub fn with_chunk_size(chunk_size: u32) -> Encoder {
        Encoder {
            chunk_size,
            streams: Vec::new(),
        }
    }

    /// What the peer knows of chunk stream `csid`.
    pub fn header(&self, csid: ChunkStreamId) -> Option<MessageHeader> {
        self.streams
            .iter()
            .find(|(id, _)| *id == csid)
            .map(|(_, header)| *header)
    }

    /// Notes that the peer was sent bytes after which it knows `header` of chunk stream `csid`.
    pub fn set_header(&mut self, csid: ChunkStreamId, header: MessageHeader) {
        match self.streams.iter_mut().find(|(id, _)| *id == csid) {
            Some((_, known)) => *known = header,
            None => self.streams.push((csid, header)),
        }
    }

    /// Appends the chunks of `message` to `out`, on the chunk stream that is its own.
    pub fn encode(&mut self, message: &Message, out: &mut Vec<u8>) {
        self.encode_on(
            ChunkStreamId::of(message.kind, message.stream),
            message.stream,
            message,
            out,
        );
    }

    /// Appends the chunks of `message` to `out` as one of message stream `stream`.
    pub fn encode_as(&mut self, stream: StreamId, message: &Message, out: &mut Vec<u8>) {
        self.encode_on(
            ChunkStreamId::of(message.kind, stream),
            stream,
            message,
            out,
        );
    }

    /// Appends the chunks of `message` to `out`, on chunk stream `csid` and message stream `stream`.
    ///
    /// A Set Chunk Size changes the chunks that follow it.
    pub fn encode_on(
        &mut self,
        csid: ChunkStreamId,
        stream: StreamId,
        message: &Message,
        out: &mut Vec<u8>,
    ) {
        let mut chunks = self.begin_on(csid, stream, message, out);
        chunks.encode(out, usize::MAX);
    }

    /// Appends the header of `message` to `out` as one of message stream `stream`, and returns the
    /// chunks that are to follow it before anything else.
    pub fn begin_as(&mut self, stream: StreamId, message: &Message, out: &mut Vec<u8>) -> Chunks {
        let csid = ChunkStreamId::of(message.kind, stream);
        self.begin_on(csid, stream, message, out)
    }

    fn begin_on(
        &mut self,
        csid: ChunkStreamId,
        stream: StreamId,
        message: &Message,
        out: &mut Vec<u8>,
    ) -> Chunks {
        let last = self.header(csid);
        let format = format(last, message, stream);
        let extended = match format {
            ChunkFormat::Full => Some(message.timestamp.0).filter(|time| *time >= EXTENDED),
            _ => None,
        };
        put_header(out, csid, &format, message, stream);
        let delta = match format {
            ChunkFormat::Full => None,
            ChunkFormat::Kind(delta) | ChunkFormat::Step(delta) => Some(delta),
            ChunkFormat::Same => last.and_then(|last| last.delta),
        };
        let header = MessageHeader {
            timestamp: message.timestamp,
            delta,
            len: message.payload.len() as u32,
            kind: message.kind,
            stream,
        };
        self.set_header(csid, header);
        let chunks = Chunks {
            csid,
            extended,
            payload: Arc::clone(&message.payload),
            from: 0,
            size: self.chunk_size as usize,
        };
        if let (MessageType::SET_CHUNK_SIZE, Some(size)) =
            (message.kind, message.payload.first_chunk())
        {
            self.chunk_size = u32::from_be_bytes(*size).max(1);
        }
        chunks
    }
}

/// The chunks of a message whose header is written, as far as they are not written yet.
#[derive(Debug)]
pub struct Chunks {
    csid: ChunkStreamId,
    /// The timestamp that each chunk repeats, if it does not fit into the header.
    extended: Option<u32>,
    payload: Arc<[u8]>,
    /// What is written of the payload.
    from: usize,
    /// Bytes of payload in a chunk.
    size: usize,
}

impl Chunks {
    /// Appends whole chunks to `out` until it has `len` bytes. Whether none is left.
    pub fn encode(&mut self, out: &mut Vec<u8>, len: usize) -> bool {
        while self.from < self.payload.len() && out.len() < len {
            if self.from > 0 {
                put_basic(out, 3, self.csid);
                if let Some(time) = self.extended {
                    put_u32(out, time);
                }
            }
            let rest = &self.payload[self.from..];
            let chunk = &rest[..rest.len().min(self.size)];
            out.extend_from_slice(chunk);
            self.from += chunk.len();
        }
        self.from == self.payload.len()
    }
}

/// The shortest header for `message` after `last`.
fn format(last: Option<MessageHeader>, message: &Message, stream: StreamId) -> ChunkFormat {
    let Some(last) = last.filter(|last| last.stream == stream) else {
        return ChunkFormat::Full;
    };
    let delta = message.timestamp.since(last.timestamp);
    if delta < 0 || delta as u32 >= EXTENDED {
        return ChunkFormat::Full;
    }
    let delta = delta as u32;
    if last.len != message.payload.len() as u32 || last.kind != message.kind {
        ChunkFormat::Kind(delta)
    } else if last.delta != Some(delta) {
        ChunkFormat::Step(delta)
    } else {
        ChunkFormat::Same
    }
}

fn put_header(
    out: &mut Vec<u8>,
    csid: ChunkStreamId,
    format: &ChunkFormat,
    message: &Message,
    stream: StreamId,
) {
    let len = message.payload.len() as u32;
    match *format {
        ChunkFormat::Full => {
            let time = message.timestamp.0;
            put_basic(out, 0, csid);
            put_u24(out, time.min(EXTENDED));
            put_u24(out, len);
            out.push(message.kind.0);
            out.extend_from_slice(&stream.0.to_le_bytes());
            if time >= EXTENDED {
                put_u32(out, time);
            }
        }
        ChunkFormat::Kind(delta) => {
            put_basic(out, 1, csid);
            put_u24(out, delta);
            put_u24(out, len);
            out.push(message.kind.0);
        }
        ChunkFormat::Step(delta) => {
            put_basic(out, 2, csid);
            put_u24(out, delta);
        }
        ChunkFormat::Same => put_basic(out, 3, csid),
    }
}

/// Appends a basic header in its smallest form (§5.3.1.1).
fn put_basic(out: &mut Vec<u8>, fmt: u8, csid: ChunkStreamId) {
    let fmt = fmt << 6;
    match csid.0 {
        id @ 0..=63 => out.push(fmt | id as u8),
        id @ 64..=319 => out.extend_from_slice(&[fmt, (id - 64) as u8]),
        id => {
            let [low, high] = ((id - 64) as u16).to_le_bytes();
            out.extend_from_slice(&[fmt | 1, low, high]);
        }
    }
}
