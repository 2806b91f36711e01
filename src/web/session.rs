//! Viewers without a connection that lasts, as the server sees them.

/// A viewer without a connection that lasts. Dropping it ends the viewing.
pub trait WebSession: Send + Sync {
    /// Whether somebody has ended it, other than the stream.
    fn was_ended(&self) -> bool;

    /// Counts bytes that the viewer was sent.
    fn count_sent(&self, bytes: usize);
}
