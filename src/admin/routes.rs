//! Paths, and what is found there.

use super::permission::may_hang_up;
use super::state::AdminState;
use super::{api, prometheus, stat, vars};
use crate::http::percent_decoded;
use crate::http::server::{Ends, HttpRequest, Method, Response};
use crate::json::JsonValue;
use crate::log;
use crate::log::RateLimit;
use crate::stats::Snapshot;
use crate::text;
use std::net::SocketAddr;
use std::time::Duration;

/// The page that shows everything. It asks for the rest of what it needs under `/api/`.
const PAGE: &str = include_str!("page.html");

/// What the page may do: run its own script, use its own style, ask this server, and show the
/// player pages that [`page_policy`] adds. The digests are those of the text between the tags.
const PAGE_POLICY: &str = "default-src 'none'; \
    script-src 'sha256-Ntj/1csl0FRcw1Ojem0GB65omXoAIlLb80ZNUVSllwk='; \
    style-src 'sha256-uTjnGJ8jN+NFQUcL4qMWla/aAuFTB0TUcWEZmlSntHQ='; \
    connect-src 'self'; img-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static FOREIGN_HOSTS: RateLimit = RateLimit::new(Duration::from_secs(10));

/// What a path stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Resource {
    Page,
    Health,
    Metrics,
    Vars,
    Stat,
    Status,
    Streams,
    Stream(String),
    Connections,
    Connection(String),
}

impl Resource {
    /// What is at `path`. Keys hold slashes, as they are or as `%2F`.
    fn at(path: &str) -> Option<Resource> {
        if let Some(key) = path.strip_prefix("/api/streams/") {
            return Some(Resource::Stream(percent_decoded(key)));
        }
        if let Some(id) = path.strip_prefix("/api/connections/") {
            return Some(Resource::Connection(percent_decoded(id)));
        }
        Some(match path {
            "/" => Resource::Page,
            "/healthz" => Resource::Health,
            "/metrics" => Resource::Metrics,
            "/debug/vars" => Resource::Vars,
            "/stat" => Resource::Stat,
            "/api/status" => Resource::Status,
            "/api/streams" => Resource::Streams,
            "/api/connections" => Resource::Connections,
            _ => return None,
        })
    }
}

/// The response to a request, from what `state` shows.
pub(super) fn answer(
    state: &AdminState,
    request: &HttpRequest,
    Ends { peer, local }: Ends,
) -> Response {
    let access = state.access();
    let (token, hosts) = &*access;
    if !hosts.include(request.host.as_deref(), local.ip()) {
        if let Some(more) = FOREIGN_HOSTS.pass() {
            log!(Warn, "HTTP request for a foreign host refused"; peer_addr = peer,
                host = text::shown(request.host.as_deref().unwrap_or("")), suppressed = more);
        }
        return Response::error(421, "not a name of this server; -http-host adds one");
    }
    let Some(resource) = Resource::at(&request.path) else {
        return Response::error(404, "no such page");
    };
    match (request.method, &resource) {
        (Method::Get | Method::Head, _) => show(state, &resource),
        (Method::Delete, Resource::Stream(_) | Resource::Connection(_)) => {
            if may_hang_up(token.as_deref(), peer.ip(), request) {
                hang_up(state, &resource, peer)
            } else {
                let what = "only from this machine itself, or with the token of -api-token";
                Response::error(403, what)
            }
        }
        (_, Resource::Stream(_) | Resource::Connection(_)) => not_allowed("GET, HEAD, DELETE"),
        _ => not_allowed("GET, HEAD"),
    }
}

fn not_allowed(allow: &'static str) -> Response {
    Response::error(405, "method not allowed").with_header("Allow", allow)
}

fn show(state: &AdminState, resource: &Resource) -> Response {
    const JSON: &str = "application/json; charset=utf-8";
    match resource {
        Resource::Page => Response::found("text/html; charset=utf-8", PAGE)
            .with_header("Content-Security-Policy", page_policy(&state.snapshot()))
            .with_header("Referrer-Policy", "no-referrer"),
        Resource::Health => health(state),
        Resource::Vars => Response::found(JSON, vars::render(&state.snapshot())),
        Resource::Stat => {
            let text = stat::render(&state.snapshot(), &state.rates());
            Response::found(stat::CONTENT_TYPE, text)
        }
        Resource::Metrics => {
            let text = prometheus::render(&state.snapshot(), &state.rates());
            Response::found(prometheus::CONTENT_TYPE, text)
        }
        Resource::Status => {
            let stopping = state.source.is_stopping();
            let value = api::status(&state.snapshot(), &state.rates(), stopping);
            Response::json(200, &value)
        }
        Resource::Streams => Response::json(200, &api::streams(&state.snapshot(), &state.rates())),
        Resource::Stream(key) => {
            let value = api::stream(&state.snapshot(), &state.rates(), key);
            found(value, "no such stream")
        }
        Resource::Connections => Response::json(200, &api::connections(&state.snapshot())),
        Resource::Connection(id) => {
            let value = api::connection_of(&state.snapshot(), id);
            found(value, "no such connection")
        }
    }
}

/// The page asks for players at the name by which the browser knows this machine, so that only the
/// ports are known here.
fn page_policy(snapshot: &Snapshot) -> String {
    let ports = snapshot.http_listening.iter().map(|addr| addr.port());
    let players: String = ports.map(|port| format!(" *:{port}")).collect();
    match players.is_empty() {
        true => PAGE_POLICY.to_owned(),
        false => format!("{PAGE_POLICY}; frame-src{players}"),
    }
}

fn health(state: &AdminState) -> Response {
    const TEXT: &str = "text/plain; charset=utf-8";
    match state.source.is_stopping() {
        false => Response::found(TEXT, "ok\n"),
        true => Response::found(TEXT, "stopping\n").with_status(503),
    }
}

fn found(value: Option<JsonValue>, what: &str) -> Response {
    value.map_or_else(
        || Response::error(404, what),
        |value| Response::json(200, &value),
    )
}

/// Ends a stream or a connection.
fn hang_up(state: &AdminState, resource: &Resource, peer: SocketAddr) -> Response {
    let (done, name, what) = match resource {
        Resource::Stream(key) => {
            let done = state.source.hang_up_stream(key);
            (done, key, "no such stream")
        }
        Resource::Connection(id) => {
            let done = state.source.hang_up_connection(id);
            (done, id, "no such connection")
        }
        _ => return not_allowed("GET, HEAD"),
    };
    if !done {
        return Response::error(404, what);
    }
    state.forget_snapshot();
    log!(Info, "hung up as asked over HTTP"; name = name, peer_addr = peer);
    let value = api::object([("hung_up", name.as_str().into())]);
    Response::json(200, &value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_apart() {
        let stream = |key: &str| Some(Resource::Stream(key.to_owned()));
        let rows = [
            ("/", Some(Resource::Page)),
            ("/metrics", Some(Resource::Metrics)),
            ("/api/streams", Some(Resource::Streams)),
            ("/api/streams/live/cam", stream("live/cam")),
            ("/api/streams/live%2Fcam", stream("live/cam")),
            (
                "/api/streams/live%2fc%C3%A9%20%25",
                stream("live/c\u{e9} %"),
            ),
            ("/api/streams/../connections", stream("../connections")),
            ("/api/streams/%2e%2e/x", stream("../x")),
            ("/api/streams/%zz%", stream("%zz%")),
            ("/api/streams/", stream("")),
            (
                "/api/connections/c1",
                Some(Resource::Connection("c1".to_owned())),
            ),
            ("/api", None),
            ("/api/", None),
            ("/metrics/", None),
            ("//metrics", None),
            ("/../metrics", None),
            ("/%6detrics", None),
            ("/etc/passwd", None),
            ("*", None),
        ];
        for (path, want) in rows {
            assert_eq!(Resource::at(path), want, "{path}");
        }
    }
}
