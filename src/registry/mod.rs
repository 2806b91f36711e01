//! Who publishes what, and who watches it.
//!
//! To publish is to hold a [`Publication`], to play is to hold a [`Subscription`]; dropping it is
//! the end of it, whatever the reason. Two locks, in this order: the map of streams, then one
//! stream. Nothing under either of them waits for a peer.

mod audience;
mod batches;
mod cache;
mod common_content;
mod context;
mod ending;
mod fan_out;
mod gop;
mod handles;
mod kept_fragments;
mod keyframe_wait;
mod keyframes;
mod last_heard;
mod left_out;
mod live;
mod media_message;
mod muxer;
mod muxers;
mod observer;
mod phase;
mod presence;
mod presentation;
mod publisher;
mod recipient;
mod refusal;
mod selection;
mod send_threads;
mod settings;
mod sharded;
mod slowness;
mod stats;
mod stream;
mod stream_memory;
mod streams;
mod subscription_id;
mod tap;
mod timeline;
mod viewer;
mod wave;

pub use ending::{AtEnd, Ended, PublicationStatus, Reason, Traffic};
pub use handles::{Publication, Subscription};
pub use last_heard::LastHeard;
pub use observer::Observer;
pub use presence::Presence;
pub use publisher::{Origin, Publisher};
pub use recipient::{
    Notice, Notices, Recipient, RetainedData, SubscriberKind, SubscriptionEnd, Takes,
};
pub use refusal::Refusal;
pub use selection::Selection;
pub use settings::{SILENT_MAX, StreamSettings};
pub use slowness::BEHIND_MAX;
pub use tap::Tap;

use crate::awake;
use crate::memory::Budget;
use crate::queue::{FeedLimits, Outbox};
use crate::rtmp::Timestamp;
use crate::rtmp::stream_key::StreamKey;
use crate::stats::{Counters, PublicationId, StreamStats};
use presence::Place;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use streams::Streams;
use subscription_id::SubscriptionId;

/// All streams. Cloning shares them.
#[derive(Clone)]
pub struct Registry(Arc<RegistryShared>);

struct RegistryShared {
    streams: Arc<Streams>,
    next_publication: AtomicU64,
    next_subscription: AtomicU64,
}

impl Registry {
    /// No streams yet; `observer` will be told of them, and `counters` count what passes. What they keep
    /// counts against `budget`.
    pub fn new(
        settings: StreamSettings,
        observer: Arc<dyn Observer>,
        counters: Arc<Counters>,
        budget: Arc<Budget>,
    ) -> Registry {
        Registry(Arc::new(RegistryShared {
            streams: Arc::new(Streams::new(settings, observer, counters, budget)),
            next_publication: AtomicU64::new(1),
            next_subscription: AtomicU64::new(1),
        }))
    }

    /// Changes the settings, but for the size of chunks. They hold for what begins, ends or is asked
    /// for from now on.
    pub fn set_settings(&self, settings: StreamSettings) {
        self.0.streams.context().set_settings(settings);
    }

    /// How long viewers wait for a stream to begin, as of now.
    pub fn wait_limit(&self) -> Duration {
        self.0.streams.context().settings().wait
    }

    /// Makes `publisher` the publisher of `key`.
    ///
    /// # Errors
    ///
    /// [`Refusal::InUse`] if somebody else is and takeover is not wanted, unless nothing came from
    /// there for [`SILENT_MAX`]. What comes from another
    /// server never takes a stream over. [`Refusal::Loop`] if a server that it has come through has
    /// the stream from here.
    pub fn publish(&self, key: &StreamKey, publisher: Publisher) -> Result<Publication, Refusal> {
        let id = PublicationId(self.0.next_publication.fetch_add(1, Ordering::Relaxed));
        let registration = self
            .0
            .streams
            .with_stream(key, |stream| stream.publish(id, publisher))?;
        Ok(Publication { registration, id })
    }

    /// Adds a viewer to the stream `key`. It is told what its `recipient` says and sent the stream's
    /// beginning at once, or as soon as somebody publishes.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] if nobody publishes and viewers do not wait. Servers never do, unless
    /// somebody published a moment ago. [`Refusal::Loop`] if the stream has come through the server
    /// that asks for it.
    pub fn subscribe(
        &self,
        key: &StreamKey,
        outbox: &Arc<Outbox>,
        recipient: Recipient,
    ) -> Result<Subscription, Refusal> {
        let id = SubscriptionId(self.0.next_subscription.fetch_add(1, Ordering::Relaxed));
        let place = Place::default();
        let presence = place.presence();
        let registration = self.0.streams.with_stream(key, |stream| {
            stream.subscribe((id, place), outbox, recipient, awake::now())
        })?;
        Ok(Subscription {
            registration,
            id,
            presence,
        })
    }

    /// Has the publication of `key` that goes on now pushed into a feed, with the beginning of a late
    /// joiner in front; `None` if nobody publishes it. The feed ends with the publication.
    pub fn tap(&self, key: &StreamKey, limits: FeedLimits) -> Option<Tap> {
        let stream = self.0.streams.get(key)?;
        stream.lock().tap(limits, awake::now())
    }

    /// The servers that the stream `key` has come through; none if nobody publishes it.
    pub fn via(&self, key: &StreamKey) -> Vec<String> {
        let stream = self.0.streams.get(key);
        stream.map_or(Vec::new(), |stream| stream.lock().via().to_vec())
    }

    /// The servers that the stream `key` would go to, on the shortest way to those who play it or
    /// wait for it; `None` if nobody does.
    pub fn shortest_way(&self, key: &StreamKey) -> Option<Vec<String>> {
        let stream = self.0.streams.get(key);
        stream.and_then(|stream| stream.lock().shortest_way())
    }

    /// Whether somebody publishes the stream `key` now.
    pub fn is_live(&self, key: &StreamKey) -> bool {
        let stream = self.0.streams.get(key);
        stream.is_some_and(|stream| stream.lock().is_live())
    }

    /// Whether somebody publishes the stream `key`, or did a moment ago.
    pub fn is_published(&self, key: &StreamKey) -> bool {
        let stream = self.0.streams.get(key);
        stream.is_some_and(|stream| !stream.lock().is_vacant())
    }

    /// Tells the observer how many viewers each stream has, as if that had changed.
    pub fn announce_demand(&self) {
        for (_, stream) in self.0.streams.snapshot() {
            stream.lock().announce_demand();
        }
    }

    /// The time that a published stream has come to, as viewers see it.
    pub fn time_of(&self, key: &StreamKey) -> Option<Timestamp> {
        self.0.streams.get(key)?.lock().time()
    }

    /// The streams that somebody publishes now.
    pub fn live_keys(&self) -> Vec<StreamKey> {
        let streams = self.0.streams.snapshot().into_iter();
        let live = streams.filter(|(_, stream)| stream.lock().is_live());
        live.map(|(key, _)| key).collect()
    }

    /// Ends a stream: its publisher and its viewers are told and hung up on.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] if nobody publishes it.
    pub fn end(&self, key: &StreamKey) -> Result<(), Refusal> {
        let stream = self.0.streams.get(key);
        let stream = stream.ok_or(Refusal::NotFound)?;
        let ended = stream.lock().end_from_outside();
        self.0.streams.release(key, &stream);
        ended
    }

    /// What can be told of each stream that is published, by key.
    pub fn stats(&self) -> Vec<StreamStats> {
        let mut streams = self.0.streams.snapshot();
        streams.sort_by(|(a, _), (b, _)| a.cmp(b));
        let stats = streams.iter().map(|(_, stream)| stream.lock().stats());
        stats.flatten().collect()
    }

    /// Does what is due by `now`; to be called a few times a second.
    pub fn expire(&self, now: Instant) {
        for (key, stream) in self.0.streams.snapshot() {
            if stream.lock().expire(now) {
                self.0.streams.release(&key, &stream);
            }
        }
    }

    /// Ends all streams for their viewers, who are told and hung up on.
    pub fn close(&self) {
        self.0
            .streams
            .snapshot()
            .iter()
            .for_each(|(_, stream)| stream.lock().close());
    }

    /// How many streams are published now, and how many viewers play or wait.
    pub fn count(&self) -> (usize, usize) {
        let streams = self.0.streams.snapshot();
        let live = streams
            .iter()
            .filter(|(_, stream)| stream.lock().is_live())
            .count();
        (
            live,
            streams
                .iter()
                .map(|(_, stream)| stream.lock().player_count())
                .sum(),
        )
    }
}
