//! Locks that survive a panic, and that are taken in one order.

use super::order::{Held, Place, Rank};
use std::ops::{Deref, DerefMut};
use std::sync::{self, PoisonError};
use std::thread;
use std::time::Duration;

/// A lock on a value, as [`std::sync::Mutex`], but never poisoned.
#[derive(Debug)]
pub struct Mutex<T> {
    place: Place,
    lock: sync::Mutex<T>,
}

impl<T> Mutex<T> {
    /// Makes a lock that nobody holds, under which nothing but the log takes one.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex::ranked(Rank::Leaf, value)
    }

    /// Makes a lock that nobody holds, under which others of later ranks may be taken.
    pub const fn ranked(rank: Rank, value: T) -> Mutex<T> {
        Mutex {
            place: Place::new(rank),
            lock: sync::Mutex::new(value),
        }
    }

    /// Waits for the lock and holds it as long as the guard lives.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        let held = Held::new(self.place);
        let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        MutexGuard { guard, held }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Mutex<T> {
        Mutex::new(T::default())
    }
}

/// Holds a [`Mutex`] until it is dropped.
#[derive(Debug)]
#[must_use = "dropped, it releases the lock"]
pub struct MutexGuard<'a, T> {
    guard: sync::MutexGuard<'a, T>,
    held: Held,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

/// Where threads wait for a change to what a [`Mutex`] holds.
#[derive(Debug, Default)]
pub struct Condvar(sync::Condvar);

impl Condvar {
    /// Makes a condition that nobody waits for.
    pub const fn new() -> Condvar {
        Condvar(sync::Condvar::new())
    }

    /// Wakes one of the threads that wait.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all threads that wait.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }

    /// Releases the lock and waits, again and again, as long as `condition` is true.
    pub fn wait_while<'a, T>(
        &self,
        MutexGuard { guard, held }: MutexGuard<'a, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        held.waits();
        let woken = self.0.wait_while(guard, condition);
        let guard = woken.unwrap_or_else(PoisonError::into_inner);
        MutexGuard { guard, held }
    }

    /// As [`Condvar::wait_while`], for `limit` at most.
    pub fn wait_timeout_while<'a, T>(
        &self,
        MutexGuard { guard, held }: MutexGuard<'a, T>,
        limit: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        held.waits();
        let woken = self.0.wait_timeout_while(guard, limit, condition);
        let (guard, _) = woken.unwrap_or_else(PoisonError::into_inner);
        MutexGuard { guard, held }
    }
}

/// One of several threads that share work, as long as it does its part of it. It counts as holding a lock of the
/// team's rank: it takes only locks of later ranks, and waits for nobody. So one of them may wait for the
/// others under locks of earlier ranks, which they do not need.
#[derive(Debug)]
#[must_use = "dropped, it leaves the team"]
pub struct Team(Held);

impl Team {
    /// Does a part of the work from now on.
    pub fn join(rank: Rank) -> Team {
        Team(Held::new(Place::new(rank)))
    }

    /// Waits until another of the team wakes this thread.
    pub fn park(&self) {
        self.0.waits_for_equals();
        thread::park();
    }
}

/// A lock for many readers or one writer, as [`std::sync::RwLock`], but never poisoned.
#[derive(Debug)]
pub struct RwLock<T> {
    place: Place,
    lock: sync::RwLock<T>,
}

impl<T> RwLock<T> {
    /// Makes a lock that nobody holds, under which nothing but the log takes one.
    pub const fn new(value: T) -> RwLock<T> {
        RwLock::ranked(Rank::Leaf, value)
    }

    /// Makes a lock that nobody holds, under which others of later ranks may be taken.
    pub const fn ranked(rank: Rank, value: T) -> RwLock<T> {
        RwLock {
            place: Place::new(rank),
            lock: sync::RwLock::new(value),
        }
    }

    /// Waits until nobody writes.
    pub fn read(&self) -> impl Deref<Target = T> {
        let held = Held::new(self.place);
        let guard = self.lock.read().unwrap_or_else(PoisonError::into_inner);
        RwLockGuard { guard, held }
    }

    /// Waits until nobody reads or writes.
    pub fn write(&self) -> impl DerefMut<Target = T> {
        let held = Held::new(self.place);
        let guard = self.lock.write().unwrap_or_else(PoisonError::into_inner);
        RwLockGuard { guard, held }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> RwLock<T> {
        RwLock::new(T::default())
    }
}

/// Holds an [`RwLock`], for reading or writing.
struct RwLockGuard<G> {
    guard: G,
    #[expect(dead_code, reason = "its end is what counts")]
    held: Held,
}

impl<G: Deref> Deref for RwLockGuard<G> {
    type Target = G::Target;

    fn deref(&self) -> &G::Target {
        &self.guard
    }
}

impl<G: DerefMut> DerefMut for RwLockGuard<G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.guard
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{STACK_LEN, WaitGroup, about_to_wait, sleep, spawn};
    use std::sync::Arc;
    use std::time::Instant;

    #[test]
    fn a_lock_survives_a_panic_under_it() {
        let lock = Arc::new(Mutex::new(1));
        let held = Arc::clone(&lock);
        let thread = spawn("panics", STACK_LEN, move || {
            let _guard = held.lock();
            std::panic::resume_unwind(Box::new(()));
        });
        assert!(thread.unwrap().join().is_err());
        *lock.lock() += 1;
        assert_eq!(*lock.lock(), 2);
    }

    /// What is said if `act` is against the order of locks; empty if it is not.
    #[cfg(debug_assertions)]
    fn said(act: impl FnOnce() + Send + 'static) -> String {
        let thread = std::thread::spawn(act);
        let Err(panic) = thread.join() else {
            return String::new();
        };
        *panic.downcast::<String>().unwrap()
    }

    #[cfg(debug_assertions)]
    fn lock(rank: Rank) -> Mutex<()> {
        Mutex::ranked(rank, ())
    }

    #[cfg(debug_assertions)]
    #[test]
    fn an_inversion_is_found_by_one_thread_alone() {
        use Rank::{Leaf, Log, Outbox, Sending, Stream, Streams};
        let rows = [
            (vec![Streams, Stream, Outbox, Leaf, Log], ""),
            (vec![Stream, Leaf], ""),
            (vec![Stream, Streams], "Streams is taken under [Stream]"),
            (vec![Stream, Stream], "Stream is taken under [Stream]"),
            (
                vec![Streams, Outbox, Stream],
                "Stream is taken under [Streams, Outbox]",
            ),
            (vec![Sending, Stream], "Stream is taken under [Sending]"),
            (vec![Leaf, Leaf], "Leaf is taken under [Leaf]"),
        ];
        for (ranks, want) in rows {
            let said = said(move || {
                let locks: Vec<_> = ranks.into_iter().map(lock).collect();
                let _guards: Vec<_> = locks.iter().map(Mutex::lock).collect();
            });
            let prefix = if want.is_empty() {
                ""
            } else {
                "lock order: a lock of rank "
            };
            assert_eq!(said, format!("{prefix}{want}"));
        }
    }

    #[cfg(debug_assertions)]
    #[test]
    fn a_lock_for_many_readers_has_its_rank_too() {
        let under = |taken: fn(&RwLock<()>)| {
            said(move || {
                let (outer, inner) = (RwLock::new(()), lock(Rank::Stop));
                let _guard = inner.lock();
                taken(&outer);
                let _twice = outer.read();
                taken(&outer);
            })
        };
        let want = "lock order: a lock of rank Leaf is taken under [Stop, Leaf]";
        assert_eq!(under(|lock| drop(lock.read())), want);
        assert_eq!(under(|lock| drop(lock.write())), want);
    }

    #[cfg(debug_assertions)]
    #[test]
    fn released_locks_are_taken_in_any_order() {
        let (first, second) = (lock(Rank::Stream), lock(Rank::Outbox));
        drop(second.lock());
        let (outer, inner) = (first.lock(), second.lock());
        drop(outer);
        drop(inner);
        drop(second.lock());
        drop(first.lock());
        about_to_wait();
    }

    #[cfg(debug_assertions)]
    #[test]
    fn nobody_waits_under_a_lock() {
        let limit = Duration::from_millis(1);
        type Row = (fn(Duration), &'static str);
        let rows: [Row; 8] = [
            (sleep, ""),
            (
                |limit| {
                    let lock = lock(Rank::Stream);
                    let _guard = lock.lock();
                    sleep(limit);
                },
                "lock order: a thread waits under [Stream]",
            ),
            (
                |_| {
                    let (outer, inner) = (lock(Rank::Stream), lock(Rank::Outbox));
                    let _outer = outer.lock();
                    let team = Team::join(Rank::Sending);
                    std::thread::current().unpark();
                    team.park();
                    let _inner = inner.lock();
                    team.park();
                },
                "lock order: a thread waits under [Outbox]",
            ),
            (
                |_| {
                    let _team = Team::join(Rank::Sending);
                    about_to_wait();
                },
                "lock order: a thread waits under [Sending]",
            ),
            (
                |_| {
                    let lock = lock(Rank::Stream);
                    let _guard = lock.lock();
                    about_to_wait();
                },
                "lock order: a thread waits under [Stream]",
            ),
            (
                |limit| {
                    let (outer, inner) = (lock(Rank::Stream), lock(Rank::Leaf));
                    let _outer = outer.lock();
                    drop(Condvar::new().wait_timeout_while(inner.lock(), limit, |()| true));
                },
                "lock order: a thread waits under [Stream]",
            ),
            (
                |limit| {
                    let lock = lock(Rank::Stream);
                    let _guard = lock.lock();
                    WaitGroup::default().wait(Instant::now() + limit);
                },
                "lock order: a thread waits under [Stream]",
            ),
            (
                |limit| {
                    let lock = lock(Rank::Stream);
                    drop(Condvar::new().wait_timeout_while(lock.lock(), limit, |()| true));
                    about_to_wait();
                },
                "",
            ),
        ];
        for (act, want) in rows {
            assert_eq!(said(move || act(limit)), want);
        }
    }
}
