//! One RTMP connection over a socket, with either role: a client that came to us, or a server that
//! we went to.
//!
//! Both shake hands ([`handshake`]), have a writer thread beside the thread that reads
//! ([`with_writer`]), and read, decode, acknowledge and answer the same way ([`read_loop`]). What
//! they do with a message, and how long they wait, is up to the [`Side`].

mod error;
pub(crate) mod handshake;
mod reading;
mod writing;

pub(crate) use error::Error;
pub(crate) use reading::{Connection, MEDIA_READ_LEN, READ_LEN, Side, read_loop};
pub(crate) use writing::with_writer;

use std::time::Duration;

/// How long the handshake may take in all, with the header of a proxy in front of it.
pub(crate) const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// How long it may take, after the handshake, until the connection publishes or plays.
pub(crate) const SETUP_LIMIT: Duration = Duration::from_secs(15);

/// How long a peer may send nothing.
pub(crate) const READ_LIMIT: Duration = Duration::from_secs(90);

/// How long a peer may take nothing.
pub(crate) const WRITE_LIMIT: Duration = Duration::from_secs(30);
