//! What is answered to requests for HLS.

use super::names::random_name;
use super::query::PlaylistQuery;
use super::sessions::{Membership, SessionKey};
use super::stream::{HlsStream, Waited};
use super::streams::NotPackaged;
use crate::http::server::{HttpRequest, Method, Response};
use crate::log;
use crate::log::RateLimit;
use crate::media::hls::{Reply, Resource};
use crate::rtmp::stream_key::{StreamKey, StreamPath};
use crate::web::host::{Access, PlayRefusal, WebConnection};
use crate::web::refusal::{error, not_found};
use crate::web::traits::Traits;
use std::sync::Arc;
use std::time::Duration;

/// The media type of playlists.
const PLAYLIST: &str = "application/vnd.apple.mpegurl";

/// Playlists that were waited for may be kept for a moment: many ask for the same.
const FOR_A_MOMENT: &str = "max-age=2";

/// Others have to be asked for each time.
const NEVER: &str = "no-cache";

/// Names are never used twice.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

/// One line in ten seconds about clients for whom there is no room.
static REFUSALS: RateLimit = RateLimit::new(Duration::from_secs(10));

/// What a client is told to which nothing better can be said.
type Refused = Response;

/// The playlist of playlists.
pub(in crate::web) fn index(
    connection: &Arc<dyn WebConnection>,
    request: &HttpRequest,
    path: &StreamPath,
) -> Response {
    answer_index(connection, request, path).unwrap_or_else(|refused| refused)
}

fn answer_index(
    connection: &Arc<dyn WebConnection>,
    request: &HttpRequest,
    path: &StreamPath,
) -> Result<Response, Refused> {
    let mut query = PlaylistQuery::new(&request.query).map_err(|_| bad_query())?;
    match access(connection, request, path) {
        Access::Denied => return Err(denied()),
        // Who has to show something is known by a name from now on, which no client chooses.
        Access::Checked => query.session = Some(random_name()),
        Access::Open => query.session = None,
    }
    let stream = packaged(connection, path)?;
    let uris = query.for_uris();
    let waited = stream.wait(|packager| match packager.is_unplayable() {
        true => Some(Err(unplayable())),
        false => packager.multivariant(&uris).map(Ok),
    });
    let text = match waited {
        Waited::There(text) => text?,
        Waited::Never => return Err(not_yet()),
    };
    if let Some(name) = query.session.filter(|_| request.method == Method::Get) {
        let traits = Traits::new(connection.address().ip(), path, &request.user_agent);
        stream.invite(&name, traits);
    }
    connection.count_sent(text.len());
    Ok(Response::found(PLAYLIST, text).with_header("Cache-Control", NEVER))
}

/// Another playlist, or what playlists name.
pub(in crate::web) fn file(
    connection: &Arc<dyn WebConnection>,
    request: &HttpRequest,
    path: &StreamPath,
    name: &str,
) -> Response {
    let answer = match name.rsplit_once('.') {
        Some((name, "m3u8")) => answer_playlist(connection, request, path, name),
        Some((name, _)) => answer_resource(connection, request, path, name),
        None => Err(not_found()),
    };
    answer.unwrap_or_else(|refused| refused)
}

fn answer_playlist(
    connection: &Arc<dyn WebConnection>,
    request: &HttpRequest,
    path: &StreamPath,
    name: &str,
) -> Result<Response, Refused> {
    let query = PlaylistQuery::new(&request.query).map_err(|_| bad_query())?;
    let (stream, key) = admit(connection, request, path, name, query.session.clone())?;
    let uris = query.for_uris();
    let waited = stream.wait(|packager| {
        if packager.is_unplayable() {
            return Some(Err(unplayable()));
        }
        match packager.playlist(name, query.reload, &uris) {
            Reply::Playlist(text) => Some(Ok(text)),
            Reply::Waits => None,
            Reply::Impossible => Some(Err(error(400, "no such segment or part"))),
            Reply::Unknown => Some(Err(not_found())),
        }
    });
    let text = match waited {
        Waited::There(text) => text?,
        Waited::Never => return Err(not_yet()),
    };
    if stream.touch(&key) == Membership::Banned {
        return Err(denied());
    }
    count(connection, request, &stream, text.len());
    let cached = if query.names_segment() {
        FOR_A_MOMENT
    } else {
        NEVER
    };
    Ok(Response::found(PLAYLIST, text).with_header("Cache-Control", cached))
}

/// Lets a client in that asks for the playlist `name`: by its session, or to a new one.
fn admit(
    connection: &Arc<dyn WebConnection>,
    request: &HttpRequest,
    path: &StreamPath,
    name: &str,
    session: Option<String>,
) -> Result<(Arc<HlsStream>, SessionKey), Refused> {
    let client = || SessionKey::Client(connection.address().ip(), request.user_agent.clone());
    let mut key = session.map_or_else(client, SessionKey::Named);
    let find = || find(connection, path, |stream| stream.has_playlist(name));
    let known = find().map(|stream| (stream.touch(&key), stream));
    let (membership, stream) = match known {
        // It was checked when it got its name.
        Some((membership, stream)) if membership != Membership::Stranger => (membership, stream),
        _ => {
            match access(connection, request, path) {
                Access::Denied => return Err(denied()),
                // Where nobody has to show anything, no name makes a client another viewer.
                Access::Open => key = client(),
                Access::Checked => {}
            }
            let stream = packaged(connection, path)?;
            // What has ended is readable beside what is published now.
            let stream = find().unwrap_or(stream);
            (stream.touch(&key), stream)
        }
    };
    match membership {
        Membership::Banned => return Err(denied()),
        Membership::Stranger | Membership::Invited if request.method == Method::Get => {
            join(connection, request, path, &stream, key.clone())?;
        }
        Membership::Stranger | Membership::Invited | Membership::Member => {}
    }
    Ok((stream, key))
}

/// Begins the session of a viewer.
fn join(
    connection: &Arc<dyn WebConnection>,
    request: &HttpRequest,
    path: &StreamPath,
    stream: &HlsStream,
    key: SessionKey,
) -> Result<(), Refused> {
    if stream.is_over() {
        return Ok(());
    }
    let address = connection.address().ip();
    let traits = stream.invited(&key);
    let traits = traits.unwrap_or_else(|| Traits::new(address, path, &request.user_agent));
    let session = connection.begin_session(path, &request.user_agent, traits);
    let session = session.map_err(|why| match why {
        // The log was told.
        PlayRefusal::Ended => denied(),
        PlayRefusal::Full => error(503, "too many viewers"),
        PlayRefusal::Stopping => error(503, "the server stops"),
        _ => not_found(),
    })?;
    stream.join(key, session, address, &request.user_agent);
    Ok(())
}

fn answer_resource(
    connection: &Arc<dyn WebConnection>,
    request: &HttpRequest,
    path: &StreamPath,
    name: &str,
) -> Result<Response, Refused> {
    // Who knows the name was let in by whoever gave it.
    let found = find(connection, path, |stream| stream.has_resource(name));
    let stream = found.ok_or_else(not_found)?;
    let waited = stream.wait(|packager| match packager.resource(name) {
        Some(Resource::Whole(pieces)) => Some(Some((pieces, packager.has_pictures()))),
        Some(Resource::Hinted) => None,
        None => Some(None),
    });
    let (pieces, has_pictures) = match waited {
        Waited::There(Some(found)) => found,
        Waited::There(None) => return Err(not_found()),
        Waited::Never => return Err(not_yet()),
    };
    let len = pieces.iter().map(|piece| piece.len()).sum();
    if request.method == Method::Get {
        count(connection, request, &stream, len);
    }
    let content_type = if has_pictures {
        "video/mp4"
    } else {
        "audio/mp4"
    };
    let held = connection.count_held(&pieces);
    let response = Response::shared(content_type, pieces).with_header("Cache-Control", FOR_EVER);
    Ok(match held {
        Some(held) => response.with_guard(held),
        None => response,
    })
}

/// Counts bytes for the session that they most likely go to.
fn count(
    connection: &Arc<dyn WebConnection>,
    request: &HttpRequest,
    stream: &HlsStream,
    len: usize,
) {
    let address = connection.address().ip();
    match stream.likely_session(address, &request.user_agent) {
        Some(session) => session.count_sent(len),
        None => connection.count_sent(len),
    }
}

/// Whether the client may play the stream, which may be called otherwise here.
fn access(connection: &Arc<dyn WebConnection>, request: &HttpRequest, path: &StreamPath) -> Access {
    let access = connection.access(path, &request.user_agent);
    if access != Access::Denied {
        let renamed = connection.renamed(&path.key);
        connection.hls().rename(&path.key, renamed);
    }
    access
}

/// The stream, if it is packaged and what is asked for is of it.
fn find(
    connection: &Arc<dyn WebConnection>,
    path: &StreamPath,
    is_meant: impl Fn(&HlsStream) -> bool,
) -> Option<Arc<HlsStream>> {
    let hls = connection.hls();
    hls.find(&hls.called(&path.key), is_meant)
}

/// The stream, if somebody publishes it or it can be fetched.
fn packaged(
    connection: &Arc<dyn WebConnection>,
    path: &StreamPath,
) -> Result<Arc<HlsStream>, Refused> {
    let hls = connection.hls();
    let key = hls.called(&path.key);
    let found = match hls.stream(&key) {
        Err(NotPackaged::NotFound) if connection.fetch(&key) => hls.stream(&key),
        found => found,
    };
    found.map_err(|why| match why {
        NotPackaged::NotFound => not_found(),
        NotPackaged::Busy => busy(&key, "too many streams"),
    })
}

/// There is no room.
fn busy(key: &StreamKey, what: &str) -> Response {
    if let Some(more) = REFUSALS.pass() {
        log!(Warn, "HLS refused"; stream_key = key, error = what, suppressed = more);
    }
    error(503, what)
}

fn denied() -> Response {
    error(403, "access denied")
}

fn bad_query() -> Response {
    error(400, "_HLS_msn and _HLS_part must be numbers")
}

fn unplayable() -> Response {
    error(415, "the stream has no codec that HLS has a place for")
}

fn not_yet() -> Response {
    error(503, "not yet").with_header("Retry-After", "1")
}
