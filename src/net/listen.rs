//! Opening sockets that listen.

use crate::sys;
use std::fmt;
use std::io;
use std::net::TcpListener;

/// An address cannot be listened on.
#[derive(Debug)]
pub struct ListenError {
    /// The address as it was given.
    pub addr: String,
    /// The failure of the system.
    pub error: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "cannot listen on {}: {}", self.addr, self.error)
    }
}

impl std::error::Error for ListenError {}

impl ListenError {
    /// Says which address `error` is about.
    pub fn of(addr: &str) -> impl FnOnce(io::Error) -> ListenError {
        let addr = addr.to_owned();
        move |error| ListenError { addr, error }
    }
}

/// Opens a listening socket with room for `backlog` connections that wait to be accepted; `:PORT`
/// means all addresses of both families.
///
/// # Errors
///
/// When the address is not of this machine, in use, or not permitted.
pub fn bind(addr: &str, backlog: u16) -> Result<TcpListener, ListenError> {
    open(addr, backlog).map_err(ListenError::of(addr))
}

fn open(addr: &str, backlog: u16) -> io::Result<TcpListener> {
    let listener = match addr.strip_prefix(':') {
        Some(port) => bind_all(port)?,
        None => TcpListener::bind(addr)?,
    };
    sys::set_backlog(&listener, backlog)?;
    Ok(listener)
}

/// Listens on all addresses of both families; without IPv6, on those of IPv4.
fn bind_all(port: &str) -> io::Result<TcpListener> {
    TcpListener::bind(format!("[::]:{port}")).or_else(|error| match error.kind() {
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
        _ => TcpListener::bind(format!("0.0.0.0:{port}")),
    })
}
