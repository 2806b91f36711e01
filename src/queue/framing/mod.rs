//! How messages become the bytes that a peer is sent.
//!
//! A [`Framing`] is the state of one peer: what it has been sent decides what its next bytes are.
//! Viewers of a stream that have been sent the same are sent the same bytes, so these are made once
//! for each batch and framing, by [`Leaders`], and every peer whose state allows it takes them.
//! Nothing else in this crate knows which bytes a viewer is sent. A further framing is a variant of
//! [`Framing`], [`FramingKind`] and [`Body`], and a field of [`Leaders`] and [`CommonBytes`].

mod body;
mod chunks;
mod flv;

use crate::media::flv::Flags;
use crate::memory::Budget;
use crate::rtmp::chunk::{Chunks, Encoder};
use crate::rtmp::{Message, StreamId};
use body::BodyFraming;
use chunks::CommonChunks;
use flv::{FlvBatch, FlvFraming, FlvRest};
use std::sync::{Arc, OnceLock};

pub(super) use body::{CHUNK_END, put_chunk_len};
pub(super) use chunks::COMMON_STREAM;

/// How messages become bytes for one peer, and what that peer was sent until now.
#[derive(Clone, Debug)]
pub enum Framing {
    /// RTMP chunks (§5.3), and what the peer knows of earlier headers.
    Chunks(Encoder),
    /// FLV tags, in the body of an HTTP response.
    Flv(FlvFraming),
    /// The body of an HTTP response that is made elsewhere; no messages.
    Body(BodyFraming),
}

/// The name of a framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FramingKind {
    Chunks,
    Flv { chunked: bool },
    Body,
}

/// What messages are to the peer that is sent them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MessageClass {
    /// Messages of our own: each belongs to the message stream that it names.
    Reply,
    /// Audio, video and data of a stream, sent as messages of this message stream.
    Media(StreamId),
}

/// A message whose first bytes are made, and which is to be completed before the next begins.
#[derive(Debug)]
pub(super) enum Body {
    Chunks(Chunks),
    Flv(FlvRest),
    /// Nothing: the framing has no place for the message.
    None,
}

/// Whether a step made all bytes that there are.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The piece is full, and there is more.
    More,
    /// All bytes are made.
    Complete,
}

impl Framing {
    /// RTMP chunks, for a peer that has been sent nothing.
    pub fn chunks() -> Framing {
        Framing::Chunks(Encoder::default())
    }

    /// FLV tags for a peer that is sent `head` first: the head of an HTTP response, whose body goes
    /// in chunks or not.
    pub fn flv(head: Vec<u8>, chunked: bool) -> Framing {
        Framing::Flv(FlvFraming::new(head, chunked))
    }

    /// A body that is made elsewhere, for a peer that is sent `head` first, in which another media
    /// type takes the place of `content_type`. The body goes in chunks or not.
    pub fn body(head: Vec<u8>, content_type: &'static str, chunked: bool) -> Framing {
        Framing::Body(BodyFraming::new(head, content_type, chunked))
    }

    /// The state of a peer that is sent a body which is made elsewhere.
    pub(super) fn as_body(&mut self) -> Option<&mut BodyFraming> {
        match self {
            Framing::Body(body) => Some(body),
            Framing::Chunks(_) | Framing::Flv(_) => None,
        }
    }

    /// Sets the kinds of media that the peer is told of before the first message, if it is.
    pub(super) fn set_kinds(&mut self, kinds: Flags) {
        match self {
            Framing::Chunks(_) | Framing::Body(_) => {}
            Framing::Flv(flv) => flv.set_kinds(kinds),
        }
    }

    pub(super) fn kind(&self) -> FramingKind {
        match self {
            Framing::Chunks(_) => FramingKind::Chunks,
            Framing::Flv(flv) => FramingKind::Flv {
                chunked: flv.is_chunked(),
            },
            Framing::Body(_) => FramingKind::Body,
        }
    }

    /// Appends the first bytes of `message` to `out`; the rest of it must follow before anything
    /// else.
    pub(super) fn begin(
        &mut self,
        class: MessageClass,
        message: &Message,
        out: &mut Vec<u8>,
    ) -> Body {
        let stream = match class {
            MessageClass::Reply => message.stream,
            MessageClass::Media(stream) => stream,
        };
        match self {
            Framing::Chunks(encoder) => Body::Chunks(encoder.begin_as(stream, message, out)),
            Framing::Flv(_) if class == MessageClass::Reply => Body::None,
            Framing::Flv(flv) => Body::Flv(flv.begin(message, out)),
            Framing::Body(_) => Body::None,
        }
    }

    /// Appends all bytes of a reply to `out`.
    pub(super) fn encode_reply(&mut self, message: &Message, out: &mut Vec<u8>) {
        let mut body = self.begin(MessageClass::Reply, message, out);
        let _ = body.append(out, usize::MAX);
    }

    /// Appends what follows the last of all messages.
    pub(super) fn end(&self, out: &mut Vec<u8>) {
        match self {
            Framing::Chunks(_) => {}
            Framing::Flv(flv) => flv.end(out),
            Framing::Body(body) => body.end(out),
        }
    }

    /// The common bytes of a batch of these messages, if they are right for this peer, which gets
    /// the batch as messages of `stream`. It counts as having been sent them from here on.
    pub(super) fn take_common<'a>(
        &mut self,
        stream: StreamId,
        common: &'a CommonBytes,
        messages: &[Message],
    ) -> Option<&'a [u8]> {
        match self {
            Framing::Chunks(encoder) => common.chunks.take(stream, encoder),
            Framing::Flv(flv) => flv.take_common(common.flv(messages)),
            Framing::Body(_) => Some(&[]),
        }
    }
}

impl Body {
    /// Appends bytes to `out` until that has `max` bytes.
    pub(super) fn append(&mut self, out: &mut Vec<u8>, max: usize) -> Progress {
        let complete = match self {
            Body::Chunks(chunks) => chunks.encode(out, max),
            Body::Flv(flv) => flv.append(out, max),
            Body::None => true,
        };
        match complete {
            true => Progress::Complete,
            false => Progress::More,
        }
    }
}

/// For each framing whose bytes depend on those before a peer that is sent everything of a stream,
/// and what it was sent until now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Leaders {
    chunks: Encoder,
}

/// The bytes that the leaders of a stream get of one batch, for each framing.
#[derive(Debug)]
pub(super) struct CommonBytes {
    chunks: CommonChunks,
    /// Made when a peer first needs them.
    flv: OnceLock<FlvBatch>,
}

impl Leaders {
    /// Leaders that have been sent nothing, in chunks of `chunk_size` bytes.
    pub(crate) fn new(chunk_size: u32) -> Leaders {
        Leaders {
            chunks: Encoder::with_chunk_size(chunk_size),
        }
    }

    /// Makes the bytes that the leaders get of `messages`.
    pub(super) fn encode(&mut self, messages: &[Message]) -> CommonBytes {
        CommonBytes {
            chunks: CommonChunks::new(messages, &mut self.chunks),
            flv: OnceLock::new(),
        }
    }

    /// Has the leaders take bytes that others have made, if they are right for them.
    #[must_use]
    pub(super) fn take_common(&mut self, common: &CommonBytes) -> bool {
        let chunks = common.chunks.take(COMMON_STREAM, &mut self.chunks);
        chunks.is_some()
    }
}

impl CommonBytes {
    pub(super) fn of(&self, framing: FramingKind) -> &[u8] {
        match framing {
            FramingKind::Chunks => self.chunks.bytes(),
            FramingKind::Flv { chunked } => self.flv.get().map_or(&[], |flv| flv.bytes(chunked)),
            FramingKind::Body => &[],
        }
    }

    fn flv(&self, messages: &[Message]) -> &FlvBatch {
        self.flv.get_or_init(|| FlvBatch::new(messages))
    }

    /// The memory that those take that are there from the beginning, outside of the struct itself,
    /// in bytes.
    pub(super) fn heap_cost(&self) -> usize {
        self.chunks.heap_cost()
    }

    /// The memory that those take that were made later, in bytes.
    pub(super) fn later_cost(&self) -> usize {
        self.flv.get().map_or(0, FlvBatch::heap_cost)
    }

    /// Counts those that were made later against `budget` as long as they last, once.
    pub(super) fn hold_later(&self, budget: &Arc<Budget>) {
        if let Some(flv) = self.flv.get() {
            flv.hold(budget);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::{MessageType, Timestamp};

    fn picture(time: u32) -> Message {
        Message {
            timestamp: Timestamp(time),
            ..Message::untimed(MessageType::VIDEO, StreamId(9), vec![7; 300])
        }
    }

    /// The bytes that a peer gets of messages for which the common bytes are not right.
    fn own_bytes(framing: &mut Framing, stream: StreamId, messages: &[Message]) -> Vec<u8> {
        let mut out = Vec::new();
        for message in messages {
            let mut body = framing.begin(MessageClass::Media(stream), message, &mut out);
            assert_eq!(body.append(&mut out, usize::MAX), Progress::Complete);
        }
        out
    }

    #[test]
    fn peers_that_were_sent_the_same_share_bytes() {
        let mut leaders = Leaders::new(128);
        let first = leaders.encode(&[picture(0)]);
        let second = leaders.encode(&[picture(40), picture(80)]);
        let new_peer = || Framing::Chunks(Encoder::with_chunk_size(128));
        let (mut in_step, mut late, mut elsewhere) = (new_peer(), new_peer(), new_peer());
        // A reply goes on a chunk stream of its own, and changes nothing for media.
        let reply = Message::untimed(MessageType::COMMAND, StreamId(0), vec![1]);
        in_step.encode_reply(&reply, &mut Vec::new());
        let own = own_bytes(&mut in_step.clone(), COMMON_STREAM, &[picture(0)]);
        assert_eq!(
            in_step.take_common(COMMON_STREAM, &first, &[]),
            Some(&own[..])
        );
        let both = [picture(40), picture(80)];
        let own = own_bytes(&mut in_step.clone(), COMMON_STREAM, &both);
        assert_eq!(
            in_step.take_common(COMMON_STREAM, &second, &[]),
            Some(&own[..])
        );
        // A peer that was not sent the first picture gets bytes of its own, and then is in step.
        assert_eq!(late.take_common(COMMON_STREAM, &second, &[]), None);
        own_bytes(&mut late, COMMON_STREAM, &both);
        let third = leaders.encode(&[picture(120)]);
        for peer in [&mut late, &mut in_step] {
            assert!(peer.take_common(COMMON_STREAM, &third, &[]).is_some());
        }
        // So does a peer that plays on another message stream, but never is in step.
        assert_eq!(elsewhere.take_common(StreamId(2), &first, &[]), None);
    }
}
