//! Live messages on their way to all viewers of a stream.

use super::framing::{CommonBytes, Framing, Leaders};
use super::limits::message_cost;
use crate::memory::{Budget, Held};
use crate::rtmp::{Message, StreamId};
use std::sync::{Arc, OnceLock};

/// Messages that go to all viewers of a stream, and the bytes that most of them get.
#[derive(Debug)]
pub(crate) struct Batch {
    messages: Vec<Message>,
    common: CommonBytes,
    /// Its part of the budget, from when it first waits for a peer.
    held: OnceLock<Held>,
}

impl Batch {
    /// Makes the common bytes as those that `leaders` get.
    pub(crate) fn new(messages: Vec<Message>, leaders: &mut Leaders) -> Batch {
        Batch {
            common: leaders.encode(&messages),
            messages,
            held: OnceLock::new(),
        }
    }

    /// The messages, in order.
    pub(crate) fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Has the leaders of other viewers take the common bytes as their own. Whether these are right
    /// for them.
    #[must_use]
    pub(crate) fn try_share(&self, leaders: &mut Leaders) -> bool {
        leaders.take_common(&self.common)
    }

    pub(super) fn common(&self) -> &CommonBytes {
        &self.common
    }

    /// The common bytes, if they are right for a peer with this `framing` that plays on `stream`. It
    /// counts as having been sent them from here on.
    pub(super) fn take_common(&self, framing: &mut Framing, stream: StreamId) -> Option<&[u8]> {
        let bytes = framing.take_common(stream, &self.common, &self.messages);
        // They may have been made just now.
        if let Some(held) = self.held.get() {
            self.common.hold_later(held.budget());
        }
        bytes
    }

    /// The memory that it takes now, in bytes.
    pub(super) fn cost(&self) -> usize {
        self.first_cost() + self.common.later_cost()
    }

    /// The memory that it took when it was made.
    fn first_cost(&self) -> usize {
        let messages: usize = self.messages.iter().map(message_cost).sum();
        size_of::<Batch>() + self.common.heap_cost() + messages
    }

    /// Counts it against `budget` as long as it lasts, once, however many peers it waits for.
    pub(super) fn hold(&self, budget: &Arc<Budget>) {
        self.held
            .get_or_init(|| Held::new(budget, self.first_cost()));
        self.common.hold_later(budget);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::framing::MessageClass;
    use crate::rtmp::MessageType;

    /// Bytes that are made while the batch waits for somebody count from then on.
    #[test]
    fn all_that_a_batch_takes_counts_once() {
        let budget = Arc::new(Budget::new(1 << 30));
        let payload = [&[0x17, 1, 0, 0, 0][..], &[7; 100_000]].concat();
        let message = Message::untimed(MessageType::VIDEO, StreamId(1), payload);
        let class = MessageClass::Media(StreamId(1));
        for held_first in [true, false] {
            let batch = Batch::new(vec![message.clone()], &mut Leaders::new(4096));
            let before = batch.cost();
            if held_first {
                batch.hold(&budget);
                assert_eq!(budget.held(), before);
            }
            for chunked in [true, false] {
                let mut framing = Framing::flv(Vec::new(), chunked);
                assert!(batch.take_common(&mut framing, StreamId(1)).is_none());
                let _ = framing.begin(class, &message, &mut Vec::new());
                let bytes = batch.take_common(&mut framing, StreamId(1));
                assert!(bytes.is_some_and(|bytes| bytes.len() > 100_000));
            }
            batch.hold(&budget);
            assert!(batch.cost() > before + 100_000);
            assert_eq!(budget.held(), batch.cost(), "{held_first}");
            drop(batch);
            assert_eq!(budget.held(), 0);
        }
    }
}
