//! Reads that end in time, however slowly bytes trickle in.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// When the next read of a socket has to be over.
#[derive(Clone, Copy, Debug)]
pub enum Deadline {
    /// At that moment, whatever was read before.
    At(Instant),
    /// So long after the read began. The socket is set to it already.
    Each,
}

/// A socket that is read under a deadline.
#[derive(Debug)]
pub struct Reader<'a> {
    socket: &'a TcpStream,
    deadline: Deadline,
}

impl<'a> Reader<'a> {
    /// Reads that all have to be over at `end`.
    pub fn until(socket: &'a TcpStream, end: Instant) -> Reader<'a> {
        Reader {
            socket,
            deadline: Deadline::At(end),
        }
    }

    /// Each read may take as long as `limit` from now on.
    ///
    /// # Errors
    ///
    /// When the socket cannot be set.
    pub fn set_each(&mut self, limit: Duration) -> io::Result<()> {
        self.deadline = Deadline::Each;
        self.socket.set_read_timeout(Some(limit))
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if let Deadline::At(end) = self.deadline {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.socket.set_read_timeout(Some(left))?;
        }
        loop {
            match self.socket.read(out) {
                // Unix says "would block" when a read takes longer than the socket allows.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}
