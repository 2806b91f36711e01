//! Opening sockets that listen.

use crate::sys;
use std::io;
use std::net::TcpListener;

/// Opens a listening socket with room for `backlog` connections that wait to be accepted; `:PORT`
/// means all addresses of both families.
///
/// # Errors
///
/// When the address is not ours, taken, or not to be had.
pub fn bind(addr: &str, backlog: u16) -> io::Result<TcpListener> {
    let listener = match addr.strip_prefix(':') {
        Some(port) => bind_all(port)?,
        None => TcpListener::bind(addr)?,
    };
    sys::set_backlog(&listener, backlog)?;
    Ok(listener)
}

/// All addresses; where there is no IPv6, those of the other family.
fn bind_all(port: &str) -> io::Result<TcpListener> {
    TcpListener::bind(format!("[::]:{port}")).or_else(|error| match error.kind() {
        io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
        _ => TcpListener::bind(format!("0.0.0.0:{port}")),
    })
}
