//! Messages that count against the budget as long as they wait for a peer.

use crate::memory::{Budget, Held, HeldPayload};
use crate::rtmp::Message;
use std::sync::Arc;

/// Payloads of fewer bytes are counted for each peer that they wait for; longer ones once.
const SHARED_LEN_MIN: usize = 1 << 10;

/// Messages that count against the budget as long as they are held.
#[derive(Debug)]
pub(super) struct HeldMessages {
    messages: Vec<Message>,
    long: Vec<HeldPayload>,
    _own: Held,
}

impl HeldMessages {
    /// Counts `messages`, and `bytes` beside them.
    pub(super) fn new(budget: &Arc<Budget>, messages: Vec<Message>, bytes: usize) -> HeldMessages {
        let is_long = |message: &&Message| message.payload.len() >= SHARED_LEN_MIN;
        let long = messages.iter().filter(is_long);
        let long: Vec<_> = long
            .map(|message| HeldPayload::new(budget, &message.payload))
            .collect();
        let short = messages.iter().filter(|message| !is_long(message));
        let short: usize = short.map(|message| message.payload.len()).sum();
        let beside = size_of::<Message>() * messages.len() + size_of::<HeldPayload>() * long.len();
        HeldMessages {
            messages,
            long,
            _own: Held::new(budget, bytes + short + beside),
        }
    }

    /// Bytes of payloads that others may hold as well.
    pub(super) fn long_bytes(&self) -> usize {
        self.long.iter().map(HeldPayload::len).sum()
    }

    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::{MessageType, StreamId};

    #[test]
    fn a_payload_counts_once_for_many_peers_and_each_item_for_itself() {
        let budget = Arc::new(Budget::new(1 << 20));
        let message = |len| Message::untimed(MessageType::VIDEO, StreamId(1), vec![7; len]);
        let (long, short) = (message(100_000), message(10));
        let each = 2 * size_of::<Message>() + size_of::<HeldPayload>() + 10 + 5;
        let hold = || HeldMessages::new(&budget, vec![long.clone(), short.clone()], 5);
        let many: Vec<_> = (0..100).map(|_| hold()).collect();
        assert_eq!(budget.held(), 100_000 + 100 * each);
        let last = hold();
        drop(many);
        assert_eq!(budget.held(), 100_000 + each);
        assert_eq!(last.messages().len(), 2);
        drop(last);
        assert_eq!(budget.held(), 0);
    }
}
