//! What a client asks for: to publish or to play, and whether it may.

use super::client::Conn;
use crate::auth::{Action, Answer, Passed};
use crate::connection::Error;
use crate::ingest::PublishError;
use crate::log;
use crate::registry::{Origin, Publisher, Recipient, Refusal, Selection};
use crate::rtmp::command::HOPS_MAX;
use crate::rtmp::session::StreamRequest;
use crate::rtmp::status::code;
use crate::rtmp::stream_key::{StreamKey, StreamPath};
use crate::server::access::{self, AccessDenied, Client};
use crate::server::active::{Active, Playing};
use crate::server::events::{self, PlayInfo};
use crate::server::pull::FetchRefused;
use crate::server::refusals;
use crate::stats::Protocol;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Why a request is refused.
#[derive(Clone, Copy, Debug)]
enum RequestRefusal {
    /// The stream would go through a server twice.
    Loop,
    /// Authentication denies it, and has logged why.
    Denied,
    /// The client begins to publish or play too often.
    TooOften,
    /// The system has no threads left for what runs beside a publication.
    NoRoom,
    /// Somebody else publishes the stream.
    InUse,
    /// There is no such stream.
    NotFound,
    /// The stream would have to be pulled, and too many are.
    Pull(FetchRefused),
}

impl RequestRefusal {
    /// The status code and the text that the client is told.
    fn answer(self, action: Action, name: &str) -> (&'static str, String) {
        let denied = match action {
            Action::Publish => code::PUBLISH_DENIED,
            Action::Play => code::PLAY_FAILED,
        };
        let (code, text) = match (self, action) {
            (RequestRefusal::Loop, Action::Publish) => (code::BAD_NAME, LOOP),
            (RequestRefusal::Loop, Action::Play) => (code::PLAY_FAILED, LOOP),
            (RequestRefusal::Denied, _) => (denied, "Access denied."),
            (RequestRefusal::TooOften, _) => (denied, "Too many beginnings in a short time."),
            (RequestRefusal::NoRoom, _) => {
                (denied, "The server has no room for another publication.")
            }
            (RequestRefusal::Pull(_), _) => (denied, "Too many streams are being fetched."),
            (RequestRefusal::InUse, _) => {
                return (
                    code::BAD_NAME,
                    format!("{name} is already being published."),
                );
            }
            (RequestRefusal::NotFound, _) => {
                return (code::STREAM_NOT_FOUND, format!("{name} not found."));
            }
        };
        (code, text.to_owned())
    }
}

const LOOP: &str = "Relay loop: the stream would come back to a server that it has come through.";

/// Why publishing or playing does not begin.
enum NotBegun {
    Refused(RequestRefusal),
    /// The connection is over.
    Over(Error),
}

impl From<RequestRefusal> for NotBegun {
    fn from(why: RequestRefusal) -> Self {
        NotBegun::Refused(why)
    }
}

impl From<AccessDenied> for RequestRefusal {
    fn from(_: AccessDenied) -> Self {
        RequestRefusal::Denied
    }
}

impl From<Error> for NotBegun {
    fn from(error: Error) -> Self {
        NotBegun::Over(error)
    }
}

impl Conn<'_> {
    /// Whether the peer is a server that brings us our own stream, or fetches it for us.
    fn is_loop(&self) -> bool {
        self.via.contains(&self.context.link_settings.name) || self.via.len() >= HOPS_MAX
    }

    /// Publishes or plays what is asked for, or refuses it.
    pub(super) fn begin(&mut self, action: Action, request: &StreamRequest) -> Result<(), Error> {
        let checked = self.check(action, request).map_err(NotBegun::Refused);
        let begun = checked.and_then(|passed| self.check_still_there(passed));
        let begun = begun.and_then(|()| match action {
            Action::Publish => self.publish(request),
            Action::Play => self.play(request),
        });
        match begun {
            Ok(()) => Ok(()),
            Err(NotBegun::Refused(why)) => self.refuse(action, request, why),
            Err(NotBegun::Over(error)) => Err(error),
        }
    }

    /// A client that has left while a web service was asked would take the stream from one that is
    /// there.
    fn check_still_there(&self, passed: Passed) -> Result<(), NotBegun> {
        match passed {
            Passed::Asked => Ok(self.connection.check_open()?),
            Passed::Open | Passed::Checked => Ok(()),
        }
    }

    /// What holds for both actions.
    fn check(&mut self, action: Action, request: &StreamRequest) -> Result<Passed, RequestRefusal> {
        if self.is_loop() {
            return Err(RequestRefusal::Loop);
        }
        let client = self.client();
        let passed = access::check(self.context, &client, action, &request.path, Answer::New)?;
        let (key, pace) = (&request.path.key, &mut self.pace);
        match self.context.pacing.may_begin(action, key, pace) {
            true => Ok(passed),
            false => Err(RequestRefusal::TooOften),
        }
    }

    fn publish(&mut self, request: &StreamRequest) -> Result<(), NotBegun> {
        let StreamRequest {
            stream, name, path, ..
        } = request;
        let publisher = Publisher {
            conn_id: self.peer.id.clone(),
            outbox: Arc::clone(self.connection.outbox()),
            heard: Arc::clone(&self.peer.heard),
            origin: Origin::Client {
                stream: *stream,
                name: name.clone(),
            },
            via: self.via.clone(),
        };
        let claim = self.context.ingest.claim(&path.key, publisher);
        let claim = claim.map_err(|error| match error {
            PublishError::NoRoom(_) => RequestRefusal::NoRoom,
            PublishError::Refused(Refusal::Loop) => RequestRefusal::Loop,
            PublishError::Refused(Refusal::InUse | Refusal::NotFound | Refusal::TooManyChoices) => {
                RequestRefusal::InUse
            }
        })?;
        log!(Info, "publisher started"; conn_id = self.peer.id, peer_addr = self.peer.addr, stream_key = path.key);
        let publishing = claim.begin(&self.app, name);
        self.connection.reply(self.session.accept(*stream));
        self.set_active(*stream, Active::Publishing(publishing))?;
        let merge = self.context.link_settings.merge.clone();
        self.connection.merge_input(merge);
        Ok(self.connection.send_replies()?)
    }

    fn play(&mut self, request: &StreamRequest) -> Result<(), NotBegun> {
        let StreamRequest {
            stream, name, path, ..
        } = request;
        let ip = self.peer.addr.ip();
        let wanted = self.context.pulls.want(&path.key, ip, &self.via);
        wanted.map_err(RequestRefusal::Pull)?;
        let start = self.session.accept(*stream);
        let conn_id = self.peer.id.clone();
        let recipient = Recipient {
            tracks: self.selection(path),
            via: self.via.clone(),
            ..Recipient::player(conn_id, *stream, name.clone(), start)
        };
        let registry = &self.context.registry;
        let subscription = registry.subscribe(&path.key, self.connection.outbox(), recipient);
        let subscription = subscription.map_err(|refusal| match refusal {
            Refusal::Loop => RequestRefusal::Loop,
            Refusal::InUse | Refusal::NotFound | Refusal::TooManyChoices => {
                RequestRefusal::NotFound
            }
        })?;
        log!(Info, "player started"; conn_id = self.peer.id, peer_addr = self.peer.addr, stream_key = path.key,
            protocol = Protocol::Rtmp.name());
        let play = PlayInfo {
            conn_id: &self.peer.id,
            key: &path.key,
            protocol: Protocol::Rtmp,
        };
        self.context
            .hooks
            .fire(events::play_started(play, &self.app));
        let outbox = self.connection.outbox();
        let playing = Playing::new(subscription, path.key.clone(), outbox, Protocol::Rtmp);
        Ok(self.set_active(*stream, Active::Playing(playing))?)
    }

    /// Tells the log and the client why a request is refused.
    fn refuse(
        &mut self,
        action: Action,
        request: &StreamRequest,
        why: RequestRefusal,
    ) -> Result<(), Error> {
        let (code, text) = why.answer(action, &request.name);
        match why {
            // The log was told why.
            RequestRefusal::Denied => {}
            RequestRefusal::Loop => self.tell_of_loop(request),
            RequestRefusal::Pull(full) => {
                refusals::tell_of_pull(self.context, &self.client(), &request.path.key, full);
            }
            RequestRefusal::TooOften
            | RequestRefusal::NoRoom
            | RequestRefusal::InUse
            | RequestRefusal::NotFound => {
                self.tell_of_refusal(Some(&request.path.key), code, &text);
            }
        }
        let mut events = Vec::new();
        self.session
            .reject(request.stream, code, &text, &mut events);
        events.into_iter().try_for_each(|event| self.act(event))
    }

    fn tell_of_loop(&self, request: &StreamRequest) {
        let hops = self.via.len();
        refusals::tell_of_loop(self.context, &self.client(), &request.path.key, hops);
    }

    /// Which tracks a player gets: one that knows nothing of several would take a second one's
    /// pictures or sound for the first's.
    fn selection(&self, path: &StreamPath) -> Selection {
        let wants_all = self.context.all_tracks.load(Ordering::Relaxed)
            || self.session.takes_multitrack()
            || path.query("tracks").as_deref() == Some("all");
        match wants_all {
            true => Selection::All,
            false => Selection::First,
        }
    }

    /// The peer, for those who decide on its requests or tell of them.
    fn client(&self) -> Client<'_> {
        Client {
            conn_id: &self.peer.id,
            addr: self.peer.addr,
        }
    }

    pub(super) fn tell_of_refusal(&self, key: Option<&StreamKey>, code: &str, why: &str) {
        refusals::tell_of_request(self.context, &self.client(), key, code, why);
    }
}
