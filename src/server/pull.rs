//! Streams that come from other servers: for each a thread with a connection of its own, always or
//! as long as somebody watches.

use super::active::{Ending, Publishing};
use super::context::Context;
use super::events;
use super::fetches::{Fetch, FetchRefused, Fetches};
use crate::backoff::{Backoff, jittered};
use crate::log;
use crate::queue::Outbox;
use crate::registry::{LastHeard, Origin, Publisher, Registry};
use crate::remote::{
    Filter, Link, LinkError, LinkHandler, LinkProgress, RtmpUrl, STEADY, Source, StopHandle,
    StopTarget, split_key,
};
use crate::rtmp::client::Purpose;
use crate::rtmp::stream_key::StreamKey;
use crate::rtmp::{Message, StreamId};
use crate::stats::PullStats;
use crate::sync::{self, Member, Mutex, WaitGroup};
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, OnceLock, Weak};
use std::time::{Duration, Instant};

/// How long a stream that is pulled on demand goes on when nobody watches any more.
pub const UNWATCHED_MAX: Duration = Duration::from_secs(30);

/// How long a pull waits for the one before it to be gone.
const TURN_LIMIT: Duration = Duration::from_secs(5);

/// How often it is looked whether a stream that is published here is so still.
const SUPERSEDED_POLL: Duration = Duration::from_secs(1);

/// Stack of a pull's thread: AMF nests at most 32 deep.
const STACK_LEN: usize = 256 << 10;

/// All pulls. Cloning shares them.
#[derive(Clone)]
pub struct Pulls(Arc<PullsShared>);

struct PullsShared {
    sources: Vec<Source>,
    on_demand: bool,
    /// Set once the rest of the server is there.
    context: OnceLock<Weak<Context>>,
    /// By stream, those that have not ended.
    pulls: Mutex<HashMap<StreamKey, Arc<Pull>>>,
    fetches: Fetches,
    next_number: AtomicU64,
    group: WaitGroup,
}

/// One stream from another server.
struct Pull {
    key: StreamKey,
    source: Source,
    /// As it is called where others have their connection's.
    id: String,
    switch: StopHandle,
    progress: LinkProgress,
    demand: Demand,
}

/// Whether a pull is wanted.
enum Demand {
    /// Always.
    Always,
    /// As long as somebody watches.
    Viewers {
        /// Counts it.
        fetch: Fetch,
        /// The servers on the way to the viewer who came first.
        via: Vec<String>,
        audience: Mutex<Audience>,
        /// Whether media has come.
        has_come: AtomicBool,
    },
}

/// Who watches a stream that is pulled on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Audience {
    /// Somebody is about to, as of then.
    Expected(Instant),
    /// Somebody does.
    There,
    /// Nobody does, since then.
    Gone(Instant),
}

impl Pulls {
    /// Pulls from these sources, always or only for those who watch.
    pub fn new(sources: Vec<Source>, on_demand: bool) -> Pulls {
        Pulls(Arc::new(PullsShared {
            sources,
            on_demand,
            context: OnceLock::new(),
            pulls: Mutex::default(),
            fetches: Fetches::default(),
            next_number: AtomicU64::new(1),
            group: WaitGroup::default(),
        }))
    }

    /// Begins, with the rest of the server.
    pub fn start(&self, context: &Arc<Context>) {
        // It is started once.
        let _ = self.0.context.set(Arc::downgrade(context));
        if self.0.on_demand {
            return;
        }
        for source in &self.0.sources {
            if let Filter::One(key) = &source.filter {
                self.start_one(key, source, Demand::Always);
            }
        }
    }

    /// A client at `ip` is about to watch the stream `key`, which would go through the servers
    /// `via` to it: if it can be had from elsewhere, it is fetched.
    ///
    /// # Errors
    ///
    /// [`FetchRefused`]: too many are.
    pub fn want(&self, key: &StreamKey, ip: IpAddr, via: &[String]) -> Result<(), FetchRefused> {
        let Some(source) = self.0.source_on_demand(key) else {
            return Ok(());
        };
        let registry = self.0.context.get().and_then(Weak::upgrade);
        let here = registry.is_some_and(|context| context.registry.is_live(key));
        if self.0.running(&self.0.lock(), key).is_none() {
            // A stream that is here is no stranger's invention, and is fetched only afterwards.
            let fetch = self.0.fetches.begin((!here).then_some(ip))?;
            self.start_one(key, source, Demand::expected(fetch, via.to_vec()));
        }
        Ok(())
    }

    /// So many watch the stream `key` now, or want to.
    pub fn demand_changes(&self, key: &StreamKey, viewers: usize) {
        let Some(source) = self.0.source_on_demand(key) else {
            return;
        };
        let ip = {
            // One step, so that a pull that ends for want of viewers is not taken for one that runs.
            let pulls = self.0.lock();
            if let Some(pull) = self.0.running(&pulls, key) {
                return pull.set_watched(viewers > 0);
            }
            pulls.get(key).and_then(|pull| pull.demand.address())
        };
        // It has ended since this viewer asked for it.
        if viewers > 0
            && let Ok(fetch) = self.0.fetches.begin(ip)
        {
            self.start_one(key, source, Demand::expected(fetch, Vec::new()));
        }
    }

    fn start_one(&self, key: &StreamKey, source: &Source, demand: Demand) {
        let Some(member) = self.0.group.join() else {
            return;
        };
        let number = self.0.next_number.fetch_add(1, Ordering::Relaxed);
        let pull = Arc::new(Pull {
            key: key.clone(),
            source: source.clone(),
            id: format!("p{number:06}"),
            switch: StopHandle::default(),
            progress: LinkProgress::default(),
            demand,
        });
        let last = {
            let mut pulls = self.0.lock();
            if self.0.running(&pulls, key).is_some() {
                return;
            }
            pulls.insert(key.clone(), Arc::clone(&pull))
        };
        let (shared, own) = (Arc::clone(&self.0), Arc::clone(&pull));
        if let Err(error) = sync::spawn("pull", STACK_LEN, move || shared.run(own, last, member)) {
            self.0.forget(&pull);
            log!(Error, "cannot start pull"; stream_key = key, source = source.url, error = error);
        }
    }

    /// Ends a pull for which nobody waits; whether it did.
    fn end_unless_wanted(&self, pull: &Pull) -> bool {
        // One step with those who look whether it runs.
        let _pulls = self.0.lock();
        let gone = pull.demand.is_gone();
        if gone {
            pull.switch.turn_off();
        }
        gone
    }

    /// Ends those that nobody has watched for long.
    pub fn expire(&self, now: Instant) {
        for pull in self.0.lock().values() {
            if pull.demand.is_over(now) {
                pull.switch.turn_off();
            }
        }
        self.0.fetches.expire(now);
    }

    /// What can be told of each, by stream.
    pub fn stats(&self) -> Vec<PullStats> {
        let mut pulls: Vec<_> = self.0.lock().values().cloned().collect();
        pulls.sort_by(|a, b| a.key.cmp(&b.key));
        pulls.iter().map(|pull| pull.stats()).collect()
    }

    /// Starts none any more, and ends all there are.
    pub fn close(&self) {
        self.0.group.close();
        let pulls: Vec<_> = self.0.lock().values().cloned().collect();
        pulls.iter().for_each(|pull| pull.switch.turn_off());
    }

    /// Waits until all are gone. `false`: not by `deadline`.
    pub fn wait_gone(&self, deadline: Instant) -> bool {
        self.0.group.wait(deadline)
    }
}

impl PullsShared {
    fn lock(&self) -> MutexGuard<'_, HashMap<StreamKey, Arc<Pull>>> {
        self.pulls.lock()
    }

    /// Where the stream `key` comes from when somebody wants it.
    fn source_on_demand(&self, key: &StreamKey) -> Option<&Source> {
        let mut sources = self.sources.iter().filter(|_| self.on_demand);
        sources.find(|source| source.filter.rest(key).is_some())
    }

    /// The pull of `key`, unless it is ending.
    fn running<'a>(
        &self,
        pulls: &'a HashMap<StreamKey, Arc<Pull>>,
        key: &StreamKey,
    ) -> Option<&'a Arc<Pull>> {
        pulls.get(key).filter(|pull| !pull.switch.is_off())
    }

    /// The life of a pull.
    fn run(&self, pull: Arc<Pull>, last: Option<Arc<Pull>>, member: Member) {
        let context = self.context.get().and_then(Weak::upgrade);
        if let Some(context) = context.filter(|_| pull.switch.pause_for(&last, TURN_LIMIT)) {
            pull.keep_connected(&context);
        }
        self.forget(&pull);
        drop((pull, member));
    }

    /// Takes a pull off the list, unless another has its place by now.
    fn forget(&self, pull: &Arc<Pull>) {
        let mut pulls = self.lock();
        if pulls
            .get(&pull.key)
            .is_some_and(|held| Arc::ptr_eq(held, pull))
        {
            pulls.remove(&pull.key);
        }
    }
}

impl Demand {
    fn expected(fetch: Fetch, via: Vec<String>) -> Demand {
        Demand::Viewers {
            fetch,
            via,
            audience: Mutex::new(Audience::Expected(Instant::now())),
            has_come: AtomicBool::new(false),
        }
    }

    fn audience(&self) -> Option<MutexGuard<'_, Audience>> {
        match self {
            Demand::Always => None,
            Demand::Viewers { audience, .. } => Some(audience.lock()),
        }
    }

    /// Who wanted it, if nothing has come yet.
    fn address(&self) -> Option<IpAddr> {
        match self {
            Demand::Always => None,
            Demand::Viewers { fetch, .. } => fetch.address(),
        }
    }

    /// The servers on the way to those who want it.
    fn via(&self, key: &StreamKey, registry: &Registry) -> Vec<String> {
        match self {
            Demand::Always => Vec::new(),
            Demand::Viewers { via, .. } => registry.shortest_way(key).unwrap_or(via.clone()),
        }
    }

    /// Whether nobody has watched for so long that it is given up.
    fn is_over(&self, now: Instant) -> bool {
        let since = match self.audience().as_deref() {
            Some(Audience::Expected(since) | Audience::Gone(since)) => *since,
            Some(Audience::There) | None => return false,
        };
        now.saturating_duration_since(since) >= UNWATCHED_MAX
    }

    /// Media has come.
    fn set_come(&self) {
        if let Demand::Viewers {
            fetch, has_come, ..
        } = self
        {
            has_come.store(true, Ordering::Relaxed);
            fetch.has_come();
        }
    }

    fn has_come(&self) -> bool {
        match self {
            Demand::Always => true,
            Demand::Viewers { has_come, .. } => has_come.load(Ordering::Relaxed),
        }
    }

    /// Whether nobody waits for it.
    fn is_gone(&self) -> bool {
        matches!(self.audience().as_deref(), Some(Audience::Gone(_)))
    }
}

impl Pull {
    /// Somebody watches, or nobody does any more: then what has brought nothing yet ends at once.
    fn set_watched(&self, watched: bool) {
        let Some(mut audience) = self.demand.audience() else {
            return;
        };
        match (watched, *audience) {
            (true, _) => *audience = Audience::There,
            (false, Audience::Gone(_)) => {}
            (false, _) => *audience = Audience::Gone(Instant::now()),
        }
        drop(audience);
        if !watched && !self.demand.has_come() {
            self.switch.turn_off();
        }
    }

    fn keep_connected(&self, context: &Context) {
        let mut backoff = Backoff::new(STEADY);
        while !self.switch.is_off() {
            if context.registry.is_live(&self.key) {
                self.progress.waiting(LinkError::Superseded.to_string());
                self.switch.pause(SUPERSEDED_POLL);
                continue;
            }
            self.progress.connecting();
            let (error, worked) = self.connect(context);
            if let LinkError::Stopped = error {
                break;
            }
            let pause = jittered(backoff.pause(worked));
            let retry_in_sec = log::Seconds(pause);
            if let LinkError::Ended = error {
                log!(Info, "pull ended"; conn_id = self.id, stream_key = self.key, source = self.source.url,
                    retry_in_sec = retry_in_sec);
            } else {
                log!(Warn, "pull failed"; conn_id = self.id, stream_key = self.key, source = self.source.url,
                    layer = error.layer(), error = error, retry_in_sec = retry_in_sec);
            }
            self.progress.waiting(error.to_string());
            if context.pulls.end_unless_wanted(self) {
                break;
            }
            self.switch.pause(pause);
        }
        log!(Info, "pull stopped"; conn_id = self.id, stream_key = self.key, source = self.source.url,
            received_bytes = self.progress.told().received);
    }

    /// One connection: why it is over, and for how long media has come.
    fn connect(&self, context: &Context) -> (LinkError, Duration) {
        let link = Link {
            link_settings: &context.link_settings,
            url: &self.source.url,
            purpose: Purpose::Play,
            switch: &self.switch,
        };
        let mut receiver = Receiver {
            context,
            pull: self,
            heard: Arc::new(LastHeard::now()),
            way: None,
            publishing: None,
            since: None,
        };
        let mut via = self.demand.via(&self.key, &context.registry);
        via.push(context.link_settings.name.clone());
        let error = link.run(self.source.target(&self.key, via), &mut receiver);
        let worked = receiver
            .since
            .map_or(Duration::ZERO, |since| since.elapsed());
        (error, worked)
    }

    fn stats(&self) -> PullStats {
        let told = self.progress.told();
        PullStats {
            stream_key: self.key.as_str().to_owned(),
            url: self.source.url.to_string(),
            redirected_to: told.redirected_to,
            state: told.state,
            bytes: told.received,
            reconnects: told.reconnects,
            last_error: told.last_error,
        }
    }
}

/// A pull that uses a connection.
struct Receiver<'a> {
    context: &'a Context,
    pull: &'a Pull,
    heard: Arc<LastHeard>,
    /// The way to the server and what to say at the end, once it plays.
    way: Option<(Arc<Outbox>, Vec<Message>)>,
    /// The publication here, once there is media: some servers play streams that are not there yet.
    publishing: Option<Publishing>,
    /// Since when media has come.
    since: Option<Instant>,
}

impl Receiver<'_> {
    fn publish(&mut self) -> Result<(), LinkError> {
        let (Some((outbox, end)), Pull { key, id, .. }) = (&self.way, self.pull) else {
            return Ok(());
        };
        let publisher = Publisher {
            conn_id: id.clone(),
            outbox: Arc::clone(outbox),
            heard: Arc::clone(&self.heard),
            origin: Origin::Server { end: end.clone() },
            via: Vec::new(),
        };
        let share = self.context.room_for_publication().map_err(no_room)?;
        let publication = self.context.registry.publish(key, publisher);
        let publication = publication.map_err(|_| LinkError::Superseded)?;
        log!(Info, "pull started"; conn_id = id, stream_key = key, source = self.pull.source.url);
        let (app, name) = split_key(key);
        let event = events::publish_started(id, key, app, name);
        let publishing = Publishing::start(self.context, publication, key.clone(), event, share);
        self.publishing = Some(publishing);
        self.since = Some(Instant::now());
        self.pull.demand.set_come();
        self.pull.progress.connected(outbox);
        Ok(())
    }
}

fn no_room(by: &'static str) -> LinkError {
    LinkError::Io(io::Error::other(format!("the system has no room: {by}")))
}

impl LinkHandler for Receiver<'_> {
    fn start(
        &mut self,
        _: StreamId,
        outbox: &Arc<Outbox>,
        end: Vec<Message>,
    ) -> Result<(), LinkError> {
        let grip = StopTarget::Outbox(Arc::clone(outbox), end.clone());
        if !self.pull.switch.hold(grip) {
            return Err(LinkError::Stopped);
        }
        self.way = Some((Arc::clone(outbox), end));
        Ok(())
    }

    fn redirected(&mut self, url: &RtmpUrl) {
        let Pull {
            key, id, source, ..
        } = self.pull;
        log!(Info, "pull redirected"; conn_id = id, stream_key = key, source = source.url, to = url);
        self.pull.progress.redirected(url.to_string());
        self.since = None;
    }

    fn media(&mut self, messages: Vec<Message>, bytes: usize) -> Result<(), LinkError> {
        self.heard.note();
        self.pull.progress.received(bytes);
        if messages.is_empty() || self.way.is_none() {
            return Ok(());
        }
        if self.publishing.is_none() {
            self.publish()?;
        }
        match &self.publishing {
            Some(publishing) if !publishing.publication.send(messages) => {
                Err(LinkError::Superseded)
            }
            _ => Ok(()),
        }
    }

    fn end(&mut self, why: &LinkError) {
        let ending = match why {
            LinkError::Ended | LinkError::Stopped => Ending::Finished,
            _ => Ending::Lost,
        };
        if let Some(publishing) = self.publishing.take() {
            publishing.end(ending);
        }
        self.way = None;
        self.pull.progress.settle();
    }
}
