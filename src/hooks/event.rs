//! Events as plain data, and the two forms in which hooks get them.

use crate::json::JsonValue;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest value of an environment variable, in bytes; longer ones are cut. Linux refuses to start
/// programs with any beyond 128 KiB.
pub(super) const ENV_LEN_MAX: usize = 32 << 10;

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A connection was accepted.
    ConnectionAccept,
    /// The handshake of a connection is done.
    HandshakeComplete,
    /// A connection is over.
    ConnectionClose,
    /// A stream was created.
    StreamCreate,
    /// A stream was deleted.
    StreamDelete,
    /// The publication of a stream began.
    PublishStart,
    /// The publication of a stream ended.
    PublishStop,
    /// The playback of a stream began.
    PlayStart,
    /// The playback of a stream ended.
    PlayStop,
    /// A publisher's codecs are known.
    CodecDetected,
    /// The number of a stream's viewers changed.
    SubscriberCount,
    /// A client was not let in.
    AuthFailed,
    /// A recording is complete.
    RecordingDone,
    /// A relay's destination takes the stream.
    RelayUp,
    /// A relay's destination was lost.
    RelayDown,
}

impl EventKind {
    /// All kinds, in the order in which they are documented.
    pub const ALL: [EventKind; 15] = [
        EventKind::ConnectionAccept,
        EventKind::HandshakeComplete,
        EventKind::ConnectionClose,
        EventKind::StreamCreate,
        EventKind::StreamDelete,
        EventKind::PublishStart,
        EventKind::PublishStop,
        EventKind::PlayStart,
        EventKind::PlayStop,
        EventKind::CodecDetected,
        EventKind::SubscriberCount,
        EventKind::AuthFailed,
        EventKind::RecordingDone,
        EventKind::RelayUp,
        EventKind::RelayDown,
    ];

    /// The name, as flags and hooks know it.
    pub fn name(self) -> &'static str {
        match self {
            EventKind::ConnectionAccept => "connection_accept",
            EventKind::HandshakeComplete => "handshake_complete",
            EventKind::ConnectionClose => "connection_close",
            EventKind::StreamCreate => "stream_create",
            EventKind::StreamDelete => "stream_delete",
            EventKind::PublishStart => "publish_start",
            EventKind::PublishStop => "publish_stop",
            EventKind::PlayStart => "play_start",
            EventKind::PlayStop => "play_stop",
            EventKind::CodecDetected => "codec_detected",
            EventKind::SubscriberCount => "subscriber_count",
            EventKind::AuthFailed => "auth_failed",
            EventKind::RecordingDone => "recording_done",
            EventKind::RelayUp => "relay_up",
            EventKind::RelayDown => "relay_down",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<EventKind> {
        EventKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// An event. It never holds queries of apps and names: they may be secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The kind of event.
    pub kind: EventKind,
    /// On which connection; empty: on none.
    pub conn_id: String,
    /// To which stream, `app/name`; empty: to none.
    pub stream_key: String,
    /// Further fields by name, lower-case with underscores.
    pub data: BTreeMap<&'static str, JsonValue>,
}

impl Event {
    /// An event of no connection and no stream.
    pub fn new(kind: EventKind) -> Event {
        Event {
            kind,
            conn_id: String::new(),
            stream_key: String::new(),
            data: BTreeMap::new(),
        }
    }

    /// The same, of a connection.
    pub fn on(mut self, conn_id: impl Into<String>) -> Event {
        self.conn_id = conn_id.into();
        self
    }

    /// The same, of a stream.
    pub fn of(mut self, stream_key: impl Into<String>) -> Event {
        self.stream_key = stream_key.into();
        self
    }

    /// The same, with one more field.
    pub fn with(mut self, name: &'static str, value: impl Into<JsonValue>) -> Event {
        self.data.insert(name, value.into());
        self
    }
}

/// A time span as events have it: in seconds, to the millisecond.
pub fn seconds(span: Duration) -> JsonValue {
    JsonValue::Float((span.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// An event, and when it was fired.
#[derive(Debug)]
pub struct Fired {
    /// The event that was fired.
    pub event: Event,
    /// Unix time, in seconds.
    timestamp: u64,
}

impl Fired {
    /// An event that happens now.
    pub fn now(event: Event) -> Fired {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Fired::at(event, since.as_secs())
    }

    /// An event that happened `timestamp` seconds after 1970.
    pub fn at(event: Event, timestamp: u64) -> Fired {
        Fired { event, timestamp }
    }

    /// The event as JSON, on one line without its end.
    pub fn json(&self) -> String {
        let event = &self.event;
        let mut members = vec![
            ("type".to_owned(), event.kind.name().into()),
            ("timestamp".to_owned(), self.timestamp.into()),
        ];
        let ids = [
            ("conn_id", &event.conn_id),
            ("stream_key", &event.stream_key),
        ];
        for (name, value) in ids {
            if !value.is_empty() {
                members.push((name.to_owned(), value.as_str().into()));
            }
        }
        if !event.data.is_empty() {
            let data = event.data.iter();
            let data = data.map(|(name, value)| ((*name).to_owned(), value.clone()));
            members.push(("data".to_owned(), JsonValue::Object(data.collect())));
        }
        JsonValue::Object(members).to_string()
    }

    /// The event as environment variables. They hold no NUL, which none can, and at most
    /// [`ENV_LEN_MAX`] bytes.
    pub fn env(&self) -> Vec<(String, String)> {
        let event = &self.event;
        let mut vars = vec![
            ("RTMP_EVENT_TYPE".to_owned(), event.kind.name().to_owned()),
            ("RTMP_TIMESTAMP".to_owned(), self.timestamp.to_string()),
        ];
        let ids = [
            ("RTMP_CONN_ID", &event.conn_id),
            ("RTMP_STREAM_KEY", &event.stream_key),
        ];
        for (name, value) in ids {
            if !value.is_empty() {
                vars.push((name.to_owned(), value.clone()));
            }
        }
        for (name, value) in &event.data {
            let value = match value {
                JsonValue::String(text) => text.clone(),
                value => value.to_string(),
            };
            vars.push((format!("RTMP_{}", name.to_uppercase()), value));
        }
        for (_, value) in &mut vars {
            let mut len = value.len().min(ENV_LEN_MAX);
            while !value.is_char_boundary(len) {
                len -= 1;
            }
            value.truncate(len);
            *value = value.replace('\0', "?");
        }
        vars
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    fn fired(event: Event) -> Fired {
        Fired::at(event, 1_700_000_000)
    }

    /// Checks both forms of an event: its JSON, and its environment in one line.
    fn check(event: Event, json: &str, env: &str) {
        let fired = fired(event);
        assert_eq!(fired.json(), json);
        assert!(json::parse(fired.json().as_bytes()).is_ok());
        let vars = fired.env().into_iter();
        let vars: Vec<_> = vars
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(vars.join(" "), env);
    }

    #[test]
    fn names_are_found() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_name(kind.name()), Some(kind));
        }
        for name in ["", "publish", "Publish_start", "publish_start "] {
            assert_eq!(EventKind::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn events_are_told_in_two_forms() {
        check(
            Event::new(EventKind::RelayUp),
            r#"{"type":"relay_up","timestamp":1700000000}"#,
            "RTMP_EVENT_TYPE=relay_up RTMP_TIMESTAMP=1700000000",
        );
        check(
            Event::new(EventKind::ConnectionAccept)
                .on("c000001")
                .with("tls", false)
                .with("remote_addr", "[::1]:99"),
            "{\"type\":\"connection_accept\",\"timestamp\":1700000000,\"conn_id\":\"c000001\",\
             \"data\":{\"remote_addr\":\"[::1]:99\",\"tls\":false}}",
            "RTMP_EVENT_TYPE=connection_accept RTMP_TIMESTAMP=1700000000 RTMP_CONN_ID=c000001 \
             RTMP_REMOTE_ADDR=[::1]:99 RTMP_TLS=false",
        );
        check(
            Event::new(EventKind::PublishStop)
                .on("c000002")
                .of("live/x")
                .with("video_packets", 3_u64)
                .with("duration_sec", seconds(Duration::from_micros(1_500_499)))
                .with("audio_codec", "q\"\n"),
            "{\"type\":\"publish_stop\",\"timestamp\":1700000000,\"conn_id\":\"c000002\",\
             \"stream_key\":\"live/x\",\
             \"data\":{\"audio_codec\":\"q\\\"\\n\",\"duration_sec\":1.5,\"video_packets\":3}}",
            "RTMP_EVENT_TYPE=publish_stop RTMP_TIMESTAMP=1700000000 RTMP_CONN_ID=c000002 \
             RTMP_STREAM_KEY=live/x RTMP_AUDIO_CODEC=q\"\n RTMP_DURATION_SEC=1.5 \
             RTMP_VIDEO_PACKETS=3",
        );
    }

    #[test]
    fn variables_hold_what_they_can() {
        let failed = |error: &str| fired(Event::new(EventKind::AuthFailed).with("error", error));
        let long = "\u{e9}".repeat(ENV_LEN_MAX);
        let cut = &failed(&format!("x{long}")).env()[2];
        assert_eq!(cut.1.len(), ENV_LEN_MAX - 1, "between two characters");
        let nul = ("RTMP_ERROR".to_owned(), "a?b".to_owned());
        assert_eq!(failed("a\0b").env()[2], nul);
    }
}
