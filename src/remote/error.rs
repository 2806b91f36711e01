//! Why a connection to another server ended, or why we do not go where a server sends us.

use super::tls::TlsFault;
use super::url::RtmpUrlError;
use crate::connection;
use crate::net::DialError;
use crate::rtmp::client;
use std::{error, fmt, io};

/// How many times in a row a server may send us on to another address.
pub(super) const REDIRECTS_MAX: usize = 5;

/// Longest address that a server may send us on to, in bytes.
pub(super) const REDIRECT_LEN_MAX: usize = 8 << 10;

/// Why a connection to another server ended.
#[derive(Debug)]
pub(crate) enum LinkError {
    /// It cannot be connected to.
    Dial(DialError),
    /// TLS cannot be spoken to it.
    Tls(TlsFault),
    /// The connection ended, or failed.
    Connection(connection::Error),
    /// It refused, or broke the protocol.
    Client(client::Error),
    /// It sends us to a place where we cannot go.
    Redirect(RedirectError),
    /// It said that the stream is over.
    Ended,
    /// Somebody publishes to us what it was to send.
    Superseded,
    /// The system has no room for the stream: the limit that leaves none.
    NoRoom(&'static str),
    /// We do not want it any more.
    Stopped,
}

impl LinkError {
    /// The layer, as logs name it.
    pub(crate) fn layer(&self) -> &'static str {
        match self {
            LinkError::Dial(DialError::TimedOut) => "timeout",
            LinkError::Dial(_) | LinkError::NoRoom(_) => "io",
            LinkError::Tls(fault) => fault.layer(),
            LinkError::Connection(connection::Error::Cut(_)) => "timeout",
            LinkError::Connection(error) => error.layer(),
            LinkError::Client(_)
            | LinkError::Redirect(_)
            | LinkError::Ended
            | LinkError::Superseded
            | LinkError::Stopped => "protocol",
        }
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        use connection::Error::{Closed, QueueFull, Reset};
        match self {
            LinkError::Dial(error) => write!(f, "{error}"),
            LinkError::Tls(fault) => write!(f, "{fault}"),
            LinkError::Connection(Closed | Reset) => write!(f, "server closed"),
            LinkError::Connection(QueueFull) => write!(f, "server does not take its replies"),
            LinkError::Connection(error) => write!(f, "{error}"),
            LinkError::Client(error) => write!(f, "{error}"),
            LinkError::Redirect(error) => write!(f, "server sends us elsewhere: {error}"),
            LinkError::Ended => write!(f, "server ended the stream"),
            LinkError::Superseded => write!(f, "stream is published here"),
            LinkError::NoRoom(by) => write!(f, "the system has no room: {by}"),
            LinkError::Stopped => write!(f, "not wanted any more"),
        }
    }
}

impl error::Error for LinkError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            LinkError::Dial(error) => Some(error),
            LinkError::Tls(fault) => Some(fault),
            LinkError::Connection(error) => Some(error),
            LinkError::Client(error) => Some(error),
            LinkError::Redirect(error) => Some(error),
            _ => None,
        }
    }
}

impl From<connection::Error> for LinkError {
    fn from(error: connection::Error) -> Self {
        LinkError::Connection(error)
    }
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> Self {
        LinkError::Connection(connection::Error::Io(error))
    }
}

/// Why we do not go where a server sends us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RedirectError {
    /// What it gives is not a URL that can be used.
    RtmpUrl(RtmpUrlError),
    /// It is longer than [`REDIRECT_LEN_MAX`].
    TooLong,
    /// There is no TLS there, and there is where we come from: what is secret would be sent in clear.
    LeavesTls,
    /// We come from there.
    Circle,
    /// We were sent on [`REDIRECTS_MAX`] times.
    TooMany,
}

impl fmt::Display for RedirectError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            RedirectError::RtmpUrl(error) => write!(f, "{error}"),
            RedirectError::TooLong => write!(f, "URL exceeds {REDIRECT_LEN_MAX} bytes"),
            RedirectError::LeavesTls => {
                write!(
                    f,
                    "from rtmps:// to rtmp://, where its key would be sent in clear"
                )
            }
            RedirectError::Circle => write!(f, "in a circle"),
            RedirectError::TooMany => write!(f, "more than {REDIRECTS_MAX} times"),
        }
    }
}

impl error::Error for RedirectError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            RedirectError::RtmpUrl(error) => Some(error),
            RedirectError::TooLong
            | RedirectError::LeavesTls
            | RedirectError::Circle
            | RedirectError::TooMany => None,
        }
    }
}
