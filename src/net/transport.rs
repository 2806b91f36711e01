//! A socket as the transport of an outbox, shared by the threads that read, send and hang up.

use super::Socket;
use crate::queue::{Done, Transport, Writer};
use crate::sys;
use std::io;
use std::net::Shutdown;

/// A socket that several threads use.
#[derive(Debug)]
pub struct SharedSocket(pub Socket);

impl SharedSocket {
    /// Ends the connection in both directions, which wakes the threads that use it.
    pub fn hang_up(&self) {
        // It may be closed already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Transport for SharedSocket {
    fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        sys::send_now(&self.0, bytes)
    }

    fn hang_up(&self) {
        SharedSocket::hang_up(self);
    }
}

/// The body of a writer thread: sends all that is queued for `socket`. After the closing messages it
/// closes our direction and waits a little for the peer to close its own.
///
/// # Errors
///
/// Those of the socket; `WouldBlock` when a write took longer than the socket allows.
pub fn send_all(socket: &SharedSocket, writer: Writer) -> io::Result<Done> {
    let done = writer.run(&socket.0)?;
    if done == Done::Drained {
        // Not to send a reset: it would destroy what the peer has not read yet.
        let _ = socket.0.shutdown(Shutdown::Write);
        writer.linger();
    }
    Ok(done)
}

/// As [`send_all`], on a thread that keeps the outbox alive, and has nothing else to do until the end: what
/// it called before was deeper than sending is. Closes nothing.
///
/// # Errors
///
/// As [`send_all`].
pub fn send_all_holding(socket: &SharedSocket, writer: &Writer) -> io::Result<Done> {
    sys::give_back_stack();
    writer.run_holding(&socket.0)
}
