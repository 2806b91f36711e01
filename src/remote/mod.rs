//! Other servers: streams are relayed to them and pulled from them.
//!
//! A relay is a viewer of its stream whose connection we have opened ourselves. It is served by the
//! same queue with the same patience as any viewer, so whatever its server does, nobody waits for it.

mod destination;
mod link;
mod pool;
mod progress;
mod reconnect;
mod relay;
mod stop;
mod url;

pub use destination::{Destination, DestinationError, Filter, Source};
pub use link::LinkSettings;
pub(crate) use link::{Link, LinkError, LinkHandler};
pub(crate) use pool::{LinkPool, PooledLink};
pub use progress::{LinkProgress, LinkStats};
pub(crate) use reconnect::{Attempt, Next, Reconnect, keep_connected};
pub use relay::{RelayObserver, Relays};
pub use stop::{StopHandle, StopTarget};
pub use url::{RtmpUrl, RtmpUrlError, split_key};
