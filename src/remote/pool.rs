//! Links that are kept up at the same time, at most one for each key.

use super::progress::LinkProgress;
use super::stop::StopHandle;
use crate::sync::{self, Member, Mutex, Rank, WaitGroup};
use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// How long a link waits for the last one under its key to be gone.
const TURN_LIMIT: Duration = Duration::from_secs(5);

/// A link that a pool keeps up, and what it is for.
pub(crate) struct PooledLink<T> {
    pub(crate) stop: StopHandle,
    pub(crate) progress: LinkProgress,
    pub(crate) purpose: T,
    /// The one that had its key before, which may still be ending.
    last: Weak<PooledLink<T>>,
}

/// Links by key, each with a thread of its own. Cloning shares them.
pub(crate) struct LinkPool<K: Eq + Hash, T>(Arc<LinkPoolShared<K, T>>);

struct LinkPoolShared<K, T> {
    thread_name: &'static str,
    /// Those that have not ended.
    links: Mutex<HashMap<K, Arc<PooledLink<T>>>>,
    group: WaitGroup,
}

impl<K: Eq + Hash, T> Clone for LinkPool<K, T> {
    fn clone(&self) -> Self {
        LinkPool(Arc::clone(&self.0))
    }
}

impl<T> PooledLink<T> {
    /// Ends its connection at once, and that of the last one under its key; whether there was one.
    fn cut(&self) -> bool {
        let last = self.last.upgrade().is_some_and(|last| last.cut());
        self.stop.cut() || last
    }

    /// Whether it is kept up; if not, it is ending.
    pub(crate) fn is_running(&self) -> bool {
        !self.stop.is_off()
    }
}

impl<K, T> LinkPool<K, T>
where
    K: Clone + Eq + Hash + Ord + Send + 'static,
    T: Send + Sync + 'static,
{
    /// No links yet; their threads will have this name.
    pub(crate) fn new(thread_name: &'static str) -> Self {
        LinkPool(Arc::new(LinkPoolShared {
            thread_name,
            links: Mutex::ranked(Rank::Links, HashMap::new()),
            group: WaitGroup::default(),
        }))
    }

    /// Has `run` keep up a link under `key`, in a thread, once the last one under the key is gone.
    /// Does nothing if one runs already, or if the pool is closed.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub(crate) fn start(
        &self,
        key: K,
        purpose: T,
        run: impl FnOnce(&PooledLink<T>) + Send + 'static,
    ) -> io::Result<()> {
        let Some(member) = self.0.group.join() else {
            return Ok(());
        };
        let (link, last) = {
            let mut links = self.0.links.lock();
            let last = links.get(&key);
            if last.is_some_and(|link| link.is_running()) {
                return Ok(());
            }
            let link = Arc::new(PooledLink {
                stop: StopHandle::default(),
                progress: LinkProgress::default(),
                purpose,
                last: last.map_or_else(Weak::new, Arc::downgrade),
            });
            let last = links.insert(key.clone(), Arc::clone(&link));
            (link, last)
        };
        let entry = Entry {
            pool: self.clone(),
            key,
            link,
            _member: member,
        };
        let run = move || {
            // The server at the other end would refuse two at a time.
            if entry.link.stop.pause_for(&last, TURN_LIMIT) {
                run(&entry.link);
            }
        };
        sync::spawn(self.0.thread_name, sync::STACK_LEN, run).map(drop)
    }

    /// Calls `act` with the link under `key`, running or ending; nothing starts or is stopped by
    /// others meanwhile. `act` must not wait for anything.
    pub(crate) fn with<R>(&self, key: &K, act: impl FnOnce(Option<&PooledLink<T>>) -> R) -> R {
        act(self.0.links.lock().get(key).map(|link| &**link))
    }

    /// Stops the links that `which` picks.
    pub(crate) fn stop(&self, which: impl Fn(&PooledLink<T>) -> bool) {
        let links = self.0.links.lock();
        let picked = links.values().filter(|link| which(link));
        picked.for_each(|link| link.stop.turn_off());
    }

    /// Starts none any more, and stops all.
    pub(crate) fn close(&self) {
        self.0.group.close();
        self.stop(|_| true);
    }

    /// Ends the connections that there still are at once, and calls `tell` for each.
    pub(crate) fn cut(&self, tell: impl Fn(&T)) {
        let cut = self.list().into_iter().filter(|link| link.cut());
        cut.for_each(|link| tell(&link.purpose));
    }

    /// Waits until all are gone. `false`: not by `deadline`.
    pub(crate) fn wait_gone(&self, deadline: Instant) -> bool {
        self.0.group.wait(deadline)
    }

    /// All that have not ended, by key.
    pub(crate) fn list(&self) -> Vec<Arc<PooledLink<T>>> {
        let links = self.0.links.lock();
        let mut links: Vec<_> = links
            .iter()
            .map(|(key, link)| (key.clone(), Arc::clone(link)))
            .collect();
        links.sort_by(|(a, _), (b, _)| a.cmp(b));
        links.into_iter().map(|(_, link)| link).collect()
    }
}

/// The entry of a link in its pool. Dropping it removes the link, unless another has its key by now.
struct Entry<K: Eq + Hash, T> {
    pool: LinkPool<K, T>,
    key: K,
    link: Arc<PooledLink<T>>,
    _member: Member,
}

impl<K: Eq + Hash, T> Drop for Entry<K, T> {
    fn drop(&mut self) {
        let mut links = self.pool.0.links.lock();
        let held = links.get(&self.key);
        if held.is_some_and(|held| Arc::ptr_eq(held, &self.link)) {
            links.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Starts a link that says that it runs, and does so until it is stopped.
    fn start(pool: &LinkPool<u8, &'static str>, key: u8, name: &'static str) -> mpsc::Receiver<()> {
        let (began, begun) = mpsc::channel();
        let run = move |link: &PooledLink<_>| {
            let _ = began.send(());
            while link.stop.pause(PATIENCE) {}
        };
        pool.start(key, name, run).unwrap();
        begun
    }

    fn names(pool: &LinkPool<u8, &'static str>) -> Vec<&'static str> {
        pool.list().iter().map(|link| link.purpose).collect()
    }

    #[test]
    fn one_link_runs_for_each_key() {
        let pool = LinkPool::new("link");
        let first = start(&pool, 2, "first");
        assert_eq!(first.recv_timeout(PATIENCE), Ok(()));
        let second = start(&pool, 2, "second");
        assert!(second.recv().is_err(), "one runs already");
        let other = start(&pool, 1, "other");
        assert_eq!(other.recv_timeout(PATIENCE), Ok(()));
        assert_eq!(names(&pool), ["other", "first"]);
        pool.stop(|link| link.purpose == "first");
        let third = start(&pool, 2, "third");
        assert_eq!(third.recv_timeout(PATIENCE), Ok(()));
        assert_eq!(names(&pool), ["other", "third"], "only itself is removed");
        assert!(pool.with(&2, |link| link.is_some_and(PooledLink::is_running)));
        assert!(!pool.wait_gone(Instant::now()));
        pool.close();
        assert!(pool.wait_gone(Instant::now() + PATIENCE));
        let late = start(&pool, 3, "late");
        assert!(late.recv().is_err(), "the pool is closed");
        assert_eq!(names(&pool), [""; 0]);
    }
}
