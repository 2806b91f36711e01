//! The map of streams, and what holds a stream in it.

use super::context::StreamContext;
use super::observer::Observer;
use super::refusal::Refusal;
use super::settings::StreamSettings;
use super::stream::Stream;
use crate::memory::Budget;
use crate::rtmp::stream_key::StreamKey;
use crate::stats::Counters;
use crate::sync::{Mutex, Rank};
use std::collections::HashMap;
use std::sync::{Arc, Weak};

type StreamMap = HashMap<StreamKey, Arc<Mutex<Stream>>>;

/// The streams that somebody publishes or watches, by key.
pub(super) struct Streams {
    map: Mutex<StreamMap>,
    context: Arc<StreamContext>,
}

/// A stream and where it is registered. Dropping it forgets a stream that nobody publishes or
/// watches.
pub(super) struct Registration {
    streams: Arc<Streams>,
    key: StreamKey,
    pub(super) stream: Arc<Mutex<Stream>>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.streams.release(&self.key, &self.stream);
    }
}

impl Streams {
    /// An empty map, whose streams tell `observer` and count in `counters`.
    pub(super) fn new(
        settings: StreamSettings,
        observer: Arc<dyn Observer>,
        counters: Arc<Counters>,
        budget: Arc<Budget>,
    ) -> Streams {
        Streams {
            map: Mutex::ranked(Rank::Streams, HashMap::new()),
            context: Arc::new(StreamContext::new(settings, observer, counters, budget)),
        }
    }

    /// What all streams share.
    pub(super) fn context(&self) -> &StreamContext {
        &self.context
    }

    /// The stream `key`, if there is one.
    pub(super) fn get(&self, key: &StreamKey) -> Option<Arc<Mutex<Stream>>> {
        self.map.lock().get(key).cloned()
    }

    /// Every stream with its key, as they are now.
    pub(super) fn snapshot(&self) -> Vec<(StreamKey, Arc<Mutex<Stream>>)> {
        self.map
            .lock()
            .iter()
            .map(|(key, stream)| (key.clone(), Arc::clone(stream)))
            .collect()
    }

    /// Calls `act` with the stream `key`, which is made if it does not exist.
    pub(super) fn with_stream(
        self: &Arc<Self>,
        key: &StreamKey,
        act: impl FnOnce(&mut Stream) -> Result<(), Refusal>,
    ) -> Result<Registration, Refusal> {
        loop {
            let stream = {
                let mut streams = self.map.lock();
                let new = || {
                    let stream = Stream::new(key.clone(), Arc::clone(&self.context));
                    let stream = Arc::new(Mutex::ranked(Rank::Stream, stream));
                    let holder: Weak<Mutex<Stream>> = Arc::downgrade(&stream);
                    self.context.budget.enter(holder);
                    stream
                };
                Arc::clone(streams.entry(key.clone()).or_insert_with(new))
            };
            let mut locked = stream.lock();
            // Between the two locks the registry may have let go of it.
            if !locked.is_retired() {
                let acted = act(&mut locked);
                drop(locked);
                let registration = Registration {
                    streams: Arc::clone(self),
                    key: key.clone(),
                    stream,
                };
                return acted.map(|()| registration);
            }
        }
    }

    /// Forgets a stream that nobody publishes or watches. Another stream may have its key by now,
    /// and stays.
    pub(super) fn release(&self, key: &StreamKey, stream: &Arc<Mutex<Stream>>) {
        let mut streams = self.map.lock();
        let is_registered = streams
            .get(key)
            .is_some_and(|registered| Arc::ptr_eq(registered, stream));
        if is_registered && stream.lock().retire() {
            streams.remove(key);
        }
    }
}
