//! What is counted against a budget, for as long as it is there.

use super::budget::Budget;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The bytes that one holder has, as it says. Dropping it means that it has none.
#[derive(Debug)]
pub struct Account {
    budget: Arc<Budget>,
    bytes: AtomicUsize,
}

/// Bytes that do not change, given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    budget: Arc<Budget>,
    bytes: usize,
}

/// A payload that others may hold too. It counts once, however many do.
#[derive(Debug)]
pub(crate) struct HeldPayload {
    budget: Arc<Budget>,
    payload: Arc<[u8]>,
}

impl Account {
    /// Nothing counts yet against `budget`.
    pub fn new(budget: &Arc<Budget>) -> Account {
        Account {
            budget: Arc::clone(budget),
            bytes: AtomicUsize::new(0),
        }
    }

    /// Says how much there is now. Costs next to nothing while that does not change.
    pub fn set(&self, bytes: usize) {
        if self.bytes() == bytes {
            return;
        }
        let before = self.bytes.swap(bytes, Ordering::Relaxed);
        match bytes.checked_sub(before) {
            Some(more) => self.budget.add(more),
            None => self.budget.subtract(before - bytes),
        }
    }

    /// How much there is.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether there may be more of it: the budget is not used up, or this is less than its fair share.
    pub fn may_grow(&self) -> bool {
        self.budget.has_room_beside(self.bytes())
    }

    /// The same of what would lose something otherwise: others that hold more have a chance to give way
    /// first.
    pub(crate) fn is_tolerated(&self) -> bool {
        self.budget.tolerates(self.bytes())
    }

    /// The budget that it counts against.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.budget.subtract(self.bytes());
    }
}

impl Held {
    /// Counts `bytes` against `budget`.
    pub(crate) fn new(budget: &Arc<Budget>, bytes: usize) -> Held {
        budget.add(bytes);
        Held {
            budget: Arc::clone(budget),
            bytes,
        }
    }

    /// The budget that it is a part of.
    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.budget.subtract(self.bytes);
    }
}

impl HeldPayload {
    /// Counts `payload` against `budget`, unless it is counted already.
    pub(crate) fn new(budget: &Arc<Budget>, payload: &Arc<[u8]>) -> HeldPayload {
        let mut shared = budget.shared();
        let count = shared.entry(address(payload)).or_insert(0);
        *count += 1;
        if *count == 1 {
            budget.add(payload.len());
        }
        drop(shared);
        HeldPayload {
            budget: Arc::clone(budget),
            payload: Arc::clone(payload),
        }
    }

    /// Its length in bytes.
    pub(crate) fn len(&self) -> usize {
        self.payload.len()
    }
}

fn address(payload: &Arc<[u8]>) -> usize {
    payload.as_ptr() as usize
}

impl Drop for HeldPayload {
    fn drop(&mut self) {
        let mut shared = self.budget.shared();
        if let Some(count) = shared.get_mut(&address(&self.payload)) {
            *count -= 1;
            if *count == 0 {
                shared.remove(&address(&self.payload));
                self.budget.subtract(self.payload.len());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_counts_what_it_says_until_it_is_gone() {
        let budget = Arc::new(Budget::new(1 << 20));
        let accounts = [(); 2].map(|()| Account::new(&budget));
        for (bytes, want) in [(5, 5), (5, 5), (100, 100), (7, 7), (0, 0), (9, 9)] {
            accounts[0].set(bytes);
            assert_eq!((accounts[0].bytes(), budget.held()), (bytes, want));
        }
        accounts[1].set(1);
        assert_eq!(budget.held(), 10);
        drop(accounts);
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn a_payload_counts_once_however_many_hold_it() {
        let budget = Arc::new(Budget::new(1 << 20));
        let payload: Arc<[u8]> = vec![7; 1000].into();
        let other: Arc<[u8]> = vec![7; 50].into();
        let many: Vec<_> = (0..10)
            .map(|_| HeldPayload::new(&budget, &payload))
            .collect();
        let one = HeldPayload::new(&budget, &other);
        assert_eq!((budget.held(), one.len()), (1050, 50));
        drop(many);
        assert_eq!(budget.held(), 50);
        drop(one);
        assert_eq!(budget.held(), 0);
        assert!(budget.shared().is_empty());
    }
}
