//! What hooks are told of publications.

use crate::hooks::{Event, EventKind, seconds};
use crate::json::JsonValue;
use crate::media::Codec;
use crate::registry::Traffic;
use crate::rtmp::stream_key::StreamKey;
use std::time::Duration;

/// Publishing began. `app` and `name` are without their queries.
pub(super) fn publish_started(conn_id: &str, key: &StreamKey, app: &str, name: &str) -> Event {
    let event = Event::new(EventKind::PublishStart)
        .on(conn_id)
        .of(key.as_str());
    event.with("app", app).with("publishing_name", name)
}

pub(super) fn publish_stopped(
    conn_id: &str,
    key: &StreamKey,
    traffic: &Traffic,
    duration: Duration,
) -> Event {
    let codec = |codec: Option<Codec>| codec.map_or(String::new(), |codec| codec.to_string());
    let data: [(&str, JsonValue); 6] = [
        ("audio_packets", traffic.audio.into()),
        ("video_packets", traffic.video.into()),
        ("total_bytes", traffic.bytes.into()),
        ("audio_codec", codec(traffic.audio_codec).into()),
        ("video_codec", codec(traffic.video_codec).into()),
        ("duration_sec", seconds(duration)),
    ];
    let event = Event::new(EventKind::PublishStop)
        .on(conn_id)
        .of(key.as_str());
    data.into_iter()
        .fold(event, |event, (name, value)| event.with(name, value))
}
