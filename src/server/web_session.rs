//! Viewers by HLS: they have no connection that lasts, and are seen, counted and ended like any other.

use super::active::{Ending, Playing};
use super::connections::{KnownSession, Origin, Peer, Refused};
use super::context::Context;
use super::events::{self, PlayInfo};
use super::listener::{self, ConnectionRefusal};
use super::notified;
use super::peer_info::StreamUse;
use crate::log;
use crate::memory::Owner;
use crate::notify::{NotifyClient, NotifyRole, NotifyStream};
use crate::queue::{self, Cause, Framing, Outbox, PeerKind, Transport};
use crate::registry::Recipient;
use crate::rtmp::stream_key::StreamPath;
use crate::stats::Protocol;
use crate::web::{PlayRefusal, Traits, WebSession};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// A viewer by HLS. It watches until this is dropped.
pub(super) struct Session {
    context: Arc<Context>,
    id: String,
    outbox: Arc<Outbox>,
    /// `None` when it is being dropped.
    playing: Option<Playing>,
    _known: KnownSession,
}

/// Who begins to watch what.
pub(super) struct SessionViewer<'a> {
    pub(super) addr: SocketAddr,
    /// The stream as it is called here.
    pub(super) path: &'a StreamPath,
    pub(super) user_agent: &'a str,
    pub(super) traits: Traits,
    /// The client and the stream as the services of -notify are told of them.
    pub(super) about: Arc<NotifyClient>,
    pub(super) stream: NotifyStream,
}

/// The way to a viewer that fetches what it wants: nothing is ever sent on it.
struct NoTransport;

impl Transport for NoTransport {
    fn send_now(&self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn hang_up(&self) {}
}

impl Session {
    /// A client begins to watch.
    pub(super) fn begin(
        context: &Arc<Context>,
        viewer: SessionViewer,
    ) -> Result<Session, PlayRefusal> {
        let SessionViewer {
            addr,
            path,
            user_agent,
            traits,
            about,
            stream,
        } = viewer;
        let number = context.connections.session_id();
        let id = number.to_string();
        // The other end is dropped: there is nothing to write.
        let (outbox, _) = queue::outbox(
            Arc::new(NoTransport),
            PeerKind::Client(Owner::new(addr.ip())),
            Framing::chunks(),
            Arc::clone(&context.counters),
            Arc::clone(&context.link_settings.budget),
        );
        let peer = Peer::new(
            id.clone(),
            Origin::direct(addr),
            Arc::clone(&outbox),
            context.epoch,
        );
        let peer = peer.by(Protocol::Hls);
        let mut info = peer.info();
        info.flash_ver = user_agent.to_owned();
        info.begin(StreamUse::playing(&path.key, traits));
        drop(info);
        let known = context.connections.introduce(number, &Arc::new(peer));
        let known = known.map_err(|why| {
            listener::refuse(&context.counters, &ConnectionRefusal::Limit(why));
            match why {
                Refused::Closed => PlayRefusal::Stopping,
                _ => PlayRefusal::Full,
            }
        })?;
        let recipient = Recipient::session(id.clone());
        let subscribed = context.registry.subscribe(&path.key, &outbox, recipient);
        let subscription = subscribed.map_err(|_| PlayRefusal::NotFound)?;
        log!(Info, "player started"; conn_id = id, peer_addr = addr, stream_key = path.key,
            protocol = Protocol::Hls.name());
        let play = PlayInfo {
            conn_id: &id,
            key: &path.key,
            protocol: Protocol::Hls,
        };
        context.hooks.fire(events::play_started(play, &path.app));
        let probe = notified::probe(context, &path.key, &outbox, &id);
        let role = NotifyRole::Player;
        let notified = context
            .notify
            .session(&about, stream, role, &path.key, probe);
        let key = path.key.clone();
        let playing = Playing::new(subscription, key, &outbox, Protocol::Hls, notified);
        Ok(Session {
            context: Arc::clone(context),
            id,
            outbox,
            playing: Some(playing),
            _known: known,
        })
    }
}

impl WebSession for Session {
    fn was_ended(&self) -> bool {
        self.outbox.cause() == Some(Cause::Asked)
    }

    fn count_sent(&self, bytes: usize) {
        self.outbox.count_bytes(bytes);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let ending = match self.was_ended() {
            true => Ending::Lost,
            false => Ending::Finished,
        };
        if let Some(playing) = self.playing.take() {
            playing.end(&self.context.hooks, &self.id, ending);
        }
    }
}
