//! Why the server cannot start.

use crate::args::Faults;
use crate::hooks;
use crate::http::client::PostError;
use crate::net::ListenError;
use crate::tls::TlsError;
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
    /// The services of -notify cannot be called.
    Notify(PostError),
    /// What the configuration names on this machine cannot be used.
    Config(Faults),
    /// TLS cannot be served.
    Tls(TlsError),
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
            StartError::Notify(error) => write!(f, "-notify: {error}"),
            StartError::Config(faults) => write!(f, "{faults}"),
            StartError::Tls(error) => write!(f, "-{}: {error}", error.flag()),
            StartError::System(error) => write!(f, "cannot start: {error}"),
        }
    }
}

impl error::Error for StartError {}
