//! What the server says about connections and streams (RTMP §7.2): `_result`, `_error`, `onStatus`.

use super::command::{Call, caps};
use super::control::UserControl;
use super::{Message, MessageType, StreamId};
use crate::amf0::Value;

/// The `capsEx` bits that we can keep: media passes through untouched.
pub const CAPS_EX: u32 = caps::RECONNECT | caps::MULTITRACK | caps::MOD_EX | caps::NANO_OFFSET;

/// The mask of an info map entry that says "forwards it" (Enhanced RTMP v2, connect).
const CAN_FORWARD: f64 = 4.0;

/// How grave a status is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusLevel {
    /// A request succeeded, or a stream changed.
    Status,
    /// It goes on, but worse.
    Warning,
    /// It is over or was refused.
    Error,
}

impl StatusLevel {
    fn name(self) -> &'static str {
        match self {
            StatusLevel::Status => "status",
            StatusLevel::Warning => "warning",
            StatusLevel::Error => "error",
        }
    }
}

/// Codes that more than one place speaks of.
pub mod code {
    /// The name is in use, or is none.
    pub const BAD_NAME: &str = "NetStream.Publish.BadName";
    /// The client may not publish this.
    pub const PUBLISH_DENIED: &str = "NetStream.Publish.Denied";
    /// The client may begin to publish.
    pub const PUBLISH_START: &str = "NetStream.Publish.Start";
    /// There is no such stream.
    pub const STREAM_NOT_FOUND: &str = "NetStream.Play.StreamNotFound";
    /// Playing is refused or impossible.
    pub const PLAY_FAILED: &str = "NetStream.Play.Failed";
    /// A playback begins, or goes on after a change; its media follows.
    pub const PLAY_START: &str = "NetStream.Play.Start";
    /// A publication is over, as its publisher wished.
    pub const UNPUBLISH_SUCCESS: &str = "NetStream.Unpublish.Success";
    /// The publisher is gone for good.
    pub const UNPUBLISH_NOTIFY: &str = "NetStream.Play.UnpublishNotify";
    /// The connection was accepted.
    pub const CONNECT_SUCCESS: &str = "NetConnection.Connect.Success";
    /// The connection was refused.
    pub const CONNECT_REJECTED: &str = "NetConnection.Connect.Rejected";
    /// A call that is unknown or failed.
    pub const CALL_FAILED: &str = "NetConnection.Call.Failed";
    /// The client should connect anew (Enhanced RTMP v2).
    pub const RECONNECT_REQUEST: &str = "NetConnection.Connect.ReconnectRequest";
}

/// A command message of ours.
pub fn call(
    stream: StreamId,
    name: &str,
    transaction: f64,
    object: Value,
    arguments: Vec<Value>,
) -> Message {
    let call = Call {
        name: name.to_owned(),
        transaction,
        object,
        arguments,
    };
    Message::untimed(MessageType::COMMAND, stream, call.payload())
}

fn info(level: StatusLevel, code: &str, description: &str) -> Value {
    Value::object([
        ("level", Value::text(level.name())),
        ("code", Value::text(code)),
        ("description", Value::text(description)),
    ])
}

/// `onStatus` on the stream that it is about, with transaction 0 (§7.2.2).
pub fn on_status(stream: StreamId, level: StatusLevel, code: &str, description: &str) -> Message {
    call(
        stream,
        "onStatus",
        0.0,
        Value::Null,
        vec![info(level, code, description)],
    )
}

/// `_result` on the connection, with the call's transaction (§7.2.1.2).
pub fn result(transaction: f64, value: Value) -> Message {
    call(
        StreamId::CONTROL,
        "_result",
        transaction,
        Value::Null,
        vec![value],
    )
}

/// `_error` with the call's transaction, on the stream that the call came on (§7.2.1.2).
pub fn error(stream: StreamId, transaction: f64, code: &str, description: &str) -> Message {
    call(
        stream,
        "_error",
        transaction,
        Value::Null,
        vec![info(StatusLevel::Error, code, description)],
    )
}

/// The answer to a `connect` that offers `caps_ex` (§7.2.1.1, Enhanced RTMP v2). Its transaction
/// should be 1, but what a client waits for is its own.
pub fn connect_result(transaction: f64, caps_ex: u32) -> Message {
    let forward_all = || Value::object([("*", Value::Number(CAN_FORWARD))]);
    let properties = Value::object([
        ("fmsVer", Value::text("FMS/3,0,1,123")),
        ("capabilities", Value::Number(31.0)),
        ("fourCcList", Value::StrictArray(vec![Value::text("*")])),
        ("videoFourCcInfoMap", forward_all()),
        ("audioFourCcInfoMap", forward_all()),
        ("capsEx", Value::Number(f64::from(caps_ex & CAPS_EX))),
    ]);
    let information = Value::object([
        ("level", Value::text(StatusLevel::Status.name())),
        ("code", Value::text(code::CONNECT_SUCCESS)),
        ("description", Value::text("Connection succeeded.")),
        ("objectEncoding", Value::Number(0.0)),
    ]);
    call(
        StreamId::CONTROL,
        "_result",
        transaction,
        properties,
        vec![information],
    )
}

/// Publishing of `name` begins (§7.2.2.6).
pub fn publish_start(stream: StreamId, name: &str) -> Message {
    on_status(
        stream,
        StatusLevel::Status,
        code::PUBLISH_START,
        &format!("{name} is now published."),
    )
}

/// Publishing of `name` is over, as the client wished by `publish` without a name.
pub fn publish_end(stream: StreamId, name: &str) -> Message {
    let text = format!("{name} is now unpublished.");
    on_status(stream, StatusLevel::Status, code::UNPUBLISH_SUCCESS, &text)
}

/// FCPublish was heard; some encoders publish only after this. No specification has it.
pub fn on_fc_publish(name: &str) -> Message {
    fc_status("onFCPublish", code::PUBLISH_START, name)
}

/// FCUnpublish was heard. No specification has this either.
pub fn on_fc_unpublish(name: &str) -> Message {
    fc_status("onFCUnpublish", code::UNPUBLISH_SUCCESS, name)
}

fn fc_status(command: &str, code: &str, description: &str) -> Message {
    let info = info(StatusLevel::Status, code, description);
    call(StreamId::CONTROL, command, 0.0, Value::Null, vec![info])
}

/// Playing of `name` begins: StreamBegin, Play.Reset if the client asked for it, Play.Start
/// (§7.2.2.1).
pub fn play_start(stream: StreamId, name: &str, reset: bool) -> Vec<Message> {
    let mut messages = vec![UserControl::StreamBegin(stream).message()];
    if reset {
        let text = format!("Playing and resetting {name}.");
        messages.push(on_status(
            stream,
            StatusLevel::Status,
            "NetStream.Play.Reset",
            &text,
        ));
    }
    let text = format!("Started playing {name}.");
    messages.push(on_status(
        stream,
        StatusLevel::Status,
        code::PLAY_START,
        &text,
    ));
    messages
}

/// There is no stream called `name`.
pub fn not_found(stream: StreamId, name: &str) -> Message {
    on_status(
        stream,
        StatusLevel::Error,
        code::STREAM_NOT_FOUND,
        &format!("{name} not found."),
    )
}

/// The stream that a viewer plays is over: StreamEOF and UnpublishNotify.
pub fn play_end(stream: StreamId, name: &str) -> [Message; 2] {
    let text = format!("{name} is now unpublished.");
    let notify = on_status(stream, StatusLevel::Status, code::UNPUBLISH_NOTIFY, &text);
    [UserControl::StreamEof(stream).message(), notify]
}

/// A viewer takes less than the stream has; once for each time this begins.
pub fn insufficient_bandwidth(stream: StreamId, name: &str) -> Message {
    let text = format!("{name} is sent with frames left out.");
    on_status(
        stream,
        StatusLevel::Warning,
        "NetStream.Play.InsufficientBW",
        &text,
    )
}

/// Playing goes on after receiveAudio or receiveVideo: Seek.Notify and Play.Start (§7.2.2.4).
pub fn play_again(stream: StreamId, name: &str) -> [Message; 2] {
    let text = format!("Seeking in {name}.");
    let seek = on_status(stream, StatusLevel::Status, "NetStream.Seek.Notify", &text);
    let text = format!("Started playing {name}.");
    [
        seek,
        on_status(stream, StatusLevel::Status, code::PLAY_START, &text),
    ]
}

/// Asks a client to connect anew, to `tc_url` if one is given (Enhanced RTMP v2, Reconnect).
pub fn reconnect_request(tc_url: Option<&str>, description: &str) -> Message {
    let mut members = vec![
        (b"level".to_vec(), Value::text(StatusLevel::Status.name())),
        (b"code".to_vec(), Value::text(code::RECONNECT_REQUEST)),
        (b"description".to_vec(), Value::text(description)),
    ];
    members.extend(tc_url.map(|url| (b"tcUrl".to_vec(), Value::text(url))));
    call(
        StreamId::CONTROL,
        "onStatus",
        0.0,
        Value::Null,
        vec![Value::Object(members)],
    )
}
