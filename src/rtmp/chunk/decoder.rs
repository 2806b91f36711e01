//! Bytes to messages.

use super::{
    CHUNK_SIZE_DEFAULT, CHUNK_STREAMS_MAX, COMMAND_LEN_MAX, ChunkStreamId, DATA_LEN_MAX, EXTENDED,
    MESSAGE_LEN_MAX, PARTIAL_BYTES_MAX,
};
use crate::bytes::{Cursor, Short};
use crate::rtmp::{Message, MessageType, StreamId, Timestamp};
use std::fmt;
use std::sync::Arc;

/// Longest chunk header: basic header 3, message header 11, extended timestamp 4 (§5.3.1).
const HEADER_LEN_MAX: usize = 18;

/// What a chunk stream keeps allocated between messages of media, in bytes: enough for most pictures,
/// not for keyframes. Between other messages, which are rare, it keeps nothing.
const BUFFER_KEPT_MAX: usize = 16 << 10;

/// What all chunk streams keep allocated between messages, in bytes.
const BUFFERS_KEPT_MAX: usize = 512 << 10;

/// Why a peer's chunks can no longer be followed. None of these is recoverable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// A compressed header (fmt 1, 2 or 3) opens chunk stream `csid` (§5.3.1.2.1).
    NoPreviousHeader {
        /// The chunk stream id, 2 to 65,599 (§5.3.1.1).
        csid: u32,
        /// The format of the header.
        fmt: u8,
    },
    /// A header that announces another message stands inside a message of chunk stream `csid`.
    HeaderInsideMessage {
        /// The chunk stream id, 2 to 65,599 (§5.3.1.1).
        csid: u32,
        /// The format of the header.
        fmt: u8,
    },
    /// A message is announced that is longer than its type may be.
    TooLong {
        /// The message type id.
        kind: u8,
        /// The length announced, in bytes.
        len: u32,
        /// The longest that this type may be here, in bytes.
        max: u32,
    },
    /// More than [`CHUNK_STREAMS_MAX`] chunk streams.
    TooManyChunkStreams,
    /// More than [`PARTIAL_BYTES_MAX`] bytes of unfinished messages.
    TooManyPartialBytes,
    /// Set Chunk Size of 0, with the first bit set, or shorter than four bytes (§5.4.1).
    ChunkSize(Option<u32>),
    /// An Abort Message shorter than four bytes (§5.4.2).
    AbortTooShort,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::NoPreviousHeader { csid, fmt } => {
                write!(
                    f,
                    "chunk stream {csid} starts with a header of format {fmt}"
                )
            }
            Error::HeaderInsideMessage { csid, fmt } => {
                write!(
                    f,
                    "chunk stream {csid} has a header of format {fmt} inside a message"
                )
            }
            Error::TooLong { kind, len, max } => {
                write!(
                    f,
                    "message of type {kind} announces {len} bytes, allowed are {max}"
                )
            }
            Error::TooManyChunkStreams => write!(f, "more than {CHUNK_STREAMS_MAX} chunk streams"),
            Error::TooManyPartialBytes => {
                write!(
                    f,
                    "more than {PARTIAL_BYTES_MAX} bytes of unfinished messages"
                )
            }
            Error::ChunkSize(Some(size)) => write!(f, "chunk size {size:#x} is not allowed"),
            Error::ChunkSize(None) => write!(f, "Set Chunk Size is shorter than 4 bytes"),
            Error::AbortTooShort => write!(f, "Abort Message is shorter than 4 bytes"),
        }
    }
}

impl std::error::Error for Error {}

/// What a chunk stream's headers have said so far (§5.3.1.2).
#[derive(Clone, Copy, Debug, Default)]
struct ChunkHeader {
    timestamp: Timestamp,
    delta: u32,
    len: u32,
    kind: MessageType,
    stream: StreamId,
    /// Whether the last header of format 0, 1 or 2 had an extended timestamp.
    extended: bool,
}

/// One chunk stream of the peer.
#[derive(Debug)]
struct ChunkStream {
    csid: u32,
    header: ChunkHeader,
    /// The payload so far, while a message is open.
    partial: Option<Vec<u8>>,
    /// An empty buffer kept for the next message.
    spare: Vec<u8>,
}

/// Where in a chunk the input stands.
#[derive(Debug)]
enum Position {
    ChunkHeader,
    Body { stream: usize, left: usize },
}

/// Turns a peer's bytes into messages, however the bytes are cut.
///
/// Set Chunk Size and Abort take effect here, at once, and are handed up as well. Memory grows
/// with the bytes received, never with a length announced.
#[derive(Debug)]
pub struct Decoder {
    chunk_size: u32,
    streams: Vec<ChunkStream>,
    position: Position,
    /// The beginning of a header whose end has not arrived.
    stash: Vec<u8>,
    partial_bytes: usize,
    tolerated: Deviations,
}

/// How often headers were accepted that a peer should not have sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deviations {
    /// The control chunk stream was opened by a header of format 1.
    pub opened_by_format_1: u32,
    /// A message went on behind a header of format 1 or 2 instead of 3.
    pub continued_by_format_1_or_2: u32,
}

impl Deviations {
    /// Those that there were, in words, and how often.
    pub fn told(self) -> impl Iterator<Item = (&'static str, u32)> {
        let all = [
            (
                "control chunk stream opened by a header of format 1",
                self.opened_by_format_1,
            ),
            (
                "message continued by a header of format 1 or 2",
                self.continued_by_format_1_or_2,
            ),
        ];
        all.into_iter().filter(|(_, times)| *times > 0)
    }
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder {
            chunk_size: CHUNK_SIZE_DEFAULT,
            streams: Vec::new(),
            position: Position::ChunkHeader,
            stash: Vec::with_capacity(HEADER_LEN_MAX),
            partial_bytes: 0,
            tolerated: Deviations::default(),
        }
    }
}

/// A parsed chunk header and what it opens or continues.
struct Parsed {
    csid: u32,
    fmt: u8,
    header: ChunkHeader,
}

impl Decoder {
    /// Takes bytes from the front of `input` until a message is whole or the input is used up.
    ///
    /// # Errors
    ///
    /// Any [`Error`] leaves the decoder between chunks that it cannot tell apart: drop the
    /// connection.
    pub fn decode(&mut self, input: &mut &[u8]) -> Result<Option<Message>, Error> {
        loop {
            let message = match self.position {
                Position::ChunkHeader => match self.header(input)? {
                    Some(parsed) => self.open(parsed)?,
                    None => return Ok(None),
                },
                Position::Body { .. } if input.is_empty() => return Ok(None),
                Position::Body { stream, left } => self.body(stream, left, input)?,
            };
            if let Some(message) = message {
                self.obey(&message)?;
                return Ok(Some(message));
            }
        }
    }

    /// How often a peer's header was accepted that it should not have sent.
    pub fn tolerated(&self) -> Deviations {
        self.tolerated
    }

    /// The memory that messages take which are not complete, and buffers for the next ones, in bytes.
    pub fn buffered(&self) -> usize {
        let partial = |stream: &ChunkStream| stream.partial.as_ref().map_or(0, Vec::capacity);
        let streams = self.streams.iter();
        streams
            .map(|stream| partial(stream) + stream.spare.capacity())
            .sum()
    }

    /// Frees the buffers that are kept for the next messages.
    pub fn free_buffers(&mut self) {
        let streams = self.streams.iter_mut();
        streams.for_each(|stream| stream.spare = Vec::new());
    }

    /// Whether the input ended between two chunks and no message is open.
    pub fn is_between_messages(&self) -> bool {
        matches!(self.position, Position::ChunkHeader)
            && self.stash.is_empty()
            && self.streams.iter().all(|stream| stream.partial.is_none())
    }

    /// Reads one chunk header; `None` when the input ends inside it.
    fn header(&mut self, input: &mut &[u8]) -> Result<Option<Parsed>, Error> {
        if self.stash.is_empty() {
            let mut cursor = Cursor::new(input);
            if let Ok(parsed) = self.parse(&mut cursor) {
                *input = cursor.rest();
                return parsed.map(Some);
            }
        }
        while let Some((byte, rest)) = input.split_first() {
            self.stash.push(*byte);
            *input = rest;
            let stash = std::mem::take(&mut self.stash);
            let parsed = self.parse(&mut Cursor::new(&stash));
            self.stash = stash;
            if let Ok(parsed) = parsed {
                self.stash.clear();
                return parsed.map(Some);
            }
        }
        Ok(None)
    }

    /// The header at the front of `cursor`, over what its chunk stream said last.
    ///
    /// The outer error is "not all there yet", the inner one a header that may not be.
    fn parse(&self, cursor: &mut Cursor) -> Result<Result<Parsed, Error>, Short> {
        let first = cursor.u8()?;
        let fmt = first >> 6;
        let csid = match first & 0x3f {
            0 => 64 + u32::from(cursor.u8()?),
            1 => 64 + u32::from(cursor.u8()?) + 256 * u32::from(cursor.u8()?),
            csid => u32::from(csid),
        };
        let known = self.streams.iter().find(|stream| stream.csid == csid);
        let open = known.is_some_and(|stream| stream.partial.is_some());
        if open && fmt == 0 {
            return Ok(Err(Error::HeaderInsideMessage { csid, fmt }));
        }
        // librtmp opens the control stream with format 1 when its first message there is an
        // acknowledgement or a pong; over an all-zero header that reads as it is meant.
        let lenient = csid == ChunkStreamId::CONTROL.0 && fmt == 1;
        if known.is_none() && fmt > 0 && !lenient {
            return Ok(Err(Error::NoPreviousHeader { csid, fmt }));
        }
        let last = known.map(|stream| stream.header).unwrap_or_default();
        let header = message_header(cursor, fmt, last, !open)?;
        // Some encoders repeat the whole header on each chunk of a message. One that says the same
        // as the first goes on with it; only its delta is news, for the message after this one.
        if open && (header.len, header.kind) != (last.len, last.kind) {
            return Ok(Err(Error::HeaderInsideMessage { csid, fmt }));
        }
        Ok(Ok(Parsed { csid, fmt, header }))
    }

    /// Stores a header and moves on to the chunk's body. A message without any is whole already.
    fn open(&mut self, parsed: Parsed) -> Result<Option<Message>, Error> {
        let Parsed { csid, fmt, header } = parsed;
        let len_max = len_max(header.kind);
        if header.len > len_max {
            return Err(Error::TooLong {
                kind: header.kind.0,
                len: header.len,
                max: len_max,
            });
        }
        let index = match self.streams.iter().position(|stream| stream.csid == csid) {
            Some(index) => index,
            None if self.streams.len() == CHUNK_STREAMS_MAX => {
                return Err(Error::TooManyChunkStreams);
            }
            None => {
                let opened = &mut self.tolerated.opened_by_format_1;
                *opened = opened.saturating_add(u32::from(fmt != 0));
                let (partial, spare) = (None, Vec::new());
                self.streams.push(ChunkStream {
                    csid,
                    header,
                    partial,
                    spare,
                });
                self.streams.len() - 1
            }
        };
        let stream = &mut self.streams[index];
        if stream.partial.is_some() && fmt < 3 {
            let continued = &mut self.tolerated.continued_by_format_1_or_2;
            *continued = continued.saturating_add(1);
        }
        stream.header = header;
        let spare = &mut stream.spare;
        let have = stream
            .partial
            .get_or_insert_with(|| std::mem::take(spare))
            .len();
        if header.len == 0 {
            return Ok(Some(self.complete(index, None)));
        }
        let left = (header.len as usize - have).min(self.chunk_size as usize);
        self.position = Position::Body {
            stream: index,
            left,
        };
        Ok(None)
    }

    /// Takes what the input has of a chunk's body, at most `left` bytes.
    fn body(
        &mut self,
        index: usize,
        left: usize,
        input: &mut &[u8],
    ) -> Result<Option<Message>, Error> {
        let (bytes, rest) = input.split_at(left.min(input.len()));
        *input = rest;
        let stream = &mut self.streams[index];
        let partial = stream.partial.get_or_insert_default();
        let len = stream.header.len as usize;
        if partial.is_empty() && bytes.len() == len {
            return Ok(Some(self.complete(index, Some(bytes))));
        }
        partial.extend_from_slice(bytes);
        let whole = partial.len() == len;
        self.partial_bytes += bytes.len();
        if whole {
            return Ok(Some(self.complete(index, None)));
        }
        if self.partial_bytes > PARTIAL_BYTES_MAX {
            return Err(Error::TooManyPartialBytes);
        }
        self.position = match left - bytes.len() {
            0 => Position::ChunkHeader,
            left => Position::Body {
                stream: index,
                left,
            },
        };
        Ok(None)
    }

    /// Ends the message of a chunk stream. `whole` is its payload if it never had to be gathered.
    fn complete(&mut self, index: usize, whole: Option<&[u8]>) -> Message {
        let stream = &mut self.streams[index];
        let mut gathered = stream.partial.take().unwrap_or_default();
        self.partial_bytes -= gathered.len();
        let payload: Arc<[u8]> = whole.unwrap_or(&gathered).into();
        let kept_max = match stream.header.kind {
            MessageType::AUDIO | MessageType::VIDEO | MessageType::AGGREGATE => BUFFER_KEPT_MAX,
            _ => 0,
        };
        if gathered.capacity() <= kept_max {
            gathered.clear();
            stream.spare = gathered;
            let kept = self.streams.iter().map(|stream| stream.spare.capacity());
            if kept.sum::<usize>() > BUFFERS_KEPT_MAX {
                self.streams[index].spare = Vec::new();
            }
        }
        let stream = &mut self.streams[index];
        self.position = Position::ChunkHeader;
        let ChunkHeader {
            timestamp,
            kind,
            stream,
            ..
        } = stream.header;
        Message {
            timestamp,
            kind,
            stream,
            payload,
        }
    }

    /// Carries out the two messages that are about chunks (§5.4.1, §5.4.2).
    fn obey(&mut self, message: &Message) -> Result<(), Error> {
        let mut payload = Cursor::new(&message.payload);
        match message.kind {
            MessageType::SET_CHUNK_SIZE => match payload.u32() {
                Ok(size @ 1..=0x7fff_ffff) => self.chunk_size = size,
                size => return Err(Error::ChunkSize(size.ok())),
            },
            MessageType::ABORT => {
                let csid = payload.u32().map_err(|_| Error::AbortTooShort)?;
                self.abort(csid);
            }
            _ => {}
        }
        Ok(())
    }

    /// Drops what has arrived of the open message of `csid`; what its headers said stays.
    fn abort(&mut self, csid: u32) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.csid == csid) {
            self.partial_bytes -= stream.partial.take().unwrap_or_default().len();
        }
    }
}

/// Reads the fields that `fmt` carries over `last`, the chunk stream's header so far (§5.3.1.2).
///
/// `starts` says whether the chunk opens a message: only then does time move. A format 0 header is
/// a step from zero, which is also why a format 3 right after it repeats its whole timestamp
/// (§5.3.1.2.4).
fn message_header(
    cursor: &mut Cursor,
    fmt: u8,
    last: ChunkHeader,
    starts: bool,
) -> Result<ChunkHeader, Short> {
    let mut header = last;
    if fmt < 3 {
        header.delta = cursor.u24()?;
        header.extended = header.delta == EXTENDED;
    }
    if fmt < 2 {
        header.len = cursor.u24()?;
        header.kind = MessageType(cursor.u8()?);
    }
    if fmt == 0 {
        header.stream = StreamId(cursor.u32_le()?);
        header.timestamp = Timestamp(0);
    }
    if header.extended {
        let value = cursor.u32()?;
        if fmt < 3 {
            header.delta = value;
        }
    }
    if starts {
        header.timestamp = header.timestamp.plus(header.delta);
    }
    Ok(header)
}

/// The longest message of a type that is gathered.
fn len_max(kind: MessageType) -> u32 {
    match kind {
        MessageType::AUDIO | MessageType::VIDEO | MessageType::AGGREGATE => MESSAGE_LEN_MAX,
        MessageType::DATA | MessageType::DATA_AMF3 => DATA_LEN_MAX,
        MessageType(0..=7) | MessageType::COMMAND | MessageType::COMMAND_AMF3 => COMMAND_LEN_MAX,
        _ => DATA_LEN_MAX,
    }
}
