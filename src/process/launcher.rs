//! Starting programs that must not outlive us, at a cost that does not grow with our memory.
//!
//! Only a process itself can ask to be killed with its parent. To have a child ask between fork and
//! exec, all our memory would have to be mapped anew for it: 60 ms for a gigabyte, and meanwhile no
//! other thread gets memory. So our own program is started, without that cost; it asks, and becomes the
//! program that is wanted.

use crate::sys;
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command};
use std::sync::OnceLock;

/// The first argument of a process of ours that is to become another program.
const BECOME: &str = "--become";

/// Exit code of a process that could not become the program, as shells have it.
pub const CANNOT_BECOME: i32 = 127;

/// Our own program, if it looks for [`BECOME`].
static OWN_PROGRAM: OnceLock<&str> = OnceLock::new();

/// Becomes another program, if that is what this process was started for. To be called before anything
/// else; from then on [`bound_command`] uses our own program.
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
    let parent = args.next().and_then(|arg| arg.to_str()?.parse().ok());
    let (Some(parent), Some(program)) = (parent, args.next()) else {
        return invalid();
    };
    match sys::be_killed_with_parent(parent) {
        Ok(()) => Command::new(program).args(args).exec(),
        Err(error) => error,
    }
}

/// A command that runs `program`, which the system kills when the thread that starts it ends, even if
/// all of this process is killed.
pub fn bound_command(program: &Path) -> Command {
    let Some(own) = OWN_PROGRAM.get() else {
        let mut command = Command::new(program);
        sys::kill_with_parent(&mut command);
        return command;
    };
    let mut command = Command::new(own);
    command.arg(BECOME).arg(process::id().to_string());
    command.arg(program);
    command
}
