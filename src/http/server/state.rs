//! What all connections of a server share, with the handler that answers their requests.

use super::connections::HttpConnections;
use super::request::HttpRequest;
use super::response::Response;
use super::settings::HttpSettings;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The two ends of the connection that a request came by.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// The client's address and port.
    pub peer: SocketAddr,
    /// The address that it connected to.
    pub local: SocketAddr,
}

/// Answers requests, from the threads of all connections.
pub trait Handler: Send + Sync + 'static {
    /// The response to `request`.
    fn answer(&self, request: &HttpRequest, ends: Ends) -> Response;
}

/// What all connections of a server share.
pub(super) struct ServerState {
    pub(super) settings: HttpSettings,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) connections: HttpConnections,
    pub(super) closing: AtomicBool,
}

impl ServerState {
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}
