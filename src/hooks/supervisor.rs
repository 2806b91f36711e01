//! Programs that run for as long as a stream is published.

use super::event::{Event, Fired};
use super::failure::HookFailure;
use super::journal::Journal;
use super::script::{HALT_GRACE, set_env};
use crate::backoff::Backoff;
use crate::log;
use crate::pace::{Pace, Rate};
use crate::process::group::{self, Output, ProcessGroup};
use crate::process::launcher::{self, SHELL};
use crate::stats::Counters;
use crate::sync::{self, Mutex, MutexGuard, WaitGroup};
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// A program that ran for so long gets the first pause again.
const STEADY: Duration = Duration::from_secs(60);

/// How often it is looked whether the server stops, or whether it is a program's turn.
const POLL: Duration = Duration::from_millis(50);

/// How often programs may begin for one stream, however often it is published anew: the next waits.
const START_RATE: Rate = Rate {
    at_once: 256,
    period: Duration::from_millis(250),
};

/// Stack of the thread that looks after a program.
const STACK_LEN: usize = 256 << 10;

/// As the programs are called in the log.
const NAME: &str = "run-on-publish";

/// Starts a program for each published stream, and again if it ends before the stream does.
#[derive(Debug)]
pub struct Supervisor(Arc<SupervisorShared>);

#[derive(Debug)]
struct SupervisorShared {
    /// That of programs that are started from now on.
    command: Mutex<Arc<str>>,
    state: Mutex<SupervisorState>,
    /// Programs that are looked after.
    children: WaitGroup,
    /// Set when all children have to end.
    closed: AtomicBool,
    /// Set when there is no more time for it.
    halt: AtomicBool,
    counters: Arc<Counters>,
}

#[derive(Debug, Default)]
struct SupervisorState {
    /// Streams whose program runs, or is being ended.
    taken: HashSet<String>,
    /// How fast programs have begun, of streams where that matters still.
    paces: HashMap<String, Pace>,
}

impl SupervisorState {
    /// Takes a stream for a program of its own. `false`: not yet.
    fn take(&mut self, stream_key: &str, now: Instant) -> bool {
        if self.taken.contains(stream_key) {
            return false;
        }
        self.paces.retain(|_, pace| !pace.is_settled(now));
        let pace = self.paces.entry(stream_key.to_owned());
        pace.or_insert(Pace::new(now)).begin(START_RATE, now)
            && self.taken.insert(stream_key.to_owned())
    }
}

/// The program of a stream. When dropped, it is ended, without waiting for that.
#[derive(Debug)]
#[must_use = "dropped, it ends the program"]
pub struct Child {
    /// Nothing is ever sent.
    _stop: Option<Sender<()>>,
}

/// How the run of a program ended.
enum End {
    /// The supervisor ended it.
    Stopped,
    /// It ended by itself, or could not be started.
    Itself(HookFailure),
}

impl Supervisor {
    /// For `command`, which `/bin/sh -c` is to run. It has to stay in the foreground: what is left
    /// of it when the shell has ended is killed.
    pub fn new(command: &str, counters: Arc<Counters>) -> Supervisor {
        Supervisor(Arc::new(SupervisorShared {
            command: Mutex::new(Arc::from(command)),
            state: Mutex::default(),
            children: WaitGroup::default(),
            closed: AtomicBool::new(false),
            halt: AtomicBool::new(false),
            counters,
        }))
    }

    /// Sets the command of streams that are published from now on.
    pub fn set_command(&self, command: &str) {
        *self.0.command.lock() = Arc::from(command);
    }

    /// Has the program run, with the environment that `event` gives to scripts, until what is
    /// returned is dropped. It is started when that of the stream's last publisher is gone.
    pub fn start(&self, event: Event) -> Child {
        let fired = Fired::now(event);
        let (stop, stopped) = mpsc::channel();
        let none = Child { _stop: None };
        if self.0.closed.load(Ordering::Relaxed) {
            return none;
        }
        let Some(member) = self.0.children.join() else {
            return none;
        };
        let shared = Arc::clone(&self.0);
        let command = Arc::clone(&self.0.command.lock());
        let spawned = sync::spawn(NAME, STACK_LEN, move || {
            shared.look_after(&command, &fired, &stopped);
            drop(member);
        });
        match spawned {
            Ok(_) => Child { _stop: Some(stop) },
            Err(error) => {
                log!(Error, "cannot look after child"; hook = NAME, error = error);
                none
            }
        }
    }

    /// How many programs are looked after.
    pub fn children(&self) -> usize {
        self.0.children.members()
    }

    /// Ends all programs and waits until they are gone. `false`: not by `deadline`; they were
    /// killed, half a second later at the latest.
    pub fn close(&self, deadline: Instant) -> bool {
        self.0.closed.store(true, Ordering::Relaxed);
        if self.0.children.wait(deadline) {
            return true;
        }
        self.0.halt.store(true, Ordering::Relaxed);
        self.0.children.wait(Instant::now() + 2 * HALT_GRACE);
        false
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Relaxed);
    }
}

/// The right to run the program of a stream.
struct ProgramTurn<'a>(&'a SupervisorShared, &'a str);

impl Drop for ProgramTurn<'_> {
    fn drop(&mut self) {
        self.0.lock().taken.remove(self.1);
    }
}

impl SupervisorShared {
    fn lock(&self) -> MutexGuard<'_, SupervisorState> {
        self.state.lock()
    }

    /// Waits for as long as that; `false`, and sooner, if the program is to end.
    fn pause(&self, stopped: &Receiver<()>, pause: Duration) -> bool {
        let end = Instant::now() + pause;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let waited = stopped.recv_timeout(left.min(POLL));
            if waited != Err(RecvTimeoutError::Timeout) || self.closed.load(Ordering::Relaxed) {
                return false;
            }
            if left <= POLL {
                return true;
            }
        }
    }

    /// Keeps the program of a stream running until it is to end.
    fn look_after(&self, command: &str, fired: &Fired, stopped: &Receiver<()>) {
        let Some(_turn) = self.turn(&fired.event.stream_key, stopped) else {
            return;
        };
        let mut backoff = Backoff::new(STEADY);
        loop {
            let began = Instant::now();
            let End::Itself(why) = self.run(command, fired, stopped) else {
                return;
            };
            let pause = backoff.pause(began.elapsed());
            log!(Info, "child ended"; hook = NAME, stream_key = fired.event.stream_key, reason = why,
                restart_in_sec = pause.as_secs());
            if !self.pause(stopped, pause) {
                return;
            }
            self.counters.child_restarts.add(1);
        }
    }

    /// Waits until no other program runs for the stream, since two would write to the same files,
    /// and until one more may begin.
    fn turn<'a>(&'a self, stream_key: &'a str, stopped: &Receiver<()>) -> Option<ProgramTurn<'a>> {
        while !self.lock().take(stream_key, Instant::now()) {
            if !self.pause(stopped, POLL) {
                return None;
            }
        }
        Some(ProgramTurn(self, stream_key))
    }

    /// Runs the program once.
    fn run(&self, command: &str, fired: &Fired, stopped: &Receiver<()>) -> End {
        let (mut group, output) = match spawn(command, fired) {
            Ok(started) => started,
            Err(error) => return End::Itself(HookFailure::Start(error)),
        };
        let (key, id) = (&fired.event.stream_key, group.id());
        log!(Info, "child started"; hook = NAME, stream_key = key, pid = id);
        let status = match group.wait(None, |pause| self.pause(stopped, pause)) {
            Ok(None) => {
                group.end(group::GRACE, |pause| {
                    thread::sleep(pause);
                    !self.halt.load(Ordering::Relaxed)
                });
                output.finish(HALT_GRACE);
                log!(Info, "child stopped"; hook = NAME, stream_key = key, pid = id);
                return End::Stopped;
            }
            Ok(Some(status)) => status,
            Err(error) => return End::Itself(HookFailure::Wait(error)),
        };
        group.kill_rest();
        output.finish(HALT_GRACE);
        End::Itself(HookFailure::Exit(status))
    }
}

fn spawn(command: &str, fired: &Fired) -> io::Result<(ProcessGroup, Output)> {
    let mut journal = Journal::new(NAME, fired);
    let mut shell = launcher::terminated_with_us(Path::new(SHELL));
    shell.arg("-c").arg(command).stdin(Stdio::null());
    set_env(&mut shell, fired);
    let output = Output::capture(&mut shell, move |line| journal.line(line))?;
    Ok((ProcessGroup::spawn(shell)?, output))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_program_at_a_time_and_not_too_many_in_a_row() {
        let mut state = SupervisorState::default();
        let start = Instant::now();
        assert!(state.take("a", start));
        assert!(!state.take("a", start), "one runs");
        let mut begun = 1;
        while state.taken.remove("a") {
            begun += u32::from(state.take("a", start));
        }
        assert_eq!(begun, START_RATE.at_once);
        assert!(state.take("b", start), "of another stream");
        assert!(state.take("a", start + START_RATE.period), "one more");
        let later = start + (START_RATE.at_once + 3) * START_RATE.period;
        assert!(state.take("c", later));
        assert_eq!(state.paces.len(), 1, "what is long ago is forgotten");
    }
}
