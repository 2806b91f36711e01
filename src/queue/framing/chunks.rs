//! Bytes that many peers get as RTMP chunks.
//!
//! Chunk headers say what has changed since the last message, so they depend on what a peer was
//! sent before. The common bytes therefore come with the headers that a peer must know for them to
//! be right, and those that it knows afterwards.

use crate::rtmp::chunk::{ChunkStreamId, Encoder, MessageHeader};
use crate::rtmp::{Message, StreamId};

/// The message stream that nearly every viewer plays on.
pub(crate) const COMMON_STREAM: StreamId = StreamId(1);

/// Messages of [`COMMON_STREAM`] as chunks.
#[derive(Debug)]
pub(super) struct CommonChunks {
    bytes: Vec<u8>,
    headers: Vec<HeaderChange>,
}

/// What the bytes change on one chunk stream.
#[derive(Debug)]
struct HeaderChange {
    csid: ChunkStreamId,
    /// The last header that a peer must have been sent; `None`: no header at all.
    before: Option<MessageHeader>,
    after: MessageHeader,
}

impl CommonChunks {
    /// Makes the bytes with the encoder of a peer that is sent everything.
    pub(super) fn new(messages: &[Message], encoder: &mut Encoder) -> CommonChunks {
        let mut before: Vec<(ChunkStreamId, Option<MessageHeader>)> = Vec::with_capacity(2);
        let mut bytes = Vec::with_capacity(len_hint(messages));
        for message in messages {
            let csid = ChunkStreamId::of(message.kind, COMMON_STREAM);
            if before.iter().all(|(known, _)| *known != csid) {
                before.push((csid, encoder.header(csid)));
            }
            encoder.encode_as(COMMON_STREAM, message, &mut bytes);
        }
        let change = |(csid, before)| {
            let after = encoder.header(csid)?;
            Some(HeaderChange {
                csid,
                before,
                after,
            })
        };
        let headers = before.into_iter().filter_map(change).collect();
        CommonChunks { bytes, headers }
    }

    /// The bytes, if they are right for a peer that plays on `stream` and was sent what `encoder`
    /// says; `encoder` then says what the peer knows afterwards.
    pub(super) fn take(&self, stream: StreamId, encoder: &mut Encoder) -> Option<&[u8]> {
        let is_known = |change: &HeaderChange| encoder.header(change.csid) == change.before;
        if stream != COMMON_STREAM || !self.headers.iter().all(is_known) {
            return None;
        }
        for change in &self.headers {
            encoder.set_header(change.csid, change.after);
        }
        Some(&self.bytes)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The memory that the bytes take.
    pub(super) fn heap_cost(&self) -> usize {
        self.bytes.capacity()
    }
}

/// About how many bytes messages are as chunks.
fn len_hint(messages: &[Message]) -> usize {
    let lens = messages
        .iter()
        .map(|message| message.payload.len() + message.payload.len() / 1024 + 32);
    lens.sum()
}
