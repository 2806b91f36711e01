//! Streams as live MP4, which browsers play by themselves or through Media Source Extensions.

use super::host::WebConnection;
use super::refusal::{error, not_found};
use super::viewer::LiveViewer;
use crate::http::server::{HttpRequest, Response, StreamFraming};
use crate::media::mp4::live::{LiveEnd, TrackChoice};
use crate::queue::Framing;
use crate::registry::{Notices, Recipient, SubscriptionEnd};
use crate::rtmp::Message;
use crate::rtmp::stream_key::StreamPath;
use crate::stats::Protocol;
use std::sync::{Arc, OnceLock};

/// The media type of most streams; what is sent names the codecs, and may be of sound alone.
const CONTENT_TYPE: &str = "video/mp4";

/// The stream at `path` with the tracks that its query names, for as long as it lasts.
pub(super) fn response(
    connection: &Arc<dyn WebConnection>,
    request: &HttpRequest,
    path: StreamPath,
) -> Response {
    let track = |name: &str| path.query(name).map(|number| number.parse()).transpose();
    let (Ok(video), Ok(audio)) = (track("video"), track("audio")) else {
        return error(400, "video and audio are numbers of tracks, 0 to 255");
    };
    let choice = TrackChoice { video, audio };
    let end = Arc::new(OnceLock::new());
    let notices = Box::new(EndNotice(Arc::clone(&end)));
    let viewer = LiveViewer {
        connection: Arc::clone(connection),
        path,
        protocol: Protocol::HttpMp4,
        user_agent: request.user_agent.clone(),
        framing: |head, framing| {
            Framing::body(head, CONTENT_TYPE, framing == StreamFraming::Chunked)
        },
        recipient: Box::new(move |conn_id| Recipient::fragments(conn_id, choice, notices)),
        instead: Box::new(move || refusal(end.get().copied())),
    };
    viewer.response(CONTENT_TYPE)
}

/// Takes note of how the stream ends for a viewer.
struct EndNotice(Arc<OnceLock<LiveEnd>>);

impl Notices for EndNotice {
    fn closing_messages(self: Box<Self>, end: SubscriptionEnd) -> Vec<Message> {
        if let SubscriptionEnd::Unplayable(why) = end {
            let _ = self.0.set(why); // only set here, once
        }
        Vec::new()
    }
}

/// What is answered to a viewer who was sent nothing.
fn refusal(end: Option<LiveEnd>) -> Response {
    match end {
        Some(end @ LiveEnd::NoTrack) => error(415, &end.to_string()),
        Some(end @ LiveEnd::NoSuchTrack) => error(404, &end.to_string()),
        Some(LiveEnd::TracksChanged | LiveEnd::TimesWentBack) | None => not_found(),
    }
}
