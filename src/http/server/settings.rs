//! How a server serves, and how much of it a client may have.

use super::response::Response;
use std::borrow::Cow;
use std::time::Duration;

/// What a server grants its clients.
#[derive(Clone, Copy, Debug)]
pub struct HttpLimits {
    /// Connections at a time. For one more, another gives way: see `connections`.
    pub connections: usize,
    /// Bytes of the head of a request.
    pub head_len: usize,
    /// Bytes of the body of a request, which is read and thrown away.
    pub body_len: u64,
    /// The time until the first byte of the first request.
    pub first: Duration,
    /// The time between two requests.
    pub idle: Duration,
    /// The time that a request may take to arrive.
    pub read: Duration,
    /// The time that a response may take to be sent; of one in pieces, each piece.
    pub write: Duration,
}

/// Headers, names and values.
pub type HttpHeaders = Vec<(&'static str, Cow<'static, str>)>;

/// How a server serves.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// How much is granted.
    pub limits: HttpLimits,
    /// Headers of every response, until others are set.
    pub headers: HttpHeaders,
    /// The response that tells a client what is wrong with its request.
    pub error: fn(status: u16, what: &str) -> Response,
}
