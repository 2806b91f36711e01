//! Counting and logging what clients are refused, the same for all protocols.

use super::access::Client;
use super::context::Context;
use super::flood::flood_limit;
use super::pull::FetchRefused;
use crate::log;
use crate::log::RateLimit;
use crate::rtmp::stream_key::StreamKey;
use crate::text::shown;

static REQUESTS: RateLimit = flood_limit();
static LOOPS: RateLimit = flood_limit();
static PULLS: RateLimit = flood_limit();

/// A request was refused; `code` is what the client is told, in the words of its protocol.
pub(super) fn tell_of_request(
    context: &Context,
    client: &Client,
    key: Option<&StreamKey>,
    code: &str,
    why: &str,
) {
    context.counters.requests_refused.add(1);
    if let Some(more) = REQUESTS.pass() {
        log!(Info, "request refused"; conn_id = client.conn_id, peer_addr = client.addr,
            stream_key = key.map_or("", StreamKey::as_str), code = code, reason = shown(why), suppressed = more);
    }
}

/// The stream would come back to a server that it has come through, `hops` servers ago at most.
pub(super) fn tell_of_loop(context: &Context, client: &Client, key: &StreamKey, hops: usize) {
    context.counters.requests_refused.add(1);
    if let Some(more) = LOOPS.pass() {
        log!(Warn, "relay loop refused"; conn_id = client.conn_id, peer_addr = client.addr,
            stream_key = key, hops = hops, suppressed = more);
    }
}

/// A stream would have to be fetched from another server, and is not.
pub(super) fn tell_of_pull(
    context: &Context,
    client: &Client,
    key: &StreamKey,
    full: FetchRefused,
) {
    context.counters.pulls_refused.add(1);
    if let Some(more) = PULLS.pass() {
        log!(Warn, "pull refused"; conn_id = client.conn_id, peer_addr = client.addr,
            stream_key = key, error = full, suppressed = more);
    }
}
