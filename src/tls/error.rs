//! Why TLS is not served.

use crate::process::program::NotFound;
use std::fmt;
use std::io;

/// Why TLS is not served.
#[derive(Debug)]
pub enum TlsError {
    /// The program is not there.
    NotFound(NotFound),
    /// The file of a flag cannot be read.
    File {
        /// The flag, without its dash.
        flag: &'static str,
        /// The file, as it was given.
        path: String,
        /// The failure of the system.
        error: io::Error,
    },
    /// The program cannot use certificate and key; in its words.
    Refused(String),
    /// The system has no room for the program or what it needs.
    Start(io::Error),
}

impl std::error::Error for TlsError {}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            TlsError::NotFound(error) => write!(f, "{error}"),
            TlsError::File { path, error, .. } => write!(f, "cannot read {path:?}: {error}"),
            TlsError::Refused(words) => write!(f, "haproxy says: {words}"),
            TlsError::Start(error) => write!(f, "cannot start haproxy: {error}"),
        }
    }
}

impl TlsError {
    /// The flag that is at fault, without its dash.
    pub fn flag(&self) -> &'static str {
        match self {
            TlsError::NotFound(_) | TlsError::Start(_) => "tls-listen",
            TlsError::File { flag, .. } => flag,
            TlsError::Refused(_) => "tls-cert",
        }
    }
}
