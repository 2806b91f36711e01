//! One connection: a reader thread that owns all that the peer causes, and a writer thread.

mod requests;

use super::active::{Active, Ending};
use super::connections::{Admission, NO_ROLE, Peer};
use super::context::Context;
use super::error::Error;
use super::events;
use super::handshake::handshake;
use super::sent::Sent;
use crate::log;
use crate::log::RateLimit;
use crate::net::{self, DeadlineReader, SharedSocket};
use crate::pace::Pace;
use crate::queue::{self, Cause, Framing, Outbox, PeerKind, QueueFull, Transport, Writer};
use crate::registry::PublicationStatus;
use crate::rtmp::chunk::Decoder;
use crate::rtmp::session::{Session, SessionEvent};
use crate::rtmp::{Message, StreamId, handshake};
use crate::sync;
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// How long a client may take, after the handshake, until it publishes or plays.
const SETUP_LIMIT: Duration = Duration::from_secs(15);

/// How long a peer may send nothing.
const READ_LIMIT: Duration = Duration::from_secs(90);

/// Bytes that are read at a time: a viewer says little, a publisher much.
const READ_LEN: usize = 1 << 10;
const PUBLISHER_READ_LEN: usize = 64 << 10;

/// Lines that anyone can cause, as often as they like: so many of each are written in that time.
const FLOOD_LINES: u64 = 100;
const FLOOD_PERIOD: Duration = Duration::from_secs(10);

static FAILURES: RateLimit = RateLimit::burst(FLOOD_LINES, FLOOD_PERIOD);
static DEVIATIONS: RateLimit = RateLimit::burst(FLOOD_LINES, FLOOD_PERIOD);

/// Stack of a writer thread; it calls nothing deep.
const WRITER_STACK_LEN: usize = 64 << 10;

/// Serves one peer until either side ends it. Runs on the connection's reader thread; when it
/// returns, the writer is gone too, and so is every trace of the connection.
pub fn serve(
    context: &Context,
    number: u64,
    line: &Arc<SharedSocket>,
    addr: SocketAddr,
    place: &Admission,
) {
    let id = format!("c{number:06}");
    let began = Instant::now();
    log!(Debug, "connection accepted"; conn_id = id, peer_addr = addr);
    context.hooks.fire(events::accepted(&id, addr));
    let (error, role) = match handshake(context, number, &line.0) {
        Ok(()) => {
            context.hooks.fire(events::handshake_done(&id));
            talk(context, &id, line, addr, place)
        }
        Err(error) => {
            context.counters.handshake_failures.add(1);
            (error, NO_ROLE)
        }
    };
    context
        .hooks
        .fire(events::closed(&id, role, began.elapsed()));
    let duration_sec = log::Seconds(began.elapsed());
    match error {
        error if error.is_ordinary() => {
            log!(Info, "connection closed"; conn_id = id, peer_addr = addr, reason = error, duration_sec = duration_sec);
        }
        error => {
            // One that published or played was let in, and how that ended is always told.
            let passed = if role == NO_ROLE {
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

/// Everything after the handshake.
fn talk(
    context: &Context,
    id: &str,
    line: &Arc<SharedSocket>,
    addr: SocketAddr,
    place: &Admission,
) -> (Error, &'static str) {
    let socket = &line.0;
    let wire = Arc::clone(line) as Arc<dyn Transport>;
    let (counters, budget) = (
        Arc::clone(&context.counters),
        Arc::clone(&context.link_settings.budget),
    );
    let (outbox, writer) =
        queue::outbox(wire, PeerKind::Client, Framing::chunks(), counters, budget);
    let peer = Arc::new(Peer::new(id.to_owned(), addr, outbox, context.epoch));
    thread::scope(|scope| {
        if let Err(error) = sync::spawn_scoped(scope, &format!("{id}-w"), WRITER_STACK_LEN, || {
            write(context, line, writer)
        }) {
            return (Error::Io(error), NO_ROLE);
        }
        let Some(_known) = place.introduce(&peer) else {
            return (Error::HungUp, NO_ROLE);
        };
        let mut conn = Conn::new(context, peer, socket);
        let error = match conn.read_loop() {
            Ok(never) => match never {},
            Err(error) => error,
        };
        let role = conn.peer.purpose().role;
        conn.depart();
        if let Error::Timeout(_) = error {
            context.counters.zombies.add(1);
        }
        (error, role)
    })
}

/// The writer thread.
fn write(context: &Context, line: &SharedSocket, writer: Writer) {
    let sent = net::send_all(line, writer);
    if sent.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
        context.counters.zombies.add(1);
    }
}

enum Infallible {}

/// A connection that has shaken hands, seen from its reader thread.
struct Conn<'a> {
    context: &'a Context,
    peer: Arc<Peer>,
    socket: &'a TcpStream,
    reader: DeadlineReader<'a>,
    session: Session,
    chunks: Decoder,
    /// The app, without its query.
    app: String,
    /// The servers that the peer's streams have come through.
    via: Vec<String>,
    /// Few: mostly one.
    active: Vec<(StreamId, Active)>,
    /// Replies that have not been handed over yet.
    replies: Vec<Message>,
    /// How often it has begun to publish or play.
    pace: Pace,
    /// What it was sent when it was last heard of.
    sent: Sent,
    /// Media that has not been handed over yet, all of one stream.
    media: Vec<Message>,
    /// Leave was taken: whatever still comes is not for us.
    leaving: bool,
}

impl<'a> Conn<'a> {
    fn new(context: &'a Context, peer: Arc<Peer>, socket: &'a TcpStream) -> Conn<'a> {
        let mut session = Session::new(context.link_settings.chunk_size);
        session.count_received(1 + 2 * handshake::PACKET_LEN);
        Conn {
            context,
            peer,
            socket,
            reader: DeadlineReader::until(socket, Instant::now() + SETUP_LIMIT),
            session,
            chunks: Decoder::default(),
            app: String::new(),
            via: Vec::new(),
            active: Vec::new(),
            replies: Vec::new(),
            pace: Pace::new(Instant::now()),
            sent: Sent::default(),
            media: Vec::new(),
            leaving: false,
        }
    }

    fn outbox(&self) -> &Arc<Outbox> {
        &self.peer.outbox
    }

    /// Reads and does what the peer wants, until one of the two has had enough.
    fn read_loop(&mut self) -> Result<Infallible, Error> {
        let mut buffer = vec![0; READ_LEN];
        let mut events = Vec::new();
        loop {
            let len = match self.reader.read(&mut buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::TimedOut && self.takes_media() => {
                    continue;
                }
                Err(error) => return Err(self.reading(error)),
            };
            self.sent = Sent::through(self.outbox());
            if len == 0 {
                return Err(self.closed());
            }
            self.peer.heard(len);
            if self.leaving {
                continue;
            }
            self.session.count_received(len);
            let mut input = &buffer[..len];
            // Whoever is being taken leave of is not listened to any more.
            while !self.leaving
                && let Some(message) = self.chunks.decode(&mut input)?
            {
                self.session.handle(message, &mut events)?;
                for event in events.drain(..) {
                    self.act(event)?;
                }
            }
            self.hand_over_media();
            self.replies.extend(self.session.acknowledgement());
            self.hand_over_replies()?;
            let publishes = self
                .active
                .iter()
                .any(|(_, active)| matches!(active, Active::Publishing(_)));
            if publishes && buffer.len() < PUBLISHER_READ_LEN {
                buffer = vec![0; PUBLISHER_READ_LEN];
            }
        }
    }

    /// There is nothing more to read: who ended the connection, and why.
    fn closed(&self) -> Error {
        match self.outbox().cause() {
            Some(Cause::PeerGone) | None if self.leaving => Error::HungUp,
            Some(Cause::PeerGone) | None => Error::Closed,
            Some(cause) => Error::Cut(cause),
        }
    }

    /// Whether it plays and has taken media since it was last looked at: then it need not say
    /// anything.
    fn takes_media(&mut self) -> bool {
        let plays = |(_, active): &(StreamId, Active)| matches!(active, Active::Playing(_));
        if !self.active.iter().any(plays) {
            return false;
        }
        self.sent.takes_more(&self.peer.outbox, self.socket)
    }

    fn reading(&self, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::TimedOut if self.active.is_empty() => {
                Error::Timeout("connect, publish or play")
            }
            _ if self.leaving => Error::HungUp,
            _ => Error::reading(error, "the peer to send anything"),
        }
    }

    fn act(&mut self, event: SessionEvent) -> Result<(), Error> {
        match event {
            SessionEvent::Send(message) => self.replies.push(message),
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
                self.hand_over_replies()?;
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
                self.peer.purpose().flash_ver = flash_ver;
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
            SessionEvent::Close => {
                self.leaving = true;
                self.outbox().drain_and_close(Vec::new());
            }
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
        let mut purpose = self.peer.purpose();
        purpose.role = active.role();
        purpose.stream_key = active.key().as_str().to_owned();
        drop(purpose);
        self.active.reserve_exact(1);
        self.active.push((stream, active));
        self.reader.set_each(READ_LIMIT).map_err(Error::Io)
    }

    /// What `stream` did is over, by the peer's own wish.
    fn end(&mut self, stream: StreamId) -> Result<(), Error> {
        let Some(index) = self.active.iter().position(|(id, _)| *id == stream) else {
            return Ok(());
        };
        let (_, active) = self.active.swap_remove(index);
        self.peer.purpose().stream_key.clear();
        active.end(&self.context.hooks, &self.peer.id, Ending::Finished);
        if self.active.is_empty() {
            let end = Instant::now() + SETUP_LIMIT;
            self.reader.set_end(end).map_err(Error::Io)?;
        }
        Ok(())
    }

    /// The connection is over: whatever is left of it ends unasked.
    fn depart(mut self) {
        for (_, active) in std::mem::take(&mut self.active) {
            active.end(&self.context.hooks, &self.peer.id, Ending::Lost);
        }
        for (deviation, times) in self.chunks.tolerated().told() {
            if let Some(more) = DEVIATIONS.pass() {
                log!(Info, "peer deviated from the specification"; conn_id = self.peer.id,
                    deviation = deviation, times = times, suppressed = more);
            }
        }
        // Wakes a writer that waits for the socket.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn hand_over_replies(&mut self) -> Result<(), Error> {
        if self.replies.is_empty() {
            return Ok(());
        }
        let replies = std::mem::take(&mut self.replies);
        let replied = self.outbox().reply(replies);
        replied.map_err(|QueueFull| Error::QueueFull)
    }

    fn hand_over_media(&mut self) {
        let Some(stream) = self.media.first().map(|message| message.stream) else {
            return;
        };
        let media = std::mem::take(&mut self.media);
        if let Some(Active::Publishing(publishing)) = self.active(stream) {
            // Whoever has lost the stream to another was told so and is being hung up on.
            self.leaving |= publishing.publication.send(media) == PublicationStatus::Over;
        }
    }
}
