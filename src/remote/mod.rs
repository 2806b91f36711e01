//! Other servers: streams are relayed to them and pulled from them.
//!
//! A relay is a viewer of its stream whose connection we have opened ourselves. It is served by the
//! same queue with the same patience as any viewer, so whatever its server does, nobody waits for it.

mod destination;
mod destinations;
mod error;
mod link;
mod pool;
mod progress;
mod reconnect;
mod relay;
mod stop;
mod tls;
mod url;

pub use destination::{Destination, DestinationError, Filter, Source};
pub(crate) use error::LinkError;
pub(crate) use link::{Link, LinkHandler, LinkSettings};
pub(crate) use pool::{LinkPool, PooledLink};
pub(crate) use reconnect::{Attempt, Next, Reconnect, keep_connected};
pub(crate) use relay::{RelayObserver, Relays, Room};
pub(crate) use stop::StopTarget;
pub(crate) use tls::{TLS_TASKS, find as find_tls};
pub(crate) use url::split_key;
pub use url::{RtmpUrl, RtmpUrlError, Scheme};
