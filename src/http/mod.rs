//! HTTP/1.1 (RFC 9110, RFC 9112): a client, and what it shares with servers.

pub mod client;
mod lines;
mod timed;
mod url;

pub use lines::{LineError, header, length, read_line};
pub use timed::Timed;
pub use url::{HttpUrl, HttpUrlError, percent_decoded};
