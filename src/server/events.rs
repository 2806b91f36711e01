//! What hooks are told, and when.

use super::pull::Pulls;
use crate::auth::{Action, Denied};
use crate::hooks::{Event, Hooks, Kind, seconds};
use crate::json::Value;
use crate::media::Codec;
use crate::record::{self, FinishedFile};
use crate::registry::{Observer, Traffic};
use crate::remote::{RelayObserver, Relays};
use crate::rtmp::MessageType;
use crate::rtmp::stream_key::StreamKey;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Tells hooks of streams, relays of their end, and pulls of their viewers.
pub struct StreamEvents {
    /// Who is told of everything.
    pub hooks: Arc<Hooks>,
    /// Who end with their stream.
    pub relays: Relays,
    /// Who come for those who watch.
    pub pulls: Pulls,
}

impl Observer for StreamEvents {
    fn stream_begins(&self, key: &StreamKey) {
        self.hooks
            .fire(Event::new(Kind::StreamCreate).of(key.as_str()));
    }

    fn stream_ends(&self, key: &StreamKey) {
        self.relays.stop(key);
        self.hooks
            .fire(Event::new(Kind::StreamDelete).of(key.as_str()));
    }

    fn audience_changes(&self, key: &StreamKey, viewers: usize) {
        let event = Event::new(Kind::SubscriberCount).of(key.as_str());
        self.hooks.fire(event.with("count", viewers as u64));
    }

    fn demand_changes(&self, key: &StreamKey, viewers: usize) {
        self.pulls.demand_changes(key, viewers);
    }

    fn codec_appears(&self, key: &StreamKey, publisher: &str, kind: MessageType, codec: Codec) {
        let name = if kind == MessageType::AUDIO {
            "audio_codec"
        } else {
            "video_codec"
        };
        let event = Event::new(Kind::CodecDetected)
            .on(publisher)
            .of(key.as_str());
        self.hooks.fire(event.with(name, codec.to_string()));
    }
}

/// Tells hooks of recordings.
pub struct RecordEvents(pub Arc<Hooks>);

impl record::RecordingObserver for RecordEvents {
    fn recording_done(&self, key: &StreamKey, file: &FinishedFile) {
        let event = Event::new(Kind::RecordingDone).of(key.as_str());
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
pub struct RelayEvents(pub Arc<Hooks>);

impl RelayObserver for RelayEvents {
    fn relay_up(&self, key: &StreamKey, url: &str) {
        let event = Event::new(Kind::RelayUp).of(key.as_str());
        self.0.fire(event.with("url", url));
    }

    fn relay_down(&self, key: &StreamKey, url: &str, why: &str) {
        let event = Event::new(Kind::RelayDown).of(key.as_str());
        self.0.fire(event.with("url", url).with("error", why));
    }
}

/// A connection was accepted.
pub fn accepted(conn_id: &str, addr: SocketAddr) -> Event {
    let event = Event::new(Kind::ConnectionAccept).on(conn_id);
    event
        .with("remote_addr", addr.to_string())
        .with("tls", false)
}

/// Its handshake is done.
pub fn handshake_done(conn_id: &str) -> Event {
    Event::new(Kind::HandshakeComplete).on(conn_id)
}

/// It is over. The role is the last that it had.
pub fn closed(conn_id: &str, role: &str, duration: Duration) -> Event {
    let event = Event::new(Kind::ConnectionClose).on(conn_id);
    event
        .with("role", role)
        .with("duration_sec", seconds(duration))
}

/// Publishing began. `app` and `name` are without their queries.
pub fn publish_started(conn_id: &str, key: &StreamKey, app: &str, name: &str) -> Event {
    let event = Event::new(Kind::PublishStart).on(conn_id).of(key.as_str());
    event.with("app", app).with("publishing_name", name)
}

/// Publishing ended.
pub fn publish_stopped(
    conn_id: &str,
    key: &StreamKey,
    traffic: &Traffic,
    duration: Duration,
) -> Event {
    let codec = |codec: Option<Codec>| codec.map_or(String::new(), |codec| codec.to_string());
    let data: [(&str, Value); 6] = [
        ("audio_packets", traffic.audio.into()),
        ("video_packets", traffic.video.into()),
        ("total_bytes", traffic.bytes.into()),
        ("audio_codec", codec(traffic.audio_codec).into()),
        ("video_codec", codec(traffic.video_codec).into()),
        ("duration_sec", seconds(duration)),
    ];
    let event = Event::new(Kind::PublishStop).on(conn_id).of(key.as_str());
    data.into_iter()
        .fold(event, |event, (name, value)| event.with(name, value))
}

/// Playing began.
pub fn play_started(conn_id: &str, key: &StreamKey, app: &str) -> Event {
    Event::new(Kind::PlayStart)
        .on(conn_id)
        .of(key.as_str())
        .with("app", app)
}

/// Playing ended.
pub fn play_stopped(conn_id: &str, key: &StreamKey, duration: Duration) -> Event {
    let event = Event::new(Kind::PlayStop).on(conn_id).of(key.as_str());
    event.with("duration_sec", seconds(duration))
}

/// A client was not let in.
pub fn auth_failed(conn_id: &str, key: &StreamKey, action: Action, denied: &Denied) -> Event {
    let event = Event::new(Kind::AuthFailed).on(conn_id).of(key.as_str());
    event
        .with("action", action.name())
        .with("error", denied.to_string())
}
