//! Locks that survive a panic, threads with a name and a stack, and groups of them to wait for.
//!
//! A panic ends its own thread and is reported; the other threads go on. Code that holds a lock completes
//! its change before anything that could panic, so a lock whose holder panicked is taken like any
//! other.

mod lock;
mod order;

pub use lock::{Condvar, Mutex, MutexGuard, RwLock, Team};
pub use order::{Rank, about_to_wait};

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// Bytes of stack of a thread that calls nothing deep.
pub const SHALLOW_STACK_LEN: usize = 64 << 10;

/// Bytes of stack of a thread that decodes: AMF nests at most 32 deep.
pub const STACK_LEN: usize = 256 << 10;

/// Starts a thread with this name and a stack of `stack_len` bytes.
///
/// # Errors
///
/// When the system has no room for another thread.
pub fn spawn<T: Send + 'static>(
    name: &str,
    stack_len: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    builder(name, stack_len).spawn(work)
}

/// As [`spawn`], for a thread that ends within `scope`.
///
/// # Errors
///
/// When the system has no room for another thread.
pub fn spawn_scoped<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    stack_len: usize,
    work: impl FnOnce() -> T + Send + 'scope,
) -> io::Result<ScopedJoinHandle<'scope, T>> {
    builder(name, stack_len).spawn_scoped(scope, work)
}

/// Does nothing for a while: in a debug build the thread must hold no lock.
pub fn sleep(pause: Duration) {
    about_to_wait();
    thread::sleep(pause);
}

fn builder(name: &str, stack_len: usize) -> thread::Builder {
    thread::Builder::new()
        .name(name.to_owned())
        .stack_size(stack_len)
}

/// Counts members and waits until all have left. Clones share the group.
#[derive(Clone, Debug, Default)]
pub struct WaitGroup(Arc<Group>);

#[derive(Debug, Default)]
struct Group {
    state: Mutex<GroupState>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct GroupState {
    members: usize,
    closed: bool,
}

/// Membership of a [`WaitGroup`]; dropping it leaves the group.
#[derive(Debug)]
#[must_use = "dropped, it leaves the group"]
pub struct Member(WaitGroup);

impl WaitGroup {
    /// Joins the group. `None`: the group is closed.
    pub fn join(&self) -> Option<Member> {
        let mut state = self.0.state.lock();
        if state.closed {
            return None;
        }
        state.members += 1;
        Some(Member(self.clone()))
    }

    /// The number of members that have not left.
    pub fn members(&self) -> usize {
        self.0.state.lock().members
    }

    /// Admits no further members.
    pub fn close(&self) {
        self.0.state.lock().closed = true;
    }

    /// Waits until all members have left, until `deadline` at the latest, and returns whether they have.
    pub fn wait(&self, deadline: Instant) -> bool {
        let limit = deadline.saturating_duration_since(Instant::now());
        let some = |state: &mut GroupState| state.members > 0;
        let state = self.0.state.lock();
        let state = self.0.left.wait_timeout_while(state, limit, some);
        state.members == 0
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.0.0.state.lock().members -= 1;
        self.0.0.left.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_its_name() {
        let name = || thread::current().name().map(str::to_owned);
        let thread = spawn("listener", SHALLOW_STACK_LEN, name).unwrap();
        assert_eq!(thread.join().unwrap().as_deref(), Some("listener"));
    }

    #[test]
    fn a_group_is_waited_for_until_the_last_has_left() {
        let group = WaitGroup::default();
        let (first, second) = (group.join().unwrap(), group.join().unwrap());
        assert_eq!(group.members(), 2);
        drop(first);
        assert!(!group.wait(Instant::now()));
        let thread = spawn("member", STACK_LEN, move || drop(second)).unwrap();
        assert!(group.wait(Instant::now() + Duration::from_secs(10)));
        thread.join().unwrap();
        group.close();
        assert!(group.join().is_none());
        assert!(group.wait(Instant::now()));
    }
}
