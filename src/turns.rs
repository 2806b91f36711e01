//! Who may ask a web service next, so that one address does not keep all others waiting.

use crate::ip_range::network;
use crate::sync::{Condvar, Mutex};
use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Turns to ask, so many at a time. An address may have as many of them as are left for
/// the others: one that comes alone gets half, and whoever comes next finds room. Those that wait are
/// let in as they came.
#[derive(Debug)]
pub(crate) struct Turns(Mutex<State>);

#[derive(Debug)]
struct State {
    /// How many there may be at a time.
    max: usize,
    /// The number of turns of each address that has any.
    taken: HashMap<IpAddr, usize>,
    all: usize,
    waiting: VecDeque<Waiting>,
    /// The numbers of those that waited and now have a turn.
    granted: HashSet<u64>,
    next_number: u64,
}

/// A question that waits for its turn.
#[derive(Debug)]
struct Waiting {
    number: u64,
    address: IpAddr,
    granted: Arc<Condvar>,
}

/// The right to ask, as long as it is held.
pub(crate) struct Turn<'a> {
    turns: &'a Turns,
    address: IpAddr,
}

impl Turns {
    /// `max` turns at a time, and nobody has one.
    pub(crate) fn new(max: usize) -> Turns {
        Turns(Mutex::new(State {
            max,
            taken: HashMap::new(),
            all: 0,
            waiting: VecDeque::new(),
            granted: HashSet::new(),
            next_number: 0,
        }))
    }

    /// Waits until one more question about a client at `ip` may be asked. `None`: not within `limit`.
    pub(crate) fn take(&self, ip: IpAddr, limit: Duration) -> Option<Turn<'_>> {
        let address = network(ip);
        let turns = self;
        let mut state = self.0.lock();
        // Nobody that waits could go now, so nobody is passed by.
        if state.may_ask(address) {
            state.grant(address);
            return Some(Turn { turns, address });
        }
        let number = state.next_number;
        state.next_number += 1;
        let granted = Arc::new(Condvar::new());
        state.waiting.push_back(Waiting {
            number,
            address,
            granted: Arc::clone(&granted),
        });
        let waits = |state: &mut State| !state.granted.contains(&number);
        let mut state = granted.wait_timeout_while(state, limit, waits);
        if state.granted.remove(&number) {
            return Some(Turn { turns, address });
        }
        state.waiting.retain(|waiting| waiting.number != number);
        None
    }
}

impl State {
    fn may_ask(&self, address: IpAddr) -> bool {
        let taken = self.taken.get(&address).copied().unwrap_or(0);
        taken < self.max - self.all
    }

    fn grant(&mut self, address: IpAddr) {
        self.all += 1;
        *self.taken.entry(address).or_default() += 1;
    }

    fn release(&mut self, address: IpAddr) {
        self.all -= 1;
        if let Some(taken) = self.taken.get_mut(&address) {
            *taken -= 1;
            if *taken == 0 {
                self.taken.remove(&address);
            }
        }
        while let Some(next) = self.next() {
            self.grant(next.address);
            self.granted.insert(next.number);
            next.granted.notify_one();
        }
    }

    /// The first of those that wait whose address may ask.
    fn next(&mut self) -> Option<Waiting> {
        let may_ask = |waiting: &Waiting| self.may_ask(waiting.address);
        let index = self.waiting.iter().position(may_ask)?;
        self.waiting.remove(index)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.turns.0.lock().release(self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn every_address_leaves_room_for_the_next() {
        let turns = Turns::new(32);
        let mut held = Vec::new();
        let mut fill = |text: &str| {
            let take = || turns.take(ip(text), Duration::ZERO);
            let taken: Vec<_> = std::iter::from_fn(take).collect();
            let count = taken.len();
            held.extend(taken);
            count
        };
        let rows = [
            ("192.0.2.1", 16),
            ("::ffff:192.0.2.1", 0),
            ("2001:db8::1", 8),
            ("2001:db8::2", 0),
            ("2001:db8:0:1::1", 4),
            ("192.0.2.2", 2),
            ("192.0.2.3", 1),
            ("192.0.2.4", 1),
            ("192.0.2.5", 0),
        ];
        for (address, want) in rows {
            assert_eq!(fill(address), want, "{address}");
        }
        held.clear();
        let state = turns.0.lock();
        assert_eq!(
            (state.all, state.taken.len(), state.waiting.len()),
            (0, 0, 0)
        );
    }

    #[test]
    fn those_that_wait_get_the_turns_that_end() {
        let turns = Turns::new(32);
        let long = Duration::from_secs(10);
        let take = |text: &str, limit| turns.take(ip(text), limit);
        let first: Vec<_> = (0..16).map(|_| take("192.0.2.1", long).unwrap()).collect();
        std::thread::scope(|scope| {
            let crowd: Vec<_> = (0..40)
                .map(|_| scope.spawn(|| take("192.0.2.1", long).is_some()))
                .collect();
            while turns.0.lock().waiting.len() < 40 {
                std::thread::yield_now();
            }
            let other = take("192.0.2.2", Duration::ZERO);
            assert!(other.is_some(), "the crowd is in nobody's way");
            drop(other);
            drop(first);
            assert!(crowd.into_iter().all(|waiting| waiting.join().unwrap()));
        });
        let state = turns.0.lock();
        assert_eq!(
            (state.all, state.granted.len(), state.waiting.len()),
            (0, 0, 0)
        );
    }
}
