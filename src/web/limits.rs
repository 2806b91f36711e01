//! How much a client of media over HTTP may have.

use crate::http::server::HttpLimits;
use std::time::Duration;

/// Longest head of a request, in bytes.
pub const HEAD_LEN_MAX: usize = 8 << 10;

/// Longest body that is read, in bytes, to be thrown away: no resource takes one.
pub const BODY_LEN_MAX: u64 = 64 << 10;

/// How long a connection may take until its first request begins, and how long a request may take
/// to arrive.
pub const READ_LIMIT: Duration = Duration::from_secs(10);

/// How long a connection may be idle between two requests.
pub const IDLE_LIMIT: Duration = Duration::from_secs(30);

/// How long a response may take to be sent. Of one that lasts, how long nothing of it may be taken.
pub const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// All of them, as the HTTP server takes them.
pub(super) const LIMITS: HttpLimits = HttpLimits {
    // The host counts them together with those of other protocols.
    connections: usize::MAX,
    head_len: HEAD_LEN_MAX,
    body_len: BODY_LEN_MAX,
    first: READ_LIMIT,
    idle: IDLE_LIMIT,
    read: READ_LIMIT,
    write: WRITE_LIMIT,
};
