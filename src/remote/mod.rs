//! Other servers: streams are relayed to them and pulled from them.
//!
//! A relay is a viewer of its stream whose connection we have opened ourselves. It is served by the
//! same queue with the same patience as any viewer, so whatever its server does, nobody waits for it.

mod destination;
mod link;
mod progress;
mod relay;
mod stop;
mod url;

pub use destination::{Destination, DestinationError, Filter, Source};
pub use link::{
    DIAL_LIMIT, Link, LinkError, LinkHandler, LinkSettings, REDIRECTS_MAX, SETUP_LIMIT, STEADY,
};
pub use progress::{LinkProgress, LinkStats};
pub use relay::Relays;
pub use stop::{StopHandle, StopTarget};
pub use url::{RtmpUrl, RtmpUrlError, split_key};

use crate::rtmp::stream_key::StreamKey;

/// Who is told of relays.
pub trait RelayObserver: Send + Sync {
    /// The destination takes the stream; `url` has nothing secret in it.
    fn relay_up(&self, key: &StreamKey, url: &str);

    /// It does not any more; why.
    fn relay_down(&self, key: &StreamKey, url: &str, why: &str);
}
