//! How many threads the system has room for, and who may start them.
//!
//! A thread that cannot map the memory it needs aborts the process while it starts, so newcomers
//! have to be refused before the system's limits are reached, not by failing there.

mod limits;

pub(crate) use limits::memory;

use crate::sync::{Mutex, MutexGuard};
use limits::{Limit, Usage};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Threads of a connection: a reader and a writer.
pub(crate) const CONNECTION_THREADS: usize = 2;

/// Memory mappings of a thread: its stack, its signal stack, and a guard page for each.
const THREAD_MAPPINGS: usize = 4;

/// Memory that a thread of a connection takes with what is in the kernel for it, in kB: its pages, and a
/// part of the queue and the socket, where a peer is slow.
const THREAD_KB: usize = 64;

/// Threads that connections leave free, half of them for what runs beside publications and half
/// for HTTP, hooks, fan-out, and whatever else starts between two looks. It is an eighth of a limit
/// that is too low for that.
const RESERVED_THREADS: usize = 1024;

/// How often what is in use is looked at again; more rarely if a look takes long.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// The time between two looks is at least this many times what the last one took: to count many
/// mappings takes some hundredths of a second, in which viewers wait for the processor.
const LOOK_SHARE: u32 = 500;

/// A limit of the system, in threads that connections and publications may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Whose limit it is.
    pub by: &'static str,
    /// How many threads connections may have, with what runs beside publications.
    pub threads: usize,
    /// How many more what runs beside publications may have.
    pub beside: usize,
}

impl Bound {
    /// How many connections fit.
    pub(crate) fn connections(self) -> usize {
        self.threads / CONNECTION_THREADS
    }
}

/// The lowest bound under these limits when `running` threads are counted against it already.
fn lowest(limits: &[Limit], running: Running) -> Option<Bound> {
    let bound = |limit: &Limit| {
        let (units, per_units) = match limit.counts {
            Usage::Mappings => (THREAD_MAPPINGS, 1),
            Usage::Tasks => (1, 1),
            Usage::Descriptors => (1, CONNECTION_THREADS),
            Usage::Memory => (THREAD_KB, 1),
        };
        let own = match limit.counts {
            Usage::Descriptors => running.connections,
            _ => running.threads * units / per_units,
        };
        let others = limit.used.saturating_sub(own);
        let reserve = (limit.max / 8).min(RESERVED_THREADS * units / per_units);
        let left = limit.max.saturating_sub(reserve).saturating_sub(others);
        Bound {
            by: limit.by,
            threads: left / units * per_units,
            beside: reserve / units * per_units / 2,
        }
    };
    limits.iter().map(bound).min_by_key(|bound| bound.threads)
}

/// What runs now of all that has a [`Share`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Running {
    /// Connections, each of which has a descriptor.
    pub connections: usize,
    /// Threads of connections and of what runs beside publications.
    pub threads: usize,
}

/// The threads that connections and publications may have, and those that are given out.
#[derive(Debug)]
pub(crate) struct Capacity {
    state: Mutex<CapacityState>,
    /// What threads may take of memory, in kB.
    memory_kb: usize,
}

#[derive(Debug)]
struct CapacityState {
    bound: Bound,
    taken: usize,
    /// Those of them that are not a connection's.
    taken_beside: usize,
    next_look: Instant,
}

/// The right to start some threads, given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    capacity: Arc<Capacity>,
    threads: usize,
    beside: bool,
}

impl Capacity {
    /// What the system has room for now; all threads may take `memory` bytes.
    pub(crate) fn of_system(memory: usize) -> Capacity {
        let memory_kb = memory >> 10;
        let bound = lowest(&limits::read(memory_kb), Running::default());
        let unknown = Bound {
            by: "the system",
            threads: usize::MAX,
            beside: 0,
        };
        Capacity {
            memory_kb,
            ..Capacity::with_bound(bound.unwrap_or(unknown))
        }
    }

    fn with_bound(bound: Bound) -> Capacity {
        let state = CapacityState {
            bound,
            taken: 0,
            taken_beside: 0,
            next_look: Instant::now() + LOOK_INTERVAL,
        };
        Capacity {
            state: Mutex::new(state),
            memory_kb: usize::MAX,
        }
    }

    fn lock(&self) -> MutexGuard<'_, CapacityState> {
        self.state.lock()
    }

    /// What bounds it now.
    pub(crate) fn bound(&self) -> Bound {
        self.lock().bound
    }

    /// Looks again at what the system allows and what is in use of it, if it is time to; `running`
    /// are the connections and their threads.
    pub(crate) fn look_if_due(&self, running: impl FnOnce() -> Running) {
        let began = Instant::now();
        if self.lock().next_look > began {
            return;
        }
        let (running, limits) = (running(), limits::read(self.memory_kb));
        let took = began.elapsed();
        let mut state = self.lock();
        let running = Running {
            threads: running.threads + state.taken_beside,
            ..running
        };
        if let Some(bound) = lowest(&limits, running) {
            state.bound = bound;
        }
        state.next_look = began + LOOK_INTERVAL.max(took * LOOK_SHARE);
    }

    /// Takes the threads of a connection.
    ///
    /// # Errors
    ///
    /// The limit that leaves no room for them.
    pub(crate) fn connection(self: &Arc<Self>) -> Result<Share, &'static str> {
        self.take(CONNECTION_THREADS, false)
    }

    /// Takes `threads` for what runs beside connections.
    ///
    /// # Errors
    ///
    /// The limit that leaves no room for them.
    pub(crate) fn beside(self: &Arc<Self>, threads: usize) -> Result<Share, &'static str> {
        self.take(threads, true)
    }

    fn take(self: &Arc<Self>, threads: usize, beside: bool) -> Result<Share, &'static str> {
        let mut state = self.lock();
        let Bound {
            by,
            threads: shared,
            beside: more,
        } = state.bound;
        let room = shared.saturating_add(if beside { more } else { 0 });
        if threads > 0 && state.taken.saturating_add(threads) > room {
            return Err(by);
        }
        state.taken += threads;
        state.taken_beside += if beside { threads } else { 0 };
        Ok(Share {
            capacity: Arc::clone(self),
            threads,
            beside,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.capacity.lock();
        state.taken -= self.threads;
        state.taken_beside -= if self.beside { self.threads } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(counts: Usage, max: usize, used: usize) -> Limit {
        Limit {
            by: "x",
            counts,
            max,
            used,
        }
    }

    #[test]
    fn each_limit_leaves_a_reserve_and_what_others_use() {
        let none = Running::default();
        let some = Running {
            connections: 1000,
            threads: 2000,
        };
        let rows = [
            (limit(Usage::Mappings, 65_530, 100), none, 15_333),
            // What connections use themselves is room of theirs.
            (limit(Usage::Mappings, 65_530, 8100), some, 15_333),
            (limit(Usage::Mappings, 65_530, 28_100), some, 10_333),
            (limit(Usage::Mappings, 0, 100), none, 0),
            (limit(Usage::Tasks, 32_768, 300), none, 31_444),
            (limit(Usage::Tasks, 100, 8), none, 80),
            (limit(Usage::Tasks, 100, 200), none, 0),
            (limit(Usage::Descriptors, 20_000, 20), none, 38_936),
            (limit(Usage::Descriptors, 20_000, 1020), some, 38_936),
            (limit(Usage::Descriptors, 40, 10), none, 50),
            // A control group of 64 MiB, a quarter of it for what waits.
            (limit(Usage::Memory, 40 << 10, 0), none, 560),
            (limit(Usage::Memory, 40 << 10, 0), some, 560),
        ];
        for (limit, running, threads) in rows {
            let bound = lowest(&[limit], running).unwrap();
            assert_eq!(bound.threads, threads, "{limit:?} {running:?}");
        }
        let both = [
            limit(Usage::Tasks, 100, 8),
            limit(Usage::Mappings, 65_530, 100),
        ];
        assert_eq!(lowest(&both, none).unwrap().threads, 80);
    }

    #[test]
    fn threads_are_given_out_up_to_the_bound_and_come_back() {
        let bound = Bound {
            by: "kernel.pid_max",
            threads: 5,
            beside: 2,
        };
        let capacity = Arc::new(Capacity::with_bound(bound));
        let first = capacity.connection().unwrap();
        let second = capacity.beside(2).unwrap();
        assert_eq!(capacity.connection().unwrap_err(), "kernel.pid_max");
        // Publications have a reserve of their own.
        let third = capacity.beside(3).unwrap();
        assert_eq!(capacity.beside(1).unwrap_err(), "kernel.pid_max");
        assert!(capacity.beside(0).is_ok());
        drop((second, third));
        let second = capacity.connection().unwrap();
        drop((first, second));
        assert!(capacity.beside(7).is_ok());
    }

    #[test]
    fn the_system_has_room_now() {
        let bound = Capacity::of_system(memory()).bound();
        assert!(bound.connections() > 20, "{bound:?}");
    }
}
