//! Writes that are not late only because the process stood still.

use super::Socket;
use crate::awake;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// A socket whose limit for writes does not count the time in which the process stood still: the system's
/// clock may have gone on without it.
#[derive(Debug)]
pub(super) struct AwakeWriter<'a>(pub(super) &'a Socket);

impl AwakeWriter<'_> {
    /// Writes by the clock that tells `now`.
    fn write_by(&self, bytes: &[u8], now: impl Fn() -> Instant) -> io::Result<usize> {
        loop {
            let began = now();
            match (&mut &*self.0).write(bytes) {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock
                        && self.stood_still(now().saturating_duration_since(began)) => {}
                result => return result,
            }
        }
    }

    /// Whether a write that has met its limit has waited for much less.
    fn stood_still(&self, waited: Duration) -> bool {
        let limit = self.0.write_timeout().unwrap_or(None);
        limit.is_some_and(|limit| waited < limit / 2)
    }
}

impl Write for AwakeWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_by(bytes, awake::now)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn a_limit_counts_the_time_in_which_the_process_runs() {
        let limit = Duration::from_millis(50);
        for (near, _far) in Socket::pairs() {
            near.set_write_timeout(Some(limit)).unwrap();
            let writer = AwakeWriter(&near);
            while writer.write_by(&[7; 1 << 20], Instant::now).is_ok() {}
            for stood_still in [0_u32, 1, 3] {
                // At each write this clock is asked twice. It stands still during the first of them.
                let (asked, start) = (Cell::new(0), Instant::now());
                let now = || {
                    asked.set(asked.get() + 1);
                    let is_still = asked.get() <= 2 * stood_still;
                    start
                        + if is_still {
                            Duration::ZERO
                        } else {
                            asked.get() * limit
                        }
                };
                let error = writer.write_by(&[7], now).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{near:?}");
                assert_eq!(asked.get(), 2 * (stood_still + 1), "{near:?}");
                assert!(start.elapsed() >= limit * (stood_still + 1), "{near:?}");
            }
        }
    }
}
