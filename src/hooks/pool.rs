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
use crate::sync::{self, Condvar, Mutex};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};
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

/// Hooks, and the threads that run them. When dropped, what waits is lost and what runs is ended.
#[derive(Debug)]
pub(super) struct Pool(Arc<PoolShared>);

#[derive(Debug)]
struct PoolShared {
    hooks: Vec<Hook>,
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
    backlog: Backlog<Lane, Arc<Fired>>,
    closed: bool,
}

impl Pool {
    /// Starts `workers` threads, none if there are no hooks. [`Order::Strict`] wants a single one.
    ///
    /// # Errors
    ///
    /// When there is no thread left.
    pub(super) fn start(
        hooks: Vec<Hook>,
        workers: usize,
        order: Order,
        counters: &Arc<Counters>,
    ) -> io::Result<Pool> {
        let workers = if hooks.is_empty() { 0 } else { workers.max(1) };
        let state = PoolState {
            backlog: Backlog::new(BACKLOG_MAX),
            closed: false,
        };
        let pool = Pool(Arc::new(PoolShared {
            hooks,
            order,
            state: Mutex::new(state),
            work: Condvar::new(),
            idle: Condvar::new(),
            halt: AtomicBool::new(false),
            drops: RateLimit::new(DROPS_PERIOD),
            counters: Arc::clone(counters),
        }));
        for number in 1..=workers {
            let shared = Arc::clone(&pool.0);
            sync::spawn(&format!("hook-{number}"), STACK_LEN, move || shared.work())?;
        }
        Ok(pool)
    }

    /// Whether any hook is for events of `kind`.
    pub(super) fn wants(&self, kind: EventKind) -> bool {
        self.0.hooks_for(kind).next().is_some()
    }

    /// Has an event delivered; never waits. What there is no room for is counted as lost.
    pub(super) fn push(&self, fired: &Arc<Fired>) {
        let event = &fired.event;
        let hooks = self.0.hooks_for(event.kind).count();
        if hooks == 0 {
            return;
        }
        let lanes = self.0.lanes(fired);
        let mut state = self.0.lock();
        let taken = !state.closed && state.backlog.push(lanes, hooks, Arc::clone(fired));
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

    fn hooks_for(&self, kind: EventKind) -> impl Iterator<Item = &Hook> {
        let wanted = move |hook: &&Hook| hook.kind.is_none_or(|wanted| wanted == kind);
        self.hooks.iter().filter(wanted)
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
            if let Some(hook) = self.hooks_for(job.event.event.kind).nth(job.hook) {
                self.run(hook, &job.event);
            }
        }
    }

    fn next(&self) -> Option<Job<Arc<Fired>>> {
        let is_idle = |state: &mut PoolState| {
            let is_over = state.closed && state.backlog.waiting() == 0;
            !state.backlog.has_ready() && !is_over
        };
        let mut state = self.work.wait_while(self.lock(), is_idle);
        state.backlog.next()
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
        if state.backlog.has_ready() || state.closed {
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
