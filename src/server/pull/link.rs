//! One stream from another server, on one connection after the other.

use super::demand::Demand;
use crate::ingest::{Ingest, PublishError, Publishing};
use crate::log;
use crate::queue::Outbox;
use crate::registry::{LastHeard, Origin, PublicationStatus, Publisher};
use crate::remote::{
    Attempt, Link, LinkError, LinkHandler, LinkPool, LinkSettings, Next, PooledLink, Reconnect,
    Scheme, Source, StopTarget, split_key,
};
use crate::rtmp::client::Purpose;
use crate::rtmp::stream_key::StreamKey;
use crate::rtmp::{Message, StreamId};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The time between two looks whether a stream is still published here by somebody else.
const SUPERSEDED_POLL: Duration = Duration::from_secs(1);

/// A stream from another server.
pub(super) struct Pull {
    pub(super) key: StreamKey,
    pub(super) source: Source,
    /// The id used in place of a connection id: `p000001` and on.
    pub(super) id: String,
    pub(super) demand: Demand,
    /// Whether the stream is about to come from another source.
    pub(super) moves: AtomicBool,
}

/// A pull at work.
pub(super) struct Pulling<'a> {
    pub(super) link: &'a PooledLink<Pull>,
    pub(super) pool: &'a LinkPool<StreamKey, Pull>,
    pub(super) ingest: &'a Ingest,
    pub(super) link_settings: &'a LinkSettings,
}

impl Reconnect for Pulling<'_> {
    fn next(&self) -> Next {
        match self.ingest.registry.is_live(&self.link.purpose.key) {
            true => Next::Wait(LinkError::Superseded, SUPERSEDED_POLL),
            false => Next::Connect,
        }
    }

    fn connect(&self) -> Attempt {
        let Pull {
            key,
            source,
            demand,
            ..
        } = &self.link.purpose;
        let share = match source.url.scheme {
            Scheme::Rtmp => None,
            Scheme::Rtmps => match self.ingest.room_for_tls() {
                Ok(share) => Some(share),
                Err(by) => {
                    let (error, worked) = (LinkError::NoRoom(by), Duration::ZERO);
                    return Attempt::Failed { error, worked };
                }
            },
        };
        let link = Link {
            link_settings: self.link_settings,
            url: &source.url,
            purpose: Purpose::Play,
            switch: &self.link.stop,
        };
        let mut receiver = Receiver {
            ingest: self.ingest,
            link: self.link,
            heard: Arc::new(LastHeard::now()),
            way: None,
            publishing: None,
            since: None,
        };
        let mut via = demand.via(key, &self.ingest.registry);
        via.push(self.link_settings.name.clone());
        let error = link.run(source.target(key, via), &mut receiver);
        drop(share);
        match error {
            LinkError::Stopped => Attempt::Over,
            error => {
                let worked = receiver.since.map(|since| since.elapsed());
                let worked = worked.unwrap_or_default();
                Attempt::Failed { error, worked }
            }
        }
    }

    fn failed(&self, error: &LinkError, retry_in: Duration) {
        let Pull {
            key, source, id, ..
        } = &self.link.purpose;
        let retry_in_sec = log::Seconds(retry_in);
        if let LinkError::Ended = error {
            log!(Info, "pull ended"; conn_id = id, stream_key = key, source = source.url,
                retry_in_sec = retry_in_sec);
        } else {
            log!(Warn, "pull failed"; conn_id = id, stream_key = key, source = source.url,
                layer = error.layer(), error = error, retry_in_sec = retry_in_sec);
        }
    }

    /// Whether somebody waits for it; if not, it ends.
    fn is_wanted(&self) -> bool {
        let Pull { key, demand, .. } = &self.link.purpose;
        // One step with those who look whether it runs.
        self.pool.with(key, |_| {
            let gone = demand.is_gone();
            if gone {
                self.link.stop.turn_off();
            }
            !gone
        })
    }
}

/// A pull that uses a connection.
struct Receiver<'a> {
    ingest: &'a Ingest,
    link: &'a PooledLink<Pull>,
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
        let (Some((outbox, end)), Pull { key, id, .. }) = (&self.way, &self.link.purpose) else {
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
            PublishError::NoRoom(by) => LinkError::NoRoom(by),
            PublishError::Refused(_) => LinkError::Superseded,
        })?;
        log!(Info, "pull started"; conn_id = id, stream_key = key, source = self.link.purpose.source.url);
        let (app, name) = split_key(key);
        let publishing = claim.begin(app, name, None);
        self.publishing = Some(publishing);
        self.since = Some(Instant::now());
        self.link.purpose.demand.set_come();
        self.link.progress.connected(outbox);
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
        if !self.link.stop.hold(grip) {
            return Err(LinkError::Stopped);
        }
        self.way = Some((Arc::clone(outbox), end));
        Ok(())
    }

    fn redirected(&mut self, to: &str) {
        let Pull {
            key, id, source, ..
        } = &self.link.purpose;
        log!(Info, "pull redirected"; conn_id = id, stream_key = key, source = source.url, to = to);
        self.link.progress.redirected(to.to_owned());
        self.since = None;
    }

    fn media(&mut self, messages: Vec<Message>, bytes: usize) -> Result<(), LinkError> {
        self.heard.note();
        self.link.progress.received(bytes);
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
        let moves = self.link.purpose.moves.load(Ordering::Relaxed);
        match (self.publishing.take(), why) {
            // Its viewers stay for what comes from there.
            (publishing, LinkError::Stopped) if moves => drop(publishing),
            (Some(publishing), LinkError::Ended | LinkError::Stopped) => publishing.finish(),
            (publishing, _) => drop(publishing),
        }
        self.way = None;
        self.link.progress.settle();
    }
}
