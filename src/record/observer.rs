//! What others are told of recordings.

use crate::rtmp::stream_key::StreamKey;
use std::time::Duration;

/// A file that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedFile {
    /// The id of the connection that published it; empty: none was told.
    pub publisher: String,
    /// Its path; empty if nothing could be written and there is no file.
    pub path: String,
    /// Its length, in bytes.
    pub bytes: u64,
    /// How much of the stream is in it.
    pub duration: Duration,
    /// Why it has another format than was asked for, if it has.
    pub format_reason: Option<String>,
    /// Why the recording ended before the stream did, if it is that.
    pub error: Option<String>,
}

/// Observes recordings. Their threads call it.
pub trait RecordingObserver: Send + Sync {
    /// A file is complete, or a recording failed.
    fn recording_done(&self, key: &StreamKey, file: &FinishedFile);
}
