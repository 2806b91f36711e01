//! What the server is told of streams.

use crate::media::Codec;
use crate::rtmp::MessageType;
use crate::rtmp::stream_key::StreamKey;

/// Is told what becomes of streams, under a stream's lock: it must not wait for anything.
pub trait Observer: Send + Sync {
    /// A stream is published that was not published before.
    fn stream_begins(&self, key: &StreamKey);

    /// A stream is over; a publisher that was lost has not come back in time.
    fn stream_ends(&self, key: &StreamKey);

    /// The number of viewers who play a stream has changed.
    fn audience_changes(&self, key: &StreamKey, viewers: usize);

    /// The number of viewers who play a stream or wait for it has changed.
    fn demand_changes(&self, key: &StreamKey, viewers: usize);

    /// A publication's codec is known.
    fn codec_appears(&self, key: &StreamKey, publisher: &str, kind: MessageType, codec: Codec);
}
