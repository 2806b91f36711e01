//! HTTP Live Streaming, with Low-Latency HLS: a stream as playlists, and segments that are kept in
//! memory (RFC 8216 and its second edition).
//!
//! A [`Packager`] takes the messages of a stream and makes parts of them, and segments of parts. It is
//! asked for playlists, and for what they name. One track of pictures and one of sound share a
//! playlist; of more tracks each has its own.

mod clock;
mod grid;
mod live;
mod multivariant;
mod packager;
mod playlist;
mod preroll;
mod rates;
mod reload;
mod rendition;
mod rules;
mod stream_clock;
mod window;

pub use packager::{HlsSettings, MEMORY_MAX, Packager, Reply};
pub use reload::{Readiness, Reload};
pub use rendition::Names;
pub use window::Resource;
