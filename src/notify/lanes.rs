//! Calls that nobody waits for: those about one client in order, each by one of a few threads.

use super::call::NotifyCall;
use super::form::Form;
use super::service::{NOTIFY_TIMEOUT, Service};
use crate::http::client::{PostError, Reply};
use crate::log;
use crate::log::RateLimit;
use crate::stats::Counters;
use crate::sync::{self, Mutex, Rank, WaitGroup};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::{Duration, Instant};

/// Threads that call services.
pub const NOTIFY_LANES: usize = 4;

/// Calls that may wait for each of them; further ones are left out.
pub const NOTIFY_BACKLOG_MAX: usize = 250;

static DROPS: RateLimit = RateLimit::new(Duration::from_secs(10));
static FAILURES: RateLimit = RateLimit::burst(100, Duration::from_secs(10));

/// What is done with the answer to a call.
pub(super) type Then = Box<dyn FnOnce(&Reply) + Send>;

/// A call that is to be made.
pub(super) struct Job {
    pub(super) call: NotifyCall,
    pub(super) service: Service,
    pub(super) form: Form,
    pub(super) then: Option<Then>,
}

/// The threads, which are started with the first call.
pub(super) struct Lanes {
    state: Mutex<State>,
    threads: WaitGroup,
    counters: Arc<Counters>,
}

enum State {
    Open(Vec<SyncSender<Job>>),
    Closed,
}

impl Lanes {
    pub(super) fn new(counters: &Arc<Counters>) -> Lanes {
        Lanes {
            state: Mutex::ranked(Rank::Lanes, State::Open(Vec::new())),
            threads: WaitGroup::default(),
            counters: Arc::clone(counters),
        }
    }

    /// Has a call made, behind those of the same client that wait. Never waits itself: a call that finds
    /// no room is lost, counted and logged.
    pub(super) fn push(&self, client: u64, job: Job) {
        let mut state = self.state.lock();
        let State::Open(lanes) = &mut *state else {
            return self.lost(job.call, "the server stops");
        };
        if lanes.is_empty() {
            *lanes = (0..NOTIFY_LANES).filter_map(|_| self.start()).collect();
        }
        if lanes.is_empty() {
            return self.lost(job.call, "no thread");
        }
        let lane = client as usize % lanes.len();
        let call = job.call;
        if lanes[lane].try_send(job).is_err() {
            self.lost(call, "too many wait");
        }
    }

    /// Takes no more calls, and waits until all are made. `false`: not by `deadline`.
    pub(super) fn close(&self, deadline: Instant) -> bool {
        // The threads end when they have made the calls that wait.
        *self.state.lock() = State::Closed;
        self.threads.close();
        self.threads.wait(deadline)
    }

    fn start(&self) -> Option<SyncSender<Job>> {
        let (sender, jobs) = mpsc::sync_channel(NOTIFY_BACKLOG_MAX);
        let member = self.threads.join()?;
        let counters = Arc::clone(&self.counters);
        let spawned = sync::spawn("notify", sync::STACK_LEN, move || {
            run(&jobs, &counters);
            drop(member);
        });
        spawned.ok().map(|_| sender)
    }

    fn lost(&self, call: NotifyCall, why: &str) {
        self.counters.notify_drops.add(1);
        if let Some(more) = DROPS.pass() {
            log!(Warn, "notify call dropped"; call = call.name(), reason = why, suppressed = more);
        }
    }
}

fn run(jobs: &Receiver<Job>, counters: &Counters) {
    while let Ok(job) = jobs.recv() {
        counters.notify_calls.add(1);
        match job.service.call(job.form, NOTIFY_TIMEOUT) {
            Ok(reply) => {
                if let Some(then) = job.then {
                    then(&reply);
                }
            }
            Err(error) => failed(job.call, &error, counters),
        }
    }
}

fn failed(call: NotifyCall, error: &PostError, counters: &Counters) {
    counters.notify_failures.add(1);
    if let Some(more) = FAILURES.pass() {
        log!(Warn, "notify call failed"; call = call.name(), error = error, suppressed = more);
    }
}
