//! One connection: a reader thread that owns all that the peer causes, and a writer thread.

mod requests;

use super::active::{Active, Ending};
use super::connections::{Admission, ConnId, ConnectionRole, Peer};
use super::context::Context;
use super::delivery::Delivery;
use super::events;
use crate::connection::{
    Connection, Error, MEDIA_READ_LEN, READ_LEN, Side, handshake, read_loop, with_writer,
};
use crate::log;
use crate::log::RateLimit;
use crate::net::SharedSocket;
use crate::pace::Pace;
use crate::queue::PeerKind;
use crate::registry::PublicationStatus;
use crate::rtmp::flow::Flow;
use crate::rtmp::session::{Session, SessionEvent};
use crate::rtmp::{Message, StreamId};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Lines that anyone can cause, as often as they like: so many of each are written in that time.
const FLOOD_LINES: u64 = 100;
const FLOOD_PERIOD: Duration = Duration::from_secs(10);

static FAILURES: RateLimit = RateLimit::burst(FLOOD_LINES, FLOOD_PERIOD);
static DEVIATIONS: RateLimit = RateLimit::burst(FLOOD_LINES, FLOOD_PERIOD);

/// Serves one peer until either side ends it. Runs on the connection's reader thread; when it
/// returns, the writer is gone too, and so is every trace of the connection.
pub fn serve(context: &Context, line: &Arc<SharedSocket>, addr: SocketAddr, place: &Admission) {
    let id = place.id().to_string();
    let began = Instant::now();
    log!(Debug, "connection accepted"; conn_id = id, peer_addr = addr);
    context.hooks.fire(events::accepted(&id, addr));
    let (error, role) = match shake_hands(context, place.id(), &line.0) {
        Ok(()) => {
            context.hooks.fire(events::handshake_done(&id));
            talk(context, &id, line, addr, place)
        }
        Err(error) => {
            context.counters.handshake_failures.add(1);
            (error, ConnectionRole::None)
        }
    };
    context
        .hooks
        .fire(events::closed(&id, role.name(), began.elapsed()));
    let duration_sec = log::Seconds(began.elapsed());
    match error {
        error if error.is_ordinary() => {
            log!(Info, "connection closed"; conn_id = id, peer_addr = addr, reason = error, duration_sec = duration_sec);
        }
        error => {
            // One that published or played was let in, and how that ended is always told.
            let passed = if role == ConnectionRole::None {
                FAILURES.pass()
            } else {
                Some(0)
            };
            if let Some(more) = passed {
                log!(Warn, "connection failed"; conn_id = id, peer_addr = addr, layer = error.layer(), error = error,
                    duration_sec = duration_sec, suppressed = more);
            }
        }
    }
}

fn shake_hands(context: &Context, id: ConnId, socket: &TcpStream) -> Result<(), Error> {
    let seed = context.seed.wrapping_add(id.number() << 1);
    if let Some(deviation) = handshake::accept(socket, || context.clock_ms(), seed)? {
        log!(Debug, "peer deviated from the specification"; conn_id = id, deviation = deviation);
    }
    Ok(())
}

/// Everything after the handshake.
fn talk(
    context: &Context,
    id: &str,
    line: &Arc<SharedSocket>,
    addr: SocketAddr,
    place: &Admission,
) -> (Error, ConnectionRole) {
    let shared = (&context.counters, &context.link_settings.budget);
    let talked = with_writer(
        line,
        PeerKind::Client,
        shared,
        &format!("{id}-w"),
        |outbox| {
            let peer = Arc::new(Peer::new(
                id.to_owned(),
                addr,
                Arc::clone(&outbox),
                context.epoch,
            ));
            let Some(_known) = place.introduce(&peer) else {
                return (Error::HungUp, ConnectionRole::None);
            };
            let connection = Connection::new(&line.0, outbox);
            let mut conn = Conn::new(context, peer, connection);
            let error = read_loop(&mut conn);
            let role = conn.peer.info().role;
            conn.depart();
            if let Error::Timeout(_) = error {
                context.counters.zombies.add(1);
            }
            (error, role)
        },
    );
    match talked {
        Ok((result, written)) => {
            if written.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                context.counters.zombies.add(1);
            }
            result
        }
        Err(error) => (Error::Io(error), ConnectionRole::None),
    }
}

/// A client that has shaken hands, seen from its connection's reader thread.
struct Conn<'a> {
    context: &'a Context,
    peer: Arc<Peer>,
    connection: Connection<'a>,
    session: Session,
    /// What follows from a message: empty between two of them.
    events: Vec<SessionEvent>,
    /// The app, without its query.
    app: String,
    /// The servers that the peer's streams have come through.
    via: Vec<String>,
    /// Few: mostly one.
    active: Vec<(StreamId, Active)>,
    /// How often it has begun to publish or play.
    pace: Pace,
    /// How far it had been sent when it was last heard of.
    delivery: Delivery,
    /// Media that has not been handed over yet, all of one stream.
    media: Vec<Message>,
}

impl<'a> Side<'a> for Conn<'a> {
    type Error = Error;

    fn connection(&mut self) -> &mut Connection<'a> {
        &mut self.connection
    }

    fn flow(&mut self) -> &mut Flow {
        self.session.flow()
    }

    fn read_len(&self) -> usize {
        let publishes = |(_, active): &(StreamId, Active)| matches!(active, Active::Publishing(_));
        match self.active.iter().any(publishes) {
            true => MEDIA_READ_LEN,
            false => READ_LEN,
        }
    }

    /// A player need not say anything while it takes media.
    fn may_stay_silent(&mut self) -> bool {
        let plays = |(_, active): &(StreamId, Active)| matches!(active, Active::Playing(_));
        self.active.iter().any(plays)
            && self
                .delivery
                .has_advanced(self.connection.outbox(), self.connection.socket())
    }

    fn read_failed(&self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::TimedOut if self.active.is_empty() => {
                Error::Timeout("connect, publish or play")
            }
            _ if self.connection.is_closing() => Error::HungUp,
            _ => Error::reading(error, "the peer to send anything"),
        }
    }

    fn heard(&mut self, bytes: usize) {
        self.delivery = Delivery::until_now(self.connection.outbox());
        self.peer.heard(bytes);
    }

    fn handle(&mut self, message: Message) -> Result<(), Error> {
        let mut events = std::mem::take(&mut self.events);
        self.session.handle(message, &mut events)?;
        for event in events.drain(..) {
            self.act(event)?;
        }
        self.events = events;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.hand_over_media();
        Ok(())
    }

    fn ended(&self) -> Option<Error> {
        None
    }
}

impl<'a> Conn<'a> {
    fn new(context: &'a Context, peer: Arc<Peer>, connection: Connection<'a>) -> Conn<'a> {
        Conn {
            context,
            peer,
            connection,
            session: Session::new(context.link_settings.chunk_size),
            events: Vec::new(),
            app: String::new(),
            via: Vec::new(),
            active: Vec::new(),
            pace: Pace::new(Instant::now()),
            delivery: Delivery::default(),
            media: Vec::new(),
        }
    }

    fn act(&mut self, event: SessionEvent) -> Result<(), Error> {
        match event {
            SessionEvent::Send(message) => self.connection.reply([message]),
            SessionEvent::Media(message) => {
                if self
                    .media
                    .last()
                    .is_some_and(|last| last.stream != message.stream)
                {
                    self.hand_over_media();
                }
                self.media.push(message);
            }
            event => {
                self.hand_over_media();
                self.connection.send_replies()?;
                self.change(event)?;
            }
        }
        Ok(())
    }

    /// Does what changes the state of the connection; all that came before is handed over.
    fn change(&mut self, event: SessionEvent) -> Result<(), Error> {
        match event {
            SessionEvent::Connected {
                app,
                flash_ver,
                via,
            } => {
                self.peer
                    .can_reconnect
                    .store(self.session.can_reconnect(), Ordering::Relaxed);
                log!(Info, "client connected"; conn_id = self.peer.id, peer_addr = self.peer.addr,
                    app = app, flash_ver = flash_ver);
                self.peer.info().flash_ver = flash_ver;
                self.app = app;
                self.via = via;
            }
            SessionEvent::Publish(request) => self.publish(request)?,
            SessionEvent::Play(request) => self.play(request)?,
            SessionEvent::Ended(stream) => self.end(stream)?,
            SessionEvent::Pause(stream, paused) => {
                if let Some(active) = self.active(stream) {
                    active.pause(paused);
                }
            }
            SessionEvent::Receive(stream, medium, on) => {
                if let Some(active) = self.active(stream) {
                    active.receive(medium, on);
                }
            }
            SessionEvent::Close => self.connection.drain_and_close(),
            SessionEvent::Ignored(why) => {
                log!(Debug, "message ignored"; conn_id = self.peer.id, reason = why);
            }
            SessionEvent::Unreadable(error) => {
                self.context.counters.commands_unreadable.add(1);
                log!(Debug, "message ignored"; conn_id = self.peer.id, layer = error.layer(), reason = error);
            }
            SessionEvent::Refused(code, why) => self.tell_of_refusal(None, code, &why),
            SessionEvent::Send(_) | SessionEvent::Media(_) => {} // handed over by the caller
        }
        Ok(())
    }

    fn active(&self, stream: StreamId) -> Option<&Active> {
        self.active
            .iter()
            .find(|(id, _)| *id == stream)
            .map(|(_, active)| active)
    }

    fn set_active(&mut self, stream: StreamId, active: Active) -> Result<(), Error> {
        let mut info = self.peer.info();
        info.role = active.role();
        info.stream_key = Some(active.key().clone());
        drop(info);
        self.active.reserve_exact(1);
        self.active.push((stream, active));
        self.connection.limit_silence()
    }

    /// What `stream` did is over, by the peer's own wish.
    fn end(&mut self, stream: StreamId) -> Result<(), Error> {
        let Some(index) = self.active.iter().position(|(id, _)| *id == stream) else {
            return Ok(());
        };
        let (_, active) = self.active.swap_remove(index);
        self.peer.info().stream_key = None;
        active.end(&self.context.hooks, &self.peer.id, Ending::Finished);
        if self.active.is_empty() {
            self.connection.limit_setup()?;
        }
        Ok(())
    }

    /// The connection is over: whatever is left of it ends unasked.
    fn depart(mut self) {
        for (_, active) in std::mem::take(&mut self.active) {
            active.end(&self.context.hooks, &self.peer.id, Ending::Lost);
        }
        for (deviation, times) in self.connection.deviations() {
            if let Some(more) = DEVIATIONS.pass() {
                log!(Info, "peer deviated from the specification"; conn_id = self.peer.id,
                    deviation = deviation, times = times, suppressed = more);
            }
        }
    }

    fn hand_over_media(&mut self) {
        let Some(stream) = self.media.first().map(|message| message.stream) else {
            return;
        };
        let media = std::mem::take(&mut self.media);
        if let Some(Active::Publishing(publishing)) = self.active(stream) {
            // A publisher that has lost its stream to another was told so and is being hung up on.
            if publishing.publication.send(media) == PublicationStatus::Over {
                self.connection.ignore_input();
            }
        }
    }
}
