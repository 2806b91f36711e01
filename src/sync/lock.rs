//! Locks that survive a panic.

use std::ops::DerefMut;
use std::sync::{self, MutexGuard, PoisonError};
use std::time::Duration;

/// A lock on a value, as [`std::sync::Mutex`], but never poisoned.
#[derive(Debug, Default)]
pub struct Mutex<T>(sync::Mutex<T>);

impl<T> Mutex<T> {
    /// Makes a lock that nobody holds.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex(sync::Mutex::new(value))
    }

    /// Waits for the lock and holds it as long as the guard lives.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        guard: MutexGuard<'a, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        let woken = self.0.wait_while(guard, condition);
        woken.unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Condvar::wait_while`], for `limit` at most.
    pub fn wait_timeout_while<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        limit: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> MutexGuard<'a, T> {
        let woken = self.0.wait_timeout_while(guard, limit, condition);
        woken.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// A lock for many readers or one writer, as [`std::sync::RwLock`], but never poisoned.
#[derive(Debug, Default)]
pub struct RwLock<T>(sync::RwLock<T>);

impl<T> RwLock<T> {
    /// Makes a lock that nobody holds.
    pub const fn new(value: T) -> RwLock<T> {
        RwLock(sync::RwLock::new(value))
    }

    /// Waits until nobody writes.
    pub fn read(&self) -> sync::RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nobody reads or writes.
    pub fn write(&self) -> impl DerefMut<Target = T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::{STACK_LEN, spawn};
    use std::sync::Arc;

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
}
