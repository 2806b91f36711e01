//! Socket activation: listening sockets that were open before the process began.

use super::{is_ours, variable};
use crate::sys;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

/// The number of the first descriptor that is passed (sd_listen_fds(3)).
const FIRST: i32 = 3;

/// The name of those that are for HTTP, `FileDescriptorName=` of a socket unit.
const METRICS: &str = "metrics";

/// The sockets that were passed, by what they are for. They are shared with systemd: never to be
/// shut down.
#[derive(Debug, Default)]
pub struct PassedSockets {
    /// Named `metrics`: for what `-metrics-addr` is for.
    pub metrics: Vec<TcpListener>,
    /// All others: for RTMP.
    pub rtmp: Vec<TcpListener>,
}

/// The sockets that `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES` speak of; none if they are for
/// another process.
///
/// # Errors
///
/// One line that names the descriptor that is no TCP socket which listens.
pub fn passed_listeners() -> Result<PassedSockets, String> {
    let mut passed = PassedSockets::default();
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    for number in FIRST..FIRST + count()? {
        let name = names.next().unwrap_or_default();
        let listener = listener(number)
            .map_err(|why| format!("passed descriptor {number} {name:?}: {why}"))?;
        match name {
            METRICS => passed.metrics.push(listener),
            _ => passed.rtmp.push(listener),
        }
    }
    Ok(passed)
}

/// How many there are.
fn count() -> Result<i32, String> {
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
    number.ok_or_else(|| format!("LISTEN_FDS {count:?}: must be a number"))
}

fn listener(number: i32) -> Result<TcpListener, String> {
    let own: OwnedFd = sys::inherited(number).map_err(|error| error.to_string())?;
    match sys::is_tcp_listener(&own) {
        Ok(true) => Ok(TcpListener::from(own)),
        Ok(false) => Err("not a TCP socket that listens".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
