//! Keeps the program running until it is to end, and has it followed by another when the certificate
//! is renewed.

use super::haproxy::{Offer, Running, Service};
use crate::backoff::Backoff;
use crate::log;
use crate::process::group;
use crate::stats::{Counters, TlsState, TlsStats};
use crate::sync::{Condvar, Mutex};
use std::io;
use std::mem::replace;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The time between two looks at the processes.
const POLL: Duration = Duration::from_millis(50);

/// A process that ran for so long did not fail at once.
const STEADY: Duration = Duration::from_secs(10);

/// The pause before another attempt to have a process follow.
const RENEWAL_PAUSE: Duration = Duration::from_secs(1);

/// Processes that may still have connections from before a certificate was renewed; beyond that the
/// oldest is ended, with its connections.
pub(super) const DRAINING_MAX: usize = 8;

/// What is wanted of the programs; only ever more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wish {
    Serve,
    /// Accept nobody any more; what is there goes on.
    Finish,
    /// End all processes now.
    End,
}

/// Says what the program is to do, and is told what it does.
#[derive(Debug)]
pub(super) struct Keeper {
    state: Mutex<State>,
    changed: Condvar,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct State {
    wish: Wish,
    offer: Arc<Offer>,
    /// How often it has changed.
    renewals: u64,
    told: Told,
}

/// What is told of the processes.
#[derive(Debug)]
struct Told {
    state: TlsState,
    pid: Option<u32>,
    draining: usize,
    restarts: u64,
    last_error: String,
}

/// The processes, as the thread that starts them has them.
struct Processes {
    serving: Serving,
    /// Those that only have connections from before, the oldest first.
    draining: Vec<Running>,
    backoff: Backoff,
    /// When a process may follow another at the earliest.
    next_renewal: Instant,
    restarts: u64,
    last_error: String,
}

/// The process that accepts.
enum Serving {
    Running {
        process: Running,
        since: Instant,
        renewals: u64,
    },
    /// It failed: when to try again.
    Waiting(Instant),
    /// Nobody is accepted any more.
    Finished,
}

impl Serving {
    /// `process` has just been started, after that many renewals.
    fn running(process: Running, renewals: u64) -> Serving {
        Serving::Running {
            process,
            since: Instant::now(),
            renewals,
        }
    }
}

impl Keeper {
    pub(super) fn new(offer: Offer, counters: Arc<Counters>) -> Keeper {
        let told = Told {
            state: TlsState::Waiting,
            pid: None,
            draining: 0,
            restarts: 0,
            last_error: String::new(),
        };
        Keeper {
            state: Mutex::new(State {
                wish: Wish::Serve,
                offer: Arc::new(offer),
                renewals: 0,
                told,
            }),
            changed: Condvar::new(),
            counters,
        }
    }

    pub(super) fn wish(&self, wish: Wish) {
        let mut state = self.state.lock();
        state.wish = state.wish.max(wish);
        drop(state);
        self.changed.notify_all();
    }

    /// What is on offer now.
    pub(super) fn offer(&self) -> Arc<Offer> {
        Arc::clone(&self.state.lock().offer)
    }

    /// New connections get this.
    pub(super) fn renew(&self, offer: Offer) {
        let mut state = self.state.lock();
        state.offer = Arc::new(offer);
        state.renewals += 1;
        drop(state);
        self.changed.notify_all();
    }

    pub(super) fn stats(&self, listening: Vec<SocketAddr>) -> TlsStats {
        let told = &self.state.lock().told;
        TlsStats {
            listening,
            state: told.state,
            pid: told.pid,
            draining: told.draining,
            restarts: told.restarts,
            last_error: told.last_error.clone(),
        }
    }

    /// Waits until no process is left; `false`: not by `deadline`.
    pub(super) fn wait_gone(&self, deadline: Instant) -> bool {
        let limit = deadline.saturating_duration_since(Instant::now());
        let there = |state: &mut State| state.told.state != TlsState::Stopped;
        let state = self.state.lock();
        let mut state = self.changed.wait_timeout_while(state, limit, there);
        !there(&mut state)
    }

    /// Keeps the program running; returns when it is to end, and has.
    pub(super) fn run(&self, service: &Service) {
        let mut processes = Processes {
            serving: Serving::Waiting(Instant::now()),
            draining: Vec::new(),
            backoff: Backoff::new(STEADY),
            next_renewal: Instant::now(),
            restarts: 0,
            last_error: String::new(),
        };
        loop {
            let state = self.state.lock();
            let (wish, renewals) = (state.wish, state.renewals);
            let offer = Arc::clone(&state.offer);
            drop(state);
            processes.draining.retain_mut(|old| ended(old).is_none());
            match wish {
                Wish::Serve => processes.serve(service, &offer, renewals, &self.counters),
                Wish::Finish => processes.finish(),
                Wish::End => break,
            }
            let mut state = self.state.lock();
            state.told = processes.told();
            self.changed.notify_all();
            let same = |state: &mut State| state.wish == wish && state.renewals == renewals;
            drop(self.changed.wait_timeout_while(state, POLL, same));
        }
        processes.end();
        self.state.lock().told = processes.told();
        self.changed.notify_all();
    }
}

/// How the process ended, if it has, or why it is to be ended.
fn ended(process: &mut Running) -> Option<String> {
    match process.group.wait(None, |_| false) {
        Ok(None) => process.stillness.look(&process.group),
        Ok(Some(status)) => Some(status.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

impl Processes {
    /// One step of keeping a process running with what is on offer.
    fn serve(&mut self, service: &Service, offer: &Offer, renewals: u64, counters: &Counters) {
        match &mut self.serving {
            Serving::Waiting(until) if Instant::now() < *until => {}
            Serving::Waiting(_) => self.start(service, offer, renewals, counters),
            Serving::Running { process, since, .. } => {
                if let Some(why) = ended(process) {
                    let worked = since.elapsed();
                    self.failed(&why, worked, counters);
                } else {
                    self.follow(service, offer, renewals);
                }
            }
            Serving::Finished => {}
        }
    }

    /// The process that accepts has to offer what is on offer now.
    fn follow(&mut self, service: &Service, offer: &Offer, now: u64) {
        if matches!(self.serving, Serving::Running { renewals, .. } if renewals == now) {
            return;
        }
        if Instant::now() < self.next_renewal {
            return;
        }
        match service.start(offer) {
            Ok(process) => {
                log!(Info, "TLS helper follows"; program = "haproxy", pid = process.group.id());
                let serving = Serving::running(process, now);
                if let Serving::Running { process, .. } = replace(&mut self.serving, serving) {
                    self.drain(process);
                }
            }
            Err(error) => {
                // The old one is better than none meanwhile.
                log!(Warn, "TLS helper cannot follow"; program = "haproxy", error = error);
                self.last_error = cannot_start(&error);
                self.next_renewal = Instant::now() + RENEWAL_PAUSE;
            }
        }
    }

    fn start(&mut self, service: &Service, offer: &Offer, renewals: u64, counters: &Counters) {
        match service.start(offer) {
            Ok(process) => {
                log!(Info, "TLS helper started"; program = "haproxy", pid = process.group.id());
                self.serving = Serving::running(process, renewals);
            }
            Err(error) => self.failed(&cannot_start(&error), Duration::ZERO, counters),
        }
    }

    /// The process is gone after it has worked for so long, or goes with this.
    fn failed(&mut self, why: &str, worked: Duration, counters: &Counters) {
        let pause = self.backoff.pause(worked);
        counters.tls_restarts.add(1);
        self.restarts += 1;
        log!(Warn, "TLS helper ended"; program = "haproxy", reason = why,
            restart_in_sec = pause.as_secs());
        why.clone_into(&mut self.last_error);
        self.serving = Serving::Waiting(Instant::now() + pause);
    }

    /// `process` accepts nobody any more, and ends when its connections are over.
    fn drain(&mut self, mut process: Running) {
        process.group.finish();
        self.draining.push(process);
        if self.draining.len() > DRAINING_MAX {
            let oldest = self.draining.remove(0);
            log!(Warn, "TLS connections ended, too many renewals ago"; pid = oldest.group.id());
            oldest.group.end(group::GRACE, group::sleep);
        }
    }

    fn finish(&mut self) {
        let before = replace(&mut self.serving, Serving::Finished);
        if let Serving::Running { mut process, .. } = before {
            process.group.finish();
            self.draining.push(process);
        }
    }

    /// Ends all processes, and waits for that.
    fn end(&mut self) {
        self.finish();
        for process in self.draining.drain(..) {
            // One that is stopped does not end when it is asked to.
            let grace = match process.group.is_stopped() {
                true => Duration::ZERO,
                false => group::GRACE,
            };
            process.group.end(grace, group::sleep);
        }
    }

    fn told(&self) -> Told {
        let (state, pid) = match &self.serving {
            Serving::Running { process, .. } => (TlsState::Running, Some(process.group.id())),
            Serving::Waiting(_) => (TlsState::Waiting, None),
            Serving::Finished if self.draining.is_empty() => (TlsState::Stopped, None),
            Serving::Finished => (TlsState::Stopping, None),
        };
        Told {
            state,
            pid,
            draining: self.draining.len(),
            restarts: self.restarts,
            last_error: self.last_error.clone(),
        }
    }
}

fn cannot_start(error: &io::Error) -> String {
    format!("cannot be started: {error}")
}
