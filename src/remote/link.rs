//! One connection to another server, from dialling to its end.

use super::stop::{StopHandle, StopTarget};
use super::url::{RtmpUrl, RtmpUrlError};
use crate::log;
use crate::net::{self, DeadlineReader, DialError, Merge, SharedSocket, dial};
use crate::queue::{self, Budget, Cause, Framing, Outbox, PeerKind, Transport};
use crate::rtmp::chunk::{self, Decoder};
use crate::rtmp::client::{self, Client, ClientEvent, ConnectTarget, Purpose};
use crate::rtmp::{Message, StreamId, command, handshake};
use crate::stats::Counters;
use crate::sync;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, thread};

/// How long looking up, connecting and the handshake may take in all.
pub const DIAL_LIMIT: Duration = Duration::from_secs(10);

/// How long the other server may take from there until media flows.
pub const SETUP_LIMIT: Duration = Duration::from_secs(15);

/// How long the other server may take nothing.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// How long it may say nothing, where it has media to send.
const READ_LIMIT: Duration = Duration::from_secs(90);

/// How many times in a row a server may send us on to another address.
pub const REDIRECTS_MAX: usize = 5;

/// A connection that lasted so long begins a new row of them.
pub const STEADY: Duration = Duration::from_secs(3);

/// Bytes that are read at a time.
const READ_LEN: usize = 64 << 10;

/// Stack of the thread that sends; it calls nothing deep.
const WRITER_STACK_LEN: usize = 64 << 10;

/// Why a connection to another server ended.
#[derive(Debug)]
pub enum LinkError {
    /// It cannot be connected to.
    Dial(DialError),
    /// Not the handshake that RTMP has.
    Handshake(handshake::Error),
    /// Chunks that cannot be followed.
    Chunk(chunk::Error),
    /// It refused, or said what may not be said.
    Client(client::Error),
    /// It sends us to a place where we cannot go.
    Redirect(RedirectError),
    /// Not in time; with what.
    Timeout(&'static str),
    /// It takes no replies.
    QueueFull,
    /// It closed.
    Closed,
    /// We closed, for this reason.
    Cut(Cause),
    /// It said that the stream is over.
    Ended,
    /// Somebody publishes to us what it was to send.
    Superseded,
    /// We do not want it any more.
    Stopped,
    /// The transport failed.
    Io(io::Error),
}

impl LinkError {
    /// The layer, as logs name it.
    pub fn layer(&self) -> &'static str {
        match self {
            LinkError::Dial(DialError::TimedOut) => "timeout",
            LinkError::Dial(_) | LinkError::Io(_) => "io",
            LinkError::Handshake(_) => "handshake",
            LinkError::Chunk(_) => "chunk",
            LinkError::Client(_) | LinkError::Redirect(_) => "protocol",
            LinkError::Cut(_) | LinkError::Timeout(_) | LinkError::QueueFull => "timeout",
            LinkError::Closed | LinkError::Ended | LinkError::Superseded | LinkError::Stopped => {
                "none"
            }
        }
    }

    fn reading(error: io::Error, what: &'static str) -> LinkError {
        match error.kind() {
            io::ErrorKind::TimedOut => LinkError::Timeout(what),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => LinkError::Closed,
            _ => LinkError::Io(error),
        }
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            LinkError::Dial(error) => write!(f, "{error}"),
            LinkError::Handshake(error) => write!(f, "{error}"),
            LinkError::Chunk(error) => write!(f, "{error}"),
            LinkError::Client(error) => write!(f, "{error}"),
            LinkError::Redirect(error) => write!(f, "server sends us elsewhere: {error}"),
            LinkError::Timeout(what) => write!(f, "timed out waiting for {what}"),
            LinkError::QueueFull => write!(f, "server does not take its replies"),
            LinkError::Closed => write!(f, "server closed"),
            LinkError::Cut(cause) => write!(f, "{cause}"),
            LinkError::Ended => write!(f, "server ended the stream"),
            LinkError::Superseded => write!(f, "stream is published here"),
            LinkError::Stopped => write!(f, "not wanted any more"),
            LinkError::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for LinkError {}

/// Why we do not go where a server sends us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedirectError {
    /// What it gives is no URL that can be used.
    RtmpUrl(RtmpUrlError),
    /// We come from there.
    Circle,
    /// We were sent on [`REDIRECTS_MAX`] times.
    TooMany,
}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            RedirectError::RtmpUrl(error) => write!(f, "{error}"),
            RedirectError::Circle => write!(f, "in a circle"),
            RedirectError::TooMany => write!(f, "more than {REDIRECTS_MAX} times"),
        }
    }
}

impl std::error::Error for RedirectError {}

/// What all connections to other servers share.
#[derive(Clone)]
pub struct LinkSettings {
    /// Bytes per chunk that we send.
    pub chunk_size: u32,
    /// How long media that comes may wait for more.
    pub merge: Option<Merge>,
    /// What is sent to destinations is counted there.
    pub counters: Arc<Counters>,
    /// What waits for all peers counts against it.
    pub budget: Arc<Budget>,
    /// What this server calls itself, to recognise streams that come back to it.
    pub name: String,
}

/// Whoever uses a connection to another server.
pub trait LinkHandler {
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

    /// The server sends us to `url`, where the connection is made next.
    fn redirected(&mut self, url: &RtmpUrl);

    /// Media came.
    ///
    /// # Errors
    ///
    /// Any: it is not wanted any more.
    fn media(&mut self, messages: Vec<Message>, bytes: usize) -> Result<(), LinkError>;

    /// The connection is over; why. Whatever holds its outbox has to be let go of now.
    fn end(&mut self, why: &LinkError);
}

/// A connection that is to be made.
pub struct Link<'a> {
    /// What it shares with others.
    pub link_settings: &'a LinkSettings,
    /// Where to.
    pub url: &'a RtmpUrl,
    /// What for.
    pub purpose: Purpose,
    /// What ends it from outside.
    pub switch: &'a StopHandle,
}

impl Link<'_> {
    /// Connects, has `user` use the connection, and returns why that is over. Goes where the server
    /// sends it.
    pub fn run(&self, target: ConnectTarget, user: &mut dyn LinkHandler) -> LinkError {
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
            user.redirected(&way.url);
        }
    }

    /// One connection.
    fn run_once(
        &self,
        url: &RtmpUrl,
        target: ConnectTarget,
        user: &mut dyn LinkHandler,
    ) -> LinkError {
        let socket = match self.connect(url) {
            Ok(socket) => socket,
            Err(error) => return self.unless_stopped(error),
        };
        let line = Arc::new(SharedSocket(socket));
        if !self
            .switch
            .hold(StopTarget::SharedSocket(Arc::clone(&line)))
        {
            return LinkError::Stopped;
        }
        let error = match handshake(&line.0) {
            Ok(()) => self.talk(&line, target, user),
            Err(error) => error,
        };
        self.switch.hold(StopTarget::Nothing);
        self.unless_stopped(error)
    }

    /// Whatever fails when we do not want it any more is no failure.
    fn unless_stopped(&self, error: LinkError) -> LinkError {
        match self.switch.is_off() {
            true => LinkError::Stopped,
            false => error,
        }
    }

    /// A command that cannot be read is no reason to hang up.
    fn pass_over(&self, error: command::Error) {
        self.link_settings.counters.commands_unreadable.add(1);
        log!(Debug, "message ignored"; url = self.url, layer = error.layer(), reason = error);
    }

    fn connect(&self, url: &RtmpUrl) -> Result<TcpStream, LinkError> {
        let end = Instant::now() + DIAL_LIMIT;
        let (stop, stopped) = UnixStream::pair().map_err(LinkError::Io)?;
        if !self.switch.hold(StopTarget::Dialling(stop)) {
            return Err(LinkError::Stopped);
        }
        let socket = dial(&url.host, url.port, end, Some(stopped.as_fd()));
        self.switch.hold(StopTarget::Nothing);
        let socket = socket.map_err(LinkError::Dial)?;
        let limit = Some(WRITE_LIMIT);
        socket.set_write_timeout(limit).map_err(LinkError::Io)?;
        Ok(socket)
    }

    /// Everything after the handshake, with a thread that sends.
    fn talk(
        &self,
        line: &Arc<SharedSocket>,
        target: ConnectTarget,
        user: &mut dyn LinkHandler,
    ) -> LinkError {
        let wire = Arc::clone(line) as Arc<dyn Transport>;
        let counters = Arc::clone(&self.link_settings.counters);
        let budget = Arc::clone(&self.link_settings.budget);
        let (outbox, writer) =
            queue::outbox(wire, PeerKind::Server, Framing::chunks(), counters, budget);
        thread::scope(|scope| {
            let send = || net::send_all(line, writer);
            if let Err(error) = sync::spawn_scoped(scope, "remote-w", WRITER_STACK_LEN, send) {
                return LinkError::Io(error);
            }
            let error = match self.read_loop(&line.0, outbox, target, user) {
                Ok(never) => match never {},
                Err(error) => error,
            };
            self.switch.hold(StopTarget::Nothing);
            let error = self.unless_stopped(error);
            user.end(&error);
            // Wakes a writer that waits for the socket.
            let _ = line.0.shutdown(Shutdown::Both);
            error
        })
    }

    fn read_loop(
        &self,
        socket: &TcpStream,
        outbox: Arc<Outbox>,
        target: ConnectTarget,
        user: &mut dyn LinkHandler,
    ) -> Result<Infallible, LinkError> {
        let mut client = Client::new(self.purpose, target);
        client.count_received(1 + 2 * handshake::PACKET_LEN);
        outbox.push_reply(client.begin(self.link_settings.chunk_size));
        let mut reader = DeadlineReader::until(socket, Instant::now() + SETUP_LIMIT);
        let (mut chunks, mut events) = (Decoder::default(), Vec::new());
        let mut started = false;
        let mut buffer = vec![0; READ_LEN];
        loop {
            let len = match reader.read(&mut buffer) {
                Ok(0) => return Err(closed(&outbox)),
                Ok(len) => len,
                // A server that is published to has nothing to say. Whether it is there shows when
                // it takes what it is sent.
                Err(error)
                    if started
                        && self.purpose == Purpose::Publish
                        && error.kind() == io::ErrorKind::TimedOut =>
                {
                    continue;
                }
                Err(error) => return Err(LinkError::reading(error, "the server")),
            };
            client.count_received(len);
            let mut input = &buffer[..len];
            while let Some(message) = chunks.decode(&mut input).map_err(LinkError::Chunk)? {
                client
                    .handle(message, &mut events)
                    .map_err(LinkError::Client)?;
            }
            let mut media = Vec::new();
            let (mut replies, mut ended) = (Vec::new(), false);
            for event in events.drain(..) {
                match event {
                    ClientEvent::Send(message) => replies.push(message),
                    ClientEvent::Media(message) => media.push(message),
                    ClientEvent::Ended => ended = true,
                    ClientEvent::Unreadable(error) => self.pass_over(error),
                    ClientEvent::Started(stream) => {
                        started = true;
                        self.switch.hold(StopTarget::Nothing);
                        user.start(stream, &outbox, client.end())?;
                        reader.set_each(READ_LIMIT).map_err(LinkError::Io)?;
                        reader.gather(self.link_settings.merge);
                    }
                }
            }
            user.media(media, len)?;
            replies.extend(client.acknowledgement());
            if !replies.is_empty() && outbox.reply(replies).is_err() {
                return Err(LinkError::QueueFull);
            }
            if ended {
                return Err(LinkError::Ended);
            }
        }
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
        let url = RtmpUrl::parse(to).map_err(RedirectError::RtmpUrl)?;
        if url == self.url || self.passed.contains(&url) {
            return Err(RedirectError::Circle);
        }
        self.go(url)
    }

    /// Connects anew, to the application at `to` or where it is.
    fn reconnect(&mut self, to: Option<&str>) -> Result<(), RedirectError> {
        match to {
            Some(to) => self.go(RtmpUrl::parse(to).map_err(RedirectError::RtmpUrl)?),
            None => self.pass(self.url.clone()),
        }
    }

    fn go(&mut self, url: RtmpUrl) -> Result<(), RedirectError> {
        let ConnectTarget { name, via, .. } = &self.target;
        self.target = url.with_name(name, via.clone());
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

/// There is nothing more to read: who closed, and why.
fn closed(outbox: &Outbox) -> LinkError {
    match outbox.cause() {
        Some(Cause::PeerGone) | None => LinkError::Closed,
        Some(cause) => LinkError::Cut(cause),
    }
}

enum Infallible {}

/// The handshake (§5.2), all of it within [`DIAL_LIMIT`]. What S2 repeats is not held against a
/// server: some repeat other things, and nothing of ours depends on it.
fn handshake(socket: &TcpStream) -> Result<(), LinkError> {
    let random = handshake::random(RandomState::new().hash_one(0));
    let hello = handshake::hello(0, &random);
    let mut out = socket;
    let opening = [&[handshake::VERSION][..], &hello].concat();
    out.write_all(&opening).map_err(LinkError::Io)?;
    let mut reader = DeadlineReader::until(socket, Instant::now() + DIAL_LIMIT);
    let mut read = |out: &mut [u8]| {
        let result = reader.read_exact(out);
        result.map_err(|error| LinkError::reading(error, "handshake"))
    };
    let mut version = [0];
    read(&mut version)?;
    handshake::check_version(version[0]).map_err(LinkError::Handshake)?;
    // On the heap: the stack of a thread stays as large as it once was.
    let mut theirs: Box<handshake::HandshakePacket> = Box::new([0; handshake::PACKET_LEN]);
    read(&mut theirs[..])?;
    let answer = handshake::echo(&theirs, 0);
    out.write_all(&answer).map_err(LinkError::Io)?;
    read(&mut theirs[..])
}
