//! What recordings are told: where they go, how they are cut, how much may wait.

use super::format::FileFormat;
use super::pattern::Pattern;
use crate::queue::FeedLimits;
use std::path::PathBuf;
use std::time::Duration;

/// How much may wait for the disk. Beyond that the recording ends.
pub const FEED_LIMITS: FeedLimits = FeedLimits {
    bytes: 64 << 20,
    age: Duration::from_secs(20),
};

/// Where recordings go, and in what files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordSettings {
    /// The directory; made when it is first needed.
    pub dir: PathBuf,
    /// How recordings are cut; `None`: not at all, and a file is called by key, date and time.
    pub segments: Option<Segments>,
    /// What they are written as.
    pub format: FileFormat,
}

/// How recordings are cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segments {
    /// A file ends at the first keyframe that is this much later than its beginning, or without video
    /// at the first sound.
    pub duration: Duration,
    /// How files are called.
    pub pattern: Pattern,
}

impl RecordSettings {
    /// How files are called.
    pub(super) fn pattern(&self) -> Pattern {
        let segments = self.segments.as_ref();
        segments.map_or_else(Pattern::of_whole, |segments| segments.pattern.clone())
    }
}
