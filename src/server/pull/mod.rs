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
use demand::Demand;
use fetches::Fetches;
use link::{Pull, Pulling};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The streams that come from other servers, and those that may.
pub(super) struct Pulls {
    sources: Vec<Source>,
    on_demand: bool,
    ingest: Arc<Ingest>,
    link_settings: LinkSettings,
    pool: LinkPool<StreamKey, Pull>,
    fetches: Fetches,
    next_number: AtomicU64,
}

impl Pulls {
    /// Pulls from these sources, always or only for those who watch.
    pub(super) fn new(
        sources: Vec<Source>,
        on_demand: bool,
        ingest: Arc<Ingest>,
        link_settings: LinkSettings,
    ) -> Pulls {
        Pulls {
            sources,
            on_demand,
            ingest,
            link_settings,
            pool: LinkPool::new("pull"),
            fetches: Fetches::default(),
            next_number: AtomicU64::new(1),
        }
    }

    /// Begins those that are not on demand.
    pub(super) fn start(&self) {
        if self.on_demand {
            return;
        }
        for source in &self.sources {
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
    pub(super) fn want(
        &self,
        key: &StreamKey,
        ip: IpAddr,
        via: &[String],
    ) -> Result<(), FetchRefused> {
        let Some(source) = self.source_on_demand(key) else {
            return Ok(());
        };
        let here = self.ingest.registry.is_live(key);
        let running = |link: Option<&PooledLink<Pull>>| link.is_some_and(PooledLink::is_running);
        if !self.pool.with(key, running) {
            // A stream that is here is no stranger's invention, and is fetched only afterwards.
            let fetch = self.fetches.begin((!here).then_some(ip))?;
            self.start_one(key, source, Demand::expected(fetch, via.to_vec()));
        }
        Ok(())
    }

    /// Where the stream `key` comes from when somebody wants it.
    fn source_on_demand(&self, key: &StreamKey) -> Option<&Source> {
        let mut sources = self.sources.iter().filter(|_| self.on_demand);
        sources.find(|source| source.filter.rest(key).is_some())
    }

    fn start_one(&self, key: &StreamKey, source: &Source, demand: Demand) {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let pull = Pull {
            key: key.clone(),
            source: source.clone(),
            id: format!("p{number:06}"),
            demand,
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

    /// Waits until all are gone. `false`: not by `deadline`.
    pub(super) fn wait_gone(&self, deadline: Instant) -> bool {
        self.pool.wait_gone(deadline)
    }
}

impl DemandObserver for Pulls {
    fn demand_changes(&self, key: &StreamKey, viewers: usize) {
        let Some(source) = self.source_on_demand(key) else {
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
