//! Starting programs that should not outlive us, at a cost that does not grow with our memory.
//!
//! Only a process itself can ask for a signal at the end of its parent. To have a child ask between fork and
//! exec, all our memory would have to be mapped anew for it: 60 ms for a gigabyte, and meanwhile no
//! other thread gets memory. So our own program is started, without that cost; it asks, and becomes the
//! program that is wanted.

use crate::sys::{self, OrphanSignal};
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command};
use std::sync::OnceLock;

/// The first argument of a process of ours that is to become another program.
const BECOME: &str = "--become";

/// Its second argument, by the signal that it is to get.
const SIGNALS: [(&str, OrphanSignal); 2] = [
    ("terminated", OrphanSignal::Terminate),
    ("killed", OrphanSignal::Kill),
];

/// What runs programs that name nothing to run them.
pub const SHELL: &str = "/bin/sh";

/// Exit code of a process that could not become the program, as shells have it.
pub const CANNOT_BECOME: i32 = 127;

/// Linux' number for "not a program": neither a binary nor a script that names its shell.
const ENOEXEC: i32 = 8;

/// Our own program, if it looks for [`BECOME`].
static OWN_PROGRAM: OnceLock<&str> = OnceLock::new();

/// Becomes another program, if that is what this process was started for. To be called before anything
/// else; from then on commands here use our own program.
pub fn become_if_asked() {
    let mut args = env::args_os().skip(1);
    if args.next().is_some_and(|arg| arg == BECOME) {
        let error = become_program(args);
        eprintln!("{error}");
        process::exit(CANNOT_BECOME);
    }
    let program = "/proc/self/exe";
    if Path::new(program).exists() {
        let _ = OWN_PROGRAM.set(program);
    }
}

/// Returns only if it fails.
fn become_program(mut args: impl Iterator<Item = OsString>) -> io::Error {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let signal = args.next();
    let signal = SIGNALS
        .iter()
        .find(|(name, _)| signal.as_ref().is_some_and(|signal| signal == name));
    let parent = args.next().and_then(|arg| arg.to_str()?.parse().ok());
    let (Some((_, signal)), Some(parent), Some(program)) = (signal, parent, args.next()) else {
        return invalid();
    };
    if let Err(error) = sys::ask_to_end_with_parent(parent, *signal) {
        return error;
    }
    let args: Vec<OsString> = args.collect();
    let error = Command::new(&program).args(&args).exec();
    match is_for_shell(&error) {
        true => Command::new(SHELL).arg(program).args(args).exec(),
        false => error,
    }
}

/// Whether a program could not be started because only a shell can read it.
pub fn is_for_shell(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ENOEXEC)
}

/// A command that runs `program`, which the system kills when the thread that starts it ends, even if
/// all of this process is killed. What the program itself starts is not killed by that.
pub fn killed_with_us(program: &Path) -> Command {
    bound_command(program, OrphanSignal::Kill)
}

/// The same, but the program is asked to end: it gets SIGTERM.
pub fn terminated_with_us(program: &Path) -> Command {
    bound_command(program, OrphanSignal::Terminate)
}

fn bound_command(program: &Path, signal: OrphanSignal) -> Command {
    let Some(own) = OWN_PROGRAM.get() else {
        let mut command = Command::new(program);
        sys::end_with_parent(&mut command, signal);
        return command;
    };
    let mut command = Command::new(own);
    let named = SIGNALS.iter().find(|(_, named)| *named == signal);
    command.arg(BECOME).args(named.map(|(name, _)| name));
    command.arg(process::id().to_string());
    command.arg(program);
    command
}
