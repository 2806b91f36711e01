//! Signals to this process, and to groups of processes.

use super::c::{self, ESRCH, SIGCHLD, SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGUSR1, SIGXFSZ};
use std::ffi::c_int;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::OnceLock;

/// What a signal asks the process to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT or SIGTERM: stop.
    Stop,
    /// SIGHUP: read again the files that can be read again.
    Reload,
    /// SIGUSR1: ask clients to reconnect.
    Reconnect,
}

static WAKE: OnceLock<UnixStream> = OnceLock::new();

/// Runs in the thread that the signal interrupts, so it does only what signal-safety(7) allows: it
/// loads a pointer and writes one byte. The socket does not block. When it is full, the signal is
/// lost, but others wait to be read already.
extern "C" fn on_signal(signum: c_int) {
    if let Some(mut wake) = WAKE.get() {
        let _ = wake.write(&[signum as u8]);
    }
}

/// Does nothing. With a handler, a write beyond the limit of a file's length fails like one to a full
/// disk; without one, the signal would end the process.
extern "C" fn on_file_too_long(_: c_int) {}

/// The signals of the process, in order of arrival.
#[derive(Debug)]
pub struct Signals(UnixStream);

impl Signals {
    /// Takes over the signals of [`Signal`], and undoes two settings that a parent may have left: blocked
    /// signals, and SIGCHLD ignored, with which no child could be waited for. Children start with the
    /// default ones. Call it before other threads exist.
    ///
    /// # Errors
    ///
    /// When there are no descriptors left, or when called a second time.
    pub fn install() -> io::Result<Signals> {
        let (arrivals, wake) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        WAKE.set(wake)
            .map_err(|_| io::Error::other("signals are installed already"))?;
        let handlers: [(c_int, Option<extern "C" fn(c_int)>); 6] = [
            (SIGHUP, Some(on_signal)),
            (SIGINT, Some(on_signal)),
            (SIGUSR1, Some(on_signal)),
            (SIGTERM, Some(on_signal)),
            (SIGXFSZ, Some(on_file_too_long)),
            (SIGCHLD, None),
        ];
        for (signum, handler) in handlers {
            c::set_handler(signum, handler)?;
        }
        c::unblock_signals()?;
        Ok(Signals(arrivals))
    }

    /// Waits for the next signal.
    pub fn wait(&mut self) -> Signal {
        let mut byte = [0];
        // An error could only mean that the other end is closed, but that is never dropped.
        let _ = self.0.read_exact(&mut byte);
        match c_int::from(byte[0]) {
            SIGHUP => Signal::Reload,
            SIGUSR1 => Signal::Reconnect,
            _ => Signal::Stop,
        }
    }
}

/// What a process gets when the thread that started it ends, also if that is because all of that
/// thread's process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrphanSignal {
    /// SIGTERM: it may clean up, then end.
    Terminate,
    /// SIGKILL: it ends at once.
    Kill,
}

impl OrphanSignal {
    fn signum(self) -> c_int {
        match self {
            OrphanSignal::Terminate => SIGTERM,
            OrphanSignal::Kill => SIGKILL,
        }
    }
}

/// Has the process that `command` starts get `signal` when the thread that starts it ends.
pub fn end_with_parent(command: &mut Command, signal: OrphanSignal) {
    c::signal_at_end_of_parent(command, signal.signum());
}

/// Has the process that `command` starts inherit `fd`, under its number.
pub fn keep_open(command: &mut Command, fd: OwnedFd) {
    c::inherit(command, fd);
}

/// Has this process get `signal` when the thread that started it ends.
///
/// # Errors
///
/// When `parent`, the process of that thread, has ended before.
pub fn ask_to_end_with_parent(parent: u32, signal: OrphanSignal) -> io::Result<()> {
    c::ask_for_signal_at_end_of(parent, signal.signum())
}

/// A signal to a process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupSignal {
    /// No signal: only asks whether the group exists.
    Probe,
    /// SIGUSR1: what a program does then is its own affair.
    User,
    /// SIGTERM: its processes may clean up, then end.
    Terminate,
    /// SIGKILL: its processes end at once.
    Kill,
}

/// Signals every process of the group whose first process was `leader`. `false`: the group has no
/// process left.
pub fn signal_group(leader: u32, signal: GroupSignal) -> bool {
    let signum = match signal {
        GroupSignal::Probe => 0,
        GroupSignal::User => SIGUSR1,
        GroupSignal::Terminate => SIGTERM,
        GroupSignal::Kill => SIGKILL,
    };
    let group = match c_int::try_from(leader) {
        // 0 would mean our own group, and 1 everyone.
        Ok(group) if group > 1 => group,
        _ => return false,
    };
    let sent = c::kill(-group, signum);
    !sent.is_err_and(|error| error.raw_os_error() == Some(ESRCH))
}
