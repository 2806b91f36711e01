//! The order in which locks are taken, checked in debug builds.
//!
//! Two threads that take the same two locks in different orders may wait for each other forever. So a
//! thread that holds a lock takes only locks of a later [`Rank`], and it waits for nothing but locks
//! while it holds one. In a debug build a thread that does otherwise ends the process, the first time
//! and whether another thread is in its way or not. A release build checks nothing.

/// The place of a lock in the order, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// The configurations that the server has had: one change at a time.
    Reload,
    /// The last snapshot for HTTP, held while another one is taken of everything.
    Snapshot,
    /// The connections that there are.
    Connections,
    /// Where relays go to, held while they start and end.
    Destinations,
    /// The streams that are packaged for HLS.
    HlsStreams,
    /// The map of streams.
    Streams,
    /// A stream with its audience. Everything that happens to a stream happens under it.
    Stream,
    /// Where pulls come from, held while they start.
    Pulls,
    /// The links to other servers, held while they are told to end.
    Links,
    /// Why a pull is kept up.
    Demand,
    /// For whom a pull has not brought anything yet.
    Fetch,
    /// The way to the destination of a relay, held while leave is taken of it.
    Relay,
    /// What ends a link or a connection.
    Stop,
    /// The playlists of a stream, and its viewers by HLS.
    Hls,
    /// Where events go to.
    Hooks,
    /// What publications get beside them, held while it changes.
    Beside,
    /// The threads that ask services on behalf of clients, held while one starts.
    Lanes,
    /// The viewers of a stream, in the hands of the threads that send to them: a [`Team`](super::Team).
    Sending,
    /// What waits for a peer.
    Outbox,
    /// All other locks: under them none is taken but the next.
    Leaf,
    /// The lines of the log that wait: it may be written to under any lock.
    Log,
}

#[cfg(debug_assertions)]
mod checked {
    use super::Rank;
    use std::cell::RefCell;
    use std::io::Write as _;
    use std::{backtrace, fmt, io, process, thread};

    thread_local! {
        /// The ranks of the locks that this thread holds, in their order.
        static HELD: RefCell<Vec<Rank>> = const { RefCell::new(Vec::new()) };
    }

    /// Where a lock is in the order.
    #[derive(Clone, Copy, Debug)]
    pub(in crate::sync) struct Place(Rank);

    /// A lock that this thread holds, or is about to.
    #[derive(Debug)]
    pub(in crate::sync) struct Held(Rank);

    impl Place {
        pub(in crate::sync) const fn new(rank: Rank) -> Place {
            Place(rank)
        }
    }

    impl Held {
        pub(in crate::sync) fn new(Place(rank): Place) -> Held {
            with_held(|held| {
                if held.last().is_some_and(|last| *last >= rank) {
                    let what = format_args!("a lock of rank {rank:?} is taken under {held:?}");
                    return fail(what);
                }
                held.push(rank);
            });
            Held(rank)
        }

        /// Checks that the thread holds no other lock: it is about to wait.
        pub(in crate::sync) fn waits(&self) {
            with_held(|held| check_none(held.iter().filter(|rank| **rank != self.0)));
        }

        /// Checks that the thread holds no lock after this one: it is about to wait for threads that hold
        /// others of this rank.
        pub(in crate::sync) fn waits_for_equals(&self) {
            with_held(|held| check_none(held.iter().filter(|rank| **rank > self.0)));
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            with_held(|held| held.retain(|rank| *rank != self.0));
        }
    }

    pub(super) fn check_none_held() {
        with_held(|held| check_none(held.iter()));
    }

    fn check_none<'a>(held: impl Iterator<Item = &'a Rank>) {
        let held: Vec<_> = held.collect();
        if !held.is_empty() {
            fail(format_args!("a thread waits under {held:?}"));
        }
    }

    fn with_held(act: impl FnOnce(&mut Vec<Rank>)) {
        // A thread that ends forgets what it held before it drops the last of its values.
        let _ = HELD.try_with(|held| act(&mut held.borrow_mut()));
    }

    /// Ends the process: a panic would end one thread, and a test might not notice.
    fn fail(what: fmt::Arguments) {
        if thread::panicking() {
            return;
        }
        if cfg!(test) {
            // never: in the server. The tests of this file want to see it.
            panic!("lock order: {what}");
        }
        let trace = backtrace::Backtrace::force_capture();
        // Standard error itself: a test harness keeps what is printed, and loses it now.
        let _ = io::stderr().write_all(format!("lock order: {what}\n{trace}\n").as_bytes());
        process::abort();
    }
}

#[cfg(not(debug_assertions))]
mod checked {
    use super::Rank;

    #[derive(Clone, Copy, Debug)]
    pub(in crate::sync) struct Place;

    #[derive(Debug)]
    pub(in crate::sync) struct Held;

    impl Place {
        pub(in crate::sync) const fn new(_: Rank) -> Place {
            Place
        }
    }

    impl Held {
        pub(in crate::sync) fn new(_: Place) -> Held {
            Held
        }

        pub(in crate::sync) fn waits(&self) {}

        pub(in crate::sync) fn waits_for_equals(&self) {}
    }

    pub(super) fn check_none_held() {}
}

pub(super) use checked::{Held, Place};

/// Says that this thread may wait now, for a peer, a disk, a process or a moment: in a debug build it
/// must hold no lock.
#[inline]
pub fn about_to_wait() {
    checked::check_none_held();
}
