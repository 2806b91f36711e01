//! What a client asks for: to connect, to publish or to play, and whether it may.

use super::client::Conn;
use crate::auth::{Action, Answer};
use crate::connection::Error;
use crate::ingest::PublishError;
use crate::log;
use crate::log::RateLimit;
use crate::notify::{
    NotifyClient, NotifyRefusal, NotifyRole, NotifySession, NotifyStream, Verdict,
};
use crate::registry::{Origin, Publisher, Recipient, Refusal, Selection};
use crate::rtmp::command::HOPS_MAX;
use crate::rtmp::session::{ConnectRequest, StreamRequest};
use crate::rtmp::status::code;
use crate::rtmp::stream_key::{StreamKey, StreamPath, plain_app};
use crate::server::access::{self, AccessDenied, AccessRequest, Admitted, Client};
use crate::server::active::{Active, Playing};
use crate::server::events::{self, PlayInfo};
use crate::server::flood::flood_limit;
use crate::server::notified;
use crate::server::pull::FetchRefused;
use crate::server::refusals;
use crate::stats::Protocol;
use crate::text::shown;
use crate::web::Traits;
use std::sync::Arc;
use std::sync::atomic::Ordering;

static DENIALS: RateLimit = flood_limit();

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
            (RequestRefusal::Denied, _) => (denied, DENIED),
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

const DENIED: &str = "Access denied.";

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

/// What the services of -notify are told of a stream.
fn described(path: &StreamPath) -> NotifyStream {
    NotifyStream {
        name: path.sent_name().to_owned(),
        query: path.name_query().to_owned(),
    }
}

impl Conn<'_> {
    /// Connects the client, if the services of -notify let it in. Only then it is told anything.
    pub(super) fn connect(&mut self, request: ConnectRequest) -> Result<(), Error> {
        let ConnectRequest {
            app,
            flash_ver,
            via,
            about,
        } = request;
        self.peer.info().flash_ver.clone_from(&flash_ver);
        self.via = via;
        self.about = Arc::new(NotifyClient {
            info: about,
            addr: self.peer.addr.ip(),
            id: self.peer.number(),
        });
        let now_ms = self.context.clock_ms();
        let other = match self.context.notify.connect(&self.about, now_ms) {
            Ok(Verdict::Unasked | Verdict::Allowed) => None,
            Ok(Verdict::Renamed(other)) => Some(other),
            Err(refusal) => return self.refuse_connect(&refusal),
        };
        self.is_noted = true;
        self.app = other
            .as_deref()
            .map_or(app, |other| shown(&plain_app(other)));
        log!(Info, "client connected"; conn_id = self.peer.id, peer_addr = self.peer.addr,
            app = self.app, flash_ver = flash_ver);
        self.connection.reply(self.session.accept_connect(other));
        let can_reconnect = self.session.can_reconnect();
        self.peer
            .can_reconnect
            .store(can_reconnect, Ordering::Relaxed);
        Ok(())
    }

    /// Tells the log and the client that it may not connect.
    fn refuse_connect(&mut self, why: &NotifyRefusal) -> Result<(), Error> {
        self.context.counters.auth_failures.add(1);
        if let Some(more) = DENIALS.pass() {
            log!(Warn, "access denied"; conn_id = self.peer.id, peer_addr = self.peer.addr,
                action = "connect", error = why, suppressed = more);
        }
        let mut events = Vec::new();
        self.session.reject_connect(DENIED, &mut events);
        events.into_iter().try_for_each(|event| self.act(event))
    }

    /// Whether the peer is a server that brings us our own stream, or fetches it for us.
    fn is_loop(&self) -> bool {
        self.via.contains(&self.context.link_settings.name) || self.via.len() >= HOPS_MAX
    }

    /// Publishes or plays what is asked for, or refuses it.
    pub(super) fn begin(&mut self, action: Action, request: &StreamRequest) -> Result<(), Error> {
        let (path, waited) = match self.check(action, request) {
            Ok(Admitted {
                renamed, waited, ..
            }) => (renamed.unwrap_or_else(|| request.path.clone()), waited),
            Err(why) => return self.refuse(action, request, &request.path, why),
        };
        match self.start(action, request, &path, waited) {
            Ok(()) => Ok(()),
            Err(NotBegun::Refused(why)) => self.refuse(action, request, &path, why),
            Err(NotBegun::Over(error)) => Err(error),
        }
    }

    /// Whether the client may do what it asks for.
    fn check(
        &mut self,
        action: Action,
        request: &StreamRequest,
    ) -> Result<Admitted, RequestRefusal> {
        if self.is_loop() {
            return Err(RequestRefusal::Loop);
        }
        let agent = self.peer.info().flash_ver.clone();
        let access = AccessRequest {
            action,
            path: &request.path,
            details: &request.details,
            agent: &agent,
            about: &self.about,
            stream: &described(&request.path),
            answer: Answer::New,
        };
        Ok(access::check(self.context, &self.client(), &access)?)
    }

    /// What the client may do begins: `path` is the stream as it is called here.
    fn start(
        &mut self,
        action: Action,
        request: &StreamRequest,
        path: &StreamPath,
        waited: bool,
    ) -> Result<(), NotBegun> {
        let pacing = &self.context.pacing;
        if !pacing.may_begin(action, &path.key, &mut self.pace) {
            return Err(RequestRefusal::TooOften.into());
        }
        if waited {
            // A client that has left would take the stream from one that is there.
            self.connection.check_open()?;
        }
        // Before the client is told that it begins: from then on it gives way to nobody.
        self.set_busy(true);
        let begun = match action {
            Action::Publish => self.publish(request, path),
            Action::Play => self.play(request, path),
        };
        if begun.is_err() {
            self.set_busy(false);
        }
        begun
    }

    /// Tells the services of -notify of the end of what begins now, when it is dropped.
    fn notified(
        &self,
        role: NotifyRole,
        request: &StreamRequest,
        key: &StreamKey,
    ) -> NotifySession {
        let outbox = self.connection.outbox();
        let probe = notified::probe(self.context, key, outbox, &self.peer.id);
        let stream = described(&request.path);
        let notify = &self.context.notify;
        notify.session(&self.about, stream, role, key, probe)
    }

    fn publish(&mut self, request: &StreamRequest, path: &StreamPath) -> Result<(), NotBegun> {
        let StreamRequest { stream, name, .. } = request;
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
        let notified = self.notified(NotifyRole::Publisher, request, &path.key);
        let publishing = claim.begin(&self.app, &shown(&path.name), Some(notified));
        self.connection.reply(self.session.accept(*stream));
        self.set_active(*stream, Active::Publishing(publishing), None)?;
        let merge = self.context.link_settings.merge.clone();
        self.connection.merge_input(merge);
        Ok(self.connection.send_replies()?)
    }

    fn play(&mut self, request: &StreamRequest, path: &StreamPath) -> Result<(), NotBegun> {
        let StreamRequest { stream, name, .. } = request;
        let ip = self.peer.addr.ip();
        let wanted = self.context.pulls.want(&path.key, ip, &self.via);
        wanted.map_err(RequestRefusal::Pull)?;
        let start = self.session.accept(*stream);
        let conn_id = self.peer.id.clone();
        let recipient = Recipient {
            tracks: self.selection(&request.path),
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
        let notified = self.notified(NotifyRole::Player, request, &path.key);
        let key = path.key.clone();
        let playing = Playing::new(subscription, key, outbox, Protocol::Rtmp, notified);
        let traits = Traits::new(ip, &request.path, &self.peer.info().flash_ver);
        Ok(self.set_active(*stream, Active::Playing(playing), Some(traits))?)
    }

    /// Tells the log and the client why a request is refused. The log gets the name by which the stream
    /// is called here, since the other one may be a secret; the client gets its own.
    fn refuse(
        &mut self,
        action: Action,
        request: &StreamRequest,
        path: &StreamPath,
        why: RequestRefusal,
    ) -> Result<(), Error> {
        match why {
            // The log was told why.
            RequestRefusal::Denied => {}
            RequestRefusal::Loop => {
                let hops = self.via.len();
                refusals::tell_of_loop(self.context, &self.client(), &path.key, hops);
            }
            RequestRefusal::Pull(full) => {
                refusals::tell_of_pull(self.context, &self.client(), &path.key, full);
            }
            RequestRefusal::TooOften
            | RequestRefusal::NoRoom
            | RequestRefusal::InUse
            | RequestRefusal::NotFound => {
                let (code, text) = why.answer(action, &path.name);
                self.tell_of_refusal(Some(&path.key), code, &text);
            }
        }
        let (code, text) = why.answer(action, &request.name);
        let mut events = Vec::new();
        self.session
            .reject(request.stream, code, &text, &mut events);
        events.into_iter().try_for_each(|event| self.act(event))
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
