//! Media over HTTP: streams for browsers, phones and players that know no RTMP.
//!
//! It serves streams and nothing else, to those who may play them. Who is let in, who is counted
//! and who is told is up to the [`WebHost`]; here is what HTTP asks of a viewer.

mod answer;
mod directives;
mod flv;
mod hls;
mod host;
mod limits;
mod mp4;
mod page;
mod refusal;
mod resource;
mod session;
mod traits;
mod viewer;

pub use hls::{Hls, IDLE_MAX, INVITED_MAX, RELOAD_WAIT_MAX, SESSIONS_MAX, STREAMS_MAX};
pub use host::{Access, Outcome, PlayRefusal, Viewing, WebConnection, WebHost};
pub use limits::{BODY_LEN_MAX, HEAD_LEN_MAX, IDLE_LIMIT, READ_LIMIT, WRITE_LIMIT};
pub use session::WebSession;
pub use traits::Traits;

use crate::http::server::{
    Ends, Handler, HttpHeaders, HttpRequest, HttpServer, HttpSettings, NoRoom, Response, Service,
};
use crate::net::SharedSocket;
use limits::LIMITS;
use std::borrow::Cow;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// A listener for media over HTTP. Dropping it ends all of its connections.
pub struct WebServer(HttpServer);

impl WebServer {
    /// Prepares to serve the streams of `host` on a socket that listens already; [`open`](Self::open)
    /// begins. Pages of `origin` may use them, of any with `*`.
    ///
    /// # Errors
    ///
    /// When the socket cannot be set, or a thread cannot be started.
    pub fn serve(
        listener: TcpListener,
        origin: &str,
        host: Arc<dyn WebHost>,
    ) -> io::Result<WebServer> {
        let settings = HttpSettings {
            limits: LIMITS,
            headers: headers(origin),
            error: refusal::error,
        };
        let http = HttpServer::start(listener, settings, Arc::new(WebService(host)))?;
        Ok(WebServer(http))
    }

    /// Begins to accept connections. To be called once.
    pub fn open(&self) {
        self.0.open();
    }

    /// Pages of `origin` may use the streams from now on.
    pub fn set_origin(&self, origin: &str) {
        self.0.set_headers(headers(origin));
    }

    /// The address that it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.0.addr()
    }

    /// Accepts no connection any more. Those that there are go on.
    pub fn close(&mut self) {
        self.0.close();
    }
}

/// The headers of every response. Pages of `origin` may read it.
fn headers(origin: &str) -> HttpHeaders {
    vec![
        ("Access-Control-Allow-Origin", Cow::Owned(origin.to_owned())),
        ("Access-Control-Expose-Headers", Cow::Borrowed("*")),
        (
            "Cross-Origin-Resource-Policy",
            Cow::Borrowed("cross-origin"),
        ),
        ("X-Content-Type-Options", Cow::Borrowed("nosniff")),
    ]
}

struct WebService(Arc<dyn WebHost>);

impl Service for WebService {
    fn connect(&self, socket: &Arc<SharedSocket>, ends: Ends) -> Result<Box<dyn Handler>, NoRoom> {
        let connection = self.0.admit(socket, ends.peer)?;
        Ok(Box::new(WebHandler { connection }))
    }
}

/// Answers the requests of one connection.
struct WebHandler {
    connection: Arc<dyn WebConnection>,
}

impl Handler for WebHandler {
    fn waits(&mut self) {
        self.connection.set_busy(false);
    }

    fn answer(&mut self, request: &HttpRequest) -> Response {
        self.connection.set_busy(true);
        answer::answer(&self.connection, request)
    }
}
