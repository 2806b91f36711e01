//! The streams that are packaged now.

use super::stream::{FEED, HlsStream};
use crate::log;
use crate::media::hls::HlsSettings;
use crate::memory::Budget;
use crate::registry::Registry;
use crate::rtmp::stream_key::StreamKey;
use crate::sync::{self, Mutex, MutexGuard, Rank, WaitGroup};
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// Most streams that are packaged at a time.
pub const STREAMS_MAX: usize = 128;

/// Streams of other names that are remembered; beyond that, clients have to ask for the index again.
const RENAMED_MAX: usize = 1024;

/// All streams that are packaged, of all listeners. Cloning shares them.
#[derive(Clone)]
pub struct Hls(Arc<HlsShared>);

struct HlsShared {
    settings: Mutex<HlsSettings>,
    budget: Arc<Budget>,
    registry: Registry,
    table: Mutex<StreamTable>,
    threads: WaitGroup,
}

#[derive(Default)]
struct StreamTable {
    streams: HashMap<StreamKey, Arc<HlsStream>>,
    /// Of those, the ones before that have ended, as long as they are readable.
    ended: HashMap<StreamKey, Arc<HlsStream>>,
    is_closed: bool,
    /// What streams are called here that clients call otherwise.
    renamed: HashMap<StreamKey, StreamKey>,
}

/// Why a stream is not packaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotPackaged {
    /// Nobody publishes the stream.
    NotFound,
    /// There is no room for another, or no thread.
    Busy,
}

/// A stream in its thread. Dropping it takes the stream out, whatever the reason is.
struct Packaged {
    hls: Hls,
    stream: Arc<HlsStream>,
}

impl Drop for Packaged {
    fn drop(&mut self) {
        self.hls.forget(&self.stream);
    }
}

impl Hls {
    /// No stream is packaged yet. What those have that are counts against `budget`.
    pub fn new(settings: HlsSettings, registry: Registry, budget: Arc<Budget>) -> Hls {
        Hls(Arc::new(HlsShared {
            settings: Mutex::new(settings),
            budget,
            registry,
            table: Mutex::ranked(Rank::HlsStreams, StreamTable::default()),
            threads: WaitGroup::default(),
        }))
    }

    /// Changes how streams are cut that begin to be packaged from now on.
    pub fn set_settings(&self, settings: HlsSettings) {
        *self.0.settings.lock() = settings;
    }

    fn table(&self) -> MutexGuard<'_, StreamTable> {
        self.0.table.lock()
    }

    /// Clients call the stream `asked`, and it is called `key` here; `None`: the same.
    pub(super) fn rename(&self, asked: &StreamKey, key: Option<StreamKey>) {
        let renamed = &mut self.table().renamed;
        if renamed.len() >= RENAMED_MAX {
            renamed.clear();
        }
        match key {
            Some(key) => renamed.insert(asked.clone(), key),
            None => renamed.remove(asked),
        };
    }

    /// What the stream is called here that clients call `asked`.
    pub(super) fn called(&self, asked: &StreamKey) -> StreamKey {
        let table = self.table();
        table.renamed.get(asked).unwrap_or(asked).clone()
    }

    /// The stream as it is packaged now, or was a moment ago, or as it was before it was published again:
    /// the first for which `is_meant` holds.
    pub(super) fn find(
        &self,
        key: &StreamKey,
        is_meant: impl Fn(&HlsStream) -> bool,
    ) -> Option<Arc<HlsStream>> {
        let table = self.table();
        let found = [table.streams.get(key), table.ended.get(key)].map(Option::<&_>::cloned);
        drop(table);
        found.into_iter().flatten().find(|stream| is_meant(stream))
    }

    /// The stream, which is packaged from now on if it was not. One that has ended is readable for a
    /// while, also if it is published again.
    pub(super) fn stream(&self, key: &StreamKey) -> Result<Arc<HlsStream>, NotPackaged> {
        let mut table = self.table();
        let known = table.streams.get(key).cloned();
        if let Some(known) = known.as_ref().filter(|known| !known.is_over()) {
            return Ok(Arc::clone(known));
        }
        let Some(tap) = self.0.registry.tap(key, FEED) else {
            return known.ok_or(NotPackaged::NotFound);
        };
        let count = table.streams.len() + table.ended.len();
        let has_room = count < STREAMS_MAX || table.ended.contains_key(key);
        if table.is_closed || !has_room || self.0.budget.is_full() {
            return Err(NotPackaged::Busy);
        }
        let member = self.0.threads.join().ok_or(NotPackaged::Busy)?;
        let settings = *self.0.settings.lock();
        let budget = &self.0.budget;
        let stream = HlsStream::new(key.clone(), settings, &tap, budget, known.as_deref());
        let stream = Arc::new(stream);
        let holder: Weak<HlsStream> = Arc::downgrade(&stream);
        budget.enter(holder);
        let (hls, own) = (self.clone(), Arc::clone(&stream));
        let spawned = sync::spawn("hls", sync::STACK_LEN, move || {
            let packaged = Packaged { hls, stream: own };
            packaged.stream.run(tap, &packaged.hls.0.registry);
            drop(packaged);
            drop(member);
        });
        if let Err(error) = spawned {
            log!(Error, "cannot start HLS"; stream_key = key, error = error);
            return Err(NotPackaged::Busy);
        }
        let before = table.streams.insert(key.clone(), Arc::clone(&stream));
        let ended = before.and_then(|before| table.ended.insert(key.clone(), before));
        drop(table);
        if let Some(ended) = ended {
            ended.close();
        }
        Ok(stream)
    }

    /// Takes a stream out; another may have its name by now, and stays.
    fn forget(&self, stream: &Arc<HlsStream>) {
        let is_same = |_: &StreamKey, known: &mut Arc<HlsStream>| !Arc::ptr_eq(known, stream);
        let mut table = self.table();
        table.streams.retain(is_same);
        table.ended.retain(is_same);
    }

    /// Ends all of them: the server stops. Those who wait are answered.
    pub fn close(&self) {
        let mut table = self.table();
        table.is_closed = true;
        let all = table.streams.values().chain(table.ended.values());
        all.for_each(|stream| stream.close());
        self.0.threads.close();
    }

    /// Waits until all are gone. `false`: not by `deadline`.
    pub fn wait_gone(&self, deadline: Instant) -> bool {
        self.0.threads.wait(deadline)
    }
}
