//! One connection to another server, from dialling to its end.

use super::error::{LinkError, REDIRECT_LEN_MAX, REDIRECTS_MAX, RedirectError};
use super::stop::{StopHandle, StopTarget};
use super::tls::{self, TlsClient, TlsFault};
use super::url::{RtmpUrl, Scheme};
use crate::connection::{
    self, Connection, MEDIA_READ_LEN, Side, WRITE_LIMIT, handshake, read_loop, with_writer,
};
use crate::log;
use crate::memory::Budget;
use crate::net::{Merge, SharedSocket, Socket, dial};
use crate::queue::{Outbox, PeerKind};
use crate::rtmp::client::{self, Client, ClientEvent, ConnectTarget, Purpose};
use crate::rtmp::flow::Flow;
use crate::rtmp::{Message, StreamId, command};
use crate::stats::Counters;
use crate::text::shown;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long looking up and connecting may take together.
const DIAL_LIMIT: Duration = Duration::from_secs(10);

/// After a connection that lasted this long, redirects and failures count anew.
pub(crate) const STEADY: Duration = Duration::from_secs(3);

/// What all connections to other servers share.
#[derive(Clone)]
pub(crate) struct LinkSettings {
    /// Bytes per chunk that we send.
    pub chunk_size: u32,
    /// How long media that comes may wait for more.
    pub merge: Merge,
    /// What is sent to destinations is counted there.
    pub counters: Arc<Counters>,
    /// What waits for all peers counts against it.
    pub budget: Arc<Budget>,
    /// Bytes that the system may keep for a connection and cannot send yet.
    pub unsent_max: u32,
    /// What this server calls itself, to recognise streams that come back to it.
    pub name: String,
}

/// What uses a connection to another server: a relay or a pull.
pub(crate) trait LinkHandler {
    /// Media can be sent to `outbox` as of message stream `stream`, or will come from there; `end`
    /// is what the server is to be told at the end.
    ///
    /// # Errors
    ///
    /// Any: it is not wanted any more.
    fn start(
        &mut self,
        stream: StreamId,
        outbox: &Arc<Outbox>,
        end: Vec<Message>,
    ) -> Result<(), LinkError>;

    /// The server sends us to another address, where the connection is made next; as it may be shown.
    fn redirected(&mut self, to: &str);

    /// Media came.
    ///
    /// # Errors
    ///
    /// Any: it is not wanted any more.
    fn media(&mut self, messages: Vec<Message>, bytes: usize) -> Result<(), LinkError>;

    /// The connection is over; why. The handler has to drop what holds its outbox.
    fn end(&mut self, why: &LinkError);
}

/// A connection that is to be made.
pub(crate) struct Link<'a> {
    pub(crate) link_settings: &'a LinkSettings,
    pub(crate) url: &'a RtmpUrl,
    pub(crate) purpose: Purpose,
    /// What ends it from outside.
    pub(crate) switch: &'a StopHandle,
}

impl Link<'_> {
    /// Connects, has `user` use the connection, and returns why that is over. Goes where the server
    /// sends it.
    pub(crate) fn run(&self, target: ConnectTarget, user: &mut dyn LinkHandler) -> LinkError {
        let mut way = Way {
            url: self.url.clone(),
            target,
            passed: Vec::new(),
        };
        loop {
            let began = Instant::now();
            let error = self.run_once(&way.url, way.target.clone(), user);
            let moved = match error {
                LinkError::Client(client::Error::Redirected(to)) => way.redirect(&to),
                LinkError::Client(client::Error::Reconnect(to)) => {
                    if began.elapsed() >= STEADY {
                        way.passed.clear();
                    }
                    way.reconnect(to.as_deref())
                }
                error => return error,
            };
            if let Err(error) = moved {
                return self.unless_stopped(LinkError::Redirect(error));
            }
            user.redirected(&shown(&way.url.to_string()));
        }
    }

    /// Connects once, and stays until that connection ends.
    fn run_once(
        &self,
        url: &RtmpUrl,
        target: ConnectTarget,
        user: &mut dyn LinkHandler,
    ) -> LinkError {
        let (socket, mut tls) = match self.connect(url) {
            Ok(connected) => connected,
            Err(error) => return self.unless_stopped(error),
        };
        let line = Arc::new(SharedSocket(socket));
        if !self
            .switch
            .hold(StopTarget::SharedSocket(Arc::clone(&line)))
        {
            return LinkError::Stopped;
        }
        self.switch.carry(Some(&line));
        let seed = RandomState::new().hash_one(0);
        let error = match handshake::initiate(&line.0, seed) {
            Ok(()) => {
                tls.iter_mut().for_each(TlsClient::established);
                self.talk(&line, &mut tls, target, user)
            }
            Err(error) => self.explained(error.into(), &mut tls),
        };
        self.switch.hold(StopTarget::Nothing);
        self.switch.carry(None);
        if self.switch.is_cut() {
            tls.iter_mut().for_each(TlsClient::give_up);
        }
        self.unless_stopped(error)
    }

    /// Whatever fails when we do not want it any more is no failure.
    fn unless_stopped(&self, error: LinkError) -> LinkError {
        match self.switch.is_off() {
            true => LinkError::Stopped,
            false => error,
        }
    }

    /// `error`, or the reason behind it that only the program knows which speaks TLS, where there is one:
    /// all that we see is that it closes, or that nothing comes.
    fn explained(&self, error: LinkError, tls: &mut Option<TlsClient>) -> LinkError {
        use connection::Error::{Closed, Io, Reset, Timeout};
        if self.switch.is_off() {
            return LinkError::Stopped;
        }
        let patience = match &error {
            LinkError::Connection(Closed | Reset | Io(_)) => tls::GRACE,
            LinkError::Connection(Timeout(_)) => Duration::ZERO,
            _ => return error,
        };
        let fault = tls.take().and_then(|tls| tls.fault(patience));
        fault.map_or(error, LinkError::Tls)
    }

    /// Connects, or has a program connect that speaks TLS.
    fn connect(&self, url: &RtmpUrl) -> Result<(Socket, Option<TlsClient>), LinkError> {
        let (socket, tls) = match url.scheme {
            Scheme::Rtmp => (self.dial(url)?.into(), None),
            Scheme::Rtmps => {
                let (socket, tls) = start_tls(url).map_err(LinkError::Tls)?;
                (socket.into(), Some(tls))
            }
        };
        let socket: Socket = socket;
        socket.set_write_timeout(Some(WRITE_LIMIT))?;
        socket.set_unsent_max(self.link_settings.unsent_max)?;
        Ok((socket, tls))
    }

    fn dial(&self, url: &RtmpUrl) -> Result<TcpStream, LinkError> {
        let end = Instant::now() + DIAL_LIMIT;
        let (stop, stopped) = UnixStream::pair()?;
        if !self.switch.hold(StopTarget::Dialling(stop)) {
            return Err(LinkError::Stopped);
        }
        let socket = dial(&url.host, url.port, end, Some(stopped.as_fd()));
        self.switch.hold(StopTarget::Nothing);
        socket.map_err(LinkError::Dial)
    }

    /// Everything after the handshake, with a thread that sends.
    fn talk(
        &self,
        line: &Arc<SharedSocket>,
        tls: &mut Option<TlsClient>,
        target: ConnectTarget,
        user: &mut dyn LinkHandler,
    ) -> LinkError {
        let shared = (&self.link_settings.counters, &self.link_settings.budget);
        let talked = with_writer(line, PeerKind::Server, shared, "remote-w", |outbox| {
            let client = Client::new(self.purpose, target);
            outbox.push_reply(client.begin(self.link_settings.chunk_size));
            let mut conn = LinkConn {
                link: self,
                connection: Connection::new(&line.0, outbox),
                client,
                events: Vec::new(),
                user,
                heard: 0,
                state: LinkConnState::Starting,
            };
            let error = self.explained(read_loop(&mut conn), tls);
            self.switch.hold(StopTarget::Nothing);
            let error = self.unless_stopped(error);
            conn.user.end(&error);
            error
        });
        match talked {
            Ok((error, _)) => error,
            Err(error) => error.into(),
        }
    }
}

/// Has a program connect to the host of `url`.
fn start_tls(url: &RtmpUrl) -> Result<(UnixStream, TlsClient), TlsFault> {
    let openssl = tls::find().map_err(TlsFault::NotFound)?;
    let started = TlsClient::start(&openssl, &url.host, url.port);
    let (socket, tls) = started.map_err(TlsFault::Start)?;
    log!(Debug, "openssl started"; url = shown(&url.to_string()), pid = tls.id());
    Ok((socket, tls))
}

/// A server that we have shaken hands with, seen from its connection's reader thread.
struct LinkConn<'a> {
    link: &'a Link<'a>,
    connection: Connection<'a>,
    client: Client,
    /// What follows from the messages of one read.
    events: Vec<ClientEvent>,
    user: &'a mut dyn LinkHandler,
    /// Bytes of the last read.
    heard: usize,
    state: LinkConnState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkConnState {
    /// The server has not yet let the stream begin.
    Starting,
    /// The stream has begun: media may flow.
    Running,
    /// The server said that the stream is over.
    Ended,
}

impl<'a> Side<'a> for LinkConn<'a> {
    type Error = LinkError;

    fn connection(&mut self) -> &mut Connection<'a> {
        &mut self.connection
    }

    fn flow(&mut self) -> &mut Flow {
        self.client.flow()
    }

    fn read_len(&self) -> usize {
        MEDIA_READ_LEN
    }

    /// A server that is published to has nothing to say. Whether it is there shows when it takes
    /// what it is sent.
    fn may_stay_silent(&mut self) -> bool {
        self.state == LinkConnState::Running && self.link.purpose == Purpose::Publish
    }

    fn read_failed(&self, error: io::Error) -> LinkError {
        connection::Error::reading(error, "the server").into()
    }

    fn heard(&mut self, bytes: usize) {
        self.heard += bytes;
    }

    fn handle(&mut self, message: Message) -> Result<(), LinkError> {
        let handled = self.client.handle(message, &mut self.events);
        handled.map_err(LinkError::Client)
    }

    fn flush(&mut self) -> Result<(), LinkError> {
        let mut media = Vec::new();
        for event in std::mem::take(&mut self.events) {
            match event {
                ClientEvent::Send(message) => self.connection.reply([message]),
                ClientEvent::Media(message) => media.push(message),
                ClientEvent::Ended => self.state = LinkConnState::Ended,
                ClientEvent::Unreadable(error) => self.pass_over(error),
                ClientEvent::Started(stream) => self.start(stream)?,
            }
        }
        self.user.media(media, std::mem::take(&mut self.heard))
    }

    fn ended(&self) -> Option<LinkError> {
        (self.state == LinkConnState::Ended).then_some(LinkError::Ended)
    }
}

impl LinkConn<'_> {
    /// Media flows from now on.
    fn start(&mut self, stream: StreamId) -> Result<(), LinkError> {
        if self.state == LinkConnState::Starting {
            self.state = LinkConnState::Running;
        }
        self.link.switch.hold(StopTarget::Nothing);
        let outbox = self.connection.outbox();
        self.user.start(stream, outbox, self.client.end())?;
        self.connection.limit_silence()?;
        let merge = self.link.link_settings.merge.clone();
        self.connection.merge_input(merge);
        Ok(())
    }

    /// A command that cannot be read does not end the connection.
    fn pass_over(&self, error: command::Error) {
        let counters = &self.link.link_settings.counters;
        counters.commands_unreadable.add(1);
        log!(Debug, "message ignored"; url = self.link.url, layer = error.layer(), reason = error);
    }
}

/// Where a connection goes, and where it was sent on from.
struct Way {
    url: RtmpUrl,
    target: ConnectTarget,
    passed: Vec<RtmpUrl>,
}

impl Way {
    /// Goes on to the application at `to`, never to one that sent us on before.
    fn redirect(&mut self, to: &str) -> Result<(), RedirectError> {
        let url = address(to)?;
        if url == self.url || self.passed.contains(&url) {
            return Err(RedirectError::Circle);
        }
        self.go(url)
    }

    /// Connects anew, to the application at `to` or where it is.
    fn reconnect(&mut self, to: Option<&str>) -> Result<(), RedirectError> {
        match to {
            Some(to) => self.go(address(to)?),
            None => self.pass(self.url.clone()),
        }
    }

    fn go(&mut self, url: RtmpUrl) -> Result<(), RedirectError> {
        if (self.url.scheme, url.scheme) == (Scheme::Rtmps, Scheme::Rtmp) {
            return Err(RedirectError::LeavesTls);
        }
        let ConnectTarget { name, via, .. } = &self.target;
        self.target = url.with_sent_name(name.clone(), via.clone());
        self.pass(url)
    }

    fn pass(&mut self, url: RtmpUrl) -> Result<(), RedirectError> {
        self.passed.push(std::mem::replace(&mut self.url, url));
        match self.passed.len() {
            ..=REDIRECTS_MAX => Ok(()),
            _ => Err(RedirectError::TooMany),
        }
    }
}

/// The address that a server sends us to.
fn address(to: &str) -> Result<RtmpUrl, RedirectError> {
    match to.len() {
        ..=REDIRECT_LEN_MAX => RtmpUrl::parse(to).map_err(RedirectError::RtmpUrl),
        _ => Err(RedirectError::TooLong),
    }
}
