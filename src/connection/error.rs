//! Why a connection ended.

use crate::queue::Cause;
use crate::rtmp::{chunk, control, handshake};
use std::{error, fmt, io};

/// The end of a connection, by layer. Logged once, where the connection ends.
#[derive(Debug)]
pub(crate) enum Error {
    /// The peer closed, or was done.
    Closed,
    /// The peer closed before it had read everything.
    Reset,
    /// We closed it, for a reason that was logged where it arose.
    HungUp,
    /// We ended it, for this reason.
    Cut(Cause),
    /// The peer sent another version, or not back what it was sent.
    Handshake(handshake::Error),
    /// The chunks cannot be decoded.
    Chunk(chunk::Error),
    /// A malformed control message.
    Control(control::Error),
    /// What was waited for did not come in time.
    Timeout(&'static str),
    /// No room for a reply in the peer's own queue.
    QueueFull,
    /// A read or write failed, but for the cases above.
    Io(io::Error),
}

impl Error {
    /// The layer, as logs name it.
    pub(crate) fn layer(&self) -> &'static str {
        match self {
            Error::Closed | Error::Reset | Error::HungUp => "none",
            Error::Handshake(_) => "handshake",
            Error::Chunk(_) => "chunk",
            Error::Control(_) => "protocol",
            Error::Cut(cause) if cause.is_ordinary() => "none",
            Error::Cut(_) | Error::Timeout(_) | Error::QueueFull => "timeout",
            Error::Io(_) => "io",
        }
    }

    /// Whether it is the ordinary end of a connection.
    pub(crate) fn is_ordinary(&self) -> bool {
        match self {
            Error::Closed | Error::Reset | Error::HungUp => true,
            Error::Cut(cause) => cause.is_ordinary(),
            _ => false,
        }
    }

    /// A read failed while `awaited` was waited for.
    pub(crate) fn reading(error: io::Error, awaited: &'static str) -> Error {
        match error.kind() {
            io::ErrorKind::TimedOut => Error::Timeout(awaited),
            io::ErrorKind::UnexpectedEof => Error::Closed,
            io::ErrorKind::ConnectionReset => Error::Reset,
            _ => Error::Io(error),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Closed => write!(f, "peer closed"),
            Error::Reset => write!(f, "peer reset the connection"),
            Error::HungUp => write!(f, "hung up"),
            Error::Cut(cause) => write!(f, "{cause}"),
            Error::Handshake(error) => write!(f, "{error}"),
            Error::Chunk(error) => write!(f, "{error}"),
            Error::Control(error) => write!(f, "{error}"),
            Error::Timeout(awaited) => write!(f, "timed out waiting for {awaited}"),
            Error::QueueFull => write!(f, "peer does not take its replies"),
            Error::Io(error) => write!(f, "{error}"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Error::Handshake(error) => Some(error),
            Error::Chunk(error) => Some(error),
            Error::Control(error) => Some(error),
            Error::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<handshake::Error> for Error {
    fn from(error: handshake::Error) -> Self {
        Error::Handshake(error)
    }
}

impl From<chunk::Error> for Error {
    fn from(error: chunk::Error) -> Self {
        Error::Chunk(error)
    }
}

impl From<control::Error> for Error {
    fn from(error: control::Error) -> Self {
        Error::Control(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Io(error)
    }
}
