//! What waits for a writer thread, and what it costs.

use super::batch::Batch;
use super::framing::{Body, Framing, FramingKind, MessageClass, Progress};
use super::held_messages::HeldMessages;
use super::limits::{HELD_PIECE_LEN, MESSAGE_COST, message_cost};
use super::shared_run::WaitingRun;
use crate::rtmp::{Message, StreamId};
use std::ops::{AddAssign, SubAssign};
use std::sync::Arc;

/// An item in the queue, and what it cost when it came there: batches can grow later. The queue holds
/// it by a pointer, since the places of all that may wait are allocated with it.
pub(super) struct QueuedItem {
    pub(super) item: Item,
    pub(super) weight: Weight,
}

/// Something that waits for the writer thread.
pub(super) enum Item {
    /// What the socket did not take of a batch's common bytes.
    CommonRest {
        batch: Arc<Batch>,
        framing: FramingKind,
        /// The index of the first byte that was not sent.
        from: usize,
    },
    /// Messages that belong together.
    Messages(Box<Remaining>),
    /// Live messages that other viewers get as well, to be sent as messages of `stream`.
    Live { batch: Arc<Batch>, stream: StreamId },
    /// Bytes that other viewers get as well.
    Shared(Box<WaitingRun>),
    /// Nothing to send; the writer is to look whether the connection closes.
    Wake,
}

/// What waiting items cost, together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    pub(super) items: usize,
    /// The memory that they take, in bytes.
    pub(super) bytes: usize,
    /// Those of these bytes that others may hold as well.
    pub(super) shared: usize,
    /// How many messages of our own are among them.
    pub(super) replies: usize,
}

impl Item {
    pub(super) fn weight(&self) -> Weight {
        let (bytes, shared) = match self {
            Item::CommonRest { batch, .. } | Item::Live { batch, .. } => {
                (batch.cost(), batch.cost())
            }
            Item::Messages(rest) => (rest.cost(), rest.messages.long_bytes()),
            Item::Shared(run) => (run.cost(), run.shared_cost()),
            Item::Wake => (0, 0),
        };
        Weight {
            items: 1,
            bytes: size_of::<QueuedItem>() + bytes,
            shared,
            replies: match self {
                Item::Messages(rest) => rest.replies(),
                _ => 0,
            },
        }
    }
}

impl AddAssign for Weight {
    fn add_assign(&mut self, more: Weight) {
        self.items += more.items;
        self.bytes += more.bytes;
        self.shared += more.shared;
        self.replies += more.replies;
    }
}

impl SubAssign for Weight {
    fn sub_assign(&mut self, less: Weight) {
        self.items -= less.items;
        self.bytes -= less.bytes;
        self.shared -= less.shared;
        self.replies -= less.replies;
    }
}

/// Bytes that a piece may be longer than it should, mostly.
const HEADROOM: usize = 8 << 10;

/// How far messages are made into bytes.
#[derive(Debug)]
pub(super) struct Encoding {
    class: MessageClass,
    /// The index of the message that is next.
    next: usize,
    /// What is left of the one before.
    body: Option<Body>,
}

impl Encoding {
    pub(super) fn new(class: MessageClass) -> Encoding {
        Encoding {
            class,
            next: 0,
            body: None,
        }
    }

    /// About as many bytes as the next piece will have, all of `messages` or a part of them. Memory that
    /// grows step by step leaves pieces of every size behind.
    fn piece_len(messages: &[Message], max: usize) -> usize {
        let len = |message: &Message| message.payload.len() + message.payload.len() / 64 + 32;
        messages.iter().map(len).sum::<usize>().min(max + HEADROOM)
    }

    /// Appends bytes to `out` until it holds a piece of `max` bytes.
    pub(super) fn append_piece(
        &mut self,
        framing: &mut Framing,
        messages: &[Message],
        max: usize,
        out: &mut Vec<u8>,
    ) -> Progress {
        if out.is_empty() {
            out.reserve(Self::piece_len(&messages[self.next..], max));
        }
        loop {
            if let Some(body) = &mut self.body
                && body.append(out, max) == Progress::More
            {
                return Progress::More;
            }
            self.body = None;
            let Some(message) = messages.get(self.next) else {
                return Progress::Complete;
            };
            if out.len() >= max {
                return Progress::More;
            }
            self.body = Some(framing.begin(self.class, message, out));
            self.next += 1;
        }
    }
}

/// Messages of which the first may be sent already.
pub(super) struct Remaining {
    /// Bytes that the socket did not take, before all others.
    pub(super) unsent: Vec<u8>,
    pub(super) encoding: Encoding,
    pub(super) messages: HeldMessages,
}

impl Remaining {
    /// The memory that they take beside the messages, in bytes.
    pub(super) fn own_cost(unsent: &[u8]) -> usize {
        size_of::<Remaining>() + unsent.len()
    }

    fn cost(&self) -> usize {
        let messages = self.messages.messages().iter().map(message_cost);
        Remaining::own_cost(&self.unsent) + messages.sum::<usize>()
    }

    /// How many messages of our own there are.
    fn replies(&self) -> usize {
        match self.encoding.class {
            MessageClass::Reply => self.messages.messages().len(),
            MessageClass::Media(_) => 0,
        }
    }

    /// Appends bytes to `out` until it holds a piece of [`HELD_PIECE_LEN`].
    pub(super) fn append_piece(&mut self, framing: &mut Framing, out: &mut Vec<u8>) -> Progress {
        out.append(&mut self.unsent);
        self.encoding
            .append_piece(framing, self.messages.messages(), HELD_PIECE_LEN, out)
    }
}

const _: () = assert!(MESSAGE_COST >= size_of::<Message>());
