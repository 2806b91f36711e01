//! What a client asks for: to publish or to play, and whether it may.

use super::{Conn, FLOOD_LINES, FLOOD_PERIOD};
use crate::auth::{Action, Authenticator};
use crate::connection::Error;
use crate::ingest::PublishError;
use crate::log;
use crate::log::RateLimit;
use crate::registry::{Origin, Publisher, Recipient, Refusal, Selection};
use crate::rtmp::command::HOPS_MAX;
use crate::rtmp::session::StreamRequest;
use crate::rtmp::status::code;
use crate::rtmp::stream_key::{StreamKey, StreamPath};
use crate::server::active::{Active, Playing};
use crate::server::events;
use crate::server::pull::FetchRefused;
use crate::text::shown;
use std::sync::Arc;

/// What a server is told that a stream would go through twice.
const LOOP: &str = "Relay loop: the stream would come back to a server that it has come through.";

/// What a publisher is told when the system has no threads left for its recording and the like.
const NO_ROOM: &str = "The server has no room for another publication.";

/// What a client is told that begins to publish or play too often.
const TOO_OFTEN: &str = "Too many beginnings in a short time.";

static DENIALS: RateLimit = RateLimit::burst(FLOOD_LINES, FLOOD_PERIOD);
static PULLS_REFUSED: RateLimit = RateLimit::burst(FLOOD_LINES, FLOOD_PERIOD);
static REFUSALS: RateLimit = RateLimit::burst(FLOOD_LINES, FLOOD_PERIOD);

impl Conn<'_> {
    /// Whether the peer is a server that brings us our own stream, or fetches it for us.
    fn is_loop(&self) -> bool {
        self.via.contains(&self.context.link_settings.name) || self.via.len() >= HOPS_MAX
    }

    /// Refuses a server that would send a stream round and round.
    fn refuse_loop(&mut self, request: &StreamRequest, code: &str) -> Result<(), Error> {
        self.context.counters.requests_refused.add(1);
        if let Some(more) = REFUSALS.pass() {
            log!(Warn, "relay loop refused"; conn_id = self.peer.id, peer_addr = self.peer.addr,
                stream_key = request.path.key, hops = self.via.len(), suppressed = more);
        }
        self.reject(request, code, LOOP)
    }

    /// Refuses to fetch a stream.
    fn refuse_pull(&mut self, request: &StreamRequest, full: FetchRefused) -> Result<(), Error> {
        self.context.counters.pulls_refused.add(1);
        if let Some(more) = PULLS_REFUSED.pass() {
            log!(Warn, "pull refused"; conn_id = self.peer.id, peer_addr = self.peer.addr,
                stream_key = request.path.key, error = full, suppressed = more);
        }
        self.reject(
            request,
            code::PLAY_FAILED,
            "Too many streams are being fetched.",
        )
    }

    pub(super) fn publish(&mut self, request: StreamRequest) -> Result<(), Error> {
        if self.is_loop() {
            return self.refuse_loop(&request, code::BAD_NAME);
        }
        if !self.is_allowed(Action::Publish, &request) {
            return self.reject(&request, code::PUBLISH_DENIED, "Access denied.");
        }
        let (key, pace) = (&request.path.key, &mut self.pace);
        if !self.context.pacing.may_begin(Action::Publish, key, pace) {
            return self.refuse(&request, code::PUBLISH_DENIED, TOO_OFTEN);
        }
        let StreamRequest { stream, name, path } = &request;
        let (key, conn_id) = (path.key.clone(), self.peer.id.clone());
        let outbox = Arc::clone(self.connection.outbox());
        let origin = Origin::Client {
            stream: *stream,
            name: name.clone(),
        };
        let publisher = Publisher {
            conn_id,
            outbox,
            heard: Arc::clone(&self.peer.heard),
            origin,
            via: self.via.clone(),
        };
        let claim = match self.context.ingest.claim(&key, publisher) {
            Ok(claim) => claim,
            Err(PublishError::NoRoom(_)) => {
                return self.refuse(&request, code::PUBLISH_DENIED, NO_ROOM);
            }
            Err(PublishError::Refused(Refusal::Loop)) => {
                return self.refuse_loop(&request, code::BAD_NAME);
            }
            Err(PublishError::Refused(Refusal::InUse | Refusal::NotFound)) => {
                let text = format!("{name} is already being published.");
                return self.refuse(&request, code::BAD_NAME, &text);
            }
        };
        log!(Info, "publisher started"; conn_id = self.peer.id, peer_addr = self.peer.addr, stream_key = key);
        let publishing = claim.begin(&self.app, name);
        self.connection.reply(self.session.accept(*stream));
        self.set_active(*stream, Active::Publishing(publishing))?;
        self.connection
            .merge_input(self.context.link_settings.merge);
        self.connection.send_replies()
    }

    pub(super) fn play(&mut self, request: StreamRequest) -> Result<(), Error> {
        if self.is_loop() {
            return self.refuse_loop(&request, code::PLAY_FAILED);
        }
        if !self.is_allowed(Action::Play, &request) {
            return self.reject(&request, code::PLAY_FAILED, "Access denied.");
        }
        let (key, pace) = (&request.path.key, &mut self.pace);
        if !self.context.pacing.may_begin(Action::Play, key, pace) {
            return self.refuse(&request, code::PLAY_FAILED, TOO_OFTEN);
        }
        let StreamRequest { stream, name, path } = &request;
        let (key, conn_id) = (path.key.clone(), self.peer.id.clone());
        let ip = self.peer.addr.ip();
        if let Err(full) = self.context.pulls.want(&key, ip, &self.via) {
            return self.refuse_pull(&request, full);
        }
        let start = self.session.accept(*stream);
        let recipient = Recipient {
            tracks: self.selection(path),
            via: self.via.clone(),
            ..Recipient::player(conn_id, *stream, name.clone(), start)
        };
        let registry = &self.context.registry;
        let subscription = match registry.subscribe(&key, self.connection.outbox(), recipient) {
            Ok(subscription) => subscription,
            Err(Refusal::Loop) => return self.refuse_loop(&request, code::PLAY_FAILED),
            Err(Refusal::InUse | Refusal::NotFound) => {
                let text = format!("{name} not found.");
                return self.refuse(&request, code::STREAM_NOT_FOUND, &text);
            }
        };
        log!(Info, "player started"; conn_id = self.peer.id, peer_addr = self.peer.addr, stream_key = key);
        self.context
            .hooks
            .fire(events::play_started(&self.peer.id, &key, &self.app));
        let playing = Playing::new(subscription, key, self.connection.outbox());
        self.set_active(*stream, Active::Playing(playing))
    }

    /// Which tracks a player gets: one that knows nothing of several would take a second one's
    /// pictures or sound for the first's.
    fn selection(&self, path: &StreamPath) -> Selection {
        let wants_all = self.context.all_tracks
            || self.session.takes_multitrack()
            || path.query("tracks").as_deref() == Some("all");
        match wants_all {
            true => Selection::All,
            false => Selection::First,
        }
    }

    /// Whether the peer may do what it asks for. If not, the log and the hooks are told why.
    fn is_allowed(&self, action: Action, request: &StreamRequest) -> bool {
        let path = &request.path;
        let checked = self.context.auth.check(action, path, self.peer.addr);
        let counters = &self.context.counters;
        match (&checked, &self.context.auth) {
            (Err(_), _) => counters.auth_failures.add(1),
            (Ok(()), Authenticator::None) => {}
            (Ok(()), _) => counters.auth_successes.add(1),
        }
        if let Err(denied) = &checked {
            if let Some(more) = DENIALS.pass() {
                log!(Warn, "access denied"; conn_id = self.peer.id, peer_addr = self.peer.addr,
                    stream_key = path.key, action = action.name(), error = denied, suppressed = more);
            }
            let event = events::auth_failed(&self.peer.id, &path.key, action, denied);
            self.context.hooks.fire(event);
        }
        checked.is_ok()
    }

    /// Rejects a request that would have been allowed at another time.
    fn refuse(
        &mut self,
        request: &StreamRequest,
        code: &str,
        description: &str,
    ) -> Result<(), Error> {
        self.tell_of_refusal(Some(&request.path.key), code, description);
        self.reject(request, code, description)
    }

    pub(super) fn tell_of_refusal(&self, key: Option<&StreamKey>, code: &str, why: &str) {
        self.context.counters.requests_refused.add(1);
        if let Some(more) = REFUSALS.pass() {
            log!(Info, "request refused"; conn_id = self.peer.id, peer_addr = self.peer.addr,
                stream_key = key.map_or("", StreamKey::as_str), code = code, reason = shown(why), suppressed = more);
        }
    }

    fn reject(
        &mut self,
        request: &StreamRequest,
        code: &str,
        description: &str,
    ) -> Result<(), Error> {
        let mut events = Vec::new();
        self.session
            .reject(request.stream, code, description, &mut events);
        events.into_iter().try_for_each(|event| self.act(event))
    }
}
