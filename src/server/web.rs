//! Clients of media over HTTP: their place among all connections, and what is told of them.

use super::access::{self, AccessRequest, Client};
use super::active::{Ending, Playing};
use super::connections::{Admission, Origin, Peer};
use super::context::Context;
use super::events::{self, PlayInfo};
use super::listener::{self, ConnectionRefusal};
use super::notified;
use super::peer_info::StreamUse;
use super::refusals;
use super::serving;
use super::web_session::{Session, SessionViewer};
use crate::auth::{Action, Answer};
use crate::awake;
use crate::connection::Error;
use crate::http::server::NoRoom;
use crate::log;
use crate::memory::Owner;
use crate::net::SharedSocket;
use crate::notify::{NotifyClient, NotifyRole, NotifyStream};
use crate::queue::{self, Cause, Outbox, PeerKind, Transport, Writer};
use crate::registry::{Recipient, Refusal};
use crate::rtmp::command::ClientInfo;
use crate::rtmp::session::RequestDetails;
use crate::rtmp::stream_key::{StreamKey, StreamPath};
use crate::sync::{self, Mutex};
use crate::web::{
    Access, Hls, Outcome, PlayRefusal, Traits, Viewing, WebConnection, WebHost, WebSession,
};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The server as media over HTTP sees it.
pub(super) struct WebClients(pub(super) Arc<Context>);

/// How everything is played over HTTP: live, as a player of RTMP that asks for -2 or -1.
const LIVE: RequestDetails = RequestDetails::Play {
    start: Some(-2000.0),
    duration: None,
    reset: None,
};

/// How often it is looked whether a stream that is fetched is there.
const FETCH_TICK: Duration = Duration::from_millis(50);

/// A connection by HTTP.
struct WebClient {
    context: Arc<Context>,
    socket: Arc<SharedSocket>,
    place: Admission,
    id: String,
    addr: SocketAddr,
    /// What a stream is called here that the client was let in to under another name.
    renamed: Mutex<Option<(StreamKey, StreamPath)>>,
}

/// What the services of -notify are told of a stream. Of its name, the ending belongs to the protocol.
fn described(path: &StreamPath) -> NotifyStream {
    NotifyStream {
        name: path.name.clone(),
        query: path.whole_query().to_owned(),
    }
}

impl WebHost for WebClients {
    fn admit(
        &self,
        socket: &Arc<SharedSocket>,
        peer: SocketAddr,
    ) -> Result<Arc<dyn WebConnection>, NoRoom> {
        let context = &self.0;
        context.counters.connections.add(1);
        let admitted = context.connections.admit(socket, Some(peer.ip()));
        let (place, gave_way) = admitted.map_err(|why| {
            listener::refuse(&context.counters, &ConnectionRefusal::Limit(why));
            NoRoom
        })?;
        gave_way.inspect(|other| listener::tell_of_way(&context.counters, other));
        Ok(Arc::new(WebClient {
            context: Arc::clone(context),
            socket: Arc::clone(socket),
            id: place.id().to_string(),
            place,
            addr: peer,
            renamed: Mutex::default(),
        }))
    }
}

impl WebClient {
    fn client(&self) -> Client<'_> {
        Client {
            conn_id: &self.id,
            addr: self.addr,
        }
    }

    /// What the stream `key` is called here, if not as the client calls it.
    fn renamed(&self, key: &StreamKey) -> Option<StreamPath> {
        let renamed = self.renamed.lock();
        let renamed = renamed.as_ref().filter(|(asked, _)| asked == key);
        renamed.map(|(_, path)| path.clone())
    }

    /// The client, as the services of -notify are told of it.
    fn about(&self, path: &StreamPath, user_agent: &str) -> Arc<NotifyClient> {
        let info = ClientInfo {
            app: path.app.clone(),
            flash_ver: user_agent.to_owned(),
            ..ClientInfo::default()
        };
        Arc::new(NotifyClient {
            info,
            addr: self.addr.ip(),
            id: self.place.id().number(),
        })
    }

    /// Has the stream fetched from elsewhere, if that is where it comes from.
    fn want(&self, key: &StreamKey) -> Result<(), PlayRefusal> {
        let wanted = self.context.pulls.want(key, self.addr.ip(), &[]);
        wanted.map_err(|full| {
            refusals::tell_of_pull(&self.context, &self.client(), key, full);
            PlayRefusal::Busy
        })
    }

    /// An outbox in front of the socket, and the viewer as others and as the stream see it.
    fn peer(&self, viewing: Viewing) -> (Arc<Peer>, Writer, Recipient) {
        let context = &self.context;
        let transport = Arc::clone(&self.socket) as Arc<dyn Transport>;
        let (outbox, writer) = queue::outbox(
            transport,
            PeerKind::Client(Owner::new(self.addr.ip())),
            viewing.framing,
            Arc::clone(&context.counters),
            Arc::clone(&context.link_settings.budget),
        );
        let origin = Origin::direct(self.addr);
        let peer = Peer::new(self.id.clone(), origin, outbox, context.epoch);
        let peer = peer.by(viewing.protocol).unread(&self.socket);
        peer.info().flash_ver = viewing.user_agent.to_owned();
        let recipient = (viewing.recipient)(self.id.clone());
        (Arc::new(peer), writer, recipient)
    }

    /// Tells the log how the connection of a viewer ended.
    fn tell_of_end(&self, outbox: &Outbox, began: Instant) {
        let error = outbox.cause().map_or(Error::HungUp, Error::Cut);
        if outbox.cause().is_some_and(Cause::took_too_long) {
            self.context.counters.zombies.add(1);
        }
        let duration_sec = log::Seconds(began.elapsed());
        match error.is_ordinary() {
            true => log!(Info, "connection closed"; conn_id = self.id, peer_addr = self.addr,
                reason = error, duration_sec = duration_sec),
            false => log!(Warn, "connection failed"; conn_id = self.id, peer_addr = self.addr,
                layer = error.layer(), error = error, duration_sec = duration_sec),
        }
    }
}

impl WebConnection for WebClient {
    fn access(&self, path: &StreamPath, user_agent: &str) -> Access {
        let request = AccessRequest {
            action: Action::Play,
            path,
            details: &LIVE,
            agent: user_agent,
            about: &self.about(path, ""),
            stream: &described(path),
            // A player may open many connections.
            answer: Answer::Recent,
        };
        let admitted = access::check(&self.context, &self.client(), &request);
        let Ok(admitted) = admitted else {
            return Access::Denied;
        };
        let renamed = admitted.renamed.map(|other| (path.key.clone(), other));
        *self.renamed.lock() = renamed;
        match admitted.checked {
            true => Access::Checked,
            false => Access::Open,
        }
    }

    fn renamed(&self, key: &StreamKey) -> Option<StreamKey> {
        WebClient::renamed(self, key).map(|path| path.key)
    }

    fn address(&self) -> SocketAddr {
        self.addr
    }

    fn set_busy(&self, busy: bool) {
        self.place.set_busy(busy);
    }

    fn hls(&self) -> &Hls {
        &self.context.hls
    }

    fn fetch(&self, key: &StreamKey) -> bool {
        let context = &self.context;
        if !context.pulls.can_fetch(key) || self.want(key).is_err() {
            return false;
        }
        let end = awake::now() + context.registry.wait_limit();
        while !context.registry.is_live(key) {
            if awake::now() >= end || context.is_stopping() {
                return false;
            }
            sync::sleep(FETCH_TICK);
        }
        true
    }

    fn begin_session(
        &self,
        path: &StreamPath,
        user_agent: &str,
        traits: Traits,
    ) -> Result<Arc<dyn WebSession>, PlayRefusal> {
        if self.context.ended.has(&traits) {
            return Err(PlayRefusal::Ended);
        }
        let renamed = WebClient::renamed(self, &path.key);
        let played = renamed.as_ref().unwrap_or(path);
        self.want(&played.key)?;
        let viewer = SessionViewer {
            addr: self.addr,
            path: played,
            user_agent,
            traits,
            about: self.about(path, user_agent),
            stream: described(path),
        };
        let session = Session::begin(&self.context, viewer)?;
        Ok(Arc::new(session))
    }

    fn count_held(&self, pieces: &[Arc<[u8]>]) -> Option<Box<dyn fmt::Debug + Send>> {
        let owner = Owner::new(self.addr.ip());
        let budget = &self.context.link_settings.budget;
        serving::count(pieces, (&self.socket, owner), budget)
    }

    fn count_sent(&self, bytes: usize) {
        self.context.counters.bytes_out.add(bytes as u64);
    }

    fn is_published(&self, key: &StreamKey) -> bool {
        let renamed = WebClient::renamed(self, key);
        let key = renamed.as_ref().map_or(key, |path| &path.key);
        self.context.registry.is_published(key)
    }

    fn watch(
        &self,
        viewing: Viewing,
        send: &mut dyn FnMut(&Arc<Outbox>, Writer) -> Outcome,
    ) -> Result<(), PlayRefusal> {
        let (context, began) = (&self.context, Instant::now());
        let (asked, protocol) = (viewing.path, viewing.protocol);
        let renamed = WebClient::renamed(self, &asked.key);
        let path = renamed.as_ref().unwrap_or(asked);
        let about = self.about(asked, viewing.user_agent);
        let traits = Traits::new(self.addr.ip(), asked, viewing.user_agent);
        let viewing = Viewing { path, ..viewing };
        let (peer, writer, recipient) = self.peer(viewing);
        peer.info().begin(StreamUse::playing(&path.key, traits));
        let outbox = Arc::clone(&peer.outbox);
        let Some(_known) = self.place.introduce(&peer) else {
            return Err(PlayRefusal::Stopping);
        };
        self.want(&path.key)?;
        let subscribed = context.registry.subscribe(&path.key, &outbox, recipient);
        let subscription = subscribed.map_err(|refusal| {
            let (refusal, code, why) = match refusal {
                Refusal::NotFound | Refusal::InUse | Refusal::Loop => {
                    (PlayRefusal::NotFound, "404", "nobody publishes it")
                }
                Refusal::TooManyChoices => (
                    PlayRefusal::TooManyChoices,
                    "503",
                    "too many choices of tracks",
                ),
            };
            refusals::tell_of_request(context, &self.client(), Some(&path.key), code, why);
            refusal
        })?;
        log!(Info, "player started"; conn_id = self.id, peer_addr = self.addr, stream_key = path.key,
            protocol = protocol.name());
        let play = PlayInfo {
            conn_id: &self.id,
            key: &path.key,
            protocol,
        };
        context.hooks.fire(events::play_started(play, &path.app));
        let probe = notified::probe(context, &path.key, &outbox, &self.id);
        let stream = described(asked);
        let role = NotifyRole::Player;
        let notified = context
            .notify
            .session(&about, stream, role, &path.key, probe);
        let key = path.key.clone();
        let playing = Playing::new(subscription, key, &outbox, protocol, notified);
        let ending = match send(&outbox, writer) {
            Outcome::Complete => Ending::Finished,
            Outcome::Lost => Ending::Lost,
        };
        playing.end(&context.hooks, &self.id, ending);
        self.tell_of_end(&outbox, began);
        Ok(())
    }
}
