//! A small HTTP server that shows what the server does: metrics, lists, a page.
//!
//! It speaks HTTP/1.1 within narrow bounds and serves nothing that is on the disk. What it shows
//! it gets from a [`AdminSource`]; it asks often enough for bit rates, and no more often than needed,
//! however many ask it.

mod api;
mod conn;
mod permission;
mod prometheus;
mod rates;
mod request;
mod response;
mod routes;
#[cfg(test)]
mod sample;
mod vars;

pub use conn::{CONNECTIONS_MAX, IDLE_LIMIT, READ_LIMIT, WRITE_LIMIT};
pub use rates::WINDOW;
pub use request::{BODY_LEN_MAX, HEAD_LEN_MAX};

use crate::log;
use crate::net::{self, Acceptor};
use crate::stats::Snapshot;
use crate::sync::{self, Mutex};
use conn::{AdmitHttp, HttpConnections};
use rates::Rates;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Connections that may wait to be accepted.
const BACKLOG: u16 = 128;

/// How often counters are looked at for bit rates.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// How old a snapshot may be that is shown.
const FRESH: Duration = Duration::from_millis(100);

/// How long the threads of connections may take to end when the server stops.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// Where everything that is shown comes from.
pub trait AdminSource: Send + Sync {
    /// What there is to tell now.
    fn snapshot(&self) -> Snapshot;

    /// Ends a connection. `false`: there is no such connection.
    fn hang_up_connection(&self, id: &str) -> bool;

    /// Ends the publication of a stream. `false`: there is no such stream.
    fn hang_up_stream(&self, key: &str) -> bool;

    /// Whether the server is about to end.
    fn is_stopping(&self) -> bool;
}

/// What all connections share.
struct AdminState {
    source: Arc<dyn AdminSource>,
    token: Option<String>,
    /// Names that requests may be for, beside the addresses that they come in on.
    hosts: Vec<String>,
    crowd: HttpConnections,
    rates: Mutex<Rates>,
    /// The last snapshot and when it was taken.
    last: Mutex<Option<(Instant, Arc<Snapshot>)>>,
    closing: AtomicBool,
}

impl AdminState {
    /// What there is to tell, as of now or [`FRESH`]. Who asks while another is being told waits
    /// for the same.
    fn snapshot(&self) -> Arc<Snapshot> {
        let mut last = self.last.lock();
        match &*last {
            Some((at, snapshot)) if at.elapsed() < FRESH => Arc::clone(snapshot),
            _ => {
                let snapshot = Arc::new(self.source.snapshot());
                *last = Some((Instant::now(), Arc::clone(&snapshot)));
                snapshot
            }
        }
    }

    /// Makes the next snapshot a new one.
    fn forget_snapshot(&self) {
        *self.last.lock() = None;
    }

    fn rates(&self) -> MutexGuard<'_, Rates> {
        self.rates.lock()
    }

    fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }
}

/// Who is served, and who may do what.
#[derive(Clone, Default)]
pub struct Access {
    /// Who knows it may have streams and connections ended from anywhere; the machine itself may
    /// without.
    pub token: Option<String>,
    /// Names that requests may be for, beside `localhost` and the addresses that they come in on.
    pub hosts: Vec<String>,
}

/// A running HTTP server; dropping it stops it.
pub struct AdminServer {
    state: Arc<AdminState>,
    addr: SocketAddr,
    acceptor: Option<Acceptor>,
    sampler: Option<JoinHandle<()>>,
    /// Nothing is ever sent: when it is dropped, the sampler ends.
    sampling: Option<Sender<()>>,
    /// Disconnected when the last thread of a connection has ended.
    everyone: Receiver<()>,
}

/// Without the token.
impl fmt::Debug for AdminServer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Web({})", self.addr)
    }
}

impl AdminServer {
    /// Listens on `addr`, `HOST:PORT` or `:PORT`, and serves.
    ///
    /// # Errors
    ///
    /// One line that names the address and says what is wrong with it.
    pub fn start(
        addr: &str,
        access: Access,
        source: Arc<dyn AdminSource>,
    ) -> Result<AdminServer, String> {
        net::bind(addr, BACKLOG)
            .and_then(|listener| AdminServer::serve(listener, access, source))
            .map_err(|error| format!("cannot listen on {addr}: {error}"))
    }

    /// The same on a socket that listens already, and that others may have as well: it is not shut
    /// down in the end, only closed.
    ///
    /// # Errors
    ///
    /// When the socket cannot be set, or a thread not be started.
    pub fn serve(
        listener: TcpListener,
        Access { token, hosts }: Access,
        source: Arc<dyn AdminSource>,
    ) -> io::Result<AdminServer> {
        let addr = listener.local_addr()?;
        let (alive, everyone) = mpsc::channel();
        let (sampling, until) = mpsc::channel();
        let mut web = AdminServer {
            state: Arc::new(AdminState {
                source,
                token,
                hosts,
                crowd: HttpConnections::default(),
                rates: Mutex::default(),
                last: Mutex::default(),
                closing: AtomicBool::new(false),
            }),
            addr,
            acceptor: None,
            sampler: None,
            sampling: Some(sampling),
            everyone,
        };
        let state = Arc::clone(&web.state);
        let sampler = move || sample(&state, &until);
        web.sampler = Some(sync::spawn("http-sampler", sync::STACK_LEN, sampler)?);
        let state = Arc::clone(&web.state);
        let admit = AdmitHttp { state, alive };
        web.acceptor = Some(Acceptor::start(listener, "http-listener", admit)?);
        Ok(web)
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops: closes the socket and all connections, and waits for their threads.
    pub fn stop(self) {}
}

impl Drop for AdminServer {
    fn drop(&mut self) {
        self.state.closing.store(true, Ordering::Relaxed);
        self.sampling.take();
        self.acceptor.take();
        if let Some(thread) = self.sampler.take() {
            // A panic in it was reported when it happened.
            let _ = thread.join();
        }
        self.state.crowd.hang_up();
        let result = self.everyone.recv_timeout(STOP_LIMIT);
        if result == Err(RecvTimeoutError::Timeout) {
            log!(Warn, "an HTTP connection did not end in time");
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
