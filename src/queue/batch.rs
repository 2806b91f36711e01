//! Live messages on their way to all viewers of a stream.

use super::budget::{Budget, Held};
use super::message_cost;
use crate::rtmp::chunk::{ChunkStreamId, Encoder, MessageHeader};
use crate::rtmp::{Message, StreamId};
use std::sync::{Arc, OnceLock};

/// The message stream that nearly every viewer plays on.
pub const COMMON_STREAM: StreamId = StreamId(1);

/// Messages that go to all viewers of a stream, and the bytes that most of them get.
///
/// Chunk headers say what has changed since the last message, so they depend on what a viewer was
/// sent before. Viewers that have been sent the same are sent the same bytes, made once.
#[derive(Debug)]
pub struct Batch {
    messages: Vec<Message>,
    bytes: Vec<u8>,
    /// What a viewer must know for the bytes to be right, and what it knows then.
    headers: Vec<(ChunkStreamId, Option<MessageHeader>, MessageHeader)>,
    /// Its part of the budget, once it waits for anybody.
    held: OnceLock<Held>,
}

impl Batch {
    /// Makes the common bytes with `encoder`, which is a viewer that has been sent everything.
    pub fn new(messages: Vec<Message>, encoder: &mut Encoder) -> Batch {
        let mut headers: Vec<(ChunkStreamId, Option<MessageHeader>)> = Vec::with_capacity(2);
        let mut bytes = Vec::with_capacity(len_hint(&messages));
        for message in &messages {
            let csid = ChunkStreamId::of(message.kind, COMMON_STREAM);
            if headers.iter().all(|(known, _)| *known != csid) {
                headers.push((csid, encoder.header(csid)));
            }
            encoder.encode_as(COMMON_STREAM, message, &mut bytes);
        }
        let after = |csid| encoder.header(csid);
        let headers = headers.into_iter();
        let headers = headers
            .filter_map(|(csid, before)| Some((csid, before, after(csid)?)))
            .collect();
        Batch {
            messages,
            bytes,
            headers,
            held: OnceLock::new(),
        }
    }

    /// The messages, in order.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// The bytes to send to a viewer that plays on `stream` and knows what `encoder` says, if the
    /// common ones are right for it; `encoder` then says what it knows afterwards.
    pub fn common_bytes(&self, stream: StreamId, encoder: &mut Encoder) -> Option<&[u8]> {
        let known = |(csid, before, _): &(ChunkStreamId, Option<MessageHeader>, MessageHeader)| {
            encoder.header(*csid) == *before
        };
        if stream != COMMON_STREAM || !self.headers.iter().all(known) {
            return None;
        }
        self.headers
            .iter()
            .for_each(|(csid, _, after)| encoder.set_header(*csid, *after));
        Some(&self.bytes)
    }

    /// The common bytes, for a viewer that was sent some of them already.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The memory that it takes, in bytes.
    pub fn cost(&self) -> usize {
        let messages: usize = self.messages.iter().map(message_cost).sum();
        size_of::<Batch>() + self.bytes.capacity() + messages
    }

    /// Counts it against `budget` as long as it lasts, once, however many peers it waits for.
    pub(super) fn hold(&self, budget: &Arc<Budget>) {
        self.held.get_or_init(|| budget.hold(self.cost()));
    }
}

/// About how many bytes messages are when encoded.
fn len_hint(messages: &[Message]) -> usize {
    let lens = messages
        .iter()
        .map(|message| message.payload.len() + message.payload.len() / 1024 + 32);
    lens.sum()
}
