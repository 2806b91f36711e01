//! Which RTMP connections are served, each by a thread of its own.

use super::conn;
use super::connections::{Origin, Refused};
use super::context::Context;
use crate::connection::WRITE_LIMIT;
use crate::log;
use crate::log::RateLimit;
use crate::net::{AcceptError, Admit, SharedSocket};
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

/// Admits RTMP connections as far as the limits allow.
pub(super) struct AdmitRtmp(pub Arc<Context>);

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
        let context = &self.0;
        context.counters.connections.add(1);
        prepare(&socket).map_err(ConnectionRefusal::Socket)?;
        let line = Arc::new(SharedSocket(socket.into()));
        let admitted = context.connections.admit(&line);
        let mut place = admitted.map_err(ConnectionRefusal::Limit)?;
        place
            .count_address(peer.ip())
            .map_err(ConnectionRefusal::Limit)?;
        let shared = Arc::clone(context);
        let spawned = sync::spawn(&format!("{}-r", place.id()), READER_STACK_LEN, move || {
            conn::serve(&shared, &line, Origin::direct(peer), &place);
            drop(place);
        });
        spawned.map(drop).map_err(ConnectionRefusal::Thread)
    }

    /// Those that come while the server stops are dropped without a word.
    fn refused(&self, why: ConnectionRefusal) {
        if let ConnectionRefusal::Limit(Refused::Closed) = why {
            return;
        }
        self.0.counters.connections_refused.add(1);
        if let Some(more) = REFUSALS.pass() {
            log!(Warn, "connection refused"; stage = why.stage(), error = why, suppressed = more);
        }
    }
}

fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket.set_write_timeout(Some(WRITE_LIMIT))
}
