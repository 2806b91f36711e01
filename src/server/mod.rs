//! The server: listeners, connections, and how it all starts and stops.

mod active;
mod capacity;
mod conn;
mod connections;
mod crowd;
mod error;
mod events;
mod fetches;
mod handshake;
mod listener;
mod machine;
mod pace;
mod pull;
mod sent;
mod setup;
mod stop;
mod watch;

use crate::admin::AdminServer;
use crate::args::Config;
use crate::auth::Authenticator;
use crate::hooks::{Hooks, Supervisor};
use crate::log;
use crate::net::{Acceptor, Merge};
use crate::record::Recorder;
use crate::registry::Registry;
use crate::remote::{LinkSettings, Relays};
use crate::stats::{Counters, Snapshot};
use crate::sync::{self, Mutex};
use crate::sys;
use crate::systemd::PassedSockets;
use capacity::{Capacity, Share};
use connections::Connections;
use crowd::Crowd;
use listener::AdmitRtmp;
use pace::KeyPaces;
use pull::Pulls;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use watch::report;

pub use watch::{Load, Watch};

/// How long the handshake may take in all.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// How long a client may take, after the handshake, until it publishes or plays.
pub const SETUP_LIMIT: Duration = Duration::from_secs(15);

/// How long a peer may send nothing.
pub const READ_LIMIT: Duration = Duration::from_secs(90);

/// How long a peer may take nothing.
pub const WRITE_LIMIT: Duration = Duration::from_secs(30);

/// How often time limits are looked at that no thread waits for.
const TICK: Duration = Duration::from_millis(100);

/// How many ticks there are between two looks for idle peers.
const TICKS_PER_PING: u32 = 10;

/// How many ticks there are between two looks whether a crowd has left.
const TICKS_PER_LOOK: u32 = 50;

/// How many ticks there are between two lines about each stream, at level debug.
const TICKS_PER_REPORT: u32 = 300;

/// What all connections share.
pub struct Context {
    auth: Authenticator,
    hooks: Arc<Hooks>,
    supervisor: Option<Supervisor>,
    registry: Registry,
    /// What the system has room for.
    capacity: Arc<Capacity>,
    /// How often keys have been published of late.
    key_paces: KeyPaces,
    /// Threads and processes that a publication has beside its connection.
    publication_threads: usize,
    connections: Arc<Connections>,
    counters: Arc<Counters>,
    recorder: Option<Recorder>,
    relays: Relays,
    pulls: Pulls,
    /// For connections to other servers.
    link_settings: LinkSettings,
    chunk_size: u32,
    /// Whether players get all tracks, whatever they announced.
    all_tracks: bool,
    /// How long a publisher's bytes may wait.
    merge: Option<Merge>,
    /// Where clients are waited for.
    listening: Vec<SocketAddr>,
    /// Where our clock starts.
    epoch: Instant,
    /// Makes the handshakes of this run differ from those of others.
    seed: u64,
    next_number: AtomicU64,
    stopping: AtomicBool,
    /// Nothing is ever sent: when the last clone is dropped, everyone is gone.
    alive: Mutex<Option<Sender<()>>>,
}

impl Context {
    /// Our clock, in ms.
    fn clock_ms(&self) -> u32 {
        self.epoch.elapsed().as_millis() as u32
    }

    /// Room for what runs beside a publication.
    ///
    /// # Errors
    ///
    /// The limit of the system that leaves none.
    fn room_for_publication(&self) -> Result<Share, &'static str> {
        self.capacity.beside(self.publication_threads)
    }

    /// Proof that a thread is still at work; `None` when the server waits for the last of them.
    fn alive(&self) -> Option<Sender<()>> {
        self.alive.lock().clone()
    }
}

/// A running server.
pub struct Server {
    context: Arc<Context>,
    /// Accepting stops when they are dropped.
    acceptors: Vec<Acceptor>,
    threads: Vec<JoinHandle<()>>,
    everyone: Receiver<()>,
    /// Stopped when they are dropped.
    webs: Vec<AdminServer>,
    reconnect_url: Option<String>,
}

impl Server {
    /// Opens the listening sockets and starts to serve, on those and on the ones `passed`. The
    /// default address is listened on if there are no others.
    ///
    /// # Errors
    ///
    /// One line that names the address and says what is wrong with it.
    pub fn start(config: &Config, passed: PassedSockets) -> Result<Server, String> {
        let listeners = setup::listeners(config, passed.rtmp)?;
        let (alive, everyone) = mpsc::channel();
        let context = Arc::new(setup::context(config, addrs(&listeners), alive)?);
        let webs = setup::webs(config, passed.metrics, &context)?;
        let failed = |error: io::Error| format!("cannot start: {error}");
        let mut server = Server {
            context,
            acceptors: Vec::new(),
            threads: Vec::new(),
            everyone,
            webs,
            reconnect_url: config.reconnect_url.clone(),
        };
        server.spawn_threads(listeners).map_err(failed)?;
        server.context.pulls.start(&server.context);
        for addr in server.addrs() {
            log!(Info, "listening"; addr = addr);
        }
        for addr in server.web_addrs() {
            log!(Info, "serving HTTP"; addr = addr);
        }
        Ok(server)
    }

    fn spawn_threads(&mut self, listeners: Vec<TcpListener>) -> io::Result<()> {
        for listener in listeners {
            let admit = AdmitRtmp(Arc::clone(&self.context));
            let acceptor = Acceptor::start(listener, "listener", admit)?;
            self.acceptors.push(acceptor);
        }
        let context = Arc::clone(&self.context);
        self.threads
            .push(sync::spawn("ticker", sync::STACK_LEN, move || {
                tick(&context)
            })?);
        Ok(())
    }

    /// Where it listens.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.acceptors.iter().map(Acceptor::addr).collect()
    }

    /// How many connections, published streams and viewers there are.
    pub fn count(&self) -> (usize, usize, usize) {
        let Load {
            connections,
            streams,
            viewers,
            ..
        } = self.watch().load();
        (connections, streams, viewers)
    }

    /// For those who look at it, or ask things of it.
    pub fn watch(&self) -> Watch {
        Watch(Arc::clone(&self.context))
    }

    /// What can be told of it now.
    pub fn snapshot(&self) -> Snapshot {
        self.context.snapshot()
    }

    /// Where it serves HTTP.
    pub fn web_addrs(&self) -> Vec<SocketAddr> {
        self.webs.iter().map(AdminServer::addr).collect()
    }

    /// Asks all clients that announced it to connect anew; returns how many that were.
    pub fn ask_to_reconnect(&self) -> usize {
        let url = self.reconnect_url.as_deref();
        let peers = self.context.connections.peers();
        peers
            .iter()
            .filter(|peer| peer.ask_to_reconnect(url, "Please connect again."))
            .count()
    }

    /// Reads again what can be read again: the file of tokens.
    ///
    /// # Errors
    ///
    /// What is wrong with it; everything stays as it was.
    pub fn reload(&self) -> Result<bool, String> {
        self.context.auth.reload().map_err(String::from)
    }
}

fn addrs(listeners: &[TcpListener]) -> Vec<SocketAddr> {
    let listeners = listeners.iter();
    listeners
        .filter_map(|listener| listener.local_addr().ok())
        .collect()
}

/// Looks at the time limits that no thread waits for, until the server stops.
fn tick(context: &Context) {
    let mut crowd = Crowd::default();
    for ticks in 0_u32.. {
        if context.stopping.load(Ordering::Relaxed) {
            return;
        }
        thread::sleep(TICK);
        context.registry.expire(Instant::now());
        context.pulls.expire(Instant::now());
        if context.link_settings.budget.relieve() {
            context.counters.memory_hangups.add(1);
        }
        context
            .capacity
            .look_if_due(|| context.connections.running());
        if ticks.is_multiple_of(TICKS_PER_PING) {
            context
                .connections
                .peers()
                .iter()
                .for_each(|peer| peer.ping_if_idle());
        }
        if ticks.is_multiple_of(TICKS_PER_LOOK) && crowd.has_left(context.connections.total()) {
            sys::give_back_memory();
        }
        if ticks % TICKS_PER_REPORT == TICKS_PER_REPORT - 1 && log::enabled(log::Level::Debug) {
            context.registry.stats().iter().for_each(report);
        }
    }
}
