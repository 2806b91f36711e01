//! Reads with deadlines that hold however slowly bytes trickle in, and reads that wait for more.

use super::Socket;
use super::merge::{FRAME_TIME, Gather, Merge, Pictures};
use crate::{awake, sync, sys};
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// How long a read may take.
#[derive(Clone, Copy, Debug)]
enum ReadLimit {
    /// All reads end at that moment of [`awake`].
    Until(Instant),
    /// A read ends when no byte came for this long. The socket is set to it.
    Idle(Duration),
}

/// A socket whose reads have a deadline.
#[derive(Debug)]
pub struct DeadlineReader<'a> {
    socket: &'a Socket,
    limit: ReadLimit,
    merge: Merge,
    pictures: Pictures,
    /// Whether somebody sees what comes.
    is_watched: bool,
    /// What the socket is set to wait for now; `None` while nothing comes at all.
    gathers: Option<Gather>,
    /// Until when the caller holds what has come.
    held_until: Option<Instant>,
}

impl<'a> DeadlineReader<'a> {
    /// All reads end at `end` by the clock that stands still with the process.
    pub fn until(socket: &'a Socket, end: Instant) -> DeadlineReader<'a> {
        DeadlineReader {
            socket,
            limit: ReadLimit::Until(end),
            merge: Merge::Off,
            pictures: Pictures::default(),
            is_watched: true,
            gathers: None,
            held_until: None,
        }
    }

    /// All reads end at `end` from now on, and bytes do not wait for more.
    ///
    /// # Errors
    ///
    /// When the socket cannot be set.
    pub fn set_end(&mut self, end: Instant) -> io::Result<()> {
        self.limit = ReadLimit::Until(end);
        self.merge = Merge::Off;
        self.gathers = None;
        self.held_until = None;
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
    pub fn gather(&mut self, merge: Merge) {
        self.merge = merge;
    }

    /// Takes note whether somebody sees what comes from now on.
    pub fn set_watched(&mut self, is_watched: bool) {
        self.is_watched = is_watched;
    }

    /// Takes note of a message that has come, of so many bytes.
    pub fn note_message(&mut self, is_picture: bool, len: usize) {
        match is_picture {
            true => self.pictures.note_picture(len),
            false => self.pictures.note_other(len),
        }
    }

    /// Whether the caller is to hold what has come, for the next picture: a read ends with `WouldBlock`
    /// when it has waited for long enough. If not, everything is handed over.
    pub fn holds(&mut self) -> bool {
        if self.is_watched && self.merge.holds(&self.pictures) {
            let now = awake::now();
            let until = *self.held_until.get_or_insert(now + FRAME_TIME);
            if now < until {
                return true;
            }
        }
        self.let_go();
        false
    }

    /// Everything is handed over. Whether something was held.
    pub fn let_go(&mut self) -> bool {
        self.pictures.hand_over();
        self.held_until.take().is_some()
    }

    /// Waits for the first byte, however long.
    fn rest(&mut self, limit: Duration) -> io::Result<()> {
        self.gathers = None;
        sys::set_receive_low_water(self.socket, 1)?;
        self.socket.set_read_timeout(Some(limit))
    }

    /// Waits for the first byte until `end`.
    fn read_held(&mut self, out: &mut [u8], end: Instant, limit: Duration) -> io::Result<usize> {
        let left = awake::until(end).max(Duration::from_millis(1));
        self.gathers = None;
        sys::set_receive_low_water(self.socket, 1)?;
        self.socket.set_read_timeout(Some(left))?;
        let result = self.read_once(out);
        self.socket.set_read_timeout(Some(limit))?;
        result.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => io::ErrorKind::WouldBlock.into(),
            _ => error,
        })
    }

    /// Waits for many bytes, but not long.
    fn start_gathering(&mut self, gather: Gather) -> io::Result<()> {
        self.gathers = Some(gather);
        sys::set_receive_low_water(self.socket, gather.bytes)?;
        self.socket.set_read_timeout(Some(gather.limit))
    }

    /// Reads as the socket is set. While it waits for the first byte, a limit that has passed while the
    /// process stood still has not: the system's clock may have gone on without it.
    fn read_first(&mut self, out: &mut [u8], limit: Duration) -> io::Result<usize> {
        if self.gathers.is_some() {
            return self.read_once(out);
        }
        loop {
            let began = awake::now();
            match self.read_once(out) {
                Err(error)
                    if error.kind() == io::ErrorKind::TimedOut
                        && awake::since(began) < limit / 2 => {}
                result => return result,
            }
        }
    }

    fn read_once(&mut self, out: &mut [u8]) -> io::Result<usize> {
        sync::about_to_wait();
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
            ReadLimit::Until(end) => loop {
                let left = awake::until(end);
                if left.is_zero() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                self.socket.set_read_timeout(Some(left))?;
                match self.read_once(out) {
                    // There may be time left, if the process stood still.
                    Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                    result => return result,
                }
            },
            ReadLimit::Idle(limit) => {
                if let Some(end) = self.held_until {
                    return self.read_held(out, end, limit);
                }
                let gather = self.merge.gather(self.is_watched, &self.pictures);
                match gather {
                    None if self.gathers.is_some() => self.rest(limit)?,
                    Some(gather) if self.gathers.is_some_and(|now| now != gather) => {
                        self.start_gathering(gather)?;
                    }
                    _ => {}
                }
                let mut result = self.read_first(out, limit);
                if self.gathers.is_some()
                    && matches!(&result, Err(error) if error.kind() == io::ErrorKind::TimedOut)
                {
                    self.rest(limit)?;
                    result = self.read_first(out, limit);
                }
                if let (Some(gather), None, Ok(1..)) = (gather, self.gathers, &result) {
                    self.start_gathering(gather)?;
                }
                result
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Workload;
    use std::io::Write;

    #[test]
    fn an_end_holds_however_slowly_bytes_trickle_in() {
        for (near, far) in Socket::pairs() {
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
        for (near, far) in Socket::pairs() {
            let mut reader = DeadlineReader::until(&far, Instant::now());
            reader.set_each(Duration::from_secs(10)).unwrap();
            let limit = Duration::from_millis(45);
            reader.gather(Merge::new(None, &Workload::busy()));
            reader.note_message(true, 5000);
            let mut buffer = [0; 4096];
            (&near).write_all(&[0; 10]).unwrap();
            assert_eq!(
                reader.read(&mut buffer).unwrap(),
                10,
                "the first do not wait: {far:?}"
            );

            (&near).write_all(&[0; 10]).unwrap();
            (&near).write_all(&[0; 20]).unwrap();
            let began = Instant::now();
            assert_eq!(reader.read(&mut buffer).unwrap(), 30, "{far:?}");
            let took = began.elapsed();
            assert!(took >= limit, "{far:?} waited only {took:?}");

            let at_once = (0..10).map(|_| {
                (&near).write_all(&[0; 2000]).unwrap();
                let began = Instant::now();
                assert_eq!(reader.read(&mut buffer).unwrap(), 2000, "{far:?}");
                began.elapsed()
            });
            assert!(at_once.min() < Some(limit), "{far:?}");
        }
    }

    #[test]
    fn sound_is_held_for_small_pictures_and_for_no_longer_than_a_frame() {
        for (near, far) in Socket::pairs() {
            let mut reader = DeadlineReader::until(&far, Instant::now());
            reader.set_each(Duration::from_secs(10)).unwrap();
            reader.gather(Merge::new(None, &Workload::busy()));
            let mut buffer = [0; 64];
            let mut read = |reader: &mut DeadlineReader| {
                let began = Instant::now();
                let result = reader.read(&mut buffer);
                (result.map_err(|error| error.kind()), began.elapsed())
            };
            reader.note_message(true, 37);
            assert!(!reader.holds(), "a picture never waits");
            let at_once = (0..10).map(|_| {
                (&near).write_all(&[0; 10]).unwrap();
                let (result, took) = read(&mut reader);
                assert_eq!(result, Ok(10), "{far:?}");
                took
            });
            assert!(at_once.min() < Some(FRAME_TIME / 2), "{far:?}");

            reader.note_message(false, 300);
            assert!(reader.holds(), "{far:?}");
            (&near).write_all(&[0; 10]).unwrap();
            assert_eq!(read(&mut reader).0, Ok(10), "what comes is seen: {far:?}");
            let (result, took) = read(&mut reader);
            assert_eq!(result, Err(io::ErrorKind::WouldBlock), "{far:?}");
            assert!(took > FRAME_TIME / 2, "{far:?} waited only {took:?}");
            assert!(reader.let_go(), "{far:?}");
            assert!(!reader.let_go(), "{far:?}");
            (&near).write_all(&[0; 10]).unwrap();
            assert_eq!(read(&mut reader).0, Ok(10), "{far:?}");
        }
    }

    #[test]
    fn what_nobody_sees_waits_longer_until_somebody_does() {
        for (near, far) in Socket::pairs() {
            let mut reader = DeadlineReader::until(&far, Instant::now());
            reader.set_each(Duration::from_secs(10)).unwrap();
            reader.gather(Merge::new(None, &Workload::busy()));
            reader.note_message(true, 5000);
            reader.set_watched(false);
            let mut buffer = [0; 4096];
            let mut read_after = |reader: &mut DeadlineReader| {
                (&near).write_all(&[0; 2000]).unwrap();
                let began = Instant::now();
                assert_eq!(reader.read(&mut buffer).unwrap(), 2000, "{far:?}");
                began.elapsed()
            };
            read_after(&mut reader);
            let took = read_after(&mut reader);
            assert!(took >= Duration::from_millis(200), "{far:?}: {took:?}");
            reader.set_watched(true);
            let at_once = (0..10).map(|_| read_after(&mut reader)).min();
            assert!(at_once < Some(Duration::from_millis(45)), "{far:?}");
        }
    }

    #[test]
    fn nothing_waits_once_the_server_is_not_busy() {
        for (near, far) in Socket::pairs() {
            let mut reader = DeadlineReader::until(&far, Instant::now());
            reader.set_each(Duration::from_secs(10)).unwrap();
            let workload = Workload::busy();
            reader.gather(Merge::new(None, &workload));
            reader.note_message(true, 5000);
            let mut buffer = [0; 64];
            let mut reads_after = |wait: Duration| {
                (&near).write_all(&[0; 10]).unwrap();
                let began = Instant::now();
                assert_eq!(reader.read(&mut buffer).unwrap(), 10, "{far:?}");
                let took = began.elapsed();
                assert!(took >= wait, "{far:?} waited only {took:?}");
                took
            };
            reads_after(Duration::ZERO);
            reads_after(Duration::from_millis(45));
            workload.note(Duration::from_secs(2), Duration::from_secs(1));
            let at_once = (0..10).map(|_| reads_after(Duration::ZERO)).min();
            assert!(at_once < Some(Duration::from_millis(45)), "{far:?}");
        }
    }

    #[test]
    fn silence_ends_only_at_the_limit_of_silence() {
        for (near, far) in Socket::pairs() {
            let mut reader = DeadlineReader::until(&far, Instant::now());
            reader.set_each(Duration::from_millis(400)).unwrap();
            reader.gather(Merge::new(None, &Workload::busy()));
            reader.note_message(true, 5000);
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
