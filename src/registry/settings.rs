//! Settings of streams.

use std::time::Duration;

/// How long a publisher may send nothing, where a second one would be refused: after that it gives
/// way. Most often it is the same encoder, on a connection that was cut.
pub const SILENT_MAX: Duration = Duration::from_secs(10);

/// Settings that all streams share.
#[derive(Clone, Copy, Debug)]
pub struct StreamSettings {
    /// Whether viewers start at once, from the last keyframe, or at the next one.
    pub gop_cache: bool,
    /// Whether a second publisher gets the stream, or is refused.
    pub takeover: bool,
    /// How long viewers stay after their publisher was lost.
    pub grace: Duration,
    /// How long viewers wait for a stream to begin.
    pub wait: Duration,
    /// Bytes per chunk toward viewers.
    pub chunk_size: u32,
}
