//! Hooks: scripts, web services and standard error are told of events; and programs that are kept
//! running beside published streams.
//!
//! Firing an event never waits for a hook. Events of one connection, and those of one
//! stream, are delivered in the order in which they were fired, each to all of its hooks before
//! the next; other events do not wait for them as long as there are free workers.

mod backlog;
mod event;
mod failure;
mod journal;
mod pool;
mod script;
mod stdio;
mod supervisor;
mod webhook;

pub use event::{Event, EventKind, seconds};
pub use pool::BACKLOG_MAX;
pub use stdio::StdioFormat;
pub use supervisor::{Child, Supervisor};

use crate::http::client::PostError;
use crate::log;
use crate::stats::Counters;
use crate::sync::{Rank, RwLock};
use event::Fired;
use pool::{Hook, HookTarget, Order, Pool};
use script::Script;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fmt, io};
use webhook::Webhook;

/// Longest timeout of a hook; longer ones are cut to it.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The configured hooks, and the limits of their runs.
#[derive(Clone, PartialEq)]
pub struct HookSettings {
    /// Scripts: the name of the event, and the path.
    pub scripts: Vec<(String, String)>,
    /// Web services: the name of the event, and the URL.
    pub webhooks: Vec<(String, String)>,
    /// How all events are written to standard error, if they are.
    pub stdio: Option<StdioFormat>,
    /// How long a script or a web service may take.
    pub timeout: Duration,
    /// How many scripts and web services may be at work at a time.
    pub concurrency: usize,
}

impl HookSettings {
    /// The web services that cannot be posted to, by their place in the list.
    pub fn wrong_webhooks(&self) -> impl Iterator<Item = (usize, Error)> {
        let webhooks = self.webhooks.iter().enumerate();
        webhooks.filter_map(|(index, (event, url))| {
            let error = webhook(event, url, self.timeout).err()?;
            Some((index, error))
        })
    }
}

/// Without the web services: their URLs may hold passwords.
impl fmt::Debug for HookSettings {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Settings")
            .field("scripts", &self.scripts)
            .field("webhooks", &self.webhooks.len())
            .field("stdio", &self.stdio)
            .field("timeout", &self.timeout)
            .field("concurrency", &self.concurrency)
            .finish()
    }
}

impl Default for HookSettings {
    /// No hooks, with the default limits.
    fn default() -> HookSettings {
        HookSettings {
            scripts: Vec::new(),
            webhooks: Vec::new(),
            stdio: None,
            timeout: Duration::from_secs(30),
            concurrency: 10,
        }
    }
}

/// Why hooks cannot be set up.
#[derive(Debug)]
pub enum Error {
    /// There is no event of that name.
    UnknownEvent(String),
    /// No path was given for the script of that event.
    NoPath(&'static str),
    /// The web service for that event cannot be posted to.
    Webhook(&'static str, PostError),
    /// No threads are left.
    Threads(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::UnknownEvent(name) => {
                let names = EventKind::ALL.map(EventKind::name).join(" ");
                write!(f, "there is no event {name:?}; there are: {names}")
            }
            Error::NoPath(event) => write!(f, "script for {event}: path is empty"),
            Error::Webhook(event, error) => write!(f, "web hook for {event}: {error}"),
            Error::Threads(error) => write!(f, "cannot start hooks: {error}"),
        }
    }
}

impl std::error::Error for Error {}

/// All hooks, and the workers that run them.
#[derive(Debug)]
pub struct Hooks {
    /// The hooks of the moment; events that wait keep those of theirs.
    set: RwLock<HookSet>,
    /// Runs scripts and web services.
    workers: Pool,
    /// Writes to standard error: by itself, so that it is in order and waits for no script.
    stdio: Pool,
    counters: Arc<Counters>,
}

/// Hooks that are told of events.
#[derive(Debug, Default)]
struct HookSet {
    settings: HookSettings,
    /// Scripts and web services.
    targets: Arc<[Arc<Hook>]>,
    stdio: Arc<[Arc<Hook>]>,
}

impl HookSet {
    fn new(settings: &HookSettings) -> Result<HookSet, Error> {
        let timeout = settings.timeout.min(TIMEOUT_MAX);
        let mut targets = Vec::new();
        for (event, path) in &settings.scripts {
            let kind = kind(event)?;
            if path.is_empty() {
                return Err(Error::NoPath(kind.name()));
            }
            let script = Script::new(path, timeout);
            if let Err(error) = script.path().metadata() {
                log!(Warn, "cannot find hook script"; hook = path, error = error);
            }
            targets.push(Arc::new(Hook::new(Some(kind), HookTarget::Script(script))));
        }
        for (event, url) in &settings.webhooks {
            targets.push(Arc::new(webhook(event, url, timeout)?));
        }
        let stdio = settings.stdio.into_iter();
        let stdio = stdio.map(|format| Arc::new(Hook::new(None, HookTarget::Stdio(format))));
        Ok(HookSet {
            settings: settings.clone(),
            targets: Arc::from(targets),
            stdio: stdio.collect(),
        })
    }

    /// How many workers run scripts and web services.
    fn workers(&self) -> usize {
        match self.targets.is_empty() {
            true => 0,
            false => self.settings.concurrency.max(1),
        }
    }

    fn wants(&self, kind: EventKind) -> bool {
        let mut hooks = self.targets.iter().chain(&*self.stdio);
        hooks.any(|hook| hook.wants(kind))
    }
}

impl Hooks {
    /// Sets up the hooks and starts their workers. Scripts need not be there yet.
    ///
    /// # Errors
    ///
    /// Any [`Error`]: a configuration that cannot be served.
    pub fn new(settings: &HookSettings, counters: &Arc<Counters>) -> Result<Hooks, Error> {
        let set = HookSet::new(settings)?;
        let hooks = Hooks {
            workers: Pool::new(Order::PerLane, counters),
            stdio: Pool::new(Order::Strict, counters),
            counters: Arc::clone(counters),
            set: RwLock::ranked(Rank::Hooks, HookSet::default()),
        };
        hooks.start_workers(set.workers(), set.stdio.len())?;
        *hooks.set.write() = set;
        Ok(hooks)
    }

    /// Has the events from now on delivered by other settings. Those that wait are delivered by the
    /// settings of their time. Not to be called by two threads at a time.
    ///
    /// # Errors
    ///
    /// Any [`Error`]: the settings of before stay.
    pub fn replace(&self, settings: &HookSettings) -> Result<(), Error> {
        let (workers, stdio) = {
            let current = self.set.read();
            if current.settings == *settings {
                return Ok(());
            }
            (current.workers(), current.stdio.len())
        };
        let set = HookSet::new(settings)?;
        let (next, next_stdio) = (set.workers(), set.stdio.len());
        // Those of before are needed until nobody fires events for them any more.
        let started = self.start_workers(workers.max(next), stdio.max(next_stdio));
        if started.is_err() {
            self.start_workers(workers, stdio)?;
            return started;
        }
        *self.set.write() = set;
        self.start_workers(next, next_stdio)
    }

    /// Has this many threads run scripts and web services, and write to standard error.
    fn start_workers(&self, workers: usize, stdio: usize) -> Result<(), Error> {
        let workers = self.workers.set_workers(workers);
        let stdio = self.stdio.set_workers(stdio);
        workers.and(stdio).map_err(Error::Threads)
    }

    /// Whether any hook is for events of `kind`: otherwise there is no need to fire them.
    pub fn wants(&self, kind: EventKind) -> bool {
        self.set.read().wants(kind)
    }

    /// Has an event delivered. Never waits: of the events that wait for a worker, those beyond
    /// [`BACKLOG_MAX`] are lost, counted and logged.
    pub fn fire(&self, event: Event) {
        // One step with the change of hooks, so that those of before are told of nothing later.
        let set = self.set.read();
        if !set.wants(event.kind) {
            return;
        }
        self.counters.hook_events.add(1);
        let fired = Arc::new(Fired::now(event));
        self.stdio.push(&fired, &set.stdio);
        self.workers.push(&fired, &set.targets);
    }

    /// How many events wait.
    pub fn waiting(&self) -> usize {
        self.workers.waiting() + self.stdio.waiting()
    }

    /// Takes no more events, and waits until all are delivered. `false`: not by `deadline`; what
    /// waited is lost, and scripts that ran were ended, a second later at the latest.
    pub fn close(&self, deadline: Instant) -> bool {
        let workers = self.workers.close(deadline);
        self.stdio.close(deadline) && workers
    }
}

fn webhook(event: &str, url: &str, timeout: Duration) -> Result<Hook, Error> {
    let kind = kind(event)?;
    let webhook = Webhook::new(url, timeout).map_err(|error| Error::Webhook(kind.name(), error))?;
    Ok(Hook::new(Some(kind), HookTarget::Webhook(webhook)))
}

fn kind(event: &str) -> Result<EventKind, Error> {
    EventKind::from_name(event).ok_or_else(|| Error::UnknownEvent(event.to_owned()))
}
