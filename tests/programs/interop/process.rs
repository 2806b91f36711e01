//! Programs that are started, watched and never left behind.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Looks at `condition` until it holds; says `what` was waited for if it never does.
pub fn wait_for<T>(
    what: &str,
    limit: Duration,
    mut condition: impl FnMut() -> Option<T>,
) -> Result<T, String> {
    let start = Instant::now();
    loop {
        if let Some(value) = condition() {
            return Ok(value);
        }
        if start.elapsed() > limit {
            return Err(format!("{what}: not within {limit:?}"));
        }
        std::thread::sleep(POLL);
    }
}

/// A running program whose error output goes to a file. Dropping it kills it.
pub struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `command`; standard output goes to `NAME.out`, standard error to `NAME.log` in `dir`.
    pub fn start(name: &str, command: &mut Command, dir: &Path) -> Result<Program, String> {
        let create = |extension: &str| {
            let path = dir.join(format!("{name}.{extension}"));
            File::create(&path).map(|file| (path, file))
        };
        let failed = |error| format!("{name}: {error}");
        let (_, out) = create("out").map_err(failed)?;
        let (log, errors) = create("log").map_err(failed)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(errors)
            .spawn()
            .map_err(failed)?;
        let name = name.to_owned();
        Ok(Program { name, child, log })
    }

    /// Waits for the program to end by itself, and well.
    pub fn finish(&mut self, limit: Duration) -> Result<(), String> {
        let name = self.name.clone();
        let waited = wait_for(&format!("{name} ends by itself"), limit, || self.ended());
        match waited {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{name} ended with {status}: {}", self.last_words())),
            Err(error) => Err(format!("{error}: {}", self.last_words())),
        }
    }

    /// The exit status, once there is one.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// All that the program wrote to standard error.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The end of [`Program::log`], on one line.
    pub fn last_words(&self) -> String {
        let log = self.log().replace('\r', "\n");
        let lines: Vec<_> = log.lines().filter(|line| !line.is_empty()).collect();
        lines[lines.len().saturating_sub(5)..].join(" | ")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nothing to kill, only to collect.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end and returns its standard output; any word on standard error, and any
/// status but success, is an error.
pub fn output_of(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{name}: {error}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || !errors.trim().is_empty() {
        return Err(format!("{name}: {}: {}", output.status, errors.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
