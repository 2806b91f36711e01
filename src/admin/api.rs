//! `/api/…`: what there is, as JSON.

use super::rates::Rates;
use crate::json::JsonValue;
use crate::media::Codec;
use crate::stats::{
    COUNTERS, ConnectionStats, PullStats, RecordingStats, RelayStats, Snapshot, StreamStats,
    TlsStats, Totals,
};
use std::collections::HashMap;
use std::time::Duration;

/// Numbers from a client's metadata that are larger are left out: no picture has them.
const METADATA_MAX: f64 = 1e6;

/// An object with these members.
pub(super) fn object(members: impl IntoIterator<Item = (&'static str, JsonValue)>) -> JsonValue {
    let members = members.into_iter();
    JsonValue::Object(
        members
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

/// A time span in whole seconds.
pub(super) fn seconds(duration: Duration) -> JsonValue {
    duration.as_secs().into()
}

/// A number that a client said, if it can be true.
pub(super) fn plausible(number: Option<f64>) -> Option<f64> {
    number.filter(|number| *number > 0.0 && *number <= METADATA_MAX)
}

/// The server as a whole.
pub(super) fn status(snapshot: &Snapshot, rates: &Rates, stopping: bool) -> JsonValue {
    let rate = rates.total();
    object([
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("uptime_sec", seconds(snapshot.uptime)),
        ("stopping", stopping.into()),
        (
            "listening",
            list(&snapshot.listening, |addr| addr.to_string().into()),
        ),
        (
            "http_listening",
            list(&snapshot.http_listening, |addr| addr.to_string().into()),
        ),
        ("connections", snapshot.connections.len().into()),
        ("streams", snapshot.streams.len().into()),
        ("publishers", snapshot.publishers().into()),
        ("viewers", snapshot.viewers().into()),
        ("bitrate_in_bps", rate.received.into()),
        ("bitrate_out_bps", rate.sent.into()),
        ("hooks_waiting", snapshot.hooks_waiting.into()),
        ("children", snapshot.children.into()),
        ("tls", snapshot.tls.as_ref().map_or(JsonValue::Null, tls)),
        ("totals", totals(&snapshot.totals)),
        ("relays", list(&snapshot.relays, relay)),
        ("pulls", list(&snapshot.pulls, pull)),
        ("recordings", list(&snapshot.recordings, recording)),
    ])
}

/// All streams, and nothing of who watches them.
pub(super) fn streams(snapshot: &Snapshot, rates: &Rates) -> JsonValue {
    let relays = by_stream(&snapshot.relays, |relay| &relay.stream_key);
    let recordings = by_stream(&snapshot.recordings, |recording| &recording.stream_key);
    let values = snapshot.streams.iter().map(|stream| {
        let key = stream.key.as_str();
        let of = |key| relays.get(key).into_iter().flatten().copied();
        let written = recordings.get(key).into_iter().flatten().copied();
        object(stream_members(stream, rates, of(key), written))
    });
    object([("streams", JsonValue::Array(values.collect()))])
}

/// One stream with its connections; `None`: no such stream.
pub(super) fn stream(snapshot: &Snapshot, rates: &Rates, key: &str) -> Option<JsonValue> {
    let stream = snapshot.streams.iter().find(|stream| stream.key == key)?;
    let relays = snapshot.relays.iter();
    let recordings = snapshot.recordings.iter();
    let connections = snapshot.connections.iter();
    let mut members = stream_members(
        stream,
        rates,
        relays.filter(|relay| relay.stream_key == key),
        recordings.filter(|recording| recording.stream_key == key),
    );
    let of_stream = connections.filter_map(|connection| {
        let used = connection.use_of(key)?;
        Some(connection_in(connection, used.role, &used.stream_key))
    });
    members.push(("connections", JsonValue::Array(of_stream.collect())));
    Some(object(members))
}

/// All connections that have shaken hands.
pub(super) fn connections(snapshot: &Snapshot) -> JsonValue {
    object([("connections", list(&snapshot.connections, connection))])
}

/// One connection; `None`: no such connection.
pub(super) fn connection_of(snapshot: &Snapshot, id: &str) -> Option<JsonValue> {
    let mut connections = snapshot.connections.iter();
    connections
        .find(|connection| connection.id == id)
        .map(connection)
}

fn list<T>(items: &[T], value: impl Fn(&T) -> JsonValue) -> JsonValue {
    JsonValue::Array(items.iter().map(value).collect())
}

/// The items of each stream.
fn by_stream<'a, T>(
    items: &'a [T],
    key: impl Fn(&'a T) -> &'a str,
) -> HashMap<&'a str, Vec<&'a T>> {
    let mut streams: HashMap<&str, Vec<&T>> = HashMap::new();
    for item in items {
        streams.entry(key(item)).or_default().push(item);
    }
    streams
}

fn stream_members<'a>(
    stream: &StreamStats,
    rates: &Rates,
    relays: impl Iterator<Item = &'a RelayStats>,
    recordings: impl Iterator<Item = &'a RecordingStats>,
) -> Vec<(&'static str, JsonValue)> {
    let rate = rates.of(stream);
    let metadata = &stream.metadata;
    let state = stream.publisher.as_ref().map_or("lost", |_| "live");
    vec![
        ("key", stream.key.as_str().into()),
        ("state", state.into()),
        ("publisher", or_null(stream.publisher.as_deref())),
        ("uptime_sec", seconds(stream.uptime)),
        ("viewers", stream.viewers.into()),
        ("recording", stream.recording.into()),
        ("video_codec", codec(stream.video_codec)),
        ("audio_codec", codec(stream.audio_codec)),
        ("width", said(metadata.width)),
        ("height", said(metadata.height)),
        ("frame_rate", said(metadata.frame_rate)),
        ("audio_messages", stream.audio_messages.into()),
        ("video_messages", stream.video_messages.into()),
        ("bytes_in", stream.bytes_in.into()),
        ("bytes_out", stream.bytes_out.into()),
        ("bitrate_in_bps", rate.received.into()),
        ("bitrate_out_bps", rate.sent.into()),
        ("drops", stream.drops.into()),
        ("cached_messages", stream.cached_messages.into()),
        ("cached_bytes", stream.cached_bytes.into()),
        (
            "left_out",
            list(&stream.left_out, |codec| codec.as_str().into()),
        ),
        ("relays", JsonValue::Array(relays.map(relay).collect())),
        (
            "recordings",
            JsonValue::Array(recordings.map(recording).collect()),
        ),
    ]
}

/// The program that speaks TLS; null without TLS.
fn tls(tls: &TlsStats) -> JsonValue {
    let listening = tls.listening.iter();
    let listening = listening.map(|addr| addr.to_string().into()).collect();
    object([
        ("listening", JsonValue::Array(listening)),
        ("state", tls.state.name().into()),
        (
            "pid",
            tls.pid.map_or(JsonValue::Null, |pid| u64::from(pid).into()),
        ),
        ("draining", tls.draining.into()),
        ("restarts", tls.restarts.into()),
        ("last_error", filled(&tls.last_error)),
    ])
}

/// A connection, with the first of what it publishes and plays.
fn connection(connection: &ConnectionStats) -> JsonValue {
    let key = connection.uses.first().map(|used| &*used.stream_key);
    connection_in(connection, connection.role, key.unwrap_or_default())
}

/// A connection, with what it does with one stream.
fn connection_in(connection: &ConnectionStats, role: &str, key: &str) -> JsonValue {
    object([
        ("id", connection.id.as_str().into()),
        ("addr", connection.addr.to_string().into()),
        ("tls", connection.tls.into()),
        ("protocol", connection.protocol.name().into()),
        ("role", role.into()),
        ("stream_key", filled(key)),
        ("flash_ver", connection.flash_ver.as_str().into()),
        ("uptime_sec", seconds(connection.uptime)),
        ("bytes_in", connection.bytes_in.into()),
        ("bytes_out", connection.bytes_out.into()),
        ("drops", connection.drops.into()),
        ("queue", connection.queue.into()),
    ])
}

fn relay(relay: &RelayStats) -> JsonValue {
    object([
        ("stream_key", relay.stream_key.as_str().into()),
        ("url", relay.url.as_str().into()),
        (
            "redirected_to",
            filled(relay.redirected_to.as_deref().unwrap_or_default()),
        ),
        ("state", relay.state.name().into()),
        ("messages", relay.messages.into()),
        ("drops", relay.drops.into()),
        ("bytes", relay.bytes.into()),
        ("reconnects", relay.reconnects.into()),
        ("last_error", filled(&relay.last_error)),
    ])
}

fn pull(pull: &PullStats) -> JsonValue {
    object([
        ("stream_key", pull.stream_key.as_str().into()),
        ("url", pull.url.as_str().into()),
        (
            "redirected_to",
            filled(pull.redirected_to.as_deref().unwrap_or_default()),
        ),
        ("state", pull.state.name().into()),
        ("bytes", pull.bytes.into()),
        ("reconnects", pull.reconnects.into()),
        ("last_error", filled(&pull.last_error)),
    ])
}

fn recording(recording: &RecordingStats) -> JsonValue {
    object([
        ("stream_key", recording.stream_key.as_str().into()),
        ("path", recording.path.as_str().into()),
        ("bytes", recording.bytes.into()),
        ("duration_sec", seconds(recording.duration)),
    ])
}

fn totals(totals: &Totals) -> JsonValue {
    let counters = COUNTERS.iter();
    object(counters.map(|counter| (counter.field, (counter.get)(totals).into())))
}

fn or_null(text: Option<&str>) -> JsonValue {
    text.map_or(JsonValue::Null, JsonValue::from)
}

/// `null` for an empty text.
fn filled(text: &str) -> JsonValue {
    or_null(Some(text).filter(|text| !text.is_empty()))
}

fn codec(codec: Option<Codec>) -> JsonValue {
    codec.map_or(JsonValue::Null, |codec| codec.to_string().into())
}

/// A number from metadata; one without a fraction is written without.
fn said(number: Option<f64>) -> JsonValue {
    match plausible(number) {
        Some(number) if number.fract() == 0.0 => JsonValue::Int(number as i64),
        Some(number) => JsonValue::Float(number),
        None => JsonValue::Null,
    }
}
