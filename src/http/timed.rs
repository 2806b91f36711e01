//! A socket with one deadline for all reads and writes.

use crate::awake;
use crate::net::Socket;
use crate::sync;
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// A socket with a deadline that holds however slowly bytes trickle in.
#[derive(Debug)]
pub struct Timed<'a> {
    socket: &'a Socket,
    end: Instant,
}

impl<'a> Timed<'a> {
    /// Reads and writes until `end` by the clock that stands still with the process; from then on they
    /// fail with `TimedOut`.
    pub fn new(socket: &'a Socket, end: Instant) -> Timed<'a> {
        Timed { socket, end }
    }

    /// Everything has to be done by `end` from now on.
    pub fn set_end(&mut self, end: Instant) {
        self.end = end;
    }

    fn left(&self) -> io::Result<Duration> {
        sync::about_to_wait();
        let left = awake::until(self.end);
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(left)
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            self.socket.set_read_timeout(Some(self.left()?))?;
            match (&mut &*self.socket).read(out) {
                // As when the process was stopped: the end of that is no fault of the peer.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // There may be time left, if the process stood still.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            self.socket.set_write_timeout(Some(self.left()?))?;
            match (&mut &*self.socket).write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
