//! What a recorder and the threads of its recordings share.

use super::observer::RecordingObserver;
use super::settings::RecordSettings;
use crate::stats::{Counters, RecordingStats};
use crate::sync::{Mutex, MutexGuard, WaitGroup};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a recorder and its recordings share.
pub(super) struct RecorderShared {
    /// Those of recordings that begin from now on.
    pub(super) settings: Mutex<Arc<RecordSettings>>,
    pub(super) listener: Arc<dyn RecordingObserver>,
    pub(super) counters: Arc<Counters>,
    pub(super) state: Mutex<RecorderState>,
    pub(super) threads: WaitGroup,
}

/// What changes as recordings come and go.
#[derive(Default)]
pub(super) struct RecorderState {
    /// How many recordings there have been.
    pub(super) ids: u64,
    /// Files that are being written, by recording.
    pub(super) files: BTreeMap<u64, RecordingStats>,
}

impl RecorderShared {
    pub(super) fn lock(&self) -> MutexGuard<'_, RecorderState> {
        self.state.lock()
    }

    /// The settings of a recording that begins now.
    pub(super) fn settings(&self) -> Arc<RecordSettings> {
        Arc::clone(&self.settings.lock())
    }

    pub(super) fn count(&self, failed: bool) {
        match failed {
            false => self.counters.recordings.add(1),
            true => self.counters.recording_errors.add(1),
        }
    }
}
