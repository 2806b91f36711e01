//! A program that is run for each event.

use super::event::Fired;
use super::failure::HookFailure;
use super::journal::Journal;
use crate::process::group::{self, Output, ProcessGroup};
use crate::process::launcher::{self, SHELL};
use crate::sync;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long the rest of the output may take once the script has ended.
const OUTPUT_LIMIT: Duration = Duration::from_millis(100);

/// How long a group has between SIGTERM and SIGKILL when the server has no more time.
pub(super) const HALT_GRACE: Duration = Duration::from_millis(200);

/// A script, and how long it may run.
#[derive(Debug)]
pub(super) struct Script {
    path: PathBuf,
    timeout: Duration,
}

impl Script {
    /// The script at `path`, which may not be there yet.
    pub(super) fn new(path: &str, timeout: Duration) -> Script {
        // Without a slash it would be looked for on PATH.
        let path = match path.contains('/') {
            true => PathBuf::from(path),
            false => Path::new(".").join(path),
        };
        Script { path, timeout }
    }

    /// The path that is started.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs it and waits for its end, or for that of what it may take; sooner when `halt` is set.
    /// What it leaves running in the background is its own affair, unless it has to be ended; input
    /// and output are closed to it.
    ///
    /// # Errors
    ///
    /// Any [`HookFailure`] but those of web services.
    pub(super) fn run(&self, fired: &Fired, halt: &AtomicBool) -> Result<(), HookFailure> {
        let end = Instant::now() + self.timeout;
        let (mut group, output) = self.start(fired).map_err(HookFailure::Start)?;
        let json = || (fired.json() + "\n").into_bytes();
        let _input = group.stdin().map(|stdin| group::feed(stdin, json()));
        let pause = |pause| {
            sync::sleep(pause);
            !halt.load(Ordering::Relaxed)
        };
        let Some(status) = group.wait(Some(end), pause).map_err(HookFailure::Wait)? else {
            if halt.load(Ordering::Relaxed) {
                group.end(HALT_GRACE, group::sleep);
                return Err(HookFailure::Halted);
            }
            group.end(group::GRACE, pause);
            output.finish(OUTPUT_LIMIT);
            return Err(HookFailure::TimedOut);
        };
        output.finish(OUTPUT_LIMIT);
        match status.success() {
            true => Ok(()),
            false => Err(HookFailure::Exit(status)),
        }
    }

    fn start(&self, fired: &Fired) -> io::Result<(ProcessGroup, Output)> {
        let meta = self.path.metadata()?;
        if meta.permissions().mode() & 0o111 != 0 {
            let program = launcher::terminated_with_us(&self.path);
            match self.spawn(program, fired) {
                Err(error) if launcher::is_for_shell(&error) => {}
                result => return result,
            }
        }
        let mut shell = launcher::terminated_with_us(Path::new(SHELL));
        shell.arg(&self.path);
        self.spawn(shell, fired)
    }

    fn spawn(&self, mut command: Command, fired: &Fired) -> io::Result<(ProcessGroup, Output)> {
        let mut journal = Journal::new(&self.path.to_string_lossy(), fired);
        set_env(&mut command, fired);
        command.stdin(Stdio::piped());
        let output = Output::capture(&mut command, move |line| journal.line(line))?;
        Ok((ProcessGroup::spawn(command)?, output))
    }
}

/// Gives `command` our environment and the event's. What we ourselves were told of another event,
/// say by a server that runs us, is not passed on.
pub(super) fn set_env(command: &mut Command, fired: &Fired) {
    command.env_remove("RTMP_CONN_ID");
    command.env_remove("RTMP_STREAM_KEY");
    command.envs(fired.env());
}
