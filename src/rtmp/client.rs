//! The client's end of a conversation: what a relay needs to push to or pull from another server.

use super::command::{self, Call, VIA, caps};
use super::control::{self, Control, UserControl};
use super::data;
use super::flow::Flow;
use super::status::{self, code};
use super::stream_key::percent_decoded;
use super::{Message, MessageType, StreamId};
use crate::amf0::Value;
use crate::text::{shown, without_secrets};
use std::borrow::Cow;
use std::{error, fmt};

/// What to do at the other server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Send a stream there.
    Publish,
    /// Have a stream sent from there.
    Play,
}

/// Where to go. `app` and `name` may carry a query; `tc_url` is the URL up to the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectTarget {
    /// The application as `connect` names it, with its query if it has one.
    pub app: String,
    /// The URL of the application.
    pub tc_url: String,
    /// The stream's name in the application, with its query if it has one.
    pub name: String,
    /// The servers that the stream has come through, ourselves being the last; see
    /// [`Connect::via`](command::Connect::via).
    pub via: Vec<String>,
}

/// Why the other server is of no use.
#[derive(Clone, Debug, PartialEq)]
pub enum Error {
    /// A malformed control message.
    Control(control::Error),
    /// It said no: code and description, both as they may be shown.
    Refused(String, String),
    /// It sends us to the application at this URL, which is not to be shown as it is.
    Redirected(String),
    /// It asks us to connect anew, to the application at this URL if it gives one.
    Reconnect(Option<String>),
    /// `createStream` was answered with something that is no stream id.
    NoStreamId,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Control(error) => write!(f, "{error}"),
            Error::Refused(code, text) => write!(f, "server refused: {code}: {text}"),
            Error::Redirected(_) => write!(f, "server sends us elsewhere"),
            Error::Reconnect(_) => write!(f, "server asks us to connect anew"),
            Error::NoStreamId => write!(f, "server gave no stream id"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Error::Control(error) => Some(error),
            _ => None,
        }
    }
}

/// What follows from a message of the server, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientEvent {
    /// Send this to the server.
    Send(Message),
    /// Media may be sent on, or will come on, this stream.
    Started(StreamId),
    /// Audio, video or data of the stream that is played.
    Media(Message),
    /// The server says that the stream is over.
    Ended,
    /// A command that cannot be read, which has no effect.
    Unreadable(command::Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientState {
    Connecting,
    CreatingStream,
    Starting(StreamId),
    Running(StreamId),
}

/// The transaction of `connect` is always 1 (§7.2.1.1).
const CONNECT: f64 = 1.0;
const RELEASE_STREAM: f64 = 2.0;
const FC_PUBLISH: f64 = 3.0;
const CREATE_STREAM: f64 = 4.0;
const FC_UNPUBLISH: f64 = 5.0;

/// How much a playing client says that it buffers, in ms.
const BUFFER_MS: u32 = 3000;

/// One conversation with another server.
#[derive(Debug)]
pub struct Client {
    purpose: Purpose,
    target: ConnectTarget,
    state: ClientState,
    flow: Flow,
}

impl Client {
    /// A conversation that has not begun.
    pub fn new(purpose: Purpose, target: ConnectTarget) -> Client {
        Client {
            purpose,
            target,
            state: ClientState::Connecting,
            flow: Flow::default(),
        }
    }

    /// The first messages, to be sent after the handshake.
    pub fn begin(&self, chunk_size: u32) -> Vec<Message> {
        let target = &self.target;
        let mut members = vec![(b"app".to_vec(), Value::text(&target.app))];
        if self.purpose == Purpose::Publish {
            members.push((b"type".to_vec(), Value::text("nonprivate")));
        }
        let all = || Value::object([("*", Value::Number(4.0))]);
        let caps_ex = caps::RECONNECT | caps::MULTITRACK | caps::MOD_EX | caps::NANO_OFFSET;
        let more = [
            (
                "flashVer",
                Value::text("FMLE/3.0 (compatible; rtmp-server)"),
            ),
            ("tcUrl", Value::text(&target.tc_url)),
            ("fourCcList", Value::StrictArray(vec![Value::text("*")])),
            ("videoFourCcInfoMap", all()),
            ("audioFourCcInfoMap", all()),
            ("capsEx", Value::Number(f64::from(caps_ex))),
        ];
        members.extend(more.map(|(key, value)| (key.as_bytes().to_vec(), value)));
        if !target.via.is_empty() {
            members.push((VIA.as_bytes().to_vec(), Value::text(target.via.join(","))));
        }
        let connect = status::call(
            StreamId::CONTROL,
            "connect",
            CONNECT,
            Value::Object(members),
            vec![],
        );
        vec![Control::SetChunkSize(chunk_size).message(), connect]
    }

    pub(crate) fn flow(&mut self) -> &mut Flow {
        &mut self.flow
    }

    /// Counts bytes that arrived, the handshake's among them.
    pub fn count_received(&mut self, bytes: usize) {
        self.flow.count_received(bytes);
    }

    /// The acknowledgement that is due now, if one is.
    pub fn acknowledgement(&mut self) -> Option<Message> {
        self.flow.acknowledgement()
    }

    /// The messages that end what was started, to be sent before hanging up.
    pub fn end(&self) -> Vec<Message> {
        let (ClientState::Starting(stream) | ClientState::Running(stream)) = self.state else {
            return Vec::new();
        };
        let id = Value::Number(f64::from(stream.0));
        let delete = call("deleteStream", 0.0, vec![id]);
        match self.purpose {
            Purpose::Publish => {
                vec![
                    call(
                        "FCUnpublish",
                        FC_UNPUBLISH,
                        vec![Value::text(&self.target.name)],
                    ),
                    delete,
                ]
            }
            Purpose::Play => vec![delete],
        }
    }

    /// Takes one message of the server and pushes what follows from it onto `out`.
    ///
    /// # Errors
    ///
    /// Any [`Error`]: hang up; trying again later may help.
    pub fn handle(&mut self, message: Message, out: &mut Vec<ClientEvent>) -> Result<(), Error> {
        match message.kind {
            MessageType::COMMAND | MessageType::COMMAND_AMF3 => {
                match Call::parse(message.kind, &message.payload) {
                    Ok(call) => self.command(&call, out)?,
                    // ffmpeg, when it listens, says `onFCPublish` and nothing more.
                    Err(error) => out.push(ClientEvent::Unreadable(error)),
                }
            }
            MessageType(1..=6) => {
                let control =
                    Control::parse(message.kind, &message.payload).map_err(Error::Control)?;
                out.extend(self.flow.handle(control).map(ClientEvent::Send));
                if let Control::User(UserControl::StreamEof(_)) = control {
                    out.push(ClientEvent::Ended);
                }
            }
            MessageType::AGGREGATE => {
                let parts = super::aggregate::split(&message).unwrap_or_default();
                let parts = parts.into_iter().filter_map(data::in_amf0);
                out.extend(parts.map(ClientEvent::Media));
            }
            MessageType::AUDIO
            | MessageType::VIDEO
            | MessageType::DATA
            | MessageType::DATA_AMF3 => {
                out.extend(data::in_amf0(message).map(ClientEvent::Media));
            }
            _ => {}
        }
        Ok(())
    }

    fn command(&mut self, call: &Call, out: &mut Vec<ClientEvent>) -> Result<(), Error> {
        match (self.state, call.name.as_str()) {
            (ClientState::Connecting, "_result") if call.transaction == CONNECT => {
                self.state = ClientState::CreatingStream;
                out.extend(self.create_stream().into_iter().map(ClientEvent::Send));
            }
            (ClientState::CreatingStream, "_result") if call.transaction == CREATE_STREAM => {
                let id = call
                    .arguments
                    .first()
                    .and_then(Value::as_u32)
                    .filter(|id| *id > 0);
                let stream = StreamId(id.ok_or(Error::NoStreamId)?);
                self.state = ClientState::Starting(stream);
                out.extend(self.start(stream).into_iter().map(ClientEvent::Send));
            }
            (ClientState::Connecting | ClientState::CreatingStream, "_error")
                if [CONNECT, CREATE_STREAM].contains(&call.transaction) =>
            {
                return Err(self.refused(call));
            }
            (_, "onStatus") => self.status(call, out)?,
            _ => {}
        }
        Ok(())
    }

    fn create_stream(&self) -> Vec<Message> {
        let create = call("createStream", CREATE_STREAM, vec![]);
        match self.purpose {
            Purpose::Publish => {
                let name = || vec![Value::text(&self.target.name)];
                let release = call("releaseStream", RELEASE_STREAM, name());
                vec![release, call("FCPublish", FC_PUBLISH, name()), create]
            }
            Purpose::Play => vec![create],
        }
    }

    /// publish or play; both have transaction 0 (§7.2.2).
    fn start(&self, stream: StreamId) -> Vec<Message> {
        let name = Value::text(&self.target.name);
        match self.purpose {
            Purpose::Publish => {
                let arguments = vec![name, Value::text("live")];
                vec![status::call(stream, "publish", 0.0, Value::Null, arguments)]
            }
            Purpose::Play => vec![
                status::call(
                    stream,
                    "play",
                    0.0,
                    Value::Null,
                    vec![name, Value::Number(-2.0)],
                ),
                UserControl::SetBufferLength(stream, BUFFER_MS).message(),
            ],
        }
    }

    fn status(&mut self, call: &Call, out: &mut Vec<ClientEvent>) -> Result<(), Error> {
        let Some(info) = call.arguments.first() else {
            return Ok(());
        };
        let text = |key| info.get(key).and_then(Value::as_text).unwrap_or_default();
        if text("level") == "error" {
            return Err(self.refused(call));
        }
        match (self.state, text("code")) {
            (_, code::RECONNECT_REQUEST) => {
                let url = info.get("tcUrl").and_then(Value::as_text);
                return Err(Error::Reconnect(url.map(str::to_owned)));
            }
            (ClientState::Starting(stream), code::PUBLISH_START | code::PLAY_START) => {
                self.state = ClientState::Running(stream);
                out.push(ClientEvent::Started(stream));
            }
            (_, code::UNPUBLISH_NOTIFY | "NetStream.Play.Stop") => out.push(ClientEvent::Ended),
            _ => {}
        }
        Ok(())
    }

    fn refused(&self, call: &Call) -> Error {
        let info = call.arguments.first().unwrap_or(&Value::Null);
        if let Some(url) = redirect(info) {
            return Error::Redirected(url.to_owned());
        }
        let secrets = self.target.secrets();
        let secrets: Vec<&str> = secrets.iter().map(|secret| &**secret).collect();
        let text = |key| {
            let text = info.get(key).and_then(Value::as_text);
            shown(&without_secrets(text.unwrap_or_default(), &secrets))
        };
        Error::Refused(text("code"), text("description"))
    }
}

/// Where a rejection sends the client: `ex` with the code 302, as in HTTP.
fn redirect(info: &Value) -> Option<&str> {
    let ex = info.get("ex")?;
    let code = ex.get("code").and_then(Value::as_u32);
    let url = ex.get("redirect").and_then(Value::as_text);
    url.filter(|url| code == Some(302) && !url.is_empty())
}

/// A part of an application or a query that is shorter is not taken for a secret.
const SECRET_LEN_MIN: usize = 4;

impl ConnectTarget {
    /// What of it may be secret, and may come back in replies: the stream's name, the application
    /// but for its first part, and queries; also as they are decoded.
    fn secrets(&self) -> Vec<Cow<'_, str>> {
        let split = |text: &'_ str| -> (usize, usize) {
            let at = text.find('?').unwrap_or(text.len());
            (at, (at + 1).min(text.len()))
        };
        let (name_end, name_query) = split(&self.name);
        let (app_end, app_query) = split(&self.app);
        let queries = [&self.name[name_query..], &self.app[app_query..]];
        let values = queries.iter().flat_map(|query| query.split('&'));
        let values = values.map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
        let parts = self.app[..app_end].split('/').skip(1);
        let long = values
            .chain(parts)
            .filter(|part| part.len() >= SECRET_LEN_MIN);
        let all = [&self.name[..], &self.name[..name_end]].into_iter();
        let plain = all.chain(queries).chain(long);
        plain
            .flat_map(|secret| [Cow::Borrowed(secret), percent_decoded(secret).into()])
            .collect()
    }
}

/// A call on the connection without a command object.
fn call(name: &str, transaction: f64, arguments: Vec<Value>) -> Message {
    status::call(StreamId::CONTROL, name, transaction, Value::Null, arguments)
}
