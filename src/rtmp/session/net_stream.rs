//! The commands to a message stream (RTMP §7.2.2).

use super::event::{Medium, RequestDetails, SessionEvent, StreamRequest};
use crate::amf0::Value;
use crate::rtmp::command::{self, Call, Command, PublishName, cut};
use crate::rtmp::status::{self, StatusLevel, code};
use crate::rtmp::stream_key::{StreamKey, StreamPath};
use crate::rtmp::{Message, StreamId};
use crate::text::shown;
use std::collections::BTreeMap;

/// What a message stream is used for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum NetStreamState {
    Idle,
    PublishRequested(Box<NamedStream>),
    Publishing(Box<NamedStream>),
    PlayRequested(Box<NamedStream>, PlayReset),
    Playing(Box<NamedStream>),
}

impl NetStreamState {
    /// What is published or played.
    fn named(&self) -> Option<&NamedStream> {
        match self {
            NetStreamState::Publishing(named) | NetStreamState::Playing(named) => Some(named),
            _ => None,
        }
    }
}

/// What stays of a [`StreamRequest`]: its query is of no use once it is decided on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NamedStream {
    pub name: String,
    key: StreamKey,
}

impl NamedStream {
    fn new(request: &StreamRequest) -> Box<NamedStream> {
        Box::new(NamedStream {
            name: request.name.clone(),
            key: request.path.key.clone(),
        })
    }
}

/// Whether the client set the reset flag of `play`; only then is it told of a reset.
pub(super) type PlayReset = bool;

/// A command to one message stream of a connected client, and all that it may touch.
pub(super) struct NetStream<'a> {
    pub app: &'a str,
    pub streams: &'a mut BTreeMap<StreamId, NetStreamState>,
    /// The stream that the command came on.
    pub stream: StreamId,
    pub call: &'a Call,
    pub out: &'a mut Vec<SessionEvent>,
}

impl NetStream<'_> {
    /// Does what the command asks for.
    pub(super) fn command(mut self, command: Command) {
        match command {
            Command::DeleteStream(named) => match self.named(named) {
                Some(stream) => {
                    self.end(stream);
                    self.streams.remove(&stream);
                }
                None => self
                    .out
                    .push(SessionEvent::Ignored("deleteStream without an id")),
            },
            Command::CloseStream(named) => self.close(named),
            Command::FcPublish(name) => {
                self.answer(Value::Null);
                self.send(status::on_fc_publish(&shown(&name.unwrap_or_default())));
            }
            Command::FcUnpublish(name) => self.fc_unpublish(&name.unwrap_or_default()),
            Command::Publish(PublishName::Name(name), kind) if !self.is_end(&name) => {
                self.publish(Some(name), kind.unwrap_or_default());
            }
            Command::Publish(PublishName::Missing, _) => self.publish(None, String::new()),
            Command::Publish(PublishName::Stop | PublishName::Name(_), _) => self.stop_publishing(),
            Command::Play {
                name,
                start_sent: start,
                duration,
                reset,
                ..
            } => self.play(name, start, duration, reset),
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
            Command::GetStreamLength => self.answer(Value::Number(0.0)),
            Command::Courtesy => self.answer(Value::Null),
            _ => {
                let text = format!("Method not found: {}", shown(&self.call.name));
                refuse(self.stream, self.call, &text, self.out);
            }
        }
    }

    fn send(&mut self, message: Message) {
        self.out.push(SessionEvent::Send(message));
    }

    /// `_result`, if the call wants one.
    fn answer(&mut self, value: Value) {
        if self.call.transaction != 0.0 {
            self.send(status::result(self.call.transaction, value));
        }
    }

    fn fail(&mut self, code: &str, description: &str) {
        self.send(status::on_status(
            self.stream,
            StatusLevel::Error,
            code,
            description,
        ));
    }

    /// As `fail`, and the client is hung up on.
    fn refuse(&mut self, code: &'static str, description: &str) {
        self.out
            .push(SessionEvent::Refused(code, description.to_owned()));
        self.fail(code, description);
        self.out.push(SessionEvent::Close);
    }

    /// Ends what `stream` does; it can be used again.
    fn end(&mut self, stream: StreamId) {
        let Some(role) = self.streams.get_mut(&stream) else {
            return;
        };
        match std::mem::replace(role, NetStreamState::Idle) {
            NetStreamState::Publishing(_) | NetStreamState::Playing(_) => {
                self.out.push(SessionEvent::Ended(stream))
            }
            _ => {}
        }
    }

    /// The stream that a command names; on a stream of its own it may leave that out.
    fn named(&self, named: command::Named) -> Option<StreamId> {
        match named {
            command::Named::Id(stream) => Some(stream),
            command::Named::Name(name) => {
                let key = self.key(&name)?;
                let used =
                    |role: &NetStreamState| role.named().is_some_and(|named| named.key == key);
                self.streams
                    .iter()
                    .find(|(_, role)| used(role))
                    .map(|(stream, _)| *stream)
            }
            command::Named::Nothing => Some(self.stream).filter(|id| *id != StreamId::CONTROL),
        }
    }

    fn close(&mut self, named: command::Named) {
        let stream = match self.stream {
            StreamId::CONTROL => self.named(named),
            stream => Some(stream),
        };
        if let Some(stream) = stream {
            self.end(stream);
        }
    }

    fn fc_unpublish(&mut self, name: &str) {
        let key = self.key(name);
        let publishing = self.streams.iter().find(
            |(_, role)| matches!(role, NetStreamState::Publishing(named) if Some(&named.key) == key.as_ref()),
        );
        if let Some(stream) = publishing.map(|(stream, _)| *stream) {
            self.end(stream);
        }
        self.answer(Value::Null);
        self.send(status::on_fc_unpublish(&shown(name)));
    }

    /// Whether `publish` of this name means that the publication is over: an empty name does, where
    /// something else is being published.
    fn is_end(&self, name: &str) -> bool {
        let publishing = self.target().and_then(|stream| self.publishing(stream));
        name.is_empty() && publishing.is_some_and(|named| Some(&named.key) != self.key("").as_ref())
    }

    fn publishing(&self, stream: StreamId) -> Option<&NamedStream> {
        match self.streams.get(&stream)? {
            NetStreamState::Publishing(named) => Some(named),
            _ => None,
        }
    }

    /// Ends the publication, and says so whether there was one or not.
    fn stop_publishing(&mut self) {
        let Some(stream) = self.target() else {
            return self.out.push(SessionEvent::Ignored(
                "publish without a name and without a stream",
            ));
        };
        let name = self.publishing(stream).map(|named| named.name.clone());
        if name.is_some() {
            self.end(stream);
        }
        self.send(status::publish_end(stream, &name.unwrap_or_default()));
    }

    /// The stream that is called `name` in the app.
    fn key(&self, name: &str) -> Option<StreamKey> {
        let path = StreamPath::new(self.app, name);
        path.ok().map(|path| path.key)
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
    fn request(
        &mut self,
        name: Option<String>,
        details: RequestDetails,
        code: &'static str,
    ) -> Option<StreamRequest> {
        let Some(stream) = self.target() else {
            self.refuse("NetStream.Failed", "There is no such stream.");
            return None;
        };
        self.stream = stream;
        let path = match &name {
            Some(name) => StreamPath::new(self.app, name).map_err(|error| error.to_string()),
            None => Err("stream name is missing".to_owned()),
        };
        match path {
            Ok(path) => Some(StreamRequest {
                stream,
                name: shown(&path.name),
                path,
                details,
            }),
            Err(text) => {
                self.refuse(code, &text);
                None
            }
        }
    }

    fn publish(&mut self, name: Option<String>, kind: String) {
        let kind = cut(&kind).to_owned();
        let details = RequestDetails::Publish(kind);
        let Some(request) = self.request(name, details, code::BAD_NAME) else {
            return;
        };
        let holder = self.streams.iter().find(
            |(_, role)| matches!(role, NetStreamState::Publishing(held) if held.key == request.path.key),
        );
        match holder.map(|(stream, _)| *stream) {
            // Asked twice: it publishes already.
            Some(holder) if holder == self.stream => {
                self.send(status::publish_start(self.stream, &request.name));
                self.out.push(SessionEvent::PublishedAgain(holder));
            }
            Some(_) => {
                let text = format!("{} is already being published.", request.name);
                self.fail(code::BAD_NAME, &text);
            }
            None => {
                self.end(self.stream);
                self.streams.insert(
                    self.stream,
                    NetStreamState::PublishRequested(NamedStream::new(&request)),
                );
                self.out.push(SessionEvent::Publish(Box::new(request)));
            }
        }
    }

    fn play(
        &mut self,
        name: Option<String>,
        start: Option<f64>,
        duration: Option<f64>,
        reset: Option<bool>,
    ) {
        let playing = self.target().and_then(|stream| self.streams.get(&stream));
        if reset == Some(false) && matches!(playing, Some(NetStreamState::Playing(_))) {
            return self.fail(code::PLAY_FAILED, "Playlists are not supported.");
        }
        let details = RequestDetails::Play {
            start,
            duration,
            reset,
        };
        let Some(request) = self.request(name, details, code::STREAM_NOT_FOUND) else {
            return;
        };
        self.end(self.stream);
        let role = NetStreamState::PlayRequested(NamedStream::new(&request), reset == Some(true));
        self.streams.insert(self.stream, role);
        self.out.push(SessionEvent::Play(Box::new(request)));
    }

    fn playing(&self) -> Option<&str> {
        match self.streams.get(&self.stream)? {
            NetStreamState::Playing(named) => Some(&named.name),
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
        self.send(status::on_status(
            self.stream,
            StatusLevel::Status,
            code,
            &text,
        ));
        self.out.push(SessionEvent::Pause(self.stream, paused));
    }

    /// Turning a medium off is not answered; turning it on is, with two statuses (§7.2.2.4).
    fn receive(&mut self, medium: Medium, on: bool) {
        let Some(name) = self.playing() else {
            return refuse(self.stream, self.call, "Nothing is playing.", self.out);
        };
        if on {
            let messages = status::play_again(self.stream, name);
            self.out.extend(messages.map(SessionEvent::Send));
        }
        self.out
            .push(SessionEvent::Receive(self.stream, medium, on));
    }
}

/// Answers a call that fails, if it wants an answer.
pub(super) fn refuse(
    stream: StreamId,
    call: &Call,
    description: &str,
    out: &mut Vec<SessionEvent>,
) {
    if call.transaction == 0.0 {
        return out.push(SessionEvent::Ignored("call that cannot be served"));
    }
    out.push(SessionEvent::Send(status::error(
        stream,
        call.transaction,
        code::CALL_FAILED,
        description,
    )));
}
