//! Threads that all streams share to send to many viewers, beside the threads of publishers.

use super::sharded::Sharded;
use super::viewer::Viewer;
use super::wave::{Looks, Wave};
use crate::sync::{self, Condvar, Mutex, Rank, Team};
use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};

/// Threads for all streams together, at most; there is one less than there are processors.
const SEND_THREADS_MAX: usize = 15;

/// Stack of such a thread; it calls nothing deep.
const STACK_LEN: usize = 128 << 10;

/// Threads that all streams share to send to many viewers. They start when they are first needed, and
/// end when this is dropped.
#[derive(Default)]
pub(super) struct SendThreads(Arc<Shared>);

#[derive(Default)]
struct Shared {
    work: Mutex<Work>,
    changed: Condvar,
}

#[derive(Default)]
struct Work {
    /// Where there may be something left to take, one job for each stream that is being sent.
    jobs: VecDeque<Arc<Job>>,
    /// Whether the threads were started.
    has_begun: bool,
    /// Whether they are to end.
    is_over: bool,
}

/// A wave on its way to many viewers, who belong to it as long as it lasts.
struct Job {
    wave: Wave,
    progress: Mutex<Progress>,
    /// Whose viewers they are. It is woken when all shards are sent.
    owner: Thread,
}

/// How far a job has come.
struct Progress {
    /// Those that are here, at their numbers; the others are taken.
    shards: Vec<Vec<Viewer>>,
    /// The number of the shard that is taken next.
    next: usize,
    /// How many were brought back.
    done: usize,
    looks: Looks,
}

impl SendThreads {
    /// Sends a wave to all viewers, together with threads that have nothing else to do.
    pub(super) fn send(&self, wave: Wave, viewers: &mut Sharded<Viewer>) -> Looks {
        let job = Arc::new(Job {
            wave,
            progress: Mutex::new(Progress {
                shards: viewers.take_shards(),
                next: 0,
                done: 0,
                looks: Looks::default(),
            }),
            owner: thread::current(),
        });
        let loan = Loan {
            team: Team::join(Rank::Sending),
            send_threads: self,
            job: &job,
            viewers,
        };
        self.announce(&job);
        job.work();
        drop(loan);
        std::mem::take(&mut job.progress.lock().looks)
    }

    /// Tells the threads, and starts them if nobody has.
    fn announce(&self, job: &Arc<Job>) {
        let mut work = self.0.work.lock();
        work.jobs.push_back(Arc::clone(job));
        if !work.has_begun {
            work.has_begun = true;
            for _ in 0..thread_count() {
                let shared = Arc::clone(&self.0);
                // One that cannot be started leaves its shards to the others.
                let _ = sync::spawn("fan-out", STACK_LEN, move || shared.run());
            }
        }
        drop(work);
        (0..thread_count()).for_each(|_| self.0.changed.notify_one());
    }
}

impl Drop for SendThreads {
    fn drop(&mut self) {
        self.0.work.lock().is_over = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    /// Takes shards of whatever job there is, until the end.
    fn run(&self) {
        let idle = |work: &mut Work| work.jobs.is_empty() && !work.is_over;
        loop {
            let work = self.changed.wait_while(self.work.lock(), idle);
            if work.is_over {
                return;
            }
            let Some(job) = work.jobs.front().cloned() else {
                continue;
            };
            drop(work);
            let team = Team::join(Rank::Sending);
            job.work();
            drop(team);
            self.forget(&job);
        }
    }

    /// There is nothing left of a job to take.
    fn forget(&self, job: &Arc<Job>) {
        let mut work = self.work.lock();
        work.jobs.retain(|other| !Arc::ptr_eq(other, job));
    }
}

impl Job {
    /// Takes shards until there are none left.
    fn work(&self) {
        while let Some(mut lent) = self.next() {
            lent.looks = self.wave.send(lent.number, &mut lent.shard);
        }
    }

    fn next(&self) -> Option<LentShard<'_>> {
        let mut progress = self.progress.lock();
        let number = progress.next;
        let shard = std::mem::take(progress.shards.get_mut(number)?);
        progress.next += 1;
        Some(LentShard {
            job: self,
            number,
            shard,
            looks: Looks::default(),
        })
    }
}

/// A shard in the hands of a thread. Dropping brings it back, also when the thread panics.
struct LentShard<'a> {
    job: &'a Job,
    number: usize,
    shard: Vec<Viewer>,
    looks: Looks,
}

impl Drop for LentShard<'_> {
    fn drop(&mut self) {
        let mut progress = self.job.progress.lock();
        if let Some(place) = progress.shards.get_mut(self.number) {
            *place = std::mem::take(&mut self.shard);
        }
        progress.looks.extend(std::mem::take(&mut self.looks));
        progress.done += 1;
        if progress.done == progress.shards.len() {
            self.job.owner.unpark();
        }
    }
}

/// The viewers of a stream while a job has them. Dropping waits for the shards that others have
/// taken, and gives all back.
struct Loan<'a> {
    team: Team,
    send_threads: &'a SendThreads,
    job: &'a Arc<Job>,
    viewers: &'a mut Sharded<Viewer>,
}

impl Drop for Loan<'_> {
    fn drop(&mut self) {
        self.send_threads.0.forget(self.job);
        let mut progress = self.job.progress.lock();
        // After a panic there may be some that nobody has taken, and nobody will.
        progress.done += progress.shards.len() - progress.next;
        progress.next = progress.shards.len();
        // This is under the stream's lock, as its own sending is, which the threads do not need.
        while progress.done < progress.shards.len() {
            drop(progress);
            self.team.park();
            progress = self.job.progress.lock();
        }
        self.viewers.restore(std::mem::take(&mut progress.shards));
    }
}

fn thread_count() -> usize {
    static COUNT: OnceLock<usize> = OnceLock::new();
    *COUNT.get_or_init(|| {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        (processors - 1).min(SEND_THREADS_MAX)
    })
}
