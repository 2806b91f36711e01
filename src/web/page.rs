//! The page that plays a stream in a browser.

use crate::http::server::Response;

/// The page, the same for every stream: it takes the stream from its own address.
const PAGE: &str = include_str!("player.html");

/// What the page may do: run its own script, use its own style, ask this server, play what it
/// received. The digests are those of the text between the tags. Any page may show it in a frame.
const POLICY: &str = "default-src 'none'; \
    script-src 'sha256-GvFThnuXK7w3i2+x0PCGZV4NwOtW4Jau1o/nhW9FkrM='; \
    style-src 'sha256-QGHbJiwxt9qf+evn5KY1Mhv0glUmYwwHY4uB2M6Fb7U='; \
    connect-src 'self'; media-src 'self' blob:; img-src data:; \
    base-uri 'none'; form-action 'none'";

/// The page. Who may watch is told where the media is: the page is no secret, and says nothing of
/// the stream.
pub(super) fn response() -> Response {
    Response::found("text/html; charset=utf-8", PAGE)
        .with_header("Content-Security-Policy", POLICY)
        .with_header("Referrer-Policy", "no-referrer")
        .with_header("Cache-Control", "no-cache")
}
