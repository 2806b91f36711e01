//! Recordings: each publication in files of its own, FLV or MP4.
//!
//! A recording is a thread that takes from a feed, so that a slow disk never holds up the stream.
//! What comes in goes through three hands: `header` tells messages apart and keeps what every
//! file begins with, `cut` says in which file and at what time a message is, and `format` has the
//! file, which `disk` writes. A file has no holes: when the disk takes no more, or less than the stream has, it ends
//! behind the last message that is in it whole, and the recording with it; the stream goes on.

mod cut;
mod disk;
mod format;
mod header;
mod pattern;
mod writer;

pub use format::FileFormat;
pub use pattern::{Pattern, PatternError};

use crate::queue::{FeedLimits, Intake};
use crate::rtmp::stream_key::StreamKey;
use crate::stats::{Counters, RecordingStats};
use crate::sync::{self, Mutex, WaitGroup};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};
use std::{fmt, io};
use writer::RecordingWriter;

/// How much may wait for the disk. Beyond that the recording ends.
pub const FEED_LIMITS: FeedLimits = FeedLimits {
    bytes: 64 << 20,
    age: Duration::from_secs(20),
};

/// Stack of a recording's thread.
const STACK_LEN: usize = 256 << 10;

/// Where recordings go, and in what files.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    fn pattern(&self) -> Pattern {
        let segments = self.segments.as_ref();
        segments.map_or_else(Pattern::of_whole, |segments| segments.pattern.clone())
    }
}

/// A file that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedFile {
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

/// Why a recording ended before its stream did.
#[derive(Debug)]
enum RecordError {
    /// There can be no such file.
    Create(PathBuf, io::Error),
    /// It could not be written.
    Write(io::Error),
    /// More waited for the disk than [`FEED_LIMITS`] allow.
    Overflowed,
    /// The times of the stream ask for ever new files.
    TooManyFiles,
    /// No thread could be had.
    Thread(io::Error),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            RecordError::Create(path, error) => {
                write!(f, "cannot create {}: {error}", path.display())
            }
            RecordError::Write(error) => write!(f, "cannot write: {error}"),
            RecordError::Overflowed => write!(f, "the disk is too slow for the stream"),
            RecordError::TooManyFiles => write!(f, "the times of the stream jump too often"),
            RecordError::Thread(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for RecordError {}

impl From<io::Error> for RecordError {
    fn from(error: io::Error) -> RecordError {
        RecordError::Write(error)
    }
}

/// Records publications, each by a thread of its own.
#[derive(Clone)]
pub struct Recorder(Arc<RecorderShared>);

struct RecorderShared {
    settings: RecordSettings,
    listener: Arc<dyn RecordingObserver>,
    counters: Arc<Counters>,
    state: Mutex<RecorderState>,
    threads: WaitGroup,
}

#[derive(Default)]
struct RecorderState {
    /// How many recordings there have been.
    ids: u64,
    /// Files that are being written, by recording.
    files: BTreeMap<u64, RecordingStats>,
}

/// A recording. It ends with its feed, whether this is dropped or not.
pub struct Recording {
    shared: Arc<RecorderShared>,
    id: u64,
}

impl Recording {
    /// Whether a file is being written.
    pub fn is_active(&self) -> bool {
        self.shared.lock().files.contains_key(&self.id)
    }
}

impl Recorder {
    /// Nothing is recorded yet, and no directory made.
    pub fn new(
        settings: RecordSettings,
        listener: Arc<dyn RecordingObserver>,
        counters: Arc<Counters>,
    ) -> Recorder {
        Recorder(Arc::new(RecorderShared {
            settings,
            listener,
            counters,
            state: Mutex::default(),
            threads: WaitGroup::default(),
        }))
    }

    /// Records the messages of `intake`, which belongs to one publication of `key`, until it
    /// ends. The first file is made when there is media. When the recorder is closed, nothing is
    /// recorded.
    pub fn start(&self, key: &StreamKey, intake: Intake) -> Recording {
        let mut state = self.0.lock();
        state.ids += 1;
        let recording = Recording {
            shared: Arc::clone(&self.0),
            id: state.ids,
        };
        drop(state);
        let Some(member) = self.0.threads.join() else {
            return recording;
        };
        let (id, of) = (recording.id, key.clone());
        let listed = ListedFile(Arc::clone(&self.0), id);
        let spawned = sync::spawn("record", STACK_LEN, move || {
            RecordingWriter::new(&listed.0, id, &of).run(&intake);
            drop(listed);
            drop(member);
        });
        if let Err(error) = spawned {
            RecordingWriter::new(&self.0, id, key).fail(RecordError::Thread(error));
        }
        recording
    }

    /// The files that are being written, in the order in which their publications began.
    pub fn snapshot(&self) -> Vec<RecordingStats> {
        self.0.lock().files.values().cloned().collect()
    }

    /// Begins no more recordings, and waits until all files are closed, for which all feeds have to
    /// end. `false`: not by `deadline`.
    pub fn close(&self, deadline: Instant) -> bool {
        self.0.threads.close();
        self.0.threads.wait(deadline)
    }
}

impl RecorderShared {
    fn lock(&self) -> MutexGuard<'_, RecorderState> {
        self.state.lock()
    }

    fn count(&self, failed: bool) {
        match failed {
            false => self.counters.recordings.add(1),
            true => self.counters.recording_errors.add(1),
        }
    }
}

/// A recording whose file is listed for as long as this is held.
struct ListedFile(Arc<RecorderShared>, u64);

impl Drop for ListedFile {
    fn drop(&mut self) {
        self.0.lock().files.remove(&self.1);
    }
}
