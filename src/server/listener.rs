//! Which RTMP connections are served, each by a thread of its own.

use super::conn;
use super::connections::{Admission, GaveWay, Refused};
use super::context::Context;
use super::entrance::{self, Entrance};
use crate::awake;
use crate::connection::{HANDSHAKE_LIMIT, WRITE_LIMIT};
use crate::log;
use crate::log::RateLimit;
use crate::net::{AcceptError, Admit, SharedSocket};
use crate::stats::Counters;
use crate::sync;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// Connections that may wait to be accepted.
pub(super) const BACKLOG: u16 = 4096;

/// Stack of a reader thread: AMF nests at most 32 deep.
const READER_STACK_LEN: usize = 256 << 10;

static REFUSALS: RateLimit = RateLimit::new(Duration::from_secs(10));
static DISPLACED: RateLimit = RateLimit::new(Duration::from_secs(10));

/// Admits RTMP connections as far as the limits allow.
pub(super) struct AdmitRtmp {
    context: Arc<Context>,
    entrance: Arc<Entrance>,
}

impl AdmitRtmp {
    /// For connections that come by `entrance`.
    pub(super) fn new(context: &Arc<Context>, entrance: &Arc<Entrance>) -> AdmitRtmp {
        AdmitRtmp {
            context: Arc::clone(context),
            entrance: Arc::clone(entrance),
        }
    }
}

/// Why a connection is refused.
#[derive(Debug)]
pub(super) enum ConnectionRefusal {
    /// The system did not give it to us.
    Accept(io::Error),
    /// Its socket cannot be set.
    Socket(io::Error),
    /// A limit is reached.
    Limit(Refused),
    /// Its thread cannot be started.
    Thread(io::Error),
}

impl ConnectionRefusal {
    /// How far it came.
    fn stage(&self) -> &'static str {
        match self {
            ConnectionRefusal::Accept(_) => "cannot accept",
            ConnectionRefusal::Socket(_) => "cannot set up socket",
            ConnectionRefusal::Limit(Refused::System(_)) => "the system has no room",
            ConnectionRefusal::Limit(_) => "refused",
            ConnectionRefusal::Thread(_) => "cannot start a thread",
        }
    }
}

/// The cause, without the stage.
impl fmt::Display for ConnectionRefusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            ConnectionRefusal::Accept(error)
            | ConnectionRefusal::Socket(error)
            | ConnectionRefusal::Thread(error) => {
                write!(f, "{error}")
            }
            ConnectionRefusal::Limit(refused) => write!(f, "{refused}"),
        }
    }
}

impl std::error::Error for ConnectionRefusal {}

impl From<AcceptError> for ConnectionRefusal {
    fn from(AcceptError(error): AcceptError) -> ConnectionRefusal {
        ConnectionRefusal::Accept(error)
    }
}

impl Admit for AdmitRtmp {
    type Refusal = ConnectionRefusal;

    fn admit(&self, socket: TcpStream, peer: SocketAddr) -> Result<(), ConnectionRefusal> {
        let context = &self.context;
        context.counters.connections.add(1);
        if let Err(why) = self.entrance.admits(peer) {
            entrance::refuse(&context.counters, peer, &why);
            return Ok(());
        }
        prepare(&socket).map_err(ConnectionRefusal::Socket)?;
        let line = Arc::new(SharedSocket(socket.into()));
        let ip = (!self.entrance.has_header()).then_some(peer.ip());
        let admitted = context.connections.admit(&line, ip);
        let (place, gave_way) = admitted.map_err(ConnectionRefusal::Limit)?;
        gave_way.inspect(|other| tell_of_way(&context.counters, other));
        let newcomer = Newcomer {
            context: Arc::clone(context),
            entrance: Arc::clone(&self.entrance),
            line,
            peer,
        };
        let name = format!("{}-r", place.id());
        let spawned = sync::spawn(&name, READER_STACK_LEN, move || newcomer.serve(place));
        spawned.map(drop).map_err(ConnectionRefusal::Thread)
    }

    fn refused(&self, why: ConnectionRefusal) {
        refuse(&self.context.counters, &why);
    }
}

/// A connection that has a place, in its own thread.
struct Newcomer {
    context: Arc<Context>,
    entrance: Arc<Entrance>,
    line: Arc<SharedSocket>,
    peer: SocketAddr,
}

impl Newcomer {
    /// Serves the connection, once it is known whose it is.
    fn serve(&self, mut place: Admission) {
        let end = awake::now() + HANDSHAKE_LIMIT;
        let counters = &self.context.counters;
        let origin = match self.entrance.origin(&self.line.0, self.peer, end) {
            Ok(Some(origin)) => origin,
            Ok(None) => {
                log!(Debug, "connection closed unused"; peer_addr = self.peer);
                return;
            }
            Err(_) if self.context.is_stopping() => return,
            Err(why) => return entrance::refuse(counters, self.peer, &why),
        };
        if self.entrance.has_header()
            && let Err(refused) = place.tell_address(origin.addr.ip())
        {
            return refuse(counters, &ConnectionRefusal::Limit(refused));
        }
        conn::serve(&self.context, &self.line, origin, &place, end);
    }
}

/// Counts and logs a connection that is not served. Those that come while the server stops are
/// dropped without a word.
pub(super) fn refuse(counters: &Counters, why: &ConnectionRefusal) {
    if let ConnectionRefusal::Limit(Refused::Closed) = why {
        return;
    }
    counters.connections_refused.add(1);
    if let Some(more) = REFUSALS.pass() {
        log!(Warn, "connection refused"; stage = why.stage(), error = why, suppressed = more);
    }
}

/// Counts and logs a connection that has given way to another.
pub(super) fn tell_of_way(counters: &Counters, other: &GaveWay) {
    counters.connections_displaced.add(1);
    if let Some(more) = DISPLACED.pass() {
        log!(Warn, "connection gave way to another"; conn_id = other.id, reason = other.limit,
            suppressed = more);
    }
}

fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket.set_write_timeout(Some(WRITE_LIMIT))
}
