//! `/debug/vars`: the numbers under their oldest names, laid out as Go's expvar does it.

use super::api::{object, seconds};
use crate::json::JsonValue;
use crate::stats::{COUNTERS, GAUGES, RelayStats, Snapshot, StreamStats, Totals};
use std::fmt::Write as _;

/// All variables by name, one a line.
pub(super) fn render(snapshot: &Snapshot) -> String {
    let mut vars: Vec<_> = counters(&snapshot.totals).collect();
    vars.extend(gauges(snapshot));
    let streams = snapshot.streams.iter().map(stream).collect();
    let relays = snapshot.relays.iter().map(relay).collect();
    vars.extend([
        ("rtmp_uptime_seconds", seconds(snapshot.uptime)),
        (
            "rtmp_server_info",
            object([("version", env!("CARGO_PKG_VERSION").into())]),
        ),
        ("rtmp_streams", JsonValue::Array(streams)),
        ("rtmp_relay_destinations", JsonValue::Array(relays)),
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

fn gauges(snapshot: &Snapshot) -> impl Iterator<Item = (&'static str, JsonValue)> {
    let gauges = GAUGES.iter().filter(|gauge| gauge.is_var);
    gauges.map(|gauge| (gauge.metric, (gauge.get)(snapshot).into()))
}

fn counters(totals: &Totals) -> impl Iterator<Item = (&'static str, JsonValue)> {
    let named = COUNTERS
        .iter()
        .filter_map(|counter| Some((counter.var?, counter)));
    named.map(|(name, counter)| (name, (counter.get)(totals).into()))
}

fn stream(stream: &StreamStats) -> JsonValue {
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

fn relay(relay: &RelayStats) -> JsonValue {
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
