//! Why there is no reply to a POST, and how long a reply may be.

use crate::http::{HttpUrlError, LineError};
use crate::net::DialError;
use std::{fmt, io};

/// Longest head of a reply, in bytes, with all interim replies before it.
pub const HEAD_LEN_MAX: usize = 16 << 10;

/// Longest body of a reply, in bytes.
pub const BODY_LEN_MAX: usize = 1 << 20;

/// Why there is no reply. Nothing in it is secret.
#[derive(Debug)]
pub enum PostError {
    /// The URL cannot be used.
    HttpUrl(HttpUrlError),
    /// The URL is an `https` one, and there is no `curl` on `PATH`.
    NoCurl,
    /// A header or body with a character that cannot be sent.
    Unsendable,
    /// The host cannot be connected to.
    Dial(DialError),
    /// Not done in time.
    TimedOut,
    /// The other side closed in the middle of its reply.
    Closed,
    /// The reply is not HTTP/1.1; which part of it.
    NotHttp(&'static str),
    /// The head of the reply is longer than [`HEAD_LEN_MAX`].
    HeadTooLong,
    /// The body of the reply is longer than [`BODY_LEN_MAX`].
    BodyTooLong,
    /// `curl` failed, with this exit code; -1: by a signal.
    Curl(i32),
    /// The transport or the system failed.
    Io(io::Error),
}

impl fmt::Display for PostError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            PostError::HttpUrl(error) => write!(f, "{error}"),
            PostError::NoCurl => write!(f, "https needs the program curl, which is not on PATH"),
            PostError::Unsendable => write!(f, "request has a character that cannot be sent"),
            PostError::Dial(error) => write!(f, "{error}"),
            PostError::TimedOut => write!(f, "timed out"),
            PostError::Closed => write!(f, "closed in the middle of the reply"),
            PostError::NotHttp(what) => write!(f, "reply is not HTTP/1.1: bad {what}"),
            PostError::HeadTooLong => write!(f, "head of the reply exceeds {HEAD_LEN_MAX} bytes"),
            PostError::BodyTooLong => write!(f, "body of the reply exceeds {BODY_LEN_MAX} bytes"),
            PostError::Curl(code) => write!(f, "curl: exit code {code} ({})", curl_failure(*code)),
            PostError::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for PostError {}

impl From<LineError> for PostError {
    fn from(error: LineError) -> PostError {
        match error {
            LineError::TooLong => PostError::HeadTooLong,
            LineError::Closed => PostError::Closed,
            LineError::TimedOut => PostError::TimedOut,
            LineError::Io(error) => PostError::Io(error),
        }
    }
}

impl From<DialError> for PostError {
    fn from(error: DialError) -> PostError {
        match error {
            DialError::TimedOut => PostError::TimedOut,
            error => PostError::Dial(error),
        }
    }
}

/// What curl means by its exit codes (curl(1), EXIT CODES). Its own words could hold the URL.
fn curl_failure(code: i32) -> &'static str {
    match code {
        6 => "cannot look up host",
        7 => "cannot connect",
        23 => "reply too long",
        35 => "TLS handshake failed",
        52 => "no reply",
        55 | 56 => "connection lost",
        60 => "certificate not trusted",
        77 => "cannot read CA certificates",
        _ => "see curl(1)",
    }
}
