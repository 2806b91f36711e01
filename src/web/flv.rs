//! Streams as FLV, which mpegts.js, ffmpeg and VLC play.

use super::host::WebConnection;
use super::refusal::not_found;
use super::viewer::LiveViewer;
use crate::http::server::{HttpRequest, Response, StreamFraming};
use crate::queue::Framing;
use crate::registry::Recipient;
use crate::rtmp::stream_key::StreamPath;
use crate::stats::Protocol;
use std::sync::Arc;

/// The stream at `path`, for as long as it lasts.
pub(super) fn response(
    connection: &Arc<dyn WebConnection>,
    request: &HttpRequest,
    path: StreamPath,
) -> Response {
    let viewer = LiveViewer {
        connection: Arc::clone(connection),
        path,
        protocol: Protocol::HttpFlv,
        user_agent: request.user_agent.clone(),
        framing: |head, framing| Framing::flv(head, framing == StreamFraming::Chunked),
        recipient: Box::new(Recipient::listener),
        instead: Box::new(not_found),
    };
    viewer.response("video/x-flv")
}
