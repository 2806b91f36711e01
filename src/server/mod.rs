//! The server: listeners, connections, and how it all starts and stops.

mod active;
mod capacity;
mod conn;
mod error;
mod events;
mod listener;
mod pull;
mod roster;

use crate::args::{self, Auth, Config, OnDuplicate};
use crate::auth::Authenticator;
use crate::hooks::{Hooks, Supervisor};
use crate::log;
use crate::record::Recorder;
use crate::registry::{Registry, Settings};
use crate::remote::{Relays, Setting};
use crate::rtmp::StreamId;
use crate::rtmp::key::Key;
use crate::rtmp::status::{self, Level};
use crate::socket::Gathering;
use crate::stats::{Counters, Snapshot, StreamStats, Totals};
use crate::sys;
use events::{RecordEvents, RelayEvents, StreamEvents};
use pull::Pulls;
use roster::Roster;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

/// How many ticks there are between two lines about each stream, at level debug.
const TICKS_PER_REPORT: u32 = 300;

/// What all connections share.
pub struct Context {
    auth: Authenticator,
    hooks: Arc<Hooks>,
    supervisor: Option<Supervisor>,
    registry: Registry,
    roster: Arc<Roster>,
    counters: Arc<Counters>,
    recorder: Option<Recorder>,
    relays: Relays,
    pulls: Pulls,
    /// For connections to other servers.
    setting: Setting,
    chunk_size: u32,
    /// How long a publisher's bytes may wait.
    gathering: Option<Gathering>,
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

    /// Proof that a thread is still at work; `None` when the server waits for the last of them.
    fn alive(&self) -> Option<Sender<()>> {
        self.alive
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Context {
    /// What can be told of the server now.
    fn snapshot(&self) -> Snapshot {
        let hooks = self.hooks.counters();
        let supervisor = self.supervisor.as_ref();
        let (children, child_restarts) = supervisor.map_or((0, 0), Supervisor::counts);
        let recorder = self.recorder.as_ref();
        let recorded = recorder.map(Recorder::counters).unwrap_or_default();
        let peers = self.roster.peers();
        let mut connections: Vec<_> = peers.iter().map(|peer| peer.stats()).collect();
        connections.sort_by(|a, b| (a.id.len(), &a.id).cmp(&(b.id.len(), &b.id)));
        Snapshot {
            uptime: self.epoch.elapsed(),
            totals: Totals {
                hook_events: hooks.fired,
                hook_drops: hooks.dropped,
                hook_failures: hooks.failed,
                child_restarts,
                recordings: recorded.files,
                recording_errors: recorded.errors,
                ..self.counters.totals()
            },
            streams: self.registry.stats(),
            connections,
            relays: self.relays.stats(),
            pulls: self.pulls.stats(),
            recordings: recorder.map(Recorder::snapshot).unwrap_or_default(),
            hooks_waiting: hooks.waiting,
            children,
        }
    }
}

/// A running server.
pub struct Server {
    context: Arc<Context>,
    listeners: Vec<TcpListener>,
    /// Dropped to end the threads that accept. The sockets themselves are not shut down: those that
    /// were passed to us would be dead for those after us as well.
    accepting: UnixStream,
    threads: Vec<JoinHandle<()>>,
    everyone: Receiver<()>,
    reconnect_url: Option<String>,
}

impl Server {
    /// Opens the listening sockets and starts to serve, on those and on the ones `passed`. The
    /// default address is listened on if there are no others.
    ///
    /// # Errors
    ///
    /// One line that names the address and says what is wrong with it.
    pub fn start(config: &Config, passed: Vec<TcpListener>) -> Result<Server, String> {
        let listeners = listeners(config, passed)?;
        let (alive, everyone) = mpsc::channel();
        let context = Arc::new(context(config, alive)?);
        let failed = |error: io::Error| format!("cannot start: {error}");
        let (accepting, stop) = UnixStream::pair().map_err(failed)?;
        let mut server = Server {
            context,
            listeners,
            accepting,
            threads: Vec::new(),
            everyone,
            reconnect_url: config.reconnect_url.clone(),
        };
        server.spawn_threads(&stop).map_err(failed)?;
        server.context.pulls.start(&server.context);
        warn_of_bound(config.max_connections);
        for addr in server.addrs() {
            log!(Info, "listening"; addr = addr);
        }
        Ok(server)
    }

    fn spawn_threads(&mut self, stop: &UnixStream) -> io::Result<()> {
        for listener in &self.listeners {
            // Not to wait for one that is gone again before it is accepted.
            listener.set_nonblocking(true)?;
            let (listener, stop) = (listener.try_clone()?, stop.try_clone()?);
            let context = Arc::clone(&self.context);
            let builder = thread::Builder::new().name("listener".to_owned());
            self.threads
                .push(builder.spawn(move || listener::accept_loop(&listener, &stop, &context))?);
        }
        let context = Arc::clone(&self.context);
        let builder = thread::Builder::new().name("ticker".to_owned());
        self.threads.push(builder.spawn(move || tick(&context))?);
        Ok(())
    }

    /// Where it listens.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.listeners
            .iter()
            .filter_map(|listener| listener.local_addr().ok())
            .collect()
    }

    /// How many connections, published streams and viewers there are.
    pub fn count(&self) -> (usize, usize, usize) {
        self.counter()()
    }

    /// What [`Server::count`] says, for those who ask from elsewhere and for as long as they like.
    pub fn counter(&self) -> impl Fn() -> (usize, usize, usize) + Send + 'static + use<> {
        let context = Arc::clone(&self.context);
        move || {
            let (streams, viewers) = context.registry.count();
            (context.roster.total(), streams, viewers)
        }
    }

    /// What can be told of it now.
    pub fn snapshot(&self) -> Snapshot {
        self.context.snapshot()
    }

    /// Hangs up on a connection; `false`: there is none of that name.
    pub fn hang_up(&self, conn_id: &str) -> bool {
        let peer = self.context.roster.peer(conn_id);
        peer.inspect(|peer| peer.outbox.hang_up()).is_some()
    }

    /// Ends a stream; `false`: nobody publishes it.
    pub fn end_stream(&self, key: &Key) -> bool {
        self.context.registry.end(key)
    }

    /// Asks all clients that announced it to connect anew; returns how many that were.
    pub fn ask_to_reconnect(&self) -> usize {
        let url = self.reconnect_url.as_deref();
        let peers = self.context.roster.peers();
        peers
            .iter()
            .filter(|peer| peer.ask_to_reconnect(url, "Please connect again."))
            .count()
    }

    /// Stops: accepts nobody any more, tells everyone, and waits until all that is under way is
    /// done, for `limit` at most. `false`: it took longer; exit without them.
    pub fn stop(self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        let context = self.context;
        context.stopping.store(true, Ordering::Relaxed);
        drop((self.accepting, self.listeners));
        context.roster.close();
        self.threads
            .into_iter()
            .for_each(|thread| _ = thread.join());
        let peers = context.roster.peers();
        for peer in &peers {
            peer.ask_to_reconnect(
                self.reconnect_url.as_deref(),
                "The server is shutting down.",
            );
        }
        context.relays.close();
        context.pulls.close();
        context.registry.close();
        for peer in &peers {
            let text = "The server is shutting down.";
            let code = "NetConnection.Connect.AppShutdown";
            peer.outbox.finish(vec![status::on_status(
                StreamId::CONTROL,
                Level::Error,
                code,
                text,
            )]);
        }
        drop(peers);
        context
            .alive
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let left = end.saturating_duration_since(Instant::now());
        let gone = self.everyone.recv_timeout(left) == Err(RecvTimeoutError::Disconnected);
        let recorder = context.recorder.as_ref();
        let recorded = recorder.is_none_or(|recorder| recorder.close(end));
        let gone = context.relays.wait_gone(end) && context.pulls.wait_gone(end) && gone;
        // Their last events are fired: those are delivered yet.
        let ended = context
            .supervisor
            .as_ref()
            .is_none_or(|supervisor| supervisor.close(end));
        context.hooks.close(end) && ended && recorded && gone
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

/// All sockets to listen on.
fn listeners(config: &Config, passed: Vec<TcpListener>) -> Result<Vec<TcpListener>, String> {
    let bind = |addr: &str| {
        listener::bind(addr).map_err(|error| format!("cannot listen on {addr}: {error}"))
    };
    let mut listeners = passed;
    if listeners.is_empty() && config.listen.is_empty() {
        listeners.push(bind(args::LISTEN)?);
    }
    for addr in &config.listen {
        listeners.push(bind(addr)?);
    }
    Ok(listeners)
}

/// Raises the limit of open files, and says so if the system allows fewer connections than wanted.
fn warn_of_bound(wanted: usize) {
    let descriptors = sys::raise_descriptor_limit();
    if let Err(error) = &descriptors {
        log!(Warn, "cannot raise the limit of open files"; error = error);
    }
    if let Some(bound) =
        capacity::lowest_bound(descriptors.ok()).filter(|bound| bound.connections < wanted as u64)
    {
        log!(Warn, "the system allows fewer connections than -max-connections"; max_connections = wanted,
            possible = bound.connections, bound_by = bound.by);
    }
}

fn context(config: &Config, alive: Sender<()>) -> Result<Context, String> {
    let settings = Settings {
        gop_cache: config.gop_cache,
        takeover: config.on_duplicate == OnDuplicate::Takeover,
        grace: config.grace,
        wait: config.wait_stream,
        chunk_size: config.chunk_size,
    };
    let hooks = Arc::new(Hooks::new(&config.hooks).map_err(|error| format!("hooks: {error}"))?);
    let auth = match &config.auth {
        Auth::None => Authenticator::None,
        Auth::Token(tokens) => {
            Authenticator::token(tokens).map_err(|error| format!("-auth-token: {error}"))?
        }
        Auth::File(path) => {
            Authenticator::file(path).map_err(|error| format!("-auth-file: {error}"))?
        }
        Auth::Callback(url, timeout) => Authenticator::callback(url, *timeout)
            .map_err(|error| format!("-auth-callback: {error}"))?,
    };
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let counters = Arc::new(Counters::default());
    let setting = Setting {
        chunk_size: config.chunk_size,
        gathering: Gathering::new(config.merge),
        counters: Arc::clone(&counters),
        name: format!("{:016x}", RandomState::new().hash_one(0)),
    };
    let listener = Arc::new(RelayEvents(Arc::clone(&hooks)));
    let relays = Relays::new(config.relay_to.clone(), setting.clone(), listener);
    let pulls = Pulls::new(config.pull.clone(), config.pull_on_demand);
    let observer = StreamEvents {
        hooks: Arc::clone(&hooks),
        relays: relays.clone(),
        pulls: pulls.clone(),
    };
    Ok(Context {
        auth,
        supervisor: config.run_on_publish.as_deref().map(Supervisor::new),
        registry: Registry::new(settings, Arc::new(observer), Arc::clone(&counters)),
        recorder: recorder(config, &hooks),
        relays,
        pulls,
        setting,
        hooks,
        counters,
        roster: Arc::new(Roster::new(
            config.max_connections,
            config.max_connections_per_ip,
        )),
        chunk_size: config.chunk_size,
        gathering: Gathering::new(config.merge),
        epoch: Instant::now(),
        seed: since_1970.as_nanos() as u64,
        next_number: AtomicU64::new(1),
        stopping: AtomicBool::new(false),
        alive: Mutex::new(Some(alive)),
    })
}

fn recorder(config: &Config, hooks: &Arc<Hooks>) -> Option<Recorder> {
    let settings = config.record.clone()?;
    Some(Recorder::new(
        settings,
        Arc::new(RecordEvents(Arc::clone(hooks))),
    ))
}

/// Looks at the time limits that no thread waits for, until the server stops.
fn tick(context: &Context) {
    for ticks in 0_u32.. {
        if context.stopping.load(Ordering::Relaxed) {
            return;
        }
        thread::sleep(TICK);
        context.registry.expire(Instant::now());
        context.pulls.expire(Instant::now());
        if ticks.is_multiple_of(TICKS_PER_PING) {
            context
                .roster
                .peers()
                .iter()
                .for_each(|peer| peer.ping_if_idle());
        }
        if ticks % TICKS_PER_REPORT == TICKS_PER_REPORT - 1 && log::enabled(log::Level::Debug) {
            context.registry.stats().iter().for_each(report);
        }
    }
}

/// Logs what has passed through a stream.
fn report(stream: &StreamStats) {
    log!(Debug, "stream statistics"; stream_key = stream.key,
        uptime_sec = stream.uptime.as_secs(), viewers = stream.viewers,
        audio_packets = stream.audio_messages, video_packets = stream.video_messages,
        bytes_in = stream.bytes_in, bytes_out = stream.bytes_out, dropped = stream.drops);
}
