//! The server's end of a conversation (RTMP §7.2): messages in, events out.
//!
//! The session knows what a client may do next and how it is answered. Whether a client may
//! connect, publish or play is not its business: it asks with [`SessionEvent::Connect`],
//! [`SessionEvent::Publish`] or [`SessionEvent::Play`], and goes on when it is told
//! [`Session::accept_connect`], [`Session::accept`] or one of their opposites.

mod event;
mod net_stream;

pub use event::{ConnectRequest, Medium, RequestDetails, SessionEvent, StreamRequest};

use super::aggregate;
use super::command::{Call, Command, Connect, caps};
use super::control::{self, Control, UserControl};
use super::data;
use super::flow::Flow;
use super::status::{self, StatusLevel, code};
use super::stream_key::plain_app;
use super::{Message, MessageType, StreamId};
use crate::text::shown;
use net_stream::{NetStream, NetStreamState, refuse};
use std::collections::BTreeMap;

/// Message streams that a client may have at a time.
pub const STREAMS_MAX: u32 = 16;

/// The window, in bytes, that we ask peers to acknowledge and to keep to.
pub const WINDOW_ACK_SIZE: u32 = 2_500_000;

/// Longest app, its query included, in bytes.
pub const APP_LEN_MAX: usize = 8 << 10;

#[derive(Debug)]
enum SessionState {
    AwaitingConnect,
    /// The client has asked to connect and waits for the answer.
    ConnectRequested {
        transaction: f64,
        app: String,
        caps_ex: u32,
    },
    Connected {
        app: String,
        caps_ex: u32,
        streams: BTreeMap<StreamId, NetStreamState>,
    },
}

/// The conversation with one client, from its first message after the handshake.
#[derive(Debug)]
pub struct Session {
    state: SessionState,
    chunk_size: u32,
    flow: Flow,
}

impl Session {
    /// A session that will send chunks of `chunk_size` bytes.
    pub fn new(chunk_size: u32) -> Session {
        Session {
            state: SessionState::AwaitingConnect,
            chunk_size,
            flow: Flow::default(),
        }
    }

    pub(crate) fn flow(&mut self) -> &mut Flow {
        &mut self.flow
    }

    /// Counts bytes that arrived, the handshake's among them.
    pub fn count_received(&mut self, bytes: usize) {
        self.flow.count_received(bytes);
    }

    /// All bytes that arrived.
    pub fn received(&self) -> u64 {
        self.flow.received()
    }

    /// The acknowledgement that is due now, if one is. To be asked after each batch of bytes.
    pub fn acknowledgement(&mut self) -> Option<Message> {
        self.flow.acknowledgement()
    }

    /// Whether the client announced that it can be told to reconnect.
    pub fn can_reconnect(&self) -> bool {
        matches!(self.state, SessionState::Connected { caps_ex, .. } if caps_ex & caps::RECONNECT != 0)
    }

    /// Whether the client announced that it takes several tracks of a kind.
    pub fn takes_multitrack(&self) -> bool {
        matches!(self.state, SessionState::Connected { caps_ex, .. } if caps_ex & caps::MULTITRACK != 0)
    }

    /// Takes one message and pushes what follows from it onto `out`, in order.
    ///
    /// # Errors
    ///
    /// A malformed control message: drop the connection.
    pub fn handle(
        &mut self,
        message: Message,
        out: &mut Vec<SessionEvent>,
    ) -> Result<(), control::Error> {
        match message.kind {
            MessageType::AUDIO
            | MessageType::VIDEO
            | MessageType::DATA
            | MessageType::DATA_AMF3 => {
                self.media(message, out);
            }
            MessageType::COMMAND | MessageType::COMMAND_AMF3 => {
                match Call::parse(message.kind, &message.payload) {
                    Ok(call) => self.call(message.stream, call, out),
                    Err(error) => out.push(SessionEvent::Unreadable(error)),
                }
            }
            MessageType(1..=6) => {
                let control = Control::parse(message.kind, &message.payload)?;
                out.extend(self.flow.handle(control).map(SessionEvent::Send));
            }
            MessageType::AGGREGATE => match aggregate::split(&message) {
                Ok(parts) => parts.into_iter().for_each(|part| self.media(part, out)),
                Err(_) => out.push(SessionEvent::Ignored("aggregate that cannot be split")),
            },
            _ => out.push(SessionEvent::Ignored(
                "message of a type that is not served",
            )),
        }
        Ok(())
    }

    /// The client may connect: to `other` rather than to the app that it asked for, if that is given.
    /// What to tell it comes back; nothing, unless it waits for this (§7.2.1.1).
    pub fn accept_connect(&mut self, other: Option<String>) -> Vec<Message> {
        let SessionState::ConnectRequested {
            transaction,
            app,
            caps_ex,
        } = &mut self.state
        else {
            return Vec::new();
        };
        let (transaction, caps_ex) = (*transaction, *caps_ex);
        self.state = SessionState::Connected {
            app: other.unwrap_or_else(|| std::mem::take(app)),
            caps_ex,
            streams: BTreeMap::new(),
        };
        let [window, bandwidth] = self.flow.impose(WINDOW_ACK_SIZE);
        vec![
            window,
            bandwidth,
            Control::SetChunkSize(self.chunk_size).message(),
            UserControl::StreamBegin(StreamId::CONTROL).message(),
            status::connect_result(transaction, caps_ex),
        ]
    }

    /// The client may not connect; it is told and hung up on.
    pub fn reject_connect(&mut self, description: &str, out: &mut Vec<SessionEvent>) {
        if let SessionState::ConnectRequested { transaction, .. } = self.state {
            self.state = SessionState::AwaitingConnect;
            let stream = StreamId::CONTROL;
            let error = status::error(stream, transaction, code::CONNECT_REJECTED, description);
            out.extend([SessionEvent::Send(error), SessionEvent::Close]);
        }
    }

    /// The request on `stream` is granted. What to tell the client comes back: for a publication
    /// at once, for a playback when its stream is there (§7.2.2.1, §7.2.2.6).
    pub fn accept(&mut self, stream: StreamId) -> Vec<Message> {
        let SessionState::Connected { streams, .. } = &mut self.state else {
            return Vec::new();
        };
        let Some(role) = streams.get_mut(&stream) else {
            return Vec::new();
        };
        match std::mem::replace(role, NetStreamState::Idle) {
            NetStreamState::PublishRequested(named) => {
                let begin = UserControl::StreamBegin(stream).message();
                let start = status::publish_start(stream, &named.name);
                *role = NetStreamState::Publishing(named);
                vec![begin, start]
            }
            NetStreamState::PlayRequested(named, reset) => {
                let start = status::play_start(stream, &named.name, reset);
                *role = NetStreamState::Playing(named);
                start
            }
            other => {
                *role = other;
                Vec::new()
            }
        }
    }

    /// The request on `stream` is refused with this status code; the client is told and hung up on.
    pub fn reject(
        &mut self,
        stream: StreamId,
        code: &str,
        description: &str,
        out: &mut Vec<SessionEvent>,
    ) {
        self.set_role(stream, NetStreamState::Idle);
        out.push(SessionEvent::Send(status::on_status(
            stream,
            StatusLevel::Error,
            code,
            description,
        )));
        out.push(SessionEvent::Close);
    }

    fn set_role(&mut self, stream: StreamId, role: NetStreamState) {
        if let SessionState::Connected { streams, .. } = &mut self.state
            && let Some(known) = streams.get_mut(&stream)
        {
            *known = role;
        }
    }

    /// Media counts only on a stream that publishes; anything else is dropped.
    fn media(&mut self, message: Message, out: &mut Vec<SessionEvent>) {
        let SessionState::Connected { streams, .. } = &self.state else {
            return out.push(SessionEvent::Ignored("media before connect"));
        };
        let Some(message) = data::in_amf0(message) else {
            return out.push(SessionEvent::Ignored("AMF3 data of an unknown format"));
        };
        out.push(match streams.get(&message.stream) {
            Some(NetStreamState::Publishing(_)) => SessionEvent::Media(message),
            _ => SessionEvent::Ignored("media on a stream that does not publish"),
        });
    }

    fn call(&mut self, stream: StreamId, call: Call, out: &mut Vec<SessionEvent>) {
        let command = Command::new(&call);
        match (&mut self.state, command) {
            (_, Command::Answer) => {}
            (SessionState::AwaitingConnect, Command::Connect(connect)) => {
                self.connect(&call, connect, out)
            }
            (_, Command::Connect(_)) => refuse_connect(stream, &call, "Already connected.", out),
            (SessionState::AwaitingConnect | SessionState::ConnectRequested { .. }, _) => {
                refuse(stream, &call, "Not connected.", out);
            }
            (SessionState::Connected { streams, .. }, Command::CreateStream) => {
                create_stream(streams, &call, out)
            }
            (SessionState::Connected { app, streams, .. }, command) => {
                NetStream {
                    app,
                    streams,
                    stream,
                    call: &call,
                    out,
                }
                .command(command);
            }
        }
    }

    fn connect(&mut self, call: &Call, connect: Connect, out: &mut Vec<SessionEvent>) {
        let app = match connect.app {
            None => return refuse_connect(StreamId::CONTROL, call, "The app is missing.", out),
            Some(app) if app.len() > APP_LEN_MAX => {
                let text = format!(
                    "The app has {} bytes, allowed are {APP_LEN_MAX}.",
                    app.len()
                );
                return refuse_connect(StreamId::CONTROL, call, &text, out);
            }
            Some(app) => app,
        };
        out.push(SessionEvent::Connect(Box::new(ConnectRequest {
            app: shown(&plain_app(&app)),
            flash_ver: connect.flash_ver,
            via: connect.via,
            about: connect.about,
        })));
        self.state = SessionState::ConnectRequested {
            transaction: call.transaction,
            app,
            caps_ex: connect.caps_ex,
        };
    }
}

/// Hands out the lowest id that is free; some clients accept nothing but 1 as the first.
fn create_stream(
    streams: &mut BTreeMap<StreamId, NetStreamState>,
    call: &Call,
    out: &mut Vec<SessionEvent>,
) {
    let free = (1..=STREAMS_MAX)
        .map(StreamId)
        .find(|id| !streams.contains_key(id));
    match free {
        Some(id) => {
            streams.insert(id, NetStreamState::Idle);
            let id = crate::amf0::Value::Number(f64::from(id.0));
            if call.transaction != 0.0 {
                out.push(SessionEvent::Send(status::result(call.transaction, id)));
            }
        }
        None => refuse(StreamId::CONTROL, call, "Too many streams.", out),
    }
}

/// Refuses what no server has to decide on.
fn refuse_connect(stream: StreamId, call: &Call, description: &str, out: &mut Vec<SessionEvent>) {
    let code = code::CONNECT_REJECTED;
    let error = status::error(stream, call.transaction, code, description);
    let refused = SessionEvent::Refused(code, description.to_owned());
    out.extend([refused, SessionEvent::Send(error), SessionEvent::Close]);
}
