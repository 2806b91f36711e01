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
pub use link::{DIAL_LIMIT, Link, LinkError, REDIRECTS_MAX, SETUP_LIMIT, STEADY, Setting, Use};
pub use progress::{Progress, Told};
pub use relay::Relays;
pub use stop::{Grip, Switch};
pub use url::{Url, UrlError, split_key};

use crate::rtmp::stream_key::Key;

/// Who is told of relays.
pub trait Listener: Send + Sync {
    /// The destination takes the stream; `url` has nothing secret in it.
    fn relay_up(&self, key: &Key, url: &str);

    /// It does not any more; why.
    fn relay_down(&self, key: &Key, url: &str, why: &str);
}
