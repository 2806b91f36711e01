//! What a queue needs of the connection behind it.

use std::io;
use std::time::Duration;

/// A connection as the queue sees it.
pub trait Transport: Send + Sync {
    /// Sends what can be sent without waiting; returns how many bytes that was.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing can be sent now; any other means that the connection is over.
    fn send_now(&self, bytes: &[u8]) -> io::Result<usize>;

    /// The next write of the writer thread may wait for this long, or as long as before if that is less.
    /// Whether it is less. Where none waits there is nothing to limit.
    ///
    /// # Errors
    ///
    /// The connection is over.
    fn limit_write(&self, _limit: Duration) -> io::Result<bool> {
        Ok(false)
    }

    /// Ends the connection in both directions, which wakes its threads.
    fn hang_up(&self);
}
