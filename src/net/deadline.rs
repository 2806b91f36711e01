//! Reads with deadlines that hold however slowly bytes trickle in, and reads that wait for more.

use super::Socket;
use crate::sys;
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// How long a read may take.
#[derive(Clone, Copy, Debug)]
enum ReadLimit {
    /// All reads end at that moment.
    Until(Instant),
    /// A read ends when no byte came for this long. The socket is set to it.
    Idle(Duration),
}

/// How long received bytes may wait for more, to be handled together.
///
/// Each message by itself wakes a thread and takes one system call for each viewer, whatever its
/// size: that is nearly all that a stream costs. Sound can wait for the picture that follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merge {
    /// This many bytes do not wait any longer.
    bytes: u32,
    /// No byte waits longer than this.
    limit: Duration,
}

impl Merge {
    /// In bytes: less than nearly all pictures have, and more than sound.
    const PICTURE_LEN: u32 = 1024;

    /// More than the time between two pictures at 24 a second.
    const FRAME_TIME: Duration = Duration::from_millis(45);

    /// Bytes wait as long as `limit`; without one, sound waits for the next picture. `None`: the
    /// limit is zero, and nothing waits.
    pub fn new(limit: Option<Duration>) -> Option<Merge> {
        let Some(limit) = limit else {
            return Some(Merge {
                bytes: Self::PICTURE_LEN,
                limit: Self::FRAME_TIME,
            });
        };
        (!limit.is_zero()).then_some(Merge {
            bytes: u32::MAX,
            limit,
        })
    }
}

/// A socket whose reads have a deadline.
#[derive(Debug)]
pub struct DeadlineReader<'a> {
    socket: &'a Socket,
    limit: ReadLimit,
    merge: Option<Merge>,
    /// Whether the socket is set to wait for more bytes now; it is not while nothing comes at all.
    gathers: bool,
}

impl<'a> DeadlineReader<'a> {
    /// All reads end at `end`.
    pub fn until(socket: &'a Socket, end: Instant) -> DeadlineReader<'a> {
        DeadlineReader {
            socket,
            limit: ReadLimit::Until(end),
            merge: None,
            gathers: false,
        }
    }

    /// All reads end at `end` from now on, and bytes do not wait for more.
    ///
    /// # Errors
    ///
    /// When the socket cannot be set.
    pub fn set_end(&mut self, end: Instant) -> io::Result<()> {
        self.limit = ReadLimit::Until(end);
        self.merge = None;
        self.gathers = false;
        sys::set_receive_low_water(self.socket, 1)
    }

    /// Each read may take as long as `limit` from now on.
    ///
    /// # Errors
    ///
    /// When the socket cannot be set.
    pub fn set_each(&mut self, limit: Duration) -> io::Result<()> {
        self.limit = ReadLimit::Idle(limit);
        self.rest(limit)
    }

    /// Bytes wait for more from now on, as `merge` says.
    pub fn gather(&mut self, merge: Option<Merge>) {
        self.merge = merge;
    }

    /// Waits for the first byte, however long.
    fn rest(&mut self, limit: Duration) -> io::Result<()> {
        self.gathers = false;
        sys::set_receive_low_water(self.socket, 1)?;
        self.socket.set_read_timeout(Some(limit))
    }

    /// Waits for many bytes, but not long.
    fn start_gathering(&mut self, merge: Merge) -> io::Result<()> {
        self.gathers = true;
        sys::set_receive_low_water(self.socket, merge.bytes)?;
        self.socket.set_read_timeout(Some(merge.limit))
    }

    fn read_once(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match (&mut &*self.socket).read(out) {
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

impl Read for DeadlineReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self.limit {
            ReadLimit::Until(end) => {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                self.socket.set_read_timeout(Some(left))?;
                self.read_once(out)
            }
            ReadLimit::Idle(limit) => {
                let mut result = self.read_once(out);
                if self.gathers
                    && matches!(&result, Err(error) if error.kind() == io::ErrorKind::TimedOut)
                {
                    self.rest(limit)?;
                    result = self.read_once(out);
                }
                if let (Some(merge), false, Ok(1..)) = (self.merge, self.gathers, &result) {
                    self.start_gathering(merge)?;
                }
                result
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    /// Two ends of a connection, of each kind.
    fn pairs() -> [(Socket, Socket); 2] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        near.set_nodelay(true).unwrap();
        let far = listener.accept().unwrap().0;
        let (local_near, local_far) = UnixStream::pair().unwrap();
        [
            (near.into(), far.into()),
            (local_near.into(), local_far.into()),
        ]
    }

    #[test]
    fn an_end_holds_however_slowly_bytes_trickle_in() {
        for (near, far) in pairs() {
            let writer = std::thread::spawn(move || {
                for _ in 0..100 {
                    std::thread::sleep(Duration::from_millis(20));
                    if (&near).write_all(&[0]).is_err() {
                        break;
                    }
                }
            });
            let began = Instant::now();
            let mut reader = DeadlineReader::until(&far, began + Duration::from_millis(200));
            let error = reader.read_exact(&mut [0; 100]).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{far:?}");
            assert!(began.elapsed() < Duration::from_millis(1000), "{far:?}");
            drop(far);
            writer.join().unwrap();
        }
    }

    #[test]
    fn few_bytes_wait_for_more_and_many_do_not() {
        for (near, far) in pairs() {
            let mut reader = DeadlineReader::until(&far, Instant::now());
            reader.set_each(Duration::from_secs(10)).unwrap();
            let limit = Duration::from_millis(300);
            reader.gather(Some(Merge { bytes: 1000, limit }));
            let mut buffer = [0; 4096];
            (&near).write_all(&[0; 10]).unwrap();
            assert_eq!(
                reader.read(&mut buffer).unwrap(),
                10,
                "the first do not wait: {far:?}"
            );

            (&near).write_all(&[0; 10]).unwrap();
            let writer = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                (&near).write_all(&[0; 20]).unwrap();
                near
            });
            let began = Instant::now();
            assert_eq!(reader.read(&mut buffer).unwrap(), 30, "{far:?}");
            let took = began.elapsed();
            assert!(took >= limit, "{far:?} waited only {took:?}");

            let near = writer.join().unwrap();
            (&near).write_all(&[0; 2000]).unwrap();
            let began = Instant::now();
            assert_eq!(reader.read(&mut buffer).unwrap(), 2000, "{far:?}");
            assert!(began.elapsed() < limit, "{far:?}");
        }
    }

    #[test]
    fn silence_ends_only_at_the_limit_of_silence() {
        for (near, far) in pairs() {
            let mut reader = DeadlineReader::until(&far, Instant::now());
            reader.set_each(Duration::from_millis(400)).unwrap();
            reader.gather(Merge::new(None));
            (&near).write_all(&[0; 10]).unwrap();
            let mut buffer = [0; 64];
            assert_eq!(reader.read(&mut buffer).unwrap(), 10, "{far:?}");
            let began = Instant::now();
            assert_eq!(
                reader.read(&mut buffer).unwrap_err().kind(),
                io::ErrorKind::TimedOut,
                "{far:?}"
            );
            assert!(began.elapsed() >= Duration::from_millis(400), "{far:?}");
        }
    }
}
