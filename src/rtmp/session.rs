//! The server's end of a conversation (RTMP §7.2): messages in, events out.
//!
//! The session knows what a client may do next and how it is answered. Whether a client may
//! publish or play is not its business: it asks with [`Event::Publish`] or [`Event::Play`], and
//! goes on when it is told [`Session::accept`] or [`Session::reject`].

use super::aggregate;
use super::command::{self, Call, Command, Connect, caps};
use super::control::{self, Acknowledgements, Control, Limit, UserControl};
use super::key::{Address, split_query};
use super::status::{self, Level, code};
use super::{Message, MessageType, StreamId};
use std::collections::BTreeMap;
use std::fmt;

/// Message streams that a client may have at a time.
pub const STREAMS_MAX: u32 = 16;

/// The window, in bytes, that we ask peers to acknowledge and to keep to.
pub const WINDOW_ACK_SIZE: u32 = 2_500_000;

/// A violation after which the connection is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// A control message that is none.
    Control(control::Error),
    /// A command that cannot be read.
    Command(command::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Control(error) => write!(f, "{error}"),
            Error::Command(error) => write!(f, "{error}"),
        }
    }
}

/// What a client wants to publish or play, for the server to decide on.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The message stream that it is for.
    pub stream: StreamId,
    /// The name as the client wrote it, without its query.
    pub name: String,
    /// The stream that is meant.
    pub address: Address,
}

/// Media that a viewer can turn off for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// receiveAudio (§7.2.2.4).
    Audio,
    /// receiveVideo (§7.2.2.5).
    Video,
}

/// What follows from a message, in the order in which it is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Send this to the client.
    Send(Message),
    /// The client is connected to an app.
    Connected {
        /// The app, with its query cut off.
        app: String,
        /// The client's name for itself.
        flash_ver: String,
        /// The servers that its streams have come through.
        via: Vec<String>,
    },
    /// The client wants to publish: answer with [`Session::accept`] or [`Session::reject`].
    Publish(Request),
    /// The client wants to play: answer the same way.
    Play(Request),
    /// The client's publication or playback on this stream is over, as it wished.
    Ended(StreamId),
    /// Audio, video or data of the publication on its message stream.
    Media(Message),
    /// A viewer pauses, or goes on.
    Pause(StreamId, bool),
    /// A viewer wants a kind of media, or no longer.
    Receive(StreamId, Medium, bool),
    /// Hang up as soon as what was sent has left.
    Close,
    /// A message without effect; why.
    Ignored(&'static str),
}

/// What a message stream is used for.
#[derive(Clone, Debug, PartialEq)]
enum Role {
    Idle,
    PublishRequested(Request),
    Publishing(Request),
    PlayRequested(Request, PlayReset),
    Playing(Request),
}

/// Whether the client set the reset flag of `play`; only then is it told of a reset.
type PlayReset = bool;

#[derive(Debug)]
enum State {
    AwaitingConnect,
    Connected {
        app: String,
        caps_ex: u32,
        streams: BTreeMap<StreamId, Role>,
    },
}

/// One conversation.
#[derive(Debug)]
pub struct Session {
    state: State,
    chunk_size: u32,
    acknowledgements: Acknowledgements,
    /// The last Window Acknowledgement Size that was sent.
    window_sent: u32,
}

impl Session {
    /// A session that will send chunks of `chunk_size` bytes.
    pub fn new(chunk_size: u32) -> Session {
        let acknowledgements = Acknowledgements::default();
        Session {
            state: State::AwaitingConnect,
            chunk_size,
            acknowledgements,
            window_sent: 0,
        }
    }

    /// Counts bytes that arrived, the handshake's among them.
    pub fn count_received(&mut self, bytes: usize) {
        self.acknowledgements.count(bytes);
    }

    /// All bytes that arrived.
    pub fn received(&self) -> u64 {
        self.acknowledgements.received()
    }

    /// The acknowledgement that is due now, if one is. To be asked after each batch of bytes.
    pub fn acknowledgement(&mut self) -> Option<Message> {
        self.acknowledgements.due().map(Control::message)
    }

    /// Whether the client announced that it can be told to reconnect.
    pub fn can_reconnect(&self) -> bool {
        matches!(self.state, State::Connected { caps_ex, .. } if caps_ex & caps::RECONNECT != 0)
    }

    /// Takes one message and pushes what follows from it onto `out`, in order.
    ///
    /// # Errors
    ///
    /// Any [`Error`]: drop the connection.
    pub fn handle(&mut self, message: Message, out: &mut Vec<Event>) -> Result<(), Error> {
        match message.kind {
            MessageType::AUDIO
            | MessageType::VIDEO
            | MessageType::DATA
            | MessageType::DATA_AMF3 => {
                self.media(message, out);
            }
            MessageType::COMMAND | MessageType::COMMAND_AMF3 => {
                let call = Call::parse(message.kind, &message.payload).map_err(Error::Command)?;
                self.call(message.stream, call, out);
            }
            MessageType(1..=6) => {
                let control =
                    Control::parse(message.kind, &message.payload).map_err(Error::Control)?;
                self.control(control, out);
            }
            MessageType::AGGREGATE => match aggregate::split(&message) {
                Ok(parts) => parts.into_iter().for_each(|part| self.media(part, out)),
                Err(_) => out.push(Event::Ignored("aggregate that cannot be split")),
            },
            _ => out.push(Event::Ignored("message of a type that is not served")),
        }
        Ok(())
    }

    /// The request on `stream` is granted. What to tell the client comes back: for a publication
    /// at once, for a playback when its stream is there (§7.2.2.1, §7.2.2.6).
    pub fn accept(&mut self, stream: StreamId) -> Vec<Message> {
        let State::Connected { streams, .. } = &mut self.state else {
            return Vec::new();
        };
        let Some(role) = streams.get_mut(&stream) else {
            return Vec::new();
        };
        match std::mem::replace(role, Role::Idle) {
            Role::PublishRequested(request) => {
                let begin = UserControl::StreamBegin(stream).message();
                let start = status::publish_start(stream, &request.name);
                *role = Role::Publishing(request);
                vec![begin, start]
            }
            Role::PlayRequested(request, reset) => {
                let start = status::play_start(stream, &request.name, reset);
                *role = Role::Playing(request);
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
        out: &mut Vec<Event>,
    ) {
        self.set_role(stream, Role::Idle);
        out.push(Event::Send(status::on_status(
            stream,
            Level::Error,
            code,
            description,
        )));
        out.push(Event::Close);
    }

    fn set_role(&mut self, stream: StreamId, role: Role) {
        if let State::Connected { streams, .. } = &mut self.state
            && let Some(known) = streams.get_mut(&stream)
        {
            *known = role;
        }
    }

    /// Media counts only on a stream that publishes; anything else is dropped.
    fn media(&mut self, message: Message, out: &mut Vec<Event>) {
        let State::Connected { streams, .. } = &self.state else {
            return out.push(Event::Ignored("media before connect"));
        };
        out.push(match streams.get(&message.stream) {
            Some(Role::Publishing(_)) => Event::Media(message),
            _ => Event::Ignored("media on a stream that does not publish"),
        });
    }

    fn control(&mut self, control: Control, out: &mut Vec<Event>) {
        match control {
            Control::WindowAckSize(size) => self.acknowledgements.set_window(size),
            Control::SetPeerBandwidth { size, .. } if size > 0 && size != self.window_sent => {
                self.window_sent = size;
                out.push(Event::Send(Control::WindowAckSize(size).message()));
            }
            Control::User(UserControl::PingRequest(time)) => {
                out.push(Event::Send(UserControl::PingResponse(time).message()));
            }
            _ => {}
        }
    }

    fn call(&mut self, stream: StreamId, call: Call, out: &mut Vec<Event>) {
        let command = Command::new(&call);
        match (&mut self.state, command) {
            (_, Command::Answer) => {}
            (State::AwaitingConnect, Command::Connect(connect)) => {
                self.connect(&call, connect, out)
            }
            (State::AwaitingConnect, _) => refuse(stream, &call, "Not connected.", out),
            (State::Connected { .. }, Command::Connect(_)) => {
                let text = "Already connected.";
                let error = status::error(stream, call.transaction, code::CONNECT_REJECTED, text);
                out.extend([Event::Send(error), Event::Close]);
            }
            (State::Connected { streams, .. }, Command::CreateStream) => {
                create_stream(streams, &call, out)
            }
            (State::Connected { app, streams, .. }, command) => {
                Netstream {
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

    fn connect(&mut self, call: &Call, connect: Connect, out: &mut Vec<Event>) {
        let Some(app) = connect.app else {
            let text = "The app is missing.";
            let error = status::error(
                StreamId::CONTROL,
                call.transaction,
                code::CONNECT_REJECTED,
                text,
            );
            return out.extend([Event::Send(error), Event::Close]);
        };
        self.window_sent = WINDOW_ACK_SIZE;
        let replies = [
            Control::WindowAckSize(WINDOW_ACK_SIZE).message(),
            Control::SetPeerBandwidth {
                size: WINDOW_ACK_SIZE,
                limit: Limit::HARD,
            }
            .message(),
            Control::SetChunkSize(self.chunk_size).message(),
            UserControl::StreamBegin(StreamId::CONTROL).message(),
            status::connect_result(connect.caps_ex),
        ];
        out.extend(replies.map(Event::Send));
        let name = split_query(&app).0.to_owned();
        out.push(Event::Connected {
            app: name,
            flash_ver: connect.flash_ver,
            via: connect.via,
        });
        self.state = State::Connected {
            app,
            caps_ex: connect.caps_ex,
            streams: BTreeMap::new(),
        };
    }
}

/// Hands out the lowest id that is free; some clients accept nothing but 1 as the first.
fn create_stream(streams: &mut BTreeMap<StreamId, Role>, call: &Call, out: &mut Vec<Event>) {
    let free = (1..=STREAMS_MAX)
        .map(StreamId)
        .find(|id| !streams.contains_key(id));
    match free {
        Some(id) => {
            streams.insert(id, Role::Idle);
            let id = crate::amf0::Value::Number(f64::from(id.0));
            if call.transaction != 0.0 {
                out.push(Event::Send(status::result(call.transaction, id)));
            }
        }
        None => refuse(StreamId::CONTROL, call, "Too many streams.", out),
    }
}

/// Answers a call that fails, if it wants an answer.
fn refuse(stream: StreamId, call: &Call, description: &str, out: &mut Vec<Event>) {
    if call.transaction == 0.0 {
        return out.push(Event::Ignored("call that cannot be served"));
    }
    out.push(Event::Send(status::error(
        stream,
        call.transaction,
        code::CALL_FAILED,
        description,
    )));
}

/// A command to one message stream of a connected client, and all that it may touch.
struct Netstream<'a> {
    app: &'a str,
    streams: &'a mut BTreeMap<StreamId, Role>,
    /// The stream that the command came on.
    stream: StreamId,
    call: &'a Call,
    out: &'a mut Vec<Event>,
}

impl Netstream<'_> {
    fn command(mut self, command: Command) {
        match command {
            Command::DeleteStream(Some(stream)) => {
                self.end(stream);
                self.streams.remove(&stream);
            }
            // GStreamer sends the stream's name here, and closes the connection next.
            Command::DeleteStream(None) => {
                self.out.push(Event::Ignored("deleteStream without an id"))
            }
            Command::CloseStream => self.end(self.stream),
            Command::FcUnpublish(name) => self.unpublish(name),
            Command::Publish(name) => self.publish(name),
            Command::Play { name, reset, .. } => self.play(name, reset),
            Command::Play2 => self.fail(code::PLAY_FAILED, "There is one bit rate only."),
            Command::Seek => {
                let text = "A live stream cannot seek.";
                self.send(status::error(
                    self.stream,
                    self.call.transaction,
                    "NetStream.Seek.Failed",
                    text,
                ));
            }
            Command::Pause { paused, .. } => self.pause(paused),
            Command::ReceiveAudio(on) => self.receive(Medium::Audio, on),
            Command::ReceiveVideo(on) => self.receive(Medium::Video, on),
            // A live stream has no length; ffmpeg would warn its user of an error.
            Command::GetStreamLength => self.answer(crate::amf0::Value::Number(0.0)),
            Command::Courtesy => self.answer(crate::amf0::Value::Null),
            _ => {
                let text = format!("Method not found: {}", self.call.name);
                refuse(self.stream, self.call, &text, self.out);
            }
        }
    }

    fn send(&mut self, message: Message) {
        self.out.push(Event::Send(message));
    }

    /// `_result`, if the call wants one.
    fn answer(&mut self, value: crate::amf0::Value) {
        if self.call.transaction != 0.0 {
            self.send(status::result(self.call.transaction, value));
        }
    }

    fn fail(&mut self, code: &str, description: &str) {
        self.send(status::on_status(
            self.stream,
            Level::Error,
            code,
            description,
        ));
    }

    /// Ends what `stream` does; it can be used again.
    fn end(&mut self, stream: StreamId) {
        let Some(role) = self.streams.get_mut(&stream) else {
            return;
        };
        match std::mem::replace(role, Role::Idle) {
            Role::Publishing(_) | Role::Playing(_) => self.out.push(Event::Ended(stream)),
            _ => {}
        }
    }

    fn unpublish(&mut self, name: Option<String>) {
        let name = name.as_deref().map(|name| split_query(name).0);
        let publishing = self.streams.iter().find(|(_, role)| {
            matches!(role, Role::Publishing(request) if Some(request.name.as_str()) == name)
        });
        if let Some(stream) = publishing.map(|(stream, _)| *stream) {
            self.end(stream);
        }
    }

    /// The stream that publish or play is for: some clients name the connection itself, and mean
    /// the stream they created last.
    fn target(&self) -> Option<StreamId> {
        match self.stream {
            StreamId::CONTROL => self.streams.keys().next_back().copied(),
            stream => self.streams.contains_key(&stream).then_some(stream),
        }
    }

    /// What the client means by `name`, or an error of `code` sent and the client hung up on.
    fn request(&mut self, name: Option<String>, code: &str) -> Option<Request> {
        let Some(stream) = self.target() else {
            self.fail("NetStream.Failed", "There is no such stream.");
            self.out.push(Event::Close);
            return None;
        };
        self.stream = stream;
        let address = match &name {
            Some(name) => Address::new(self.app, name).map_err(|error| error.to_string()),
            None => Err("stream name is missing".to_owned()),
        };
        match address {
            Ok(address) => {
                let name = name.unwrap_or_default();
                Some(Request {
                    stream,
                    name: split_query(&name).0.to_owned(),
                    address,
                })
            }
            Err(text) => {
                self.fail(code, &text);
                self.out.push(Event::Close);
                None
            }
        }
    }

    fn publish(&mut self, name: Option<String>) {
        let Some(request) = self.request(name, code::BAD_NAME) else {
            return;
        };
        let holder = self.streams.iter().find(|(_, role)| {
            matches!(role, Role::Publishing(held) if held.address.key == request.address.key)
        });
        match holder.map(|(stream, _)| *stream) {
            // Asked twice: it is so already.
            Some(holder) if holder == self.stream => {
                self.send(status::publish_start(self.stream, &request.name));
            }
            Some(_) => {
                let text = format!("{} is already being published.", request.name);
                self.fail(code::BAD_NAME, &text);
            }
            None => {
                self.end(self.stream);
                self.streams
                    .insert(self.stream, Role::PublishRequested(request.clone()));
                self.out.push(Event::Publish(request));
            }
        }
    }

    fn play(&mut self, name: Option<String>, reset: Option<bool>) {
        let playing = self.target().and_then(|stream| self.streams.get(&stream));
        if reset == Some(false) && matches!(playing, Some(Role::Playing(_))) {
            return self.fail(code::PLAY_FAILED, "Playlists are not supported.");
        }
        let Some(request) = self.request(name, code::STREAM_NOT_FOUND) else {
            return;
        };
        self.end(self.stream);
        let role = Role::PlayRequested(request.clone(), reset == Some(true));
        self.streams.insert(self.stream, role);
        self.out.push(Event::Play(request));
    }

    fn playing(&self) -> Option<&str> {
        match self.streams.get(&self.stream)? {
            Role::Playing(request) => Some(&request.name),
            _ => None,
        }
    }

    fn pause(&mut self, paused: bool) {
        let Some(name) = self.playing() else {
            return refuse(self.stream, self.call, "Nothing is playing.", self.out);
        };
        let (code, text) = match paused {
            true => ("NetStream.Pause.Notify", format!("Paused {name}.")),
            false => ("NetStream.Unpause.Notify", format!("Playing {name} again.")),
        };
        self.send(status::on_status(self.stream, Level::Status, code, &text));
        self.out.push(Event::Pause(self.stream, paused));
    }

    /// Turning a medium off is not answered; turning it on is, with two statuses (§7.2.2.4).
    fn receive(&mut self, medium: Medium, on: bool) {
        let Some(name) = self.playing() else {
            return refuse(self.stream, self.call, "Nothing is playing.", self.out);
        };
        if on {
            let messages = status::play_again(self.stream, name);
            self.out.extend(messages.map(Event::Send));
        }
        self.out.push(Event::Receive(self.stream, medium, on));
    }
}
