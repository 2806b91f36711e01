//! What hooks, relays and pulls are told of streams, recordings and relays.

use crate::hooks::{Event, EventKind, Hooks, seconds};
use crate::media::Codec;
use crate::notify::Notify;
use crate::record::{FinishedFile, RecordingObserver};
use crate::registry::Observer;
use crate::remote::{RelayObserver, Relays};
use crate::rtmp::MessageType;
use crate::rtmp::stream_key::StreamKey;
use std::sync::{Arc, OnceLock, Weak};

/// Is told how many viewers streams have. Called under a stream's lock: it must not wait for
/// anything.
pub(crate) trait DemandObserver: Send + Sync {
    /// The stream `key` has this many viewers now, with those that wait for it.
    fn demand_changes(&self, key: &StreamKey, viewers: usize);
}

/// The observer of demand, once there is one. It is held weakly: it holds the streams itself.
#[derive(Default)]
pub(super) struct DemandSlot(OnceLock<Weak<dyn DemandObserver>>);

impl DemandSlot {
    /// Takes the observer; the first one stays.
    pub(super) fn fill(&self, observer: Weak<dyn DemandObserver>) {
        let _ = self.0.set(observer);
    }
}

/// Tells hooks of streams, relays of their end, and the observer of demand of their viewers.
pub(super) struct StreamEvents {
    pub(super) hooks: Arc<Hooks>,
    pub(super) relays: Relays,
    pub(super) demand: Arc<DemandSlot>,
}

impl Observer for StreamEvents {
    fn stream_begins(&self, key: &StreamKey) {
        self.hooks
            .fire(Event::new(EventKind::StreamCreate).of(key.as_str()));
    }

    fn stream_ends(&self, key: &StreamKey) {
        self.relays.stop(key);
        self.hooks
            .fire(Event::new(EventKind::StreamDelete).of(key.as_str()));
    }

    fn audience_changes(&self, key: &StreamKey, viewers: usize) {
        let event = Event::new(EventKind::SubscriberCount).of(key.as_str());
        self.hooks.fire(event.with("count", viewers as u64));
    }

    fn demand_changes(&self, key: &StreamKey, viewers: usize) {
        if let Some(observer) = self.demand.0.get().and_then(Weak::upgrade) {
            observer.demand_changes(key, viewers);
        }
    }

    fn codec_appears(&self, key: &StreamKey, publisher: &str, kind: MessageType, codec: Codec) {
        let name = if kind == MessageType::AUDIO {
            "audio_codec"
        } else {
            "video_codec"
        };
        let event = Event::new(EventKind::CodecDetected)
            .on(publisher)
            .of(key.as_str());
        self.hooks.fire(event.with(name, codec.to_string()));
    }
}

/// Tells hooks, and the services of -notify, of recordings.
pub(super) struct RecordEvents(pub(super) Arc<Hooks>, pub(super) Arc<Notify>);

impl RecordingObserver for RecordEvents {
    fn recording_done(&self, key: &StreamKey, file: &FinishedFile) {
        if !file.path.is_empty() {
            // Of clients: what is pulled from other servers is called otherwise, and not told of.
            let client = file.publisher.strip_prefix('c');
            if let Some(client) = client.and_then(|number| number.parse().ok()) {
                self.1.recorded(client, key, &file.path);
            }
        }
        let event = Event::new(EventKind::RecordingDone).of(key.as_str());
        let event = event
            .with("path", file.path.as_str())
            .with("bytes", file.bytes)
            .with("duration_sec", seconds(file.duration));
        let reasons = [
            ("error", &file.error),
            ("format_reason", &file.format_reason),
        ];
        let given = reasons.into_iter();
        let given = given.filter_map(|(name, reason)| Some((name, reason.as_deref()?)));
        self.0
            .fire(given.fold(event, |event, (name, reason)| event.with(name, reason)));
    }
}

/// Tells hooks of relays.
pub(super) struct RelayEvents(pub(super) Arc<Hooks>);

impl RelayObserver for RelayEvents {
    fn relay_up(&self, key: &StreamKey, url: &str) {
        let event = Event::new(EventKind::RelayUp).of(key.as_str());
        self.0.fire(event.with("url", url));
    }

    fn relay_down(&self, key: &StreamKey, url: &str, why: &str) {
        let event = Event::new(EventKind::RelayDown).of(key.as_str());
        self.0.fire(event.with("url", url).with("error", why));
    }
}
