//! What is answered to a request.

use super::flv;
use super::hls;
use super::host::{Access, WebConnection};
use super::mp4;
use super::page;
use super::refusal::{error, not_found};
use super::resource::{NoResource, Resource};
use crate::http::server::{HttpRequest, Method, Response};
use crate::rtmp::stream_key::StreamPath;
use std::sync::Arc;

/// The methods that every resource has.
const METHODS: &str = "GET, HEAD, OPTIONS";

/// How long a browser may remember what it may ask for, in seconds.
const PREFLIGHT_AGE: &str = "86400";

pub(super) fn answer(connection: &Arc<dyn WebConnection>, request: &HttpRequest) -> Response {
    match request.method {
        Method::Get | Method::Head => {}
        Method::Options => return options(),
        Method::Delete | Method::Other => {
            return error(405, "method not allowed").with_header("Allow", METHODS);
        }
    }
    let resource = match Resource::at(&request.path, &request.query) {
        Ok(resource) => resource,
        Err(NoResource::NotFound) => return not_found(),
        Err(NoResource::Invalid(why)) => return error(400, &why.to_string()),
    };
    match resource {
        Resource::Flv(path) => guarded(connection, request, path, flv::response),
        Resource::Mp4(path) => guarded(connection, request, path, mp4::response),
        Resource::Page(_) => page::response(),
        Resource::Playlist(path) => hls::index(connection, request, &path),
        Resource::HlsFile(path, name) => hls::file(connection, request, &path, &name),
    }
}

/// What a browser is told that asks before it asks.
fn options() -> Response {
    Response::empty(204)
        .with_header("Allow", METHODS)
        .with_header("Access-Control-Allow-Methods", METHODS)
        .with_header("Access-Control-Allow-Headers", "*")
        .with_header("Access-Control-Max-Age", PREFLIGHT_AGE)
}

/// Has `respond` answer those who may play the stream. A HEAD request is answered as a GET would be
/// now, without waiting for the stream to begin.
fn guarded(
    connection: &Arc<dyn WebConnection>,
    request: &HttpRequest,
    path: StreamPath,
    respond: fn(&Arc<dyn WebConnection>, &HttpRequest, StreamPath) -> Response,
) -> Response {
    if connection.access(&path, &request.user_agent) == Access::Denied {
        return error(403, "access denied");
    }
    if request.method == Method::Head && !connection.is_published(&path.key) {
        return not_found();
    }
    respond(connection, request, path)
}
