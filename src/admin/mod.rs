//! What the server does, shown over HTTP: metrics, lists, a page.
//!
//! Nothing is served from the disk. The numbers come from an [`AdminSource`], which is asked often
//! enough for bit rates and no more often than needed, however many clients there are.

mod api;
mod permission;
mod prometheus;
mod rates;
mod routes;
#[cfg(test)]
mod sample;
mod stat;
mod state;
mod vars;

pub use rates::WINDOW;
pub use state::{Access, AdminSource};

use crate::http::server::{
    Ends, Handler, HttpLimits, HttpRequest, HttpServer, HttpSettings, NoRoom, Response, Service,
};
use crate::net::{self, ListenError, SharedSocket};
use crate::sync;
use state::AdminState;
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Connections that may wait to be accepted.
const BACKLOG: u16 = 128;

/// Connections at a time. For one more, another gives way.
pub const CONNECTIONS_MAX: usize = 32;

/// Longest head of a request, in bytes.
pub const HEAD_LEN_MAX: usize = 8 << 10;

/// Longest body that is read, in bytes, to be thrown away: no resource takes one.
pub const BODY_LEN_MAX: u64 = 64 << 10;

/// How long a connection may be idle between two requests.
pub const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// How long a request may take to arrive.
pub const READ_LIMIT: Duration = Duration::from_secs(10);

/// How long a response may take to be sent.
pub const WRITE_LIMIT: Duration = Duration::from_secs(10);

const LIMITS: HttpLimits = HttpLimits {
    connections: CONNECTIONS_MAX,
    head_len: HEAD_LEN_MAX,
    body_len: BODY_LEN_MAX,
    first: IDLE_LIMIT,
    idle: IDLE_LIMIT,
    read: READ_LIMIT,
    write: WRITE_LIMIT,
};

/// Headers of every response.
const HEADERS: [(&str, &str); 3] = [
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
];

/// How often counters are looked at for bit rates.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// Takes every connection that the limits leave.
struct AdminService(Arc<AdminState>);

/// Answers what comes by one connection.
struct AdminHandler {
    state: Arc<AdminState>,
    ends: Ends,
}

impl Service for AdminService {
    fn connect(&self, _: &Arc<SharedSocket>, ends: Ends) -> Result<Box<dyn Handler>, NoRoom> {
        let state = Arc::clone(&self.0);
        Ok(Box::new(AdminHandler { state, ends }))
    }
}

impl Handler for AdminHandler {
    fn answer(&mut self, request: &HttpRequest) -> Response {
        routes::answer(&self.state, request, self.ends)
    }
}

/// A running HTTP server; dropping it stops it.
pub struct AdminServer {
    http: HttpServer,
    state: Arc<AdminState>,
    /// Stopped when it is dropped.
    _sampler: Sampler,
}

/// Shows the address alone: the token is secret.
impl fmt::Debug for AdminServer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "AdminServer({})", self.addr())
    }
}

impl AdminServer {
    /// Listens on `addr`, `HOST:PORT` or `:PORT`; [`open`](Self::open) begins to serve.
    ///
    /// # Errors
    ///
    /// [`ListenError`].
    pub fn start(
        addr: &str,
        access: Access,
        source: Arc<dyn AdminSource>,
    ) -> Result<AdminServer, ListenError> {
        let listener = net::bind(addr, BACKLOG)?;
        AdminServer::serve(listener, access, source).map_err(ListenError::of(addr))
    }

    /// The same on a socket that listens already, and that other processes may have as well: it is
    /// not shut down in the end, only closed.
    ///
    /// # Errors
    ///
    /// When the socket cannot be set, or a thread not be started.
    pub fn serve(
        listener: TcpListener,
        access: Access,
        source: Arc<dyn AdminSource>,
    ) -> io::Result<AdminServer> {
        let state = Arc::new(AdminState::new(source, access));
        let sampler = Sampler::start(Arc::clone(&state))?;
        let settings = HttpSettings {
            limits: LIMITS,
            headers: HEADERS
                .map(|(name, value)| (name, Cow::Borrowed(value)))
                .into(),
            error: Response::error,
        };
        let service = Arc::new(AdminService(Arc::clone(&state)));
        Ok(AdminServer {
            http: HttpServer::start(listener, settings, service)?,
            state,
            _sampler: sampler,
        })
    }

    /// Begins to accept connections. To be called once.
    pub fn open(&self) {
        self.http.open();
    }

    /// The address that it listens on, with the port that the system chose if 0 was asked for.
    pub fn addr(&self) -> SocketAddr {
        self.http.addr()
    }

    /// Sets which requests are served from now on, and which may end streams and connections.
    pub fn set_access(&self, access: Access) {
        self.state.set_access(access);
    }

    /// Stops: closes the socket and all connections, and waits for their threads.
    pub fn stop(self) {}
}

/// The thread that looks at the counters; dropping it ends it.
struct Sampler {
    /// Nothing is ever sent: when it is dropped, the thread ends.
    until: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    fn start(state: Arc<AdminState>) -> io::Result<Sampler> {
        let (sender, until) = mpsc::channel();
        let work = move || sample(&state, &until);
        Ok(Sampler {
            until: Some(sender),
            thread: Some(sync::spawn("http-sampler", sync::STACK_LEN, work)?),
        })
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.until.take();
        if let Some(thread) = self.thread.take() {
            // A panic in it was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// Looks at the counters again and again, until nobody holds the other end of `until`.
fn sample(state: &AdminState, until: &Receiver<()>) {
    loop {
        state.forget_snapshot();
        let snapshot = state.snapshot();
        state.rates().add(Instant::now(), &snapshot);
        if until.recv_timeout(SAMPLE_INTERVAL) == Err(RecvTimeoutError::Disconnected) {
            return;
        }
    }
}
