//! Streams that come from other servers: for each a thread with a connection of its own, always or
//! as long as somebody watches.

mod demand;
mod fetches;
mod link;

pub(super) use fetches::FetchRefused;

use crate::ingest::{DemandObserver, Ingest};
use crate::log;
use crate::remote::{Filter, LinkPool, LinkSettings, PooledLink, Source, keep_connected};
use crate::rtmp::stream_key::StreamKey;
use crate::stats::PullStats;
use crate::sync::{Rank, RwLock};
use demand::Demand;
use fetches::Fetches;
use link::{Pull, Pulling};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// Which streams come from other servers, and when.
#[derive(Clone, PartialEq)]
pub(super) struct PullSettings {
    pub(super) sources: Vec<Source>,
    /// Whether they come only for those who watch.
    pub(super) on_demand: bool,
}

impl PullSettings {
    /// Where the stream `key` comes from.
    fn source(&self, key: &StreamKey) -> Option<&Source> {
        let mut sources = self.sources.iter();
        sources.find(|source| source.filter.rest(key).is_some())
    }

    /// Where the stream `key` comes from when somebody wants it.
    fn source_on_demand(&self, key: &StreamKey) -> Option<&Source> {
        self.source(key).filter(|_| self.on_demand)
    }
}

/// The streams that come from other servers, and those that may.
pub(super) struct Pulls {
    /// Pulls are started under this lock, so that none is started from a source of before. No stream
    /// may be locked while it is held, but it may be taken while one is.
    settings: RwLock<PullSettings>,
    ingest: Arc<Ingest>,
    link_settings: LinkSettings,
    pool: LinkPool<StreamKey, Pull>,
    fetches: Fetches,
    next_number: AtomicU64,
}

impl Pulls {
    /// Pulls from these sources, always or only for those who watch.
    pub(super) fn new(
        settings: PullSettings,
        ingest: Arc<Ingest>,
        link_settings: LinkSettings,
    ) -> Pulls {
        Pulls {
            settings: RwLock::ranked(Rank::Pulls, settings),
            ingest,
            link_settings,
            pool: LinkPool::new("pull"),
            fetches: Fetches::default(),
            next_number: AtomicU64::new(1),
        }
    }

    /// Begins those that are not on demand.
    pub(super) fn start(&self) {
        let settings = self.settings.read();
        if settings.on_demand {
            return;
        }
        for source in &settings.sources {
            if let Filter::One(key) = &source.filter {
                self.start_one(key, source, Demand::always());
            }
        }
    }

    /// Pulls by other settings from now on. What comes from the same source as before goes on.
    /// Viewers of what comes from another source stay, for as long as without a publisher. Not to be
    /// called by two threads at a time.
    pub(super) fn replace(&self, settings: PullSettings) {
        if *self.settings.read() == settings {
            return;
        }
        *self.settings.write() = settings.clone();
        for link in self.pool.list() {
            let Pull {
                key,
                source,
                demand,
                moves,
                ..
            } = &link.purpose;
            match settings.source(key) {
                Some(next) if next == source => {
                    if !self.want_by(&settings, demand) {
                        link.stop.turn_off();
                    }
                }
                next => {
                    moves.store(next.is_some(), Ordering::Relaxed);
                    link.stop.turn_off();
                }
            }
        }
        self.start();
        // Those who watch or wait may get what they could not before.
        self.ingest.registry.announce_demand();
    }

    /// Has a pull wanted as `settings` say. `false`: there is no room for it.
    fn want_by(&self, settings: &PullSettings, demand: &Demand) -> bool {
        match (settings.on_demand, demand.is_always()) {
            (false, _) => demand.set_always(),
            (true, false) => {}
            (true, true) => match self.fetches.begin(None) {
                Ok(fetch) => demand.set_expected(fetch),
                Err(_) => return false,
            },
        }
        true
    }

    /// A client at `ip` is about to watch the stream `key`, which would go through the servers
    /// `via` to it: if it can be had from elsewhere, it is fetched.
    ///
    /// # Errors
    ///
    /// [`FetchRefused`]: too many are.
    pub(super) fn want(
        &self,
        key: &StreamKey,
        ip: IpAddr,
        via: &[String],
    ) -> Result<(), FetchRefused> {
        // First, since the settings are read while a stream is locked.
        let here = self.ingest.registry.is_live(key);
        let settings = self.settings.read();
        let Some(source) = settings.source_on_demand(key) else {
            return Ok(());
        };
        let running = |link: Option<&PooledLink<Pull>>| link.is_some_and(PooledLink::is_running);
        if !self.pool.with(key, running) {
            // A stream that is here is no stranger's invention, and is fetched only afterwards.
            let fetch = self.fetches.begin((!here).then_some(ip))?;
            self.start_one(key, source, Demand::expected(fetch, via.to_vec()));
        }
        Ok(())
    }

    /// Whether the stream `key` can be had from elsewhere when somebody wants it.
    pub(super) fn can_fetch(&self, key: &StreamKey) -> bool {
        self.settings.read().source_on_demand(key).is_some()
    }

    fn start_one(&self, key: &StreamKey, source: &Source, demand: Demand) {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let pull = Pull {
            key: key.clone(),
            source: source.clone(),
            id: format!("p{number:06}"),
            demand,
            moves: AtomicBool::new(false),
        };
        let (pool, ingest) = (self.pool.clone(), Arc::clone(&self.ingest));
        let settings = self.link_settings.clone();
        let run = move |link: &PooledLink<Pull>| {
            let pulling = Pulling {
                link,
                pool: &pool,
                ingest: &ingest,
                link_settings: &settings,
            };
            keep_connected(&link.stop, &link.progress, &pulling);
            let Pull {
                key, source, id, ..
            } = &link.purpose;
            log!(Info, "pull stopped"; conn_id = id, stream_key = key, source = source.url,
                received_bytes = link.progress.stats().received);
        };
        if let Err(error) = self.pool.start(key.clone(), pull, run) {
            log!(Error, "cannot start pull"; stream_key = key, source = source.url, error = error);
        }
    }

    /// Ends those that nobody has watched for long.
    pub(super) fn expire(&self, now: Instant) {
        self.pool.stop(|link| link.purpose.demand.is_over(now));
        self.fetches.expire(now);
    }

    /// What can be told of each, by stream.
    pub(super) fn stats(&self) -> Vec<PullStats> {
        let links = self.pool.list();
        links.iter().map(|link| stats(link)).collect()
    }

    /// Starts none any more, and ends all there are.
    pub(super) fn close(&self) {
        self.pool.close();
    }

    /// Hangs up on the sources that there still are.
    pub(super) fn cut(&self) {
        self.pool.cut(|pull| {
            log!(Warn, "pull cut off, its source did not close";
                stream_key = pull.key, source = pull.source.url);
        });
    }

    /// Waits until all are gone. `false`: not by `deadline`.
    pub(super) fn wait_gone(&self, deadline: Instant) -> bool {
        self.pool.wait_gone(deadline)
    }
}

impl DemandObserver for Pulls {
    fn demand_changes(&self, key: &StreamKey, viewers: usize) {
        let settings = self.settings.read();
        let Some(source) = settings.source_on_demand(key) else {
            return;
        };
        // One step, so that a pull that ends for want of viewers is not taken for one that runs.
        let ended = self.pool.with(key, |link| match link {
            Some(link) if link.is_running() => {
                set_watched(link, viewers > 0);
                None
            }
            Some(link) => Some(link.purpose.demand.address()),
            None => Some(None),
        });
        let Some(ip) = ended else { return };
        // It has ended since this viewer asked for it.
        if viewers > 0
            && let Ok(fetch) = self.fetches.begin(ip)
        {
            self.start_one(key, source, Demand::expected(fetch, Vec::new()));
        }
    }
}

/// Somebody watches, or nobody does any more: then what has brought nothing yet ends at once.
fn set_watched(link: &PooledLink<Pull>, watched: bool) {
    let demand = &link.purpose.demand;
    demand.set_watched(watched);
    if !watched && demand.is_gone() && !demand.has_come() {
        link.stop.turn_off();
    }
}

fn stats(link: &PooledLink<Pull>) -> PullStats {
    let now = link.progress.stats();
    PullStats {
        stream_key: link.purpose.key.as_str().to_owned(),
        url: link.purpose.source.url.to_string(),
        redirected_to: now.redirected_to,
        state: now.state,
        bytes: now.received,
        reconnects: now.reconnects,
        last_error: now.last_error.unwrap_or_default(),
    }
}
