//! The bound of what all holders have together.

use super::greed::{self, Claim};
use super::holding::Holding;
use crate::sync::{Condvar, Mutex, MutexGuard};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Bytes that a holder may have even when the budget is used up, at most, and at least.
const FAIR_BYTES_MAX: usize = 64 << 10;
const FAIR_BYTES_MIN: usize = 8 << 10;

/// What all holders may have in any case is this part of the budget, as long as that is no less than
/// [`FAIR_BYTES_MIN`] for each.
const FAIR_PART: usize = 2;

/// Holders give way from the budget less this part of it on.
const PRESSED_PART: usize = 8;

/// They do so until the budget less this part of it is not exceeded any more.
const RELIEVED_PART: usize = 4;

/// What counts as held for long was there at as many looks as this, one after the other.
const LOOKS: usize = 8;

/// What a holder had at the last looks.
type Seen = Arc<[AtomicUsize; LOOKS]>;

/// A bound for the memory that all holders take together.
#[derive(Debug)]
pub struct Budget {
    max: AtomicUsize,
    held: AtomicUsize,
    /// How often each payload is held that many may hold, by where it is.
    shared: Mutex<HashMap<usize, usize>>,
    holders: Mutex<Vec<(Weak<dyn Holder>, Seen)>>,
    looks: AtomicUsize,
    /// How many holders there are, without a lock; some of them may be gone.
    holder_count: AtomicUsize,
    /// It was used up, and no holder had anything to give.
    exhausted: AtomicBool,
    /// Holders are to give way.
    pressed: Condvar,
    pressed_lock: Mutex<()>,
}

/// What holds memory and can give it back.
pub trait Holder: Send + Sync {
    /// The bytes that it would give back.
    fn held_bytes(&self) -> usize;

    /// The same, with whose they are.
    fn holding(&self) -> Holding;

    /// Gives memory back, or begins to; what that cost. `None`: it has nothing to give any more.
    fn give_way(&self) -> Option<GaveWay>;
}

/// What it cost that memory was given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaveWay {
    /// A peer was hung up on.
    Peer,
    /// Pictures that were kept for those who join later are gone.
    Cache,
    /// A consumer on this machine, such as a recording, gets nothing more.
    Feed,
    /// A playlist of HLS has fewer segments, or has ended.
    Playlist,
    /// A recording begins another file.
    Recording,
}

impl Budget {
    /// A budget of `max` bytes.
    pub fn new(max: usize) -> Budget {
        Budget {
            max: AtomicUsize::new(max),
            held: AtomicUsize::new(0),
            shared: Mutex::default(),
            holders: Mutex::default(),
            looks: AtomicUsize::new(0),
            holder_count: AtomicUsize::new(0),
            exhausted: AtomicBool::new(false),
            pressed: Condvar::new(),
            pressed_lock: Mutex::new(()),
        }
    }

    /// Changes the bound to `max` bytes.
    pub fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// The bound that holds now, in bytes.
    pub fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed)
    }

    /// The bytes that are held now.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether it is used up.
    pub fn is_full(&self) -> bool {
        self.held() >= self.max()
    }

    /// Whether something may grow that has `bytes`: the budget is not used up, or it has less than its
    /// fair share.
    pub fn has_room_beside(&self, bytes: usize) -> bool {
        !self.is_full() || bytes < self.fair_share()
    }

    /// The same for what would lose something if it may not grow. As others hold more, and are about to give
    /// way, it may go on beyond the budget, by what all may have in any case, until that has not helped.
    pub fn tolerates(&self, bytes: usize) -> bool {
        let max = self.max();
        let is_beyond = self.held() >= max.saturating_add(max / FAIR_PART);
        let has_hope = !is_beyond && !self.exhausted.load(Ordering::Relaxed);
        has_hope || self.has_room_beside(bytes)
    }

    /// Bytes that a holder may have even when the budget is used up.
    pub fn fair_share(&self) -> usize {
        let holders = self.holder_count.load(Ordering::Relaxed).max(1);
        let share = self.max() / FAIR_PART / holders;
        share.clamp(FAIR_BYTES_MIN, FAIR_BYTES_MAX)
    }

    /// Whether so much is held that holders are to give way.
    fn is_pressed(&self) -> bool {
        self.held() >= self.pressed_from()
    }

    fn pressed_from(&self) -> usize {
        let max = self.max();
        max - max / PRESSED_PART
    }

    pub(super) fn add(&self, bytes: usize) {
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        let limit = self.pressed_from();
        if before < limit && before.saturating_add(bytes) >= limit {
            self.pressed.notify_one();
        }
    }

    pub(super) fn subtract(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn shared(&self) -> MutexGuard<'_, HashMap<usize, usize>> {
        self.shared.lock()
    }

    /// Makes `holder` one of those that give way.
    pub fn enter(&self, holder: Weak<dyn Holder>) {
        let mut holders = self.holders.lock();
        if holders.len() == holders.capacity() {
            holders.retain(|(holder, _)| holder.strong_count() > 0);
        }
        holders.push((holder, Seen::default()));
        self.holder_count.store(holders.len(), Ordering::Relaxed);
    }

    /// Waits until so much is held that holders are to give way, for `limit` at most. Whether it is so.
    pub fn wait_until_pressed(&self, limit: Duration) -> bool {
        let lock = self.pressed_lock.lock();
        let not_yet = |_: &mut ()| !self.is_pressed();
        drop(self.pressed.wait_timeout_while(lock, limit, not_yet));
        let is_pressed = self.is_pressed();
        if !is_pressed {
            self.exhausted.store(false, Ordering::Relaxed);
        }
        is_pressed
    }

    /// Notes what each holder has, while so much is held that some may soon have to give way. To be called
    /// at equal intervals, several in a second.
    pub fn look(&self) {
        if self.held() < self.max() / 2 {
            return;
        }
        let slot = self.looks.fetch_add(1, Ordering::Relaxed) % LOOKS;
        for (holder, seen) in self.present() {
            seen[slot].store(holder.held_bytes(), Ordering::Relaxed);
        }
    }

    /// The holders that are still there.
    fn present(&self) -> Vec<(Arc<dyn Holder>, Seen)> {
        let mut holders = self.holders.lock();
        holders.retain(|(holder, _)| holder.strong_count() > 0);
        self.holder_count.store(holders.len(), Ordering::Relaxed);
        let present =
            |(holder, seen): &(Weak<_>, Seen)| Some((holder.upgrade()?, Arc::clone(seen)));
        holders.iter().filter_map(present).collect()
    }

    /// When too much is held, has those that hold most give way, until what they have is as much as there
    /// is too much. What one owner holds counts together. First come those that have held more than their
    /// fair share for long, the greediest first: a picture that arrives or is being sent right now is no
    /// greed. Some give it back only a moment later.
    pub fn relieve(&self) -> Vec<GaveWay> {
        if !self.is_pressed() {
            return Vec::new();
        }
        let max = self.max();
        let excess = self.held().saturating_sub(max - max / RELIEVED_PART);
        let holders = self.present();
        let claims = holders.iter().map(|(holder, seen)| claim(&**holder, seen));
        let claims: Vec<_> = claims.collect();
        let mut given = 0;
        let mut gave_way = Vec::new();
        for index in greed::order(&claims, self.fair_share()) {
            if given >= excess {
                break;
            }
            if let Some(how) = holders[index].0.give_way() {
                given += claims[index].holding.bytes;
                gave_way.push(how);
            }
        }
        let exhausted = gave_way.is_empty() && self.is_full();
        self.exhausted.store(exhausted, Ordering::Relaxed);
        gave_way
    }
}

/// What a holder has, and the least that it had at all looks that were `seen`.
fn claim(holder: &dyn Holder, seen: &Seen) -> Claim {
    let holding = holder.holding();
    let least = seen.iter().map(|seen| seen.load(Ordering::Relaxed)).min();
    let long = least.map_or(holding.bytes, |least| least.min(holding.bytes));
    Claim { holding, long }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::{Account, Held};
    use std::time::Instant;

    struct Cache(Account, Option<GaveWay>);

    impl Holder for Cache {
        fn held_bytes(&self) -> usize {
            self.0.bytes()
        }

        fn holding(&self) -> Holding {
            Holding::own(None, self.0.bytes())
        }

        fn give_way(&self) -> Option<GaveWay> {
            self.1.inspect(|_| self.0.set(0))
        }
    }

    /// What is left of holders of these sizes, in KiB, that share 1 MiB, when they give way.
    fn left(sizes: &[(usize, Option<GaveWay>)]) -> Vec<usize> {
        let budget = Arc::new(Budget::new(1 << 20));
        let holders: Vec<_> = sizes
            .iter()
            .map(|(kib, gives)| {
                let holder = Arc::new(Cache(Account::new(&budget), *gives));
                let weak: Weak<Cache> = Arc::downgrade(&holder);
                budget.enter(weak);
                holder.0.set(kib << 10);
                holder
            })
            .collect();
        budget.relieve();
        holders
            .iter()
            .map(|holder| holder.0.bytes() >> 10)
            .collect()
    }

    #[test]
    fn the_greediest_give_way_until_there_is_room() {
        const YES: Option<GaveWay> = Some(GaveWay::Cache);
        /// Sizes in KiB of holders that can give way or not, and what they have afterwards.
        type Row = (&'static [(usize, Option<GaveWay>)], &'static [usize]);
        #[rustfmt::skip]
        let rows: [Row; 8] = [
            (&[], &[]),
            (&[(500, YES), (395, YES)], &[500, 395]),
            (&[(500, YES), (396, YES)], &[0, 396]),
            (&[(300, YES), (320, YES), (310, YES)], &[300, 0, 310]),
            // Two are needed; of equals the first goes.
            (&[(400, YES), (400, YES), (400, YES)], &[0, 0, 400]),
            (&[(700, None), (200, YES)], &[700, 0]),
            (&[(1000, None)], &[1000]),
            // Nobody has more than a fair share.
            (&[(8, YES); 130], &[8; 130]),
        ];
        for (sizes, want) in rows {
            assert_eq!(left(sizes), want, "{sizes:?}");
        }
    }

    #[test]
    fn those_that_hold_much_for_long_give_way_first() {
        /// In KiB: what each has at all looks but the last, at the last look, and then; what is left.
        type Row = (&'static [[usize; 3]], &'static [usize]);
        let rows: [Row; 6] = [
            (&[[400, 400, 400], [0, 0, 500]], &[0, 500]),
            (&[[400, 400, 400], [500, 0, 500]], &[0, 500]),
            (&[[400, 400, 400], [500, 500, 500]], &[400, 0]),
            // A fair share is no greed, however long it is held.
            (&[[400, 60, 400], [60, 60, 500]], &[400, 0]),
            // Where it is not enough, the others follow.
            (&[[200, 200, 100], [0, 0, 400], [0, 0, 450]], &[0, 400, 0]),
            // What was much once and is little now is not much.
            (&[[400, 400, 60], [0, 500, 840]], &[60, 0]),
        ];
        for (holders, want) in rows {
            let budget = Arc::new(Budget::new(1 << 20));
            let entered = holders.iter().map(|_| {
                let holder = Arc::new(Cache(Account::new(&budget), Some(GaveWay::Cache)));
                let weak: Weak<Cache> = Arc::downgrade(&holder);
                budget.enter(weak);
                holder
            });
            let entered: Vec<_> = entered.collect();
            let have = |when: usize| {
                let sizes = holders.iter().map(|sizes| sizes[when] << 10);
                sizes
                    .zip(&entered)
                    .for_each(|(bytes, holder)| holder.0.set(bytes));
            };
            // It looks only while much is held.
            let rest = Held::new(&budget, 1 << 20);
            for look in 1..=LOOKS {
                have(usize::from(look == LOOKS));
                budget.look();
            }
            drop(rest);
            have(2);
            budget.relieve();
            let left: Vec<_> = entered
                .iter()
                .map(|holder| holder.0.bytes() >> 10)
                .collect();
            assert_eq!(left, want, "{holders:?}");
        }
    }

    #[test]
    fn it_is_full_from_its_size_on_but_for_fair_shares() {
        let budget = Arc::new(Budget::new(1 << 20));
        let first = Held::new(&budget, (1 << 20) - 1);
        assert!(!budget.is_full() && budget.has_room_beside(1 << 30));
        let second = Held::new(&budget, 1);
        assert!(budget.is_full() && budget.relieve().is_empty());
        assert!(budget.has_room_beside(FAIR_BYTES_MAX - 1));
        assert!(!budget.has_room_beside(FAIR_BYTES_MAX));
        assert!(budget.tolerates(FAIR_BYTES_MAX - 1) && !budget.tolerates(FAIR_BYTES_MAX));
        drop((first, second));
        assert!(!budget.is_full());
        budget.set_max(0);
        assert!(budget.is_full());
    }

    #[test]
    fn what_would_lose_something_may_grow_until_others_have_had_a_chance_to_give_way() {
        let budget = Arc::new(Budget::new(1 << 20));
        let cache = Arc::new(Cache(Account::new(&budget), Some(GaveWay::Cache)));
        let weak: Weak<Cache> = Arc::downgrade(&cache);
        budget.enter(weak);
        let other = Account::new(&budget);
        // KiB of a holder that gives way, of one that does not; what that may do before, and afterwards.
        let rows = [
            (1000, 0, true, true),
            (1000, 100, true, true),
            (1000, 530, true, true),
            (1000, 540, false, true),
            (0, 1100, true, false),
            (0, 1000, true, true),
        ];
        for (kib, others, before, after) in rows {
            cache.0.set(kib << 10);
            other.set(others << 10);
            assert_eq!(budget.tolerates(1 << 20), before, "{kib} {others} before");
            budget.relieve();
            assert_eq!(budget.tolerates(1 << 20), after, "{kib} {others} after");
            other.set(0);
            assert!(!budget.wait_until_pressed(Duration::ZERO));
        }
    }

    #[test]
    fn what_is_fair_depends_on_how_many_there_are() {
        let budget = Arc::new(Budget::new(1 << 20));
        let mut holders = Vec::new();
        // In KiB.
        for (count, want) in [(0, 64), (1, 64), (8, 64), (16, 32), (63, 8), (500, 8)] {
            while holders.len() < count {
                let holder = Arc::new(Cache(Account::new(&budget), None));
                let weak: Weak<Cache> = Arc::downgrade(&holder);
                budget.enter(weak);
                holders.push(holder);
            }
            assert_eq!(budget.fair_share() >> 10, want, "{count}");
        }
    }

    #[test]
    fn pressure_wakes_who_waits_for_it() {
        let budget = Arc::new(Budget::new(1 << 20));
        assert!(!budget.wait_until_pressed(Duration::from_millis(1)));
        let account = Account::new(&budget);
        let began = Instant::now();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| budget.wait_until_pressed(Duration::from_secs(20)));
            while !waiting.is_finished() {
                account.set(0);
                account.set(1 << 20);
            }
        });
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}
