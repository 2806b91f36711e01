//! HTTP/1.1 (RFC 9110, RFC 9112): a client, a server, and what both need.

pub mod client;
mod lines;
pub mod server;
mod timed;
mod url;

pub use lines::{LineError, header, length, read_line};
pub use timed::Timed;
pub use url::{HttpUrl, HttpUrlError, percent_decoded};
