//! Streams that come from other servers: for each a thread with a connection of its own, always or
//! as long as somebody watches.

use super::fetches::{Fetch, FetchRefused, Fetches};
use crate::backoff::{Backoff, jittered};
use crate::ingest::{DemandObserver, Ingest, PublishError, Publishing};
use crate::log;
use crate::queue::Outbox;
use crate::registry::{LastHeard, Origin, PublicationStatus, Publisher, Registry};
use crate::remote::{
    Filter, Link, LinkError, LinkHandler, LinkProgress, LinkSettings, RtmpUrl, STEADY, Source,
    StopHandle, StopTarget, split_key,
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
use std::sync::{Arc, MutexGuard};
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
    ingest: Arc<Ingest>,
    link_settings: LinkSettings,
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
    pub fn new(
        sources: Vec<Source>,
        on_demand: bool,
        ingest: Arc<Ingest>,
        link_settings: LinkSettings,
    ) -> Pulls {
        Pulls(Arc::new(PullsShared {
            sources,
            on_demand,
            ingest,
            link_settings,
            pulls: Mutex::default(),
            fetches: Fetches::default(),
            next_number: AtomicU64::new(1),
            group: WaitGroup::default(),
        }))
    }

    /// Begins those that are not on demand.
    pub fn start(&self) {
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
        let here = self.0.ingest.registry.is_live(key);
        if self.0.running(&self.0.lock(), key).is_none() {
            // A stream that is here is no stranger's invention, and is fetched only afterwards.
            let fetch = self.0.fetches.begin((!here).then_some(ip))?;
            self.start_one(key, source, Demand::expected(fetch, via.to_vec()));
        }
        Ok(())
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

impl DemandObserver for Pulls {
    fn demand_changes(&self, key: &StreamKey, viewers: usize) {
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
        if pull.switch.pause_for(&last, TURN_LIMIT) {
            self.keep_connected(&pull);
        }
        self.forget(&pull);
        drop((pull, member));
    }

    /// Ends a pull for which nobody waits; whether it did.
    fn end_unless_wanted(&self, pull: &Pull) -> bool {
        // One step with those who look whether it runs.
        let _pulls = self.lock();
        let gone = pull.demand.is_gone();
        if gone {
            pull.switch.turn_off();
        }
        gone
    }

    fn keep_connected(&self, pull: &Pull) {
        let mut backoff = Backoff::new(STEADY);
        while !pull.switch.is_off() {
            if self.ingest.registry.is_live(&pull.key) {
                pull.progress.waiting(LinkError::Superseded.to_string());
                pull.switch.pause(SUPERSEDED_POLL);
                continue;
            }
            pull.progress.connecting();
            let (error, worked) = self.connect(pull);
            if let LinkError::Stopped = error {
                break;
            }
            let pause = jittered(backoff.pause(worked));
            let retry_in_sec = log::Seconds(pause);
            if let LinkError::Ended = error {
                log!(Info, "pull ended"; conn_id = pull.id, stream_key = pull.key, source = pull.source.url,
                    retry_in_sec = retry_in_sec);
            } else {
                log!(Warn, "pull failed"; conn_id = pull.id, stream_key = pull.key, source = pull.source.url,
                    layer = error.layer(), error = error, retry_in_sec = retry_in_sec);
            }
            pull.progress.waiting(error.to_string());
            if self.end_unless_wanted(pull) {
                break;
            }
            pull.switch.pause(pause);
        }
        log!(Info, "pull stopped"; conn_id = pull.id, stream_key = pull.key, source = pull.source.url,
            received_bytes = pull.progress.told().received);
    }

    /// One connection: why it is over, and for how long media has come.
    fn connect(&self, pull: &Pull) -> (LinkError, Duration) {
        let link = Link {
            link_settings: &self.link_settings,
            url: &pull.source.url,
            purpose: Purpose::Play,
            switch: &pull.switch,
        };
        let mut receiver = Receiver {
            ingest: &self.ingest,
            pull,
            heard: Arc::new(LastHeard::now()),
            way: None,
            publishing: None,
            since: None,
        };
        let mut via = pull.demand.via(&pull.key, &self.ingest.registry);
        via.push(self.link_settings.name.clone());
        let error = link.run(pull.source.target(&pull.key, via), &mut receiver);
        let worked = receiver
            .since
            .map_or(Duration::ZERO, |since| since.elapsed());
        (error, worked)
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
    ingest: &'a Ingest,
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
        let claim = self.ingest.claim(key, publisher);
        let claim = claim.map_err(|error| match error {
            PublishError::NoRoom(_) => LinkError::Io(io::Error::other(error)),
            PublishError::Refused(_) => LinkError::Superseded,
        })?;
        log!(Info, "pull started"; conn_id = id, stream_key = key, source = self.pull.source.url);
        let (app, name) = split_key(key);
        let publishing = claim.begin(app, name);
        self.publishing = Some(publishing);
        self.since = Some(Instant::now());
        self.pull.demand.set_come();
        self.pull.progress.connected(outbox);
        Ok(())
    }
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
            Some(publishing) => match publishing.publication.send(messages) {
                PublicationStatus::Current => Ok(()),
                PublicationStatus::Over => Err(LinkError::Superseded),
            },
            None => Ok(()),
        }
    }

    fn end(&mut self, why: &LinkError) {
        match (self.publishing.take(), why) {
            (Some(publishing), LinkError::Ended | LinkError::Stopped) => publishing.finish(),
            (publishing, _) => drop(publishing),
        }
        self.way = None;
        self.pull.progress.settle();
    }
}
