//! Which RTMP connections are served, each by a thread of its own.

use super::conn;
use super::connections::Refused;
use super::context::Context;
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
pub const BACKLOG: u16 = 4096;

/// Stack of a reader thread: AMF nests at most 32 deep.
const READER_STACK_LEN: usize = 256 << 10;

/// How long a peer may take nothing.
const WRITE_LIMIT: Duration = Duration::from_secs(30);

static REFUSALS: RateLimit = RateLimit::new(Duration::from_secs(10));

/// Admits RTMP connections as far as the limits allow.
pub struct AdmitRtmp(pub Arc<Context>);

/// Why a connection is refused.
#[derive(Debug)]
pub enum Refusal {
    /// The system did not give it to us.
    Accept(io::Error),
    /// Its socket cannot be set.
    Socket(io::Error),
    /// A limit is reached.
    Limit(Refused),
    /// Its thread cannot be started.
    Thread(io::Error),
}

impl Refusal {
    /// How far it came.
    fn stage(&self) -> &'static str {
        match self {
            Refusal::Accept(_) => "cannot accept",
            Refusal::Socket(_) => "cannot set up socket",
            Refusal::Limit(Refused::System(_)) => "the system has no room",
            Refusal::Limit(_) => "refused",
            Refusal::Thread(_) => "cannot start a thread",
        }
    }
}

/// The cause, without the stage.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Refusal::Accept(error) | Refusal::Socket(error) | Refusal::Thread(error) => {
                write!(f, "{error}")
            }
            Refusal::Limit(refused) => write!(f, "{refused}"),
        }
    }
}

impl std::error::Error for Refusal {}

impl From<AcceptError> for Refusal {
    fn from(AcceptError(error): AcceptError) -> Refusal {
        Refusal::Accept(error)
    }
}

impl Admit for AdmitRtmp {
    type Refusal = Refusal;

    fn admit(&self, socket: TcpStream, peer: SocketAddr) -> Result<(), Refusal> {
        let context = &self.0;
        context.counters.connections.add(1);
        prepare(&socket).map_err(Refusal::Socket)?;
        let line = Arc::new(SharedSocket(socket));
        let admitted = context.connections.admit(peer.ip(), &line);
        let place = admitted.map_err(Refusal::Limit)?;
        let number = place.number();
        let shared = Arc::clone(context);
        let spawned = sync::spawn(&format!("c{number:06}-r"), READER_STACK_LEN, move || {
            conn::serve(&shared, number, &line, peer, &place);
            drop(place);
        });
        spawned.map(drop).map_err(Refusal::Thread)
    }

    /// Those that come while the server stops are dropped without a word.
    fn refused(&self, why: Refusal) {
        if let Refusal::Limit(Refused::Closed) = why {
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
