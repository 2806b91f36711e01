//! A socket with a deadline for all that is done with it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A socket that is done with at a certain time, however slowly bytes trickle.
#[derive(Debug)]
pub struct Timed<'a> {
    socket: &'a TcpStream,
    end: Instant,
}

impl<'a> Timed<'a> {
    /// A socket that is done with at `end`; from then on it fails with `TimedOut`.
    pub fn new(socket: &'a TcpStream, end: Instant) -> Timed<'a> {
        Timed { socket, end }
    }

    /// Sets another end.
    pub fn set_end(&mut self, end: Instant) {
        self.end = end;
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(left)
    }
}

/// Unix says "would block" when a socket takes longer than it may.
fn timed_out(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    }
}

impl Read for Timed<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(self.left()?))?;
        (&mut &*self.socket).read(out).map_err(timed_out)
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(self.left()?))?;
        (&mut &*self.socket).write(bytes).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
