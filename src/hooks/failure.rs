//! What can go wrong when a hook is run.

use crate::http::client::PostError;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::{fmt, io};

/// Why a hook did not do what it is for. Nothing in it is secret.
#[derive(Debug)]
pub enum HookFailure {
    /// It could not be started.
    Start(io::Error),
    /// It ended, but not well.
    Exit(ExitStatus),
    /// The system does not tell how it ended.
    Wait(io::Error),
    /// It took too long, and was ended.
    TimedOut,
    /// The server stops, and it was ended.
    Halted,
    /// No reply came.
    Http(PostError),
    /// A reply came that is not 2xx.
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
