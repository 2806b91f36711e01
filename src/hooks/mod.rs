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
    /// Scripts and web services.
    workers: Pool,
    /// Standard error: by itself, so that it is in order and waits for no script.
    stdio: Pool,
    counters: Arc<Counters>,
}

impl Hooks {
    /// Sets up the hooks and starts their workers. Scripts need not be there yet.
    ///
    /// # Errors
    ///
    /// Any [`Error`]: a configuration that cannot be served.
    pub fn new(settings: &HookSettings, counters: &Arc<Counters>) -> Result<Hooks, Error> {
        let timeout = settings.timeout.min(TIMEOUT_MAX);
        let mut hooks = Vec::new();
        for (event, path) in &settings.scripts {
            let kind = kind(event)?;
            if path.is_empty() {
                return Err(Error::NoPath(kind.name()));
            }
            let script = Script::new(path, timeout);
            if let Err(error) = script.path().metadata() {
                log!(Warn, "cannot find hook script"; hook = path, error = error);
            }
            hooks.push(Hook::new(Some(kind), HookTarget::Script(script)));
        }
        for (event, url) in &settings.webhooks {
            let kind = kind(event)?;
            let webhook = Webhook::new(url, timeout);
            let webhook = webhook.map_err(|error| Error::Webhook(kind.name(), error))?;
            hooks.push(Hook::new(Some(kind), HookTarget::Webhook(webhook)));
        }
        let stdio = settings.stdio.into_iter();
        let stdio = stdio.map(|format| Hook::new(None, HookTarget::Stdio(format)));
        let workers = Pool::start(hooks, settings.concurrency, Order::PerLane, counters);
        let stdio = Pool::start(stdio.collect(), 1, Order::Strict, counters);
        Ok(Hooks {
            workers: workers.map_err(Error::Threads)?,
            stdio: stdio.map_err(Error::Threads)?,
            counters: Arc::clone(counters),
        })
    }

    /// Whether any hook is for events of `kind`: otherwise there is no need to fire them.
    pub fn wants(&self, kind: EventKind) -> bool {
        self.workers.wants(kind) || self.stdio.wants(kind)
    }

    /// Has an event delivered. Never waits: of the events that wait for a worker, those beyond
    /// [`BACKLOG_MAX`] are lost, counted and logged.
    pub fn fire(&self, event: Event) {
        if !self.wants(event.kind) {
            return;
        }
        self.counters.hook_events.add(1);
        let fired = Arc::new(Fired::now(event));
        self.stdio.push(&fired);
        self.workers.push(&fired);
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

fn kind(event: &str) -> Result<EventKind, Error> {
    EventKind::from_name(event).ok_or_else(|| Error::UnknownEvent(event.to_owned()))
}
