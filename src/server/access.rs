//! Whether a client may publish or play, the same for all protocols.

use super::context::Context;
use super::events;
use super::flood::flood_limit;
use crate::auth::{Action, Answer, Passed};
use crate::log;
use crate::log::RateLimit;
use crate::rtmp::stream_key::StreamPath;
use std::net::SocketAddr;

static DENIALS: RateLimit = flood_limit();

/// A client that asks to publish or play.
pub(super) struct Client<'a> {
    /// Its connection's number, as the log writes it.
    pub(super) conn_id: &'a str,
    /// Where it comes from.
    pub(super) addr: SocketAddr,
}

/// A client may not do what it asks for. The counters, the log and the hooks were told why.
#[derive(Clone, Copy, Debug)]
pub(super) struct AccessDenied;

/// Whether `client` may do `action` to the stream at `path`. Blocks while a web service is asked.
///
/// # Errors
///
/// [`AccessDenied`]: refuse it.
pub(super) fn check(
    context: &Context,
    client: &Client<'_>,
    action: Action,
    path: &StreamPath,
    answer: Answer,
) -> Result<Passed, AccessDenied> {
    let Client { conn_id, addr } = *client;
    let counters = &context.counters;
    match context.gate.check(action, path, addr, answer) {
        Ok(passed) => {
            if passed != Passed::Open {
                counters.auth_successes.add(1);
            }
            Ok(passed)
        }
        Err(denied) => {
            counters.auth_failures.add(1);
            if let Some(more) = DENIALS.pass() {
                log!(Warn, "access denied"; conn_id = conn_id, peer_addr = addr, stream_key = path.key,
                    action = action.name(), error = denied, suppressed = more);
            }
            let event = events::auth_failed(conn_id, &path.key, action, &denied);
            context.hooks.fire(event);
            Err(AccessDenied)
        }
    }
}
