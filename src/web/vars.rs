//! `/debug/vars`: the numbers under their oldest names, laid out as Go's expvar does it.

use super::api::{object, seconds};
use crate::json::Value;
use crate::stats::{RelayStats, Snapshot, StreamStats};
use std::fmt::Write as _;

/// All variables by name, one a line.
pub fn render(snapshot: &Snapshot) -> String {
    let mut vars = counters(snapshot);
    vars.extend(gauges(snapshot));
    let streams = snapshot.streams.iter().map(stream).collect();
    let relays = snapshot.relays.iter().map(relay).collect();
    vars.extend([
        ("rtmp_uptime_seconds", seconds(snapshot.uptime)),
        (
            "rtmp_server_info",
            object([("version", env!("CARGO_PKG_VERSION").into())]),
        ),
        ("rtmp_streams", Value::Array(streams)),
        ("rtmp_relay_destinations", Value::Array(relays)),
    ]);
    vars.sort_by_key(|(name, _)| *name);
    let mut text = String::from("{");
    for (index, (name, value)) in vars.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let _ = write!(text, "{comma}\n\"{name}\": {value}"); // to a String: cannot fail
    }
    text.push_str("\n}\n");
    text
}

fn gauges(snapshot: &Snapshot) -> Vec<(&'static str, Value)> {
    vec![
        ("rtmp_connections_active", snapshot.connections.len().into()),
        ("rtmp_streams_active", snapshot.streams.len().into()),
        ("rtmp_publishers_active", snapshot.publishers().into()),
        ("rtmp_subscribers_active", snapshot.viewers().into()),
        ("rtmp_recordings_active", snapshot.recordings.len().into()),
    ]
}

fn counters(snapshot: &Snapshot) -> Vec<(&'static str, Value)> {
    let totals = &snapshot.totals;
    let counters = [
        ("rtmp_connections_total", totals.connections),
        ("rtmp_publishers_total", totals.publishers),
        ("rtmp_subscribers_total", totals.subscribers),
        ("rtmp_subscriber_drops_total", totals.subscriber_drops),
        ("rtmp_auth_successes_total", totals.auth_successes),
        ("rtmp_auth_failures_total", totals.auth_failures),
        ("rtmp_messages_audio", totals.messages_audio),
        ("rtmp_messages_video", totals.messages_video),
        ("rtmp_bytes_ingested", totals.bytes_ingested),
        ("rtmp_bytes_egress", totals.bytes_egress),
        ("rtmp_handshake_failures_total", totals.handshake_failures),
        ("rtmp_recording_errors_total", totals.recording_errors),
        ("rtmp_zombie_connections_total", totals.zombies),
        ("rtmp_relay_messages_sent", totals.relay_messages),
        ("rtmp_relay_messages_dropped", totals.relay_drops),
        ("rtmp_relay_bytes_sent", totals.relay_bytes),
    ];
    let counters = counters.into_iter();
    counters.map(|(name, count)| (name, count.into())).collect()
}

fn stream(stream: &StreamStats) -> Value {
    let mut members = vec![
        ("key", stream.key.as_str().into()),
        ("subscribers", stream.viewers.into()),
    ];
    let codecs = [
        ("video_codec", stream.video_codec),
        ("audio_codec", stream.audio_codec),
    ];
    let known = codecs
        .into_iter()
        .filter_map(|(name, codec)| Some((name, codec?.to_string().into())));
    members.extend(known);
    members.push(("uptime_seconds", seconds(stream.uptime)));
    members.push(("recording", stream.recording.into()));
    object(members)
}

fn relay(relay: &RelayStats) -> Value {
    let mut members = vec![
        ("stream_key", relay.stream_key.as_str().into()),
        ("url", relay.url.as_str().into()),
        ("status", relay.state.name().into()),
        ("messages_sent", relay.messages.into()),
        ("messages_dropped", relay.drops.into()),
        ("bytes_sent", relay.bytes.into()),
        ("reconnect_count", relay.reconnects.into()),
    ];
    if !relay.last_error.is_empty() {
        members.push(("last_error", relay.last_error.as_str().into()));
    }
    object(members)
}
