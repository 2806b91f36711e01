//! The memory that everything which waits for peers may take together.

use super::cause::Cause;
use crate::rtmp::Message;
use crate::sync::Mutex;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, MutexGuard, Weak};

/// Bytes that may wait for a peer even when the budget is used up.
pub(super) const FAIR_BYTES: usize = 64 << 10;

/// Payloads of fewer bytes are counted for each peer that they wait for; longer ones once.
const SHARED_LEN_MIN: usize = 1 << 10;

/// A bound for the memory that everything which waits for peers takes together.
///
/// While it is used up, nothing more is queued for a peer that has its fair share waiting, and the
/// peer for which most waits is hung up on, one after the other.
#[derive(Debug)]
pub struct Budget {
    max: usize,
    held: AtomicUsize,
    /// How often each long payload waits, by where it is.
    shared: Mutex<HashMap<usize, usize>>,
    users: Mutex<Vec<Weak<dyn BudgetUser>>>,
}

/// What the budget is spent on: the way to one peer.
pub(super) trait BudgetUser: Send + Sync {
    /// The memory that what waits for the peer takes, in bytes.
    fn waiting_bytes(&self) -> usize;

    /// Whether nobody has hung up on the peer yet.
    fn is_open(&self) -> bool;

    /// Ends the connection at once.
    fn hang_up(&self, cause: Cause);
}

/// A part of the budget, given back when dropped.
#[derive(Debug)]
pub(super) struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

/// Messages that count against the budget as long as they are held.
#[derive(Debug)]
pub(super) struct HeldMessages {
    messages: Vec<Message>,
    own: Held,
}

impl Budget {
    /// A budget of `max` bytes.
    pub fn new(max: usize) -> Budget {
        Budget {
            max,
            held: AtomicUsize::new(0),
            shared: Mutex::default(),
            users: Mutex::default(),
        }
    }

    /// The bytes that are held now.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether it is used up.
    pub fn is_full(&self) -> bool {
        self.held() >= self.max
    }

    /// Counts `bytes` for as long as what is returned is held.
    pub(super) fn hold(self: &Arc<Self>, bytes: usize) -> Held {
        self.held.fetch_add(bytes, Ordering::Relaxed);
        Held {
            budget: Arc::clone(self),
            bytes,
        }
    }

    /// Counts `messages`, and `bytes` beside them.
    pub(super) fn hold_messages(
        self: &Arc<Self>,
        messages: Vec<Message>,
        bytes: usize,
    ) -> HeldMessages {
        let mut own = bytes;
        let mut shared = None;
        for message in &messages {
            own += size_of::<Message>();
            match message.payload.len() {
                len if len < SHARED_LEN_MIN => own += len,
                len => {
                    let shared = shared.get_or_insert_with(|| self.shared());
                    let count = shared.entry(address(message)).or_insert(0);
                    if *count == 0 {
                        self.held.fetch_add(len, Ordering::Relaxed);
                    }
                    *count += 1;
                }
            }
        }
        drop(shared);
        HeldMessages {
            messages,
            own: self.hold(own),
        }
    }

    fn shared(&self) -> MutexGuard<'_, HashMap<usize, usize>> {
        self.shared.lock()
    }

    /// Makes `user` one of those that it is spent on.
    pub(super) fn enter(&self, user: Weak<dyn BudgetUser>) {
        let mut users = self.users.lock();
        if users.len() == users.capacity() {
            users.retain(|user| user.strong_count() > 0);
        }
        users.push(user);
    }

    /// When it is used up, hangs up on the peer for which most waits. Whether it did.
    pub fn relieve(&self) -> bool {
        if !self.is_full() {
            return false;
        }
        let users: Vec<_> = self.users.lock().iter().filter_map(Weak::upgrade).collect();
        let open = users.iter().filter(|user| user.is_open());
        let greediest = open.max_by_key(|user| user.waiting_bytes());
        let greedy = greediest.filter(|user| user.waiting_bytes() > FAIR_BYTES);
        greedy.inspect(|user| user.hang_up(Cause::Memory)).is_some()
    }
}

fn address(message: &Message) -> usize {
    message.payload.as_ptr() as usize
}

impl Held {
    /// The budget that it is a part of.
    pub(super) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }
}

impl HeldMessages {
    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Drop for HeldMessages {
    fn drop(&mut self) {
        let budget = &self.own.budget;
        let long = |message: &&Message| message.payload.len() >= SHARED_LEN_MIN;
        if !self.messages.iter().any(|message| long(&message)) {
            return;
        }
        let mut shared = budget.shared();
        for message in self.messages.iter().filter(long) {
            if let Some(count) = shared.get_mut(&address(message)) {
                *count -= 1;
                if *count == 0 {
                    shared.remove(&address(message));
                    let len = message.payload.len();
                    budget.held.fetch_sub(len, Ordering::Relaxed);
                }
            }
        }
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
        let each = 2 * size_of::<Message>() + 10 + 5;
        let hold = || budget.hold_messages(vec![long.clone(), short.clone()], 5);
        let many: Vec<_> = (0..100).map(|_| hold()).collect();
        assert_eq!(budget.held(), 100_000 + 100 * each);
        let last = hold();
        drop(many);
        assert_eq!(budget.held(), 100_000 + each);
        drop(last);
        assert_eq!(budget.held(), 0);
        assert!(budget.shared().is_empty());
    }

    #[test]
    fn it_is_full_from_its_size_on() {
        let budget = Arc::new(Budget::new(10));
        let first = budget.hold(9);
        assert!(!budget.is_full());
        let second = budget.hold(1);
        assert!(budget.is_full() && !budget.relieve());
        drop((first, second));
        assert!(!budget.is_full());
    }
}
