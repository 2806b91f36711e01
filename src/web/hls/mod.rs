//! HLS over HTTP: a packager for each stream that somebody asks for, and what its clients are
//! answered.

mod answer;
mod names;
mod query;
mod sessions;
mod stream;
mod streams;

pub(super) use answer::{file, index};
pub use sessions::{INVITED_MAX, SESSIONS_MAX};
pub use stream::{IDLE_MAX, RELOAD_WAIT_MAX};
pub use streams::{Hls, STREAMS_MAX};
