//! How a connection comes to a listening socket, and whose it is: the peer's own, or that of a client
//! whom a proxy tells of in a PROXY header.

use super::connections::Origin;
use super::flood::flood_limit;
use crate::awake;
use crate::ip_range::IpRange;
use crate::log;
use crate::log::RateLimit;
use crate::net::proxy::{self, Client, Header, HeaderError};
use crate::net::{DeadlineReader, Socket};
use crate::stats::Counters;
use crate::sys::{self, Woken};
use std::fmt;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::Instant;

static REFUSALS: RateLimit = flood_limit();

/// Who connects to a listening socket.
#[derive(Debug)]
pub(super) enum Entrance {
    /// Clients, without a proxy between.
    Direct,
    /// Proxies, from addresses in these ranges only.
    Proxied(Vec<IpRange>),
    /// The program that we have started for TLS. Its headers have this word, so that nobody else on
    /// the machine can speak for clients.
    Tls(String),
}

/// Why the word of a proxy is not taken.
#[derive(Debug)]
pub(super) enum HeaderRefusal {
    /// The peer is not among those that are believed.
    Untrusted,
    /// The header does not have the word of our own program.
    Foreign,
    Malformed(HeaderError),
    /// The peer closed in the middle of the header.
    Cut,
    /// It did not come in time.
    Late,
    Io(io::Error),
}

impl std::error::Error for HeaderRefusal {}

impl fmt::Display for HeaderRefusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            HeaderRefusal::Untrusted => write!(f, "not an address of -proxy-from"),
            HeaderRefusal::Foreign => write!(f, "not from the TLS helper"),
            HeaderRefusal::Malformed(error) => write!(f, "{error}"),
            HeaderRefusal::Cut => write!(f, "ends inside the PROXY header"),
            HeaderRefusal::Late => write!(f, "timed out waiting for the PROXY header"),
            HeaderRefusal::Io(error) => write!(f, "{error}"),
        }
    }
}

impl From<io::Error> for HeaderRefusal {
    fn from(error: io::Error) -> HeaderRefusal {
        match error.kind() {
            io::ErrorKind::TimedOut => HeaderRefusal::Late,
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => HeaderRefusal::Cut,
            _ => HeaderRefusal::Io(error),
        }
    }
}

impl Entrance {
    /// Whether a connection from `peer` is looked at.
    pub(super) fn admits(&self, peer: SocketAddr) -> Result<(), HeaderRefusal> {
        match self {
            Entrance::Proxied(ranges) if !ranges.iter().any(|range| range.contains(peer.ip())) => {
                Err(HeaderRefusal::Untrusted)
            }
            _ => Ok(()),
        }
    }

    /// Whether whose connection it is has to be read from the connection.
    pub(super) fn has_header(&self) -> bool {
        !matches!(self, Entrance::Direct)
    }

    /// Whose connection this is, told by `end` at the latest. Reads nothing that is not the header's.
    /// `None`: a proxy only tried whether somebody is here.
    ///
    /// # Errors
    ///
    /// The header is not there, or is not to be believed.
    pub(super) fn origin(
        &self,
        socket: &Socket,
        peer: SocketAddr,
        end: Instant,
    ) -> Result<Option<Origin>, HeaderRefusal> {
        if let Entrance::Direct = self {
            return Ok(Some(Origin::direct(peer)));
        }
        let Some(bytes) = read_header(socket, end)? else {
            return Ok(None);
        };
        let header = proxy::parse(&bytes).map_err(HeaderRefusal::Malformed)?;
        let client = match header {
            Header::Local => Client::default(),
            Header::Client(client) => client,
        };
        if let Entrance::Tls(word) = self
            && !same(&client.unique_id, word)
        {
            return Err(HeaderRefusal::Foreign);
        }
        let addr = client.addr.unwrap_or(peer);
        // Version 1 has no other way to say that a connection is the proxy's own, as of a health check.
        if addr == peer && !has_more(socket, end)? {
            return Ok(None);
        }
        let tls = client.tls;
        Ok(Some(Origin { addr, tls }))
    }
}

/// Whether it is the word. Takes as long for any that is as long.
fn same(given: &[u8], word: &str) -> bool {
    let differ = given.iter().zip(word.as_bytes());
    let differ = differ.fold(0, |all, (a, b)| all | (a ^ b));
    given.len() == word.len() && differ == 0
}

/// The bytes of the header. `None`: the peer closed without a byte.
fn read_header(socket: &Socket, end: Instant) -> Result<Option<Vec<u8>>, HeaderRefusal> {
    let mut reader = DeadlineReader::until(socket, end);
    let mut bytes = Vec::new();
    loop {
        let missing = proxy::missing(&bytes).map_err(HeaderRefusal::Malformed)?;
        if missing == 0 {
            return Ok(Some(bytes));
        }
        let len = bytes.len();
        bytes.resize(len + missing, 0);
        let read = reader.read(&mut bytes[len..]);
        bytes.truncate(len + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) if bytes.is_empty() => return Ok(None),
            Ok(0) => return Err(HeaderRefusal::Cut),
            // A check that resets the connection instead of closing it.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset && bytes.is_empty() => {
                return Ok(None);
            }
            read => read?,
        };
    }
}

/// Whether the peer sends anything more before it closes; without an answer by `end`, it may.
fn has_more(socket: &Socket, end: Instant) -> Result<bool, HeaderRefusal> {
    let end = Instant::now() + awake::until(end);
    let woken = sys::wait_readable(socket.as_fd(), None, end)?;
    Ok(woken != Woken::Ready || !sys::is_hung_up(socket.as_fd())?)
}

/// Counts and logs a connection that came without a header that is believed.
pub(super) fn refuse(counters: &Counters, peer: SocketAddr, why: &HeaderRefusal) {
    counters.proxy_refusals.add(1);
    if let Some(more) = REFUSALS.pass() {
        log!(Warn, "PROXY header refused"; peer_addr = peer, error = why, suppressed = more);
    }
}
