//! Why the server cannot start.

use crate::net::ListenError;
use crate::process::program;
use crate::{auth, hooks};
use std::{error, fmt, io};

/// The reason that a configuration cannot be served on this machine.
#[derive(Debug)]
pub enum StartError {
    /// An address of the configuration cannot be listened on.
    Listen(ListenError),
    /// HTTP cannot be served on a socket that was passed.
    PassedSocket(io::Error),
    /// The hooks of the configuration cannot be run.
    Hooks(hooks::Error),
    /// The tokens or the service of a flag cannot be used.
    Auth {
        /// The flag with its dash.
        flag: &'static str,
        /// What is wrong with its value.
        error: auth::Error,
    },
    /// A program that the configuration needs is not on `PATH`.
    Program(program::NotFound),
    /// The system refuses a socket or a thread.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            StartError::Listen(error) => write!(f, "{error}"),
            StartError::PassedSocket(error) => {
                write!(f, "cannot serve on a passed socket: {error}")
            }
            StartError::Hooks(error) => write!(f, "hooks: {error}"),
            StartError::Auth { flag, error } => write!(f, "{flag}: {error}"),
            StartError::Program(error) => write!(f, "{error}"),
            StartError::System(error) => write!(f, "cannot start: {error}"),
        }
    }
}

impl error::Error for StartError {}
