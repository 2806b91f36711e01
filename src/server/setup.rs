//! From a configuration to what the server is made of.

use super::connections::{ConnectionLimits, Connections};
use super::context::Context;
use super::ended::Ended;
use super::entrance::Entrance;
use super::listener;
use super::pacing::Pacing;
use super::pull::{PullSettings, Pulls};
use super::start_error::StartError;
use super::unsent;
use super::watch::Watch;
use crate::admin::{Access, AdminServer};
use crate::args::{self, Config, OnDuplicate, Secret, TlsFiles, TrackPolicy};
use crate::auth::{Authenticator, Gate, Rules};
use crate::capacity::{self, Capacity};
use crate::hooks::Hooks;
use crate::ingest::{DemandObserver, Ingest, IngestSettings};
use crate::ip_range::IpRange;
use crate::log;
use crate::media::hls::HlsSettings;
use crate::memory::Budget;
use crate::net::{self, Merge, Workload};
use crate::notify::Notify;
use crate::registry::StreamSettings;
use crate::remote::LinkSettings;
use crate::stats::Counters;
use crate::sync::Mutex;
use crate::sys;
use crate::tls::{self, TlsFront, TlsLimits, TlsSetup};
use crate::web::Hls;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The part of the memory of the machine or control group that all holders may take together, unless
/// `-max-memory` says otherwise.
const MEMORY_SHARE: usize = 4;

/// What all holders may take together, in bytes.
pub(super) fn max_memory(config: &Config) -> usize {
    let share = || capacity::memory() / MEMORY_SHARE;
    config.max_memory.unwrap_or_else(share)
}

/// What the server takes of memory without any connection, with its code, in bytes.
const BASE_MEMORY: usize = 8 << 20;

/// The memory that threads may take beside `max_memory`: the rest of the machine or control group, and an
/// eighth of all in any case.
fn thread_memory(max_memory: usize) -> usize {
    let all = capacity::memory();
    let rest = all.saturating_sub(max_memory);
    rest.saturating_sub(BASE_MEMORY).max(all / 8)
}

/// A socket to listen on, and who connects to it.
pub(super) type Listener = (TcpListener, Arc<Entrance>);

/// All sockets to listen on.
pub(super) fn listeners(
    config: &Config,
    passed: Vec<TcpListener>,
) -> Result<Vec<Listener>, StartError> {
    let bind = |addr: &str| net::bind(addr, listener::BACKLOG).map_err(StartError::Listen);
    let direct = Arc::new(Entrance::Direct);
    let mut listeners = passed;
    if listeners.is_empty() && config.listen.is_empty() {
        listeners.push(bind(args::LISTEN)?);
    }
    for addr in &config.listen {
        listeners.push(bind(addr)?);
    }
    let listeners = listeners.into_iter();
    let mut all: Vec<Listener> = listeners
        .map(|socket| (socket, Arc::clone(&direct)))
        .collect();
    let trusted = match &config.proxy_from[..] {
        [] => IpRange::LOOPBACK.to_vec(),
        ranges => ranges.to_vec(),
    };
    let proxied = Arc::new(Entrance::Proxied(trusted));
    for addr in &config.proxy_listen {
        all.push((bind(addr)?, Arc::clone(&proxied)));
    }
    Ok(all)
}

/// Where TLS is served, and how its connections come to us.
pub(super) struct TlsParts {
    files: TlsFiles,
    setup: TlsSetup,
    /// The program connects here.
    pub(super) inner: Listener,
}

/// The sockets for TLS: those of the configuration and those that were `passed`. `None`: there is no
/// TLS.
pub(super) fn tls(
    config: &Config,
    passed: Vec<TcpListener>,
) -> Result<Option<TlsParts>, StartError> {
    let Some(files) = config.tls.clone() else {
        return Ok(None);
    };
    let bind = |addr: &str| net::bind(addr, listener::BACKLOG).map_err(StartError::Listen);
    let mut listeners = passed;
    for addr in &config.tls_listen {
        listeners.push(bind(addr)?);
    }
    let word = tls::new_word().map_err(StartError::System)?;
    let inner = bind("127.0.0.1:0")?;
    let to = inner.local_addr().map_err(StartError::System)?;
    let setup = TlsSetup {
        listeners,
        to,
        word: word.clone(),
    };
    let inner = (inner, Arc::new(Entrance::Tls(word)));
    Ok(Some(TlsParts {
        files,
        setup,
        inner,
    }))
}

impl TlsParts {
    /// Starts the program, and gives the socket that it connects to.
    pub(super) fn start(
        self,
        limits: TlsLimits,
        counters: &Arc<Counters>,
    ) -> Result<(Arc<TlsFront>, Listener), StartError> {
        let TlsFiles { cert, key } = &self.files;
        let front = TlsFront::start(cert, key, limits, self.setup, counters);
        let front = front.map_err(StartError::Tls)?;
        Ok((Arc::new(front), self.inner))
    }
}

/// What the system has room for, once the limit of open files is raised. Says so if that is less
/// than wanted.
fn system_capacity(wanted: usize, memory: usize) -> Capacity {
    if let Err(error) = sys::raise_descriptor_limit() {
        log!(Warn, "cannot raise the limit of open files"; error = error);
    }
    let capacity = Capacity::of_system(memory);
    let bound = capacity.bound();
    if bound.connections() < wanted {
        log!(Warn, "the system allows fewer connections than -max-connections"; max_connections = wanted,
            possible = bound.connections(), bound_by = bound.by);
    }
    capacity
}

/// Says what the rules let happen that nobody may want.
fn warn_of(rules: &Rules) {
    if let Authenticator::Signed(secrets) = &rules.authenticator
        && secrets.has_short()
    {
        log!(
            Warn,
            "a secret of -auth-secret has fewer than 16 characters and can be found by trying"
        );
    }
}

/// What the server is made of, with nobody connected yet.
pub(super) fn context(config: &Config, rules: Rules) -> Result<Context, StartError> {
    warn_of(&rules);
    let counters = Arc::new(Counters::default());
    let hooks = Hooks::new(&config.hooks, &counters).map_err(StartError::Hooks)?;
    let hooks = Arc::new(hooks);
    let notify = Notify::new(&config.notify, &counters).map_err(StartError::Notify)?;
    let notify = Arc::new(notify);
    let workload = Arc::<Workload>::default();
    let link_settings = LinkSettings {
        chunk_size: config.chunk_size,
        merge: Merge::new(config.merge, &workload),
        counters: Arc::clone(&counters),
        budget: Arc::new(Budget::new(max_memory(config))),
        unsent_max: unsent::unsent_max(max_memory(config), config.max_connections),
        name: format!("{:016x}", RandomState::new().hash_one(0)),
    };
    let capacity = Arc::new(system_capacity(
        config.max_connections,
        thread_memory(max_memory(config)),
    ));
    let ingest = Arc::new(Ingest::new(
        ingest_settings(config),
        Arc::clone(&hooks),
        &notify,
        link_settings.clone(),
        Arc::clone(&capacity),
    ));
    let pulls = Arc::new(Pulls::new(
        pull_settings(config),
        Arc::clone(&ingest),
        link_settings.clone(),
    ));
    let demand = Arc::clone(&pulls) as Arc<dyn DemandObserver>;
    ingest.observe_demand(Arc::downgrade(&demand));
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Ok(Context {
        gate: Gate::new(rules),
        notify,
        hooks,
        registry: ingest.registry.clone(),
        hls: Hls::new(
            hls_settings(config),
            ingest.registry.clone(),
            Arc::clone(&link_settings.budget),
        ),
        ingest,
        pulls,
        connections: Arc::new(Connections::new(connection_limits(config), capacity)),
        ended: Ended::default(),
        pacing: Pacing::new(Arc::clone(&counters)),
        counters,
        workload,
        link_settings,
        reconnect_url: Mutex::new(config.reconnect_url.clone()),
        all_tracks: AtomicBool::new(all_tracks(config)),
        epoch: Instant::now(),
        seed: since_1970.as_nanos() as u64,
    })
}

pub(super) fn connection_limits(config: &Config) -> ConnectionLimits {
    ConnectionLimits {
        total: config.max_connections,
        per_address: NonZeroUsize::new(config.max_connections_per_ip),
    }
}

pub(super) fn tls_limits(config: &Config) -> TlsLimits {
    let ConnectionLimits { total, per_address } = connection_limits(config);
    TlsLimits { total, per_address }
}

pub(super) fn pull_settings(config: &Config) -> PullSettings {
    PullSettings {
        sources: config.pull.clone(),
        on_demand: config.pull_on_demand,
    }
}

/// Whether players get all tracks unasked.
pub(super) fn all_tracks(config: &Config) -> bool {
    config.tracks == TrackPolicy::All
}

/// Which HTTP requests are answered, and which may end streams.
pub(super) fn access(config: &Config) -> Access {
    let token = config.api_token.as_ref().map(Secret::reveal);
    Access {
        token: token.map(str::to_owned),
        hosts: config.http_host.clone(),
    }
}

/// What `-hls-segment` and `-hls-part` say.
pub(super) fn hls_settings(config: &Config) -> HlsSettings {
    HlsSettings {
        segment_ms: config.hls_segment.as_millis() as u32,
        part_ms: config.hls_part.as_millis() as u32,
    }
}

pub(super) fn ingest_settings(config: &Config) -> IngestSettings {
    IngestSettings {
        streams: StreamSettings {
            gop_cache: config.gop_cache,
            takeover: config.on_duplicate == OnDuplicate::Takeover,
            grace: config.grace,
            wait: config.wait_stream,
            chunk_size: config.chunk_size,
        },
        record: config.record.clone(),
        relay_to: config.relay_to.clone(),
        run_on_publish: config.run_on_publish.clone(),
    }
}

/// The sockets that media are served on over HTTP.
pub(super) fn media_listeners(config: &Config) -> Result<Vec<TcpListener>, StartError> {
    let addrs = config.http_listen.iter();
    let listeners = addrs.map(|addr| net::bind(addr, listener::BACKLOG));
    listeners
        .collect::<Result<_, _>>()
        .map_err(StartError::Listen)
}

/// The HTTP servers that show the state: on the address of the configuration, and on sockets that
/// were `passed`.
pub(super) fn admins(
    config: &Config,
    passed: Vec<TcpListener>,
    watch: &Watch,
) -> Result<Vec<AdminServer>, StartError> {
    let access = || access(config);
    let source = || Arc::new(watch.clone());
    let mut webs = Vec::new();
    for listener in passed {
        let web = AdminServer::serve(listener, access(), source());
        webs.push(web.map_err(StartError::PassedSocket)?);
    }
    if let Some(addr) = &config.metrics_addr {
        let web = AdminServer::start(addr, access(), source());
        webs.push(web.map_err(StartError::Listen)?);
    }
    Ok(webs)
}
