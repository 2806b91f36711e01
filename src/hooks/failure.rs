//! How the run of a hook can fail.

use crate::http::client::PostError;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::{fmt, io};

/// Why the run of a hook failed. It holds nothing secret.
#[derive(Debug)]
pub(super) enum HookFailure {
    /// The script cannot be started.
    Start(io::Error),
    /// The script ended with a status other than 0, or by a signal.
    Exit(ExitStatus),
    /// The system does not tell how the script ended.
    Wait(io::Error),
    /// The run took too long and was ended.
    TimedOut,
    /// The run was ended because the server stops.
    Halted,
    /// The web service did not reply.
    Http(PostError),
    /// The web service replied with a status other than 2xx.
    Status(u16),
    /// Standard error cannot be written to.
    Write(io::Error),
}

impl fmt::Display for HookFailure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            HookFailure::Start(error) => write!(f, "cannot start: {error}"),
            HookFailure::Exit(status) => match (status.code(), status.signal()) {
                (Some(code), _) => write!(f, "exit code {code}"),
                (None, Some(signal)) => write!(f, "ended by signal {signal}"),
                (None, None) => write!(f, "{status}"),
            },
            HookFailure::Wait(error) => write!(f, "cannot wait: {error}"),
            HookFailure::TimedOut => write!(f, "timed out"),
            HookFailure::Halted => write!(f, "ended because the server stops"),
            HookFailure::Http(error) => write!(f, "{error}"),
            HookFailure::Status(status) => write!(f, "answered {status}"),
            HookFailure::Write(error) => write!(f, "cannot write: {error}"),
        }
    }
}

impl std::error::Error for HookFailure {}
