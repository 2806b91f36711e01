//! Messages as FLV tags (FLV E.4), in the body of an HTTP response.
//!
//! A tag says nothing of those before it, so the common bytes of a batch are right for every peer
//! that has begun. They are made when the first of these takes them.

use super::body::{CHUNK_END, LAST_CHUNK, put_chunk_len};
use crate::media::flv::{Flags, put_header};
use crate::media::tag_body::TagBody;
use crate::memory::{Budget, Held};
use crate::rtmp::{Message, MessageType};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// Bytes of a tag before its body, and behind it.
const TAG_HEADER_LEN: usize = 11;
const TAG_END_LEN: usize = 4;

/// What a peer that is sent FLV has been sent.
#[derive(Clone, Debug)]
pub struct FlvFraming {
    /// What is still to be sent before the first tag.
    opening: Option<FlvOpening>,
    /// Whether the body goes in chunks (RFC 9112 §7.1).
    chunked: bool,
}

#[derive(Clone, Debug)]
struct FlvOpening {
    /// The head of the HTTP response.
    head: Vec<u8>,
    kinds: Flags,
}

/// A tag that is to be sent.
struct Tag<'a> {
    kind: MessageType,
    body: TagBody,
    message: &'a Message,
}

impl Tag<'_> {
    fn of(message: &Message) -> Option<Tag<'_>> {
        let (kind, body) = TagBody::of(message.kind, &message.payload)?;
        Some(Tag {
            kind,
            body,
            message,
        })
    }

    fn body_len(&self) -> usize {
        self.body.len(self.message.payload.len())
    }

    fn len(&self) -> usize {
        TAG_HEADER_LEN + self.body_len() + TAG_END_LEN
    }

    /// Appends what stands before the rest of the payload.
    fn put_front(&self, out: &mut Vec<u8>) {
        let time = self.message.timestamp.0.to_be_bytes();
        let len = (self.body_len() as u32).to_be_bytes();
        out.push(self.kind.0);
        out.extend_from_slice(&len[1..]);
        out.extend_from_slice(&time[1..]);
        out.push(time[0]);
        out.extend_from_slice(&[0; 3]); // stream id
        out.extend_from_slice(self.body.front());
    }

    /// The size of the tag, which stands behind it.
    fn end(&self) -> [u8; TAG_END_LEN] {
        ((TAG_HEADER_LEN + self.body_len()) as u32).to_be_bytes()
    }
}

impl FlvFraming {
    /// For a peer that is to be sent `head` and an FLV header before the first tag.
    pub(super) fn new(head: Vec<u8>, chunked: bool) -> FlvFraming {
        let kinds = Flags::default();
        FlvFraming {
            opening: Some(FlvOpening { head, kinds }),
            chunked,
        }
    }

    pub(super) fn is_chunked(&self) -> bool {
        self.chunked
    }

    /// Sets what the header says that there is, if it was not sent yet.
    pub(super) fn set_kinds(&mut self, kinds: Flags) {
        if let Some(opening) = &mut self.opening {
            opening.kinds = kinds;
        }
    }

    /// Appends the first bytes of a tag, behind the header if that is due.
    pub(super) fn begin(&mut self, message: &Message, out: &mut Vec<u8>) -> FlvRest {
        let Some(tag) = Tag::of(message) else {
            return FlvRest::default();
        };
        if let Some(FlvOpening { head, kinds }) = self.opening.take() {
            out.extend_from_slice(&head);
            let mut header = Vec::new();
            put_header(kinds, &mut header);
            self.put_chunk(&header, out);
        }
        if self.chunked {
            put_chunk_len(tag.len(), out);
        }
        tag.put_front(out);
        let chunk_end = if self.chunked { CHUNK_END } else { &[] };
        FlvRest {
            payload: Some(Arc::clone(&message.payload)),
            next: tag.body.from,
            end: [&tag.end(), chunk_end].concat(),
        }
    }

    fn put_chunk(&self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.chunked {
            put_chunk_len(bytes.len(), out);
        }
        out.extend_from_slice(bytes);
        if self.chunked {
            out.extend_from_slice(CHUNK_END);
        }
    }

    /// Appends what says that the body is complete, if it has begun.
    pub(super) fn end(&self, out: &mut Vec<u8>) {
        if self.chunked && self.opening.is_none() {
            out.extend_from_slice(LAST_CHUNK);
        }
    }

    /// The common bytes of a batch, if they are right for this peer.
    pub(super) fn take_common<'a>(&self, common: &'a FlvBatch) -> Option<&'a [u8]> {
        self.opening.is_none().then(|| common.bytes(self.chunked))
    }
}

/// The rest of a tag whose first bytes are made.
#[derive(Debug, Default)]
pub(in crate::queue) struct FlvRest {
    payload: Option<Arc<[u8]>>,
    /// The index of the first byte of the payload that is not made yet.
    next: usize,
    /// What stands behind it.
    end: Vec<u8>,
}

impl FlvRest {
    /// Appends bytes to `out` until that has `max` bytes. Whether the tag is complete.
    pub(super) fn append(&mut self, out: &mut Vec<u8>, max: usize) -> bool {
        let Some(payload) = &self.payload else {
            return true;
        };
        let rest = payload.get(self.next..).unwrap_or_default();
        let room = max.saturating_sub(out.len()).min(rest.len());
        out.extend_from_slice(&rest[..room]);
        self.next += room;
        if room < rest.len() {
            return false;
        }
        out.append(&mut self.end);
        self.payload = None;
        true
    }
}

/// The tags of a batch, all in one chunk.
#[derive(Debug)]
pub(in crate::queue) struct FlvBatch {
    chunk: Vec<u8>,
    /// Where the tags are in it.
    tags: Range<usize>,
    /// Its part of the budget.
    held: OnceLock<Held>,
}

impl FlvBatch {
    /// The tags of these messages; no bytes at all if they make none.
    pub(super) fn new(messages: &[Message]) -> FlvBatch {
        let len: usize = messages
            .iter()
            .filter_map(Tag::of)
            .map(|tag| tag.len())
            .sum();
        let mut chunk = Vec::new();
        if len > 0 {
            chunk.reserve_exact(len + 20);
            put_chunk_len(len, &mut chunk);
        }
        let start = chunk.len();
        for tag in messages.iter().filter_map(Tag::of) {
            tag.put_front(&mut chunk);
            let rest = tag.message.payload.get(tag.body.from..);
            chunk.extend_from_slice(rest.unwrap_or_default());
            chunk.extend_from_slice(&tag.end());
        }
        let tags = start..chunk.len();
        if len > 0 {
            chunk.extend_from_slice(CHUNK_END);
        }
        FlvBatch {
            chunk,
            tags,
            held: OnceLock::new(),
        }
    }

    pub(super) fn bytes(&self, chunked: bool) -> &[u8] {
        match chunked {
            true => &self.chunk,
            false => &self.chunk[self.tags.clone()],
        }
    }

    /// The memory that the bytes take.
    pub(super) fn heap_cost(&self) -> usize {
        self.chunk.capacity()
    }

    /// Counts them against `budget` as long as they last, once.
    pub(super) fn hold(&self, budget: &Arc<Budget>) {
        self.held
            .get_or_init(|| Held::new(budget, self.heap_cost()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::{StreamId, Timestamp};

    fn message(kind: MessageType, time: u32, payload: &[u8]) -> Message {
        Message {
            timestamp: Timestamp(time),
            ..Message::untimed(kind, StreamId(1), payload.to_vec())
        }
    }

    const BOTH: Flags = Flags {
        audio: true,
        video: true,
    };

    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

    /// A message and its tag, byte for byte.
    fn rows() -> [(Message, &'static [u8]); 6] {
        let (audio, video, data) = (MessageType::AUDIO, MessageType::VIDEO, MessageType::DATA);
        [
            (
                message(video, 0x0102_0304, b"\x17\x01\0\0\0xyz"),
                b"\x09\0\0\x08\x02\x03\x04\x01\0\0\0\x17\x01\0\0\0xyz\0\0\0\x13",
            ),
            (
                message(video, 40, b"\xa1avc1\0\0\x28xyz"),
                b"\x09\0\0\x08\0\0\x28\0\0\0\0\x27\x01\0\0\x28xyz\0\0\0\x13",
            ),
            (
                message(audio, 41, b"\x97\x02\0\0\x01\x01Opusxy"),
                b"\x08\0\0\x07\0\0\x29\0\0\0\0\x91Opusxy\0\0\0\x12",
            ),
            (
                message(MessageType::DATA_AMF3, 0, b"\0\x02\0\x01a"),
                b"\x12\0\0\x04\0\0\0\0\0\0\0\x02\0\x01a\0\0\0\x0f",
            ),
            (message(data, 0, b""), b"\x12\0\0\0\0\0\0\0\0\0\0\0\0\0\x0b"),
            (message(video, 0, b"\x96\x01avc1\x00x"), b""),
        ]
    }

    fn chunk(bytes: &[u8]) -> Vec<u8> {
        match bytes.len() {
            0 => Vec::new(),
            len => [format!("{len:x}\r\n").as_bytes(), bytes, b"\r\n"].concat(),
        }
    }

    #[test]
    fn messages_are_tags_in_chunks_or_not() {
        let header = b"FLV\x01\x05\0\0\0\x09\0\0\0\0";
        for chunked in [true, false] {
            // In steps of any size.
            for max in [1, 7, 64 << 10] {
                let mut framing = FlvFraming::new(HEAD.to_vec(), chunked);
                framing.set_kinds(BOTH);
                let (mut out, mut want) = (Vec::new(), HEAD.to_vec());
                framing.end(&mut out);
                assert_eq!(out, b"", "nothing ends that has not begun");
                match chunked {
                    true => want.extend(chunk(header)),
                    false => want.extend(header),
                }
                for (message, tag) in rows() {
                    let mut rest = framing.begin(&message, &mut out);
                    let mut len = out.len();
                    while !rest.append(&mut out, len + max) {
                        assert_eq!(out.len(), len + max);
                        len = out.len();
                    }
                    match chunked {
                        true => want.extend(chunk(tag)),
                        false => want.extend(tag),
                    }
                }
                framing.end(&mut out);
                want.extend(if chunked { LAST_CHUNK } else { b"" });
                assert_eq!(out, want, "{chunked} {max}");
            }
        }
    }

    #[test]
    fn common_bytes_are_one_chunk_and_for_those_who_have_begun() {
        let (messages, tags): (Vec<_>, Vec<_>) = rows().into_iter().unzip();
        let batch = FlvBatch::new(&messages);
        let nothing = FlvBatch::new(&messages[5..]);
        for chunked in [true, false] {
            let mut framing = FlvFraming::new(HEAD.to_vec(), chunked);
            assert_eq!(framing.take_common(&batch), None);
            let _ = framing.begin(&messages[0], &mut Vec::new());
            let want = match chunked {
                true => chunk(&tags.concat()),
                false => tags.concat(),
            };
            assert_eq!(framing.take_common(&batch), Some(&want[..]));
            assert_eq!(framing.take_common(&nothing), Some(&[][..]));
        }
    }
}
