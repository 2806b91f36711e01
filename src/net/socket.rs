//! The sockets that an RTMP connection may go over.

use crate::sys;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// What the bytes of a connection go over. Both kinds block, have limits of time for reads and
/// writes, and can wait for many bytes at a time.
#[derive(Debug)]
pub enum Socket {
    /// A TCP connection to the peer itself.
    Tcp(TcpStream),
    /// One end of a socket pair. A program has the other end, and the connection to the peer.
    Local(UnixStream),
}

impl Socket {
    /// The two ends of a connection, of each kind.
    #[cfg(test)]
    pub(super) fn pairs() -> [(Socket, Socket); 2] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        near.set_nodelay(true).unwrap();
        let far = listener.accept().unwrap().0;
        let (local_near, local_far) = UnixStream::pair().unwrap();
        [
            (near.into(), far.into()),
            (local_near.into(), local_far.into()),
        ]
    }

    /// Reads fail with `WouldBlock` once they have waited for this long.
    ///
    /// # Errors
    ///
    /// When the limit is zero, or the socket is closed.
    pub fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        match self {
            Socket::Tcp(socket) => socket.set_read_timeout(limit),
            Socket::Local(socket) => socket.set_read_timeout(limit),
        }
    }

    /// Writes fail with `WouldBlock` once they have waited for this long.
    ///
    /// # Errors
    ///
    /// When the limit is zero, or the socket is closed.
    pub fn set_write_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        match self {
            Socket::Tcp(socket) => socket.set_write_timeout(limit),
            Socket::Local(socket) => socket.set_write_timeout(limit),
        }
    }

    /// Has the system take no more while it has `bytes` that it has not sent yet. A program that has the
    /// other end has little anyway.
    ///
    /// # Errors
    ///
    /// When the socket is closed.
    pub fn set_unsent_max(&self, bytes: u32) -> io::Result<()> {
        match self {
            Socket::Tcp(socket) => sys::set_unsent_max(socket, bytes),
            Socket::Local(_) => Ok(()),
        }
    }

    /// How long writes may wait.
    ///
    /// # Errors
    ///
    /// When the socket is closed.
    pub fn write_timeout(&self) -> io::Result<Option<Duration>> {
        match self {
            Socket::Tcp(socket) => socket.write_timeout(),
            Socket::Local(socket) => socket.write_timeout(),
        }
    }

    /// Ends one or both directions, for every thread that uses the socket.
    ///
    /// # Errors
    ///
    /// When the connection is over already.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Socket::Tcp(socket) => socket.shutdown(how),
            Socket::Local(socket) => socket.shutdown(how),
        }
    }
}

impl From<TcpStream> for Socket {
    fn from(socket: TcpStream) -> Socket {
        Socket::Tcp(socket)
    }
}

impl From<UnixStream> for Socket {
    fn from(socket: UnixStream) -> Socket {
        Socket::Local(socket)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Local(socket) => socket.as_fd(),
        }
    }
}

impl Read for &Socket {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => (&mut &*socket).read(out),
            Socket::Local(socket) => (&mut &*socket).read(out),
        }
    }
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(socket) => (&mut &*socket).write(bytes),
            Socket::Local(socket) => (&mut &*socket).write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
