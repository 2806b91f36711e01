//! A client, seen from its connection's reader thread: what it says and what follows from that.

use crate::auth::Action;
use crate::connection::{Connection, Error, MEDIA_READ_LEN, READ_LEN, Side};
use crate::log;
use crate::log::RateLimit;
use crate::notify::NotifyClient;
use crate::pace::Pace;
use crate::registry::PublicationStatus;
use crate::rtmp::command::ClientInfo;
use crate::rtmp::flow::Flow;
use crate::rtmp::session::{Session, SessionEvent};
use crate::rtmp::{Message, StreamId};
use crate::server::active::{Active, Ending};
use crate::server::connections::{Admission, Peer};
use crate::server::context::Context;
use crate::server::delivery::Delivery;
use crate::server::flood::flood_limit;
use crate::web::Traits;
use std::io;
use std::sync::Arc;
use std::time::Instant;

static DEVIATIONS: RateLimit = flood_limit();

/// How many messages of media there is room for between two reads: few come in most.
const MEDIA_KEPT_MAX: usize = 64;

/// How many events there is room for between two messages: few follow from most.
const EVENTS_KEPT_MAX: usize = 4;

/// A client that has shaken hands, seen from its connection's reader thread.
pub(super) struct Conn<'a> {
    pub(super) context: &'a Context,
    /// Its place among all connections.
    place: &'a Admission,
    pub(super) peer: Arc<Peer>,
    pub(super) connection: Connection<'a>,
    pub(super) session: Session,
    /// What follows from a message: empty between two of them.
    pub(super) events: Vec<SessionEvent>,
    /// The app, without its query.
    pub(super) app: String,
    /// The servers that the peer's streams have come through.
    pub(super) via: Vec<String>,
    /// What it publishes and plays, by message stream; mostly one.
    pub(super) active: Vec<(StreamId, Active)>,
    /// What the services of -notify are told of the client.
    pub(super) about: Arc<NotifyClient>,
    /// Whether they are told when it is gone.
    pub(super) is_noted: bool,
    /// How often it has begun to publish or play.
    pub(super) pace: Pace,
    /// How far it had been sent when it was last heard of.
    pub(super) delivery: Delivery,
    /// Media that has not been handed over yet, all of one stream.
    pub(super) media: Vec<Message>,
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
        events.shrink_to(EVENTS_KEPT_MAX);
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
    /// On the heap, and never on the caller's stack, which then stays within two pages while nothing
    /// comes.
    #[inline(never)]
    pub(super) fn new(
        context: &'a Context,
        place: &'a Admission,
        peer: Arc<Peer>,
        connection: Connection<'a>,
    ) -> Box<Conn<'a>> {
        let about = NotifyClient {
            info: ClientInfo::default(),
            addr: peer.addr.ip(),
            id: peer.number(),
        };
        Box::new(Conn {
            context,
            place,
            about: Arc::new(about),
            is_noted: false,
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
        })
    }

    pub(super) fn act(&mut self, event: SessionEvent) -> Result<(), Error> {
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
            SessionEvent::Connect(request) => self.connect(*request)?,
            SessionEvent::Publish(request) => self.begin(Action::Publish, &request)?,
            SessionEvent::PublishedAgain(stream) => {
                if let Some(active) = self.active(stream) {
                    active.restart_times();
                }
            }
            SessionEvent::Play(request) => self.begin(Action::Play, &request)?,
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

    pub(super) fn set_active(
        &mut self,
        stream: StreamId,
        active: Active,
        traits: Option<Traits>,
    ) -> Result<(), Error> {
        self.peer.info().begin(active.used(stream, traits));
        self.active.reserve_exact(1);
        self.active.push((stream, active));
        self.connection.limit_silence()
    }

    /// Whether something begins; a connection that publishes or plays is busy in any case.
    pub(super) fn set_busy(&self, begins: bool) {
        self.place.set_busy(begins || !self.active.is_empty());
    }

    /// What `stream` did is over, by the peer's own wish.
    fn end(&mut self, stream: StreamId) -> Result<(), Error> {
        let Some(index) = self.active.iter().position(|(id, _)| *id == stream) else {
            return Ok(());
        };
        let (_, active) = self.active.swap_remove(index);
        self.peer.info().end(stream);
        active.end(&self.context.hooks, &self.peer.id, Ending::Finished);
        self.set_busy(false);
        if self.active.is_empty() {
            self.connection.limit_setup()?;
        }
        Ok(())
    }

    /// The connection is over: whatever is left of it ends unasked.
    #[inline(never)]
    pub(super) fn depart(mut self: Box<Self>) {
        for (_, active) in std::mem::take(&mut self.active) {
            active.end(&self.context.hooks, &self.peer.id, Ending::Lost);
        }
        if self.is_noted {
            self.context.notify.disconnect(&self.about);
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
        let mut media = std::mem::take(&mut self.media);
        if let Some(Active::Publishing(publishing)) = self.active(stream) {
            let status = publishing.publication.send(media.drain(..));
            let is_watched = publishing.publication.is_watched();
            self.connection.set_watched(is_watched);
            // A publisher that has lost its stream to another was told so and is being hung up on.
            if status == PublicationStatus::Over {
                self.connection.ignore_input();
            }
        }
        media.shrink_to(MEDIA_KEPT_MAX);
        self.media = media;
    }
}
