//! Numbers to try the renderers with.

use crate::media::Codec;
use crate::stats::{LinkState, Metadata, PublicationId, RelayStats, Snapshot, StreamStats};
use std::time::Duration;

/// A stream with three viewers.
pub(super) fn stream(key: &str) -> StreamStats {
    StreamStats {
        key: key.to_owned(),
        publication: PublicationId(1),
        publisher: Some("c000001".to_owned()),
        uptime: Duration::from_millis(90_500),
        viewers: 3,
        recording: false,
        video_codec: Some(Codec::FourCc(*b"hvc1")),
        audio_codec: None,
        metadata: Metadata::default(),
        video: None,
        audio: None,
        timestamp_ms: 90_000,
        audio_bytes: 1000,
        video_bytes: 2000,
        audio_messages: 10,
        video_messages: 20,
        bytes_in: 3000,
        bytes_out: 9000,
        drops: 1,
        cached_messages: 5,
        cached_bytes: 500,
        queue_depths: [1, 1, 1, 0, 0, 0, 0],
        left_out: Vec::new(),
    }
}

/// So many streams, each relayed.
pub(super) fn snapshot(streams: usize) -> Snapshot {
    let keys = (0..streams).map(|number| format!("live/cam{number}"));
    let relays = keys.clone().map(|key| RelayStats {
        stream_key: key,
        redirected_to: None,
        url: "rtmp://a/live".to_owned(),
        state: LinkState::Waiting,
        messages: 1,
        drops: 2,
        bytes: 3,
        reconnects: 4,
        last_error: String::new(),
    });
    Snapshot {
        relays: relays.collect(),
        streams: keys.map(|key| stream(&key)).collect(),
        ..Snapshot::default()
    }
}
