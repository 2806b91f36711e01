//! What a client is told whose request is not granted.

use crate::http::server::Response;

/// What is wrong, as one line. Nobody is to keep it: the next moment the stream may be there.
pub(super) fn error(status: u16, what: &str) -> Response {
    Response::line(status, what).with_header("Cache-Control", "no-store")
}

pub(super) fn not_found() -> Response {
    error(404, "no such stream")
}
