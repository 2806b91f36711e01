//! Waiting until a descriptor can be read or written.

use super::c::{self, POLLIN, POLLOUT, POLLRDHUP, PollFd};
use std::ffi::c_int;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Instant;

/// Waits until `first` or `second` has something to read or has ended, and returns whether `first` has.
///
/// # Errors
///
/// When the system has no memory for the wait. A signal does not end it.
pub fn wait_for_either(first: BorrowedFd, second: BorrowedFd) -> io::Result<bool> {
    poll_two([(Some(first), POLLIN), (Some(second), POLLIN)], None).map(|[first, _]| first)
}

/// Waits until the pipe `to` has room or has lost its reader. `false`: before that, `stop` had something
/// to read or had ended.
///
/// # Errors
///
/// When the system has no memory for the wait. A signal does not end it.
pub fn wait_for_room(stop: BorrowedFd, to: BorrowedFd) -> io::Result<bool> {
    poll_two([(Some(stop), POLLIN), (Some(to), POLLOUT)], None).map(|[stop, _]| !stop)
}

/// Whether something can be written to `fd` now without waiting: to a pipe, 4 KiB.
pub fn has_room(fd: BorrowedFd) -> bool {
    let asked = [(Some(fd), POLLOUT), (None, 0)];
    poll_two(asked, Some(Instant::now())).is_ok_and(|[has_room, _]| has_room)
}

/// Whether the peer of `socket` sends nothing any more, or either side has shut the connection down;
/// also while there is something left to read.
///
/// # Errors
///
/// When the system has no memory for the question.
pub fn is_hung_up(socket: BorrowedFd) -> io::Result<bool> {
    let asked = [(Some(socket), POLLRDHUP), (None, 0)];
    poll_two(asked, Some(Instant::now())).map(|[hung_up, _]| hung_up)
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The descriptor is ready, or has ended.
    Ready,
    /// The descriptor that stops the wait is ready.
    Stopped,
    /// The deadline has passed.
    TimedOut,
}

/// Waits until `fd` has something to read or has ended, until `stop` has, or until `end`.
///
/// # Errors
///
/// When the system has no memory for the wait. A signal does not end it.
pub fn wait_readable(fd: BorrowedFd, stop: Option<BorrowedFd>, end: Instant) -> io::Result<Woken> {
    wait_until(fd, POLLIN, stop, end)
}

pub(super) fn wait_until(
    fd: BorrowedFd,
    events: i16,
    stop: Option<BorrowedFd>,
    end: Instant,
) -> io::Result<Woken> {
    let asked = [(stop, POLLIN), (Some(fd), events)];
    Ok(match poll_two(asked, Some(end))? {
        [_, true] => Woken::Ready,
        [true, false] => Woken::Stopped,
        [false, false] => Woken::TimedOut,
    })
}

/// Waits until one of two descriptors is ready for what is asked of it or has ended, and returns which
/// of them are. Neither is: `end` has passed.
fn poll_two(asked: [(Option<BorrowedFd>, i16); 2], end: Option<Instant>) -> io::Result<[bool; 2]> {
    let mut fds = asked.map(|(fd, events)| PollFd {
        // The kernel passes over a negative one.
        fd: fd.map_or(-1, |fd| fd.as_raw_fd()),
        events,
        revents: 0,
    });
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        // Rounded up, not to spin during the last millisecond.
        let left_ms = left.map(|left| left.as_nanos().div_ceil(1_000_000));
        let timeout_ms = left_ms.map_or(-1, |ms| c_int::try_from(ms).unwrap_or(c_int::MAX));
        match c::poll(&mut fds, timeout_ms) {
            Ok(ready) if ready > 0 || timeout_ms == 0 => return Ok(fds.map(|fd| fd.revents != 0)),
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
}
