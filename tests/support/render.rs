//! Messages and events as transcripts have them, one line each.

use rtmp_server::amf0::{self, Value};
use rtmp_server::rtmp::control::{Control, UserControl};
use rtmp_server::rtmp::session::{SessionEvent, StreamRequest};
use rtmp_server::rtmp::{Message, MessageType};

/// `> ...` for what is sent; for the rest, what the server is told.
pub fn event(event: &SessionEvent) -> String {
    match event {
        SessionEvent::Send(sent) => format!("> {}", message(sent)),
        SessionEvent::Connect(request) => {
            format!("connect {} {:?}", request.app, request.flash_ver)
        }
        SessionEvent::Publish(request) => format!("publish {}", asked(request)),
        SessionEvent::Play(request) => format!("play {}", asked(request)),
        SessionEvent::Ended(stream) => format!("ended {}", stream.0),
        SessionEvent::Media(media) => message(media),
        SessionEvent::PublishedAgain(stream) => format!("published again {}", stream.0),
        SessionEvent::Pause(stream, paused) => format!("pause {} {paused}", stream.0),
        SessionEvent::Receive(stream, medium, on) => {
            format!("receive {} {medium:?} {on}", stream.0)
        }
        SessionEvent::Refused(code, _) => format!("refused {code}"),
        SessionEvent::Close => "close".to_owned(),
        SessionEvent::Ignored(why) => format!("ignored: {why}"),
        SessionEvent::Unreadable(error) => format!("unreadable: {error}"),
    }
}

fn asked(request: &StreamRequest) -> String {
    format!("{} on {}", request.path.key, request.stream.0)
}

/// Type and content; the message stream where there can be more than one.
pub fn message(message: &Message) -> String {
    let stream = message.stream.0;
    match message.kind {
        MessageType::COMMAND => format!("{} on {stream}", command(&message.payload)),
        MessageType(1..=6) => match Control::parse(message.kind, &message.payload) {
            Ok(control) => control_words(control),
            Err(error) => format!("{error:?}"),
        },
        kind => {
            let (time, len) = (message.timestamp.0, message.payload.len());
            format!("{} @{time} {len} bytes on {stream}", kind_word(kind))
        }
    }
}

pub fn kind_word(kind: MessageType) -> String {
    match kind {
        MessageType::AUDIO => "audio".to_owned(),
        MessageType::VIDEO => "video".to_owned(),
        MessageType::DATA => "data".to_owned(),
        MessageType(number) => format!("type {number}"),
    }
}

fn command(payload: &[u8]) -> String {
    let values = match amf0::decode(payload) {
        Ok(values) => values,
        Err(error) => return format!("{error:?}"),
    };
    let (name, rest) = values.split_first().expect("a command has a name");
    let name = name.as_text().expect("a command has a name").to_owned();
    let words = rest.iter().map(value);
    [name]
        .into_iter()
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

/// A status is shortened to level and code: its description is free.
fn value(value: &Value) -> String {
    match value {
        Value::Number(number) => format!("{number}"),
        Value::Boolean(flag) => format!("{flag}"),
        Value::String(text) => format!("{:?}", String::from_utf8_lossy(text)),
        Value::Null => "null".to_owned(),
        Value::StrictArray(values) => {
            format!(
                "[{}]",
                values
                    .iter()
                    .map(self::value)
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        Value::Object(pairs) => {
            let text = |key| value.get(key).and_then(Value::as_text);
            if let (Some(level), Some(code)) = (text("level"), text("code")) {
                return format!("{level} {code}");
            }
            let pairs = pairs.iter().map(|(key, value)| pair(key, value));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        other => format!("{other:?}"),
    }
}

fn pair(key: &[u8], content: &Value) -> String {
    let key = String::from_utf8_lossy(key);
    let plain = key.chars().all(|c| c.is_ascii_alphanumeric());
    let key = if plain {
        key.into_owned()
    } else {
        format!("{key:?}")
    };
    format!("{key}: {}", value(content))
}

fn control_words(control: Control) -> String {
    match control {
        Control::SetChunkSize(size) => format!("set-chunk-size {size}"),
        Control::Abort(csid) => format!("abort {csid}"),
        Control::Acknowledgement(bytes) => format!("ack {bytes}"),
        Control::WindowAckSize(size) => format!("window {size}"),
        Control::SetPeerBandwidth { size, limit } => {
            let limits = ["hard", "soft", "dynamic"];
            let limit = limits.get(usize::from(limit.0)).unwrap_or(&"unknown");
            format!("bandwidth {size} {limit}")
        }
        Control::User(event) => match event {
            UserControl::StreamBegin(stream) => format!("begin {}", stream.0),
            UserControl::StreamEof(stream) => format!("eof {}", stream.0),
            UserControl::StreamDry(stream) => format!("dry {}", stream.0),
            UserControl::SetBufferLength(stream, ms) => format!("buffer-length {} {ms}", stream.0),
            UserControl::StreamIsRecorded(stream) => format!("recorded {}", stream.0),
            UserControl::PingRequest(time) => format!("ping {time}"),
            UserControl::PingResponse(time) => format!("pong {time}"),
            UserControl::Unknown(event) => format!("event {event}"),
        },
    }
}
