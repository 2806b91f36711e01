//! Recordings: each publication in files of its own, FLV or MP4.
//!
//! A recording is a thread that takes from a feed, so that a slow disk never holds up the stream.
//! What comes in goes through three hands: `header` tells messages apart and keeps what every
//! file begins with, `cut` says in which file and at what time a message is, and `format` has the
//! file, which `disk` writes. A file has no holes: when the disk takes no more, or less than the stream has, it ends
//! behind the last message that is in it whole, and the recording with it; the stream goes on.

mod cut;
mod disk;
mod error;
mod format;
mod header;
mod memory;
mod observer;
mod pattern;
mod settings;
mod shared;
mod writer;

pub use format::FileFormat;
pub use observer::{FinishedFile, RecordingObserver};
pub use pattern::{Pattern, PatternError};
pub use settings::{FEED_LIMITS, RecordSettings, Segments};

use crate::queue::Intake;
use crate::rtmp::stream_key::StreamKey;
use crate::stats::{Counters, RecordingStats};
use crate::sync::{self, Mutex, WaitGroup};
use error::RecordError;
use shared::RecorderShared;
use std::sync::Arc;
use std::time::Instant;
use writer::RecordingWriter;

/// Stack of a recording's thread.
const STACK_LEN: usize = 256 << 10;

/// Records publications, each by a thread of its own.
#[derive(Clone)]
pub struct Recorder(Arc<RecorderShared>);

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
            settings: Mutex::new(Arc::new(settings)),
            listener,
            counters,
            state: Mutex::default(),
            threads: WaitGroup::default(),
        }))
    }

    /// Sets where recordings go, and in what files, that begin from now on.
    pub fn set_settings(&self, settings: RecordSettings) {
        *self.0.settings.lock() = Arc::new(settings);
    }

    /// Records the messages of `intake`, which belongs to one publication of `key`, until it
    /// ends. The first file is made when there is media. When the recorder is closed, nothing is
    /// recorded.
    pub fn start(&self, key: &StreamKey, intake: Intake) -> Recording {
        self.start_of("", key, intake)
    }

    /// As [`start`](Recorder::start), of a publication by the connection `publisher`.
    pub fn start_of(&self, publisher: &str, key: &StreamKey, intake: Intake) -> Recording {
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
        let (id, of, by) = (recording.id, key.clone(), publisher.to_owned());
        let listed = ListedFile(Arc::clone(&self.0), id);
        let spawned = sync::spawn("record", STACK_LEN, move || {
            RecordingWriter::new(&listed.0, id, &by, &of).run(&intake);
            drop(listed);
            drop(member);
        });
        if let Err(error) = spawned {
            RecordingWriter::new(&self.0, id, publisher, key).fail(RecordError::Thread(error));
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

/// A recording whose file is listed for as long as this is held.
struct ListedFile(Arc<RecorderShared>, u64);

impl Drop for ListedFile {
    fn drop(&mut self) {
        self.0.lock().files.remove(&self.1);
    }
}
