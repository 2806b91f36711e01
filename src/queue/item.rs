//! What waits for a writer thread, and what it costs.

use super::batch::Batch;
use super::budget::HeldMessages;
use super::{MESSAGE_COST, PIECE_LEN, message_cost};
use crate::rtmp::chunk::{Chunks, Encoder};
use crate::rtmp::{Message, StreamId};
use std::ops::{AddAssign, SubAssign};
use std::sync::Arc;

/// Something that waits for the writer thread.
pub enum Item {
    /// The common bytes of a batch, from an index on: what the socket did not take.
    Rest(Arc<Batch>, usize),
    /// Messages that belong together.
    Messages(Box<Remaining>),
    /// Live messages that other viewers get as well.
    Live(StreamId, Arc<Batch>),
    /// Nothing: look whether there is a farewell.
    Wake,
}

/// What items cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// How many they are.
    pub items: usize,
    /// The memory that they take, in bytes.
    pub bytes: usize,
    /// How many messages of our own are among them.
    pub replies: usize,
}

impl Item {
    pub fn weight(&self) -> Weight {
        let (bytes, replies) = match self {
            Item::Rest(batch, _) | Item::Live(_, batch) => (batch.cost(), 0),
            Item::Messages(rest) => (rest.cost(), rest.replies()),
            Item::Wake => (0, 0),
        };
        Weight {
            items: 1,
            bytes: size_of::<Item>() + bytes,
            replies,
        }
    }
}

impl AddAssign for Weight {
    fn add_assign(&mut self, more: Weight) {
        self.items += more.items;
        self.bytes += more.bytes;
        self.replies += more.replies;
    }
}

impl SubAssign for Weight {
    fn sub_assign(&mut self, less: Weight) {
        self.items -= less.items;
        self.bytes -= less.bytes;
        self.replies -= less.replies;
    }
}

/// Messages on their way to bytes: media of a stream is sent as the stream named.
#[derive(Debug)]
pub struct Encoding {
    stream: Option<StreamId>,
    /// The index of the message that is next.
    next: usize,
    /// What is left of the one before.
    chunks: Option<Chunks>,
}

impl Encoding {
    pub fn new(stream: Option<StreamId>) -> Encoding {
        Encoding {
            stream,
            next: 0,
            chunks: None,
        }
    }

    /// Appends bytes to `out` until a piece is full. Whether all is encoded.
    pub fn piece(
        &mut self,
        encoder: &mut Encoder,
        messages: &[Message],
        out: &mut Vec<u8>,
    ) -> bool {
        loop {
            if let Some(chunks) = &mut self.chunks
                && !chunks.encode(out, PIECE_LEN)
            {
                return false;
            }
            self.chunks = None;
            let Some(message) = messages.get(self.next) else {
                return true;
            };
            if out.len() >= PIECE_LEN {
                return false;
            }
            let stream = self.stream.unwrap_or(message.stream);
            self.chunks = Some(encoder.begin_as(stream, message, out));
            self.next += 1;
        }
    }
}

/// Messages of which some may be sent.
pub struct Remaining {
    /// Bytes that the socket did not take, before all others.
    pub unsent: Vec<u8>,
    pub encoding: Encoding,
    pub messages: HeldMessages,
}

impl Remaining {
    /// What they cost beside the messages.
    pub fn own_cost(unsent: &[u8]) -> usize {
        size_of::<Remaining>() + unsent.len()
    }

    fn cost(&self) -> usize {
        let messages = self.messages.messages().iter().map(message_cost);
        Remaining::own_cost(&self.unsent) + messages.sum::<usize>()
    }

    /// How many messages of our own there are.
    fn replies(&self) -> usize {
        match self.encoding.stream {
            None => self.messages.messages().len(),
            Some(_) => 0,
        }
    }

    /// Appends bytes to `out` until a piece is full. Whether all is encoded.
    pub fn piece(&mut self, encoder: &mut Encoder, out: &mut Vec<u8>) -> bool {
        out.append(&mut self.unsent);
        self.encoding.piece(encoder, self.messages.messages(), out)
    }
}

const _: () = assert!(MESSAGE_COST >= size_of::<Message>());
