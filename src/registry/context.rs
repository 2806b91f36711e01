//! What all streams of a registry share.

use super::observer::Observer;
use super::send_threads::SendThreads;
use super::settings::StreamSettings;
use crate::memory::Budget;
use crate::stats::Counters;
use crate::sync::RwLock;
use std::sync::Arc;

/// What a stream works with that is not its own.
pub(super) struct StreamContext {
    pub(super) observer: Arc<dyn Observer>,
    settings: RwLock<StreamSettings>,
    pub(super) counters: Arc<Counters>,
    pub(super) budget: Arc<Budget>,
    /// Threads that send to viewers where there are many.
    pub(super) send_threads: Arc<SendThreads>,
}

impl StreamContext {
    pub(super) fn new(
        settings: StreamSettings,
        observer: Arc<dyn Observer>,
        counters: Arc<Counters>,
        budget: Arc<Budget>,
    ) -> StreamContext {
        StreamContext {
            observer,
            settings: RwLock::new(settings),
            counters,
            budget,
            send_threads: Arc::default(),
        }
    }

    /// The settings of the moment.
    pub(super) fn settings(&self) -> StreamSettings {
        *self.settings.read()
    }

    /// Sets what holds from now on. The size of chunks stays: every viewer was told of it.
    pub(super) fn set_settings(&self, settings: StreamSettings) {
        let mut current = self.settings.write();
        let chunk_size = current.chunk_size;
        *current = StreamSettings {
            chunk_size,
            ..settings
        };
    }
}
