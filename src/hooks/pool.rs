//! Workers that run hooks, and the events that wait for them.

use super::backlog::{Backlog, Job};
use super::event::{EventKind, Fired};
use super::failure::HookFailure;
use super::script::{HALT_GRACE, Script};
use super::stdio;
use super::webhook::Webhook;
use crate::log;
use crate::log::RateLimit;
use crate::stats::Counters;
use crate::sync::{self, Condvar, Mutex, MutexGuard};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How many events may wait for a worker.
pub const BACKLOG_MAX: usize = 1000;

/// Stack of a worker; nothing it calls is deep.
const STACK_LEN: usize = 256 << 10;

/// How often lost events are logged, and failures of one hook.
const DROPS_PERIOD: Duration = Duration::from_secs(10);
const FAILURES_PERIOD: Duration = Duration::from_secs(1);

/// How long hooks that were told to end may take for it.
const HALT_LIMIT: Duration = Duration::from_millis(300);

/// What is told of an event.
#[derive(Debug)]
pub(super) enum HookTarget {
    /// A program that is started for each event.
    Script(Script),
    /// A web service that each event is posted to.
    Webhook(Webhook),
    /// Standard error, which each event is written to.
    Stdio(stdio::StdioFormat),
}

/// A hook: what is told of which events.
#[derive(Debug)]
pub(super) struct Hook {
    /// The events; none: all of them.
    kind: Option<EventKind>,
    target: HookTarget,
    /// As it is called in the log.
    name: String,
    failures: RateLimit,
}

impl Hook {
    /// Whether it is for events of `kind`.
    pub(super) fn wants(&self, kind: EventKind) -> bool {
        self.kind.is_none_or(|wanted| wanted == kind)
    }

    /// A hook for events of `kind`, or for all.
    pub(super) fn new(kind: Option<EventKind>, target: HookTarget) -> Hook {
        let name = match &target {
            HookTarget::Script(script) => script.path().display().to_string(),
            HookTarget::Webhook(webhook) => webhook.place(),
            HookTarget::Stdio(_) => "stdio".to_owned(),
        };
        let failures = RateLimit::new(FAILURES_PERIOD);
        Hook {
            kind,
            target,
            name,
            failures,
        }
    }

    fn run(&self, fired: &Fired, halt: &AtomicBool) -> Result<(), HookFailure> {
        match &self.target {
            HookTarget::Script(script) => script.run(fired, halt),
            HookTarget::Webhook(webhook) => webhook.run(fired),
            HookTarget::Stdio(format) => format.write(fired).map_err(HookFailure::Write),
        }
    }
}

/// In which order events are delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// In that of firing, along each connection and along each stream.
    PerLane,
    /// In that of firing.
    Strict,
}

/// What has to be delivered one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Lane {
    Connection(String),
    Stream(String),
}

/// An event, and the hooks that are told of it: those of the moment when it was fired.
#[derive(Clone, Debug)]
struct Delivery {
    fired: Arc<Fired>,
    hooks: Arc<[Arc<Hook>]>,
}

/// Threads that run hooks. When dropped, what waits is lost and what runs is ended.
#[derive(Debug)]
pub(super) struct Pool(Arc<PoolShared>);

#[derive(Debug)]
struct PoolShared {
    order: Order,
    state: Mutex<PoolState>,
    /// There is work, or there will be no more.
    work: Condvar,
    /// Nothing waits and nothing runs.
    idle: Condvar,
    /// Set when scripts that run have to end at once.
    halt: AtomicBool,
    drops: RateLimit,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct PoolState {
    backlog: Backlog<Lane, Delivery>,
    /// Threads that have not begun to end.
    workers: usize,
    /// How many there should be.
    wanted: usize,
    closed: bool,
}

impl PoolState {
    /// Whether there is a worker too many. One stays until what waits is delivered.
    fn has_spare_worker(&self) -> bool {
        self.workers > self.wanted.max(usize::from(!self.backlog.is_empty()))
    }
}

impl Pool {
    /// A pool without workers.
    pub(super) fn new(order: Order, counters: &Arc<Counters>) -> Pool {
        let state = PoolState {
            backlog: Backlog::new(BACKLOG_MAX),
            workers: 0,
            wanted: 0,
            closed: false,
        };
        Pool(Arc::new(PoolShared {
            order,
            state: Mutex::new(state),
            work: Condvar::new(),
            idle: Condvar::new(),
            halt: AtomicBool::new(false),
            drops: RateLimit::new(DROPS_PERIOD),
            counters: Arc::clone(counters),
        }))
    }

    /// Has `wanted` threads run hooks from now on. [`Order::Strict`] wants one at most. Those that
    /// are too many end when they have done what they do.
    ///
    /// # Errors
    ///
    /// When there is no thread left: then there are fewer than wanted.
    pub(super) fn set_workers(&self, wanted: usize) -> io::Result<()> {
        let mut state = self.0.lock();
        state.wanted = wanted;
        self.0.work.notify_all();
        while state.workers < wanted {
            let shared = Arc::clone(&self.0);
            let name = format!("hook-{}", state.workers + 1);
            sync::spawn(&name, STACK_LEN, move || shared.work())?;
            state.workers += 1;
        }
        Ok(())
    }

    /// Has an event delivered to those of `hooks` that are for its kind; never waits. What there is
    /// no room for is counted as lost.
    pub(super) fn push(&self, fired: &Arc<Fired>, hooks: &[Arc<Hook>]) {
        let event = &fired.event;
        let wanted = hooks.iter().filter(|hook| hook.wants(event.kind));
        let wanted: Arc<[Arc<Hook>]> = wanted.cloned().collect();
        let hooks = wanted.len();
        if hooks == 0 {
            return;
        }
        let lanes = self.0.lanes(fired);
        let delivery = Delivery {
            fired: Arc::clone(fired),
            hooks: wanted,
        };
        let mut state = self.0.lock();
        let taken = !state.closed && state.backlog.push(lanes, hooks, delivery);
        drop(state);
        if taken {
            (0..hooks).for_each(|_| self.0.work.notify_one());
            return;
        }
        let drops = &self.0.counters.hook_drops;
        drops.add(1);
        if let Some(more) = self.0.drops.pass() {
            log!(Warn, "hook event dropped"; event = event.kind.name(), conn_id = event.conn_id,
                stream_key = event.stream_key, dropped = drops.get(), suppressed = more);
        }
    }

    /// How many events wait.
    pub(super) fn waiting(&self) -> usize {
        self.0.lock().backlog.waiting()
    }

    /// Takes no more events, and waits until all are delivered. `false`: not by `deadline`; what
    /// waited is lost, scripts that ran were ended.
    pub(super) fn close(&self, deadline: Instant) -> bool {
        let mut state = self.0.lock();
        state.closed = true;
        self.0.work.notify_all();
        state = self.0.wait_idle(state, deadline);
        if state.backlog.is_empty() {
            return true;
        }
        drop(state);
        let lost = self.0.halt();
        if lost > 0 {
            log!(Warn, "hook events dropped at the end"; events = lost);
        }
        let end = Instant::now() + HALT_GRACE + HALT_LIMIT;
        drop(self.0.wait_idle(self.0.lock(), end));
        false
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.halt();
    }
}

impl PoolShared {
    fn lock(&self) -> MutexGuard<'_, PoolState> {
        self.state.lock()
    }

    fn lanes(&self, fired: &Fired) -> Vec<Lane> {
        if self.order == Order::Strict {
            return Vec::new();
        }
        let event = &fired.event;
        let mut lanes = Vec::new();
        if !event.conn_id.is_empty() {
            lanes.push(Lane::Connection(event.conn_id.clone()));
        }
        if !event.stream_key.is_empty() {
            lanes.push(Lane::Stream(event.stream_key.clone()));
        }
        lanes
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            // Also after a panic, the events behind it must not wait for ever.
            let _over = Over(self, job.id);
            if let Some(hook) = job.event.hooks.get(job.hook) {
                self.run(hook, &job.event.fired);
            }
        }
    }

    /// Waits for work; `None`: the worker is to end.
    fn next(&self) -> Option<Job<Delivery>> {
        let is_idle = |state: &mut PoolState| {
            let is_over = state.closed && state.backlog.waiting() == 0;
            !state.backlog.has_ready() && !is_over && !state.has_spare_worker()
        };
        let mut state = self.work.wait_while(self.lock(), is_idle);
        let job = match state.has_spare_worker() {
            true => None,
            false => state.backlog.next(),
        };
        if job.is_none() {
            state.workers -= 1;
            // It may have been woken in place of one that stays.
            self.work.notify_one();
        }
        job
    }

    fn run(&self, hook: &Hook, fired: &Fired) {
        let began = Instant::now();
        let result = hook.run(fired, &self.halt);
        let event = &fired.event;
        let (kind, ms) = (event.kind.name(), began.elapsed().as_millis());
        match result {
            Ok(()) => {
                log!(Debug, "hook done"; hook = hook.name, event = kind, conn_id = event.conn_id,
                    stream_key = event.stream_key, duration_ms = ms);
            }
            Err(failure) => {
                self.counters.hook_failures.add(1);
                if let Some(more) = hook.failures.pass() {
                    log!(Warn, "hook failed"; hook = hook.name, event = kind, conn_id = event.conn_id,
                        stream_key = event.stream_key, error = failure, duration_ms = ms, suppressed = more);
                }
            }
        }
    }

    fn done(&self, id: u64) {
        let mut state = self.lock();
        state.backlog.done(id);
        if state.backlog.has_ready() || state.closed || state.has_spare_worker() {
            self.work.notify_all();
        }
        if state.backlog.is_empty() {
            self.idle.notify_all();
        }
    }

    fn wait_idle<'a>(
        &self,
        state: MutexGuard<'a, PoolState>,
        deadline: Instant,
    ) -> MutexGuard<'a, PoolState> {
        let left = deadline.saturating_duration_since(Instant::now());
        let busy = |state: &mut PoolState| !state.backlog.is_empty();
        self.idle.wait_timeout_while(state, left, busy)
    }

    /// Drops what waits and ends what runs; returns how many events are lost.
    fn halt(&self) -> usize {
        let lost = self.lock().backlog.clear();
        self.counters.hook_drops.add(lost as u64);
        self.halt.store(true, Ordering::Relaxed);
        self.work.notify_all();
        lost
    }
}

/// A job that is over when this is dropped.
struct Over<'a>(&'a PoolShared, u64);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.done(self.1);
    }
}
