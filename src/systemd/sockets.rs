//! Socket activation: listening sockets that were open before the process began (sd_listen_fds(3)).

use super::{is_ours, variable};
use crate::sys;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::{fmt, io};

/// The number of the first passed descriptor.
const FIRST: i32 = 3;

/// The name of the sockets for HTTP: `FileDescriptorName=` of their unit.
const METRICS: &str = "metrics";

/// The name of the sockets for RTMPS.
const RTMPS: &str = "rtmps";

/// The passed sockets. Systemd holds them too, so they must never be shut down.
#[derive(Debug, Default)]
pub struct PassedSockets {
    /// Sockets named `metrics`, for the HTTP server of `-metrics-addr`.
    pub metrics: Vec<TcpListener>,
    /// Sockets named `rtmps`, which TLS is spoken on.
    pub rtmps: Vec<TcpListener>,
    /// All other sockets, for RTMP.
    pub rtmp: Vec<TcpListener>,
}

/// Why passed sockets cannot be used.
#[derive(Debug)]
pub enum PassedError {
    /// `LISTEN_FDS` is not a number of descriptors.
    Count(String),
    /// A descriptor cannot be used.
    Socket {
        /// The descriptor, from 3 on.
        number: i32,
        /// Its name, empty if it has none.
        name: String,
        /// What is wrong with it; `None`: it is not a TCP socket that listens.
        error: Option<io::Error>,
    },
}

impl std::error::Error for PassedError {}

impl fmt::Display for PassedError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            PassedError::Count(count) => write!(f, "LISTEN_FDS {count:?}: must be a number"),
            PassedError::Socket {
                number,
                name,
                error,
            } => {
                write!(f, "passed descriptor {number} {name:?}: ")?;
                match error {
                    Some(error) => write!(f, "{error}"),
                    None => write!(f, "not a TCP socket that listens"),
                }
            }
        }
    }
}

/// The sockets of `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES`; none if they are for another process.
///
/// # Errors
///
/// Any [`PassedError`]: the unit passes something else than listening TCP sockets.
pub fn passed_listeners() -> Result<PassedSockets, PassedError> {
    let mut passed = PassedSockets::default();
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    for number in FIRST..FIRST + count()? {
        let name = names.next().unwrap_or_default();
        let listener = listener(number).map_err(|error| PassedError::Socket {
            number,
            name: name.to_owned(),
            error,
        })?;
        match name {
            METRICS => passed.metrics.push(listener),
            RTMPS => passed.rtmps.push(listener),
            _ => passed.rtmp.push(listener),
        }
    }
    Ok(passed)
}

/// The number of passed descriptors.
fn count() -> Result<i32, PassedError> {
    let (Some(count), Some(pid)) = (variable("LISTEN_FDS"), variable("LISTEN_PID")) else {
        return Ok(0);
    };
    if !is_ours(&pid) {
        return Ok(0);
    }
    let number = count
        .parse()
        .ok()
        .filter(|n| (0..=i32::MAX - FIRST).contains(n));
    number.ok_or(PassedError::Count(count))
}

/// The error is `None` if the descriptor is not a TCP socket that listens.
fn listener(number: i32) -> Result<TcpListener, Option<io::Error>> {
    let own: OwnedFd = sys::inherited(number)?;
    match sys::is_tcp_listener(&own)? {
        true => Ok(TcpListener::from(own)),
        false => Err(None),
    }
}
