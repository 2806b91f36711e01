//! What all connections of a server share, with the service that answers their requests.

use super::connections::HttpConnections;
use super::request::HttpRequest;
use super::response::Response;
use super::settings::{HttpHeaders, HttpSettings};
use crate::net::SharedSocket;
use crate::sync::RwLock;
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

/// Answers the requests of one connection, on the connection's own thread.
pub trait Handler: Send {
    /// Another request is waited for: the response to the last one is sent.
    fn waits(&mut self) {}

    /// The response to `request`.
    fn answer(&mut self, request: &HttpRequest) -> Response;
}

/// Decides which connections are served.
pub trait Service: Send + Sync + 'static {
    /// Returns what answers the requests of a new connection. It is dropped when the connection
    /// ends.
    ///
    /// # Errors
    ///
    /// [`NoRoom`]: the client is told, and hung up on.
    fn connect(&self, socket: &Arc<SharedSocket>, ends: Ends) -> Result<Box<dyn Handler>, NoRoom>;
}

/// A service takes no further connection, and has said why in the log if that is to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

/// What all connections of a server share.
pub(super) struct ServerState {
    pub(super) settings: HttpSettings,
    /// Headers of every response from now on.
    pub(super) headers: RwLock<HttpHeaders>,
    pub(super) service: Arc<dyn Service>,
    pub(super) connections: HttpConnections,
    pub(super) closing: AtomicBool,
}

impl ServerState {
    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}
