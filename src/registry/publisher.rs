//! Who publishes a stream, and where it comes from.

use super::last_heard::LastHeard;
use crate::queue::Outbox;
use crate::rtmp::status::{self, StatusLevel, code};
use crate::rtmp::{Message, StreamId};
use std::sync::Arc;

/// A connection that publishes.
#[derive(Clone)]
pub struct Publisher {
    /// The id of the connection, for the log and the hooks.
    pub conn_id: String,
    /// The outbox of the connection.
    pub outbox: Arc<Outbox>,
    /// When anything came from the connection.
    pub heard: Arc<LastHeard>,
    /// Where the publication comes from.
    pub origin: Origin,
    /// The servers that the stream has come through, by the names that they give themselves.
    pub via: Vec<String>,
}

/// Where a publication comes from. It decides what the peer is told when somebody else ends the
/// publication.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A client that publishes.
    Client {
        /// The message stream on which it publishes.
        stream: StreamId,
        /// The name that it gave.
        name: String,
    },
    /// A server that we play from.
    Server {
        /// What the server is told at the end.
        end: Vec<Message>,
    },
}

impl Origin {
    /// Whether the publication comes from another server.
    pub(super) fn is_server(&self) -> bool {
        matches!(self, Origin::Server { .. })
    }

    /// What the peer is told when its publication was ended; `how` follows the stream's name.
    pub(super) fn closing_messages(&self, how: &str) -> Vec<Message> {
        match self {
            Origin::Client { stream, name } => {
                let text = format!("{name} {how}");
                vec![status::on_status(
                    *stream,
                    StatusLevel::Error,
                    code::BAD_NAME,
                    &text,
                )]
            }
            Origin::Server { end } => end.clone(),
        }
    }
}
