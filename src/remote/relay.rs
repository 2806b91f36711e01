//! Streams on their way to other servers: for each stream and destination a thread with a
//! connection and a queue of its own, as long as the stream lasts.

use super::destination::Destination;
use super::error::LinkError;
use super::link::{Link, LinkHandler, LinkSettings};
use super::pool::{LinkPool, PooledLink};
use super::reconnect::{Attempt, Next, Reconnect, keep_connected};
use super::url::RtmpUrl;
use crate::log;
use crate::queue::Outbox;
use crate::registry::{Recipient, Registry, Subscription};
use crate::rtmp::client::Purpose;
use crate::rtmp::stream_key::StreamKey;
use crate::rtmp::{Message, StreamId};
use crate::stats::RelayStats;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Is told of relays.
pub(crate) trait RelayObserver: Send + Sync {
    /// The destination takes the stream; `url` has nothing secret in it.
    fn relay_up(&self, key: &StreamKey, url: &str);

    /// The destination does not take the stream any more, and why.
    fn relay_down(&self, key: &StreamKey, url: &str, why: &str);
}

/// All relays. Cloning shares them.
#[derive(Clone)]
pub(crate) struct Relays {
    destinations: Arc<[Destination]>,
    link_settings: LinkSettings,
    observer: Arc<dyn RelayObserver>,
    /// By stream and index of the destination.
    pool: LinkPool<(StreamKey, usize), Relay>,
}

/// One stream on its way to one destination.
struct Relay {
    key: StreamKey,
    destination: Destination,
}

impl Relays {
    /// Relays to these destinations; `observer` will be told of them.
    pub(crate) fn new(
        destinations: Vec<Destination>,
        link_settings: LinkSettings,
        observer: Arc<dyn RelayObserver>,
    ) -> Relays {
        Relays {
            destinations: Arc::from(destinations),
            link_settings,
            observer,
            pool: LinkPool::new("relay"),
        }
    }

    /// The stream `key` is published: it is relayed to each destination that takes it, unless it
    /// is already.
    pub(crate) fn start(&self, key: &StreamKey, registry: &Registry) {
        for (index, destination) in self.destinations.iter().enumerate() {
            if destination.takes(key) {
                self.start_one(key, index, destination, registry);
            }
        }
    }

    fn start_one(
        &self,
        key: &StreamKey,
        index: usize,
        destination: &Destination,
        registry: &Registry,
    ) {
        let relay = Relay {
            key: key.clone(),
            destination: destination.clone(),
        };
        let (settings, observer) = (self.link_settings.clone(), Arc::clone(&self.observer));
        let registry = registry.clone();
        let run = move |link: &PooledLink<Relay>| {
            let relaying = Relaying {
                link,
                link_settings: &settings,
                observer: &*observer,
                registry: &registry,
            };
            keep_connected(&link.stop, &link.progress, &relaying);
        };
        if let Err(error) = self.pool.start((key.clone(), index), relay, run) {
            log!(Error, "cannot start relay"; stream_key = key, destination = destination, error = error);
        }
    }

    /// The stream `key` is over. Connections in use have taken leave of it themselves.
    pub(crate) fn stop(&self, key: &StreamKey) {
        self.pool.stop(|link| link.purpose.key == *key);
    }

    /// What can be told of each, by stream and destination.
    pub(crate) fn stats(&self) -> Vec<RelayStats> {
        let links = self.pool.list();
        links.iter().map(|link| stats(link)).collect()
    }

    /// Starts none any more, and ends those that are not connected.
    pub(crate) fn close(&self) {
        self.pool.close();
    }

    /// Waits until all are gone. `false`: not by `deadline`.
    pub(crate) fn wait_gone(&self, deadline: Instant) -> bool {
        self.pool.wait_gone(deadline)
    }
}

fn stats(link: &PooledLink<Relay>) -> RelayStats {
    let now = link.progress.stats();
    RelayStats {
        stream_key: link.purpose.key.as_str().to_owned(),
        url: link.purpose.destination.to_string(),
        redirected_to: now.redirected_to,
        state: now.state,
        messages: now.messages,
        drops: now.drops,
        bytes: now.bytes,
        reconnects: now.reconnects,
        last_error: now.last_error.unwrap_or_default(),
    }
}

/// A relay at work.
struct Relaying<'a> {
    link: &'a PooledLink<Relay>,
    link_settings: &'a LinkSettings,
    observer: &'a dyn RelayObserver,
    registry: &'a Registry,
}

impl Reconnect for Relaying<'_> {
    fn next(&self) -> Next {
        match self.registry.is_published(&self.link.purpose.key) {
            true => Next::Connect,
            false => Next::End,
        }
    }

    fn connect(&self) -> Attempt {
        let Relay { key, destination } = &self.link.purpose;
        let mut sender = Sender {
            link: self.link,
            observer: self.observer,
            registry: self.registry,
            phase: RelayPhase::Connecting,
        };
        let mut via = self.registry.via(key);
        via.push(self.link_settings.name.clone());
        let link = Link {
            link_settings: self.link_settings,
            url: &destination.url,
            purpose: Purpose::Publish,
            switch: &self.link.stop,
        };
        let error = link.run(destination.target(key, via), &mut sender);
        let (worked, over) = match sender.phase {
            RelayPhase::Up { since, .. } => (since.elapsed(), false),
            RelayPhase::Connecting => (Duration::ZERO, false),
            RelayPhase::Down { worked, over } => (worked, over),
        };
        if over || matches!(error, LinkError::Stopped) {
            log!(Info, "relay stopped"; stream_key = key, destination = destination,
                sent_bytes = self.link.progress.bytes());
            return Attempt::Over;
        }
        Attempt::Failed { error, worked }
    }

    fn failed(&self, error: &LinkError, retry_in: Duration) {
        let Relay { key, destination } = &self.link.purpose;
        self.link_settings.counters.relay_failures.add(1);
        log!(Warn, "relay failed"; stream_key = key, destination = destination,
            layer = error.layer(), error = error, retry_in_sec = log::Seconds(retry_in));
    }
}

/// A relay that uses a connection.
struct Sender<'a> {
    link: &'a PooledLink<Relay>,
    observer: &'a dyn RelayObserver,
    registry: &'a Registry,
    phase: RelayPhase,
}

/// How far a relay has come with its connection.
enum RelayPhase {
    Connecting,
    /// The destination takes the stream.
    Up {
        subscription: Subscription,
        since: Instant,
    },
    /// It does not any more; also because the stream is over?
    Down {
        worked: Duration,
        over: bool,
    },
}

impl LinkHandler for Sender<'_> {
    fn start(
        &mut self,
        stream: StreamId,
        outbox: &Arc<Outbox>,
        end: Vec<Message>,
    ) -> Result<(), LinkError> {
        let (key, to) = (&self.link.purpose.key, &self.link.purpose.destination);
        let recipient = Recipient::server(format!("relay to {to}"), stream, end);
        let subscription = self.registry.subscribe(key, outbox, recipient);
        self.phase = RelayPhase::Up {
            subscription: subscription.map_err(|_| LinkError::Stopped)?,
            since: Instant::now(),
        };
        self.link.progress.connected(outbox);
        log!(Info, "relay started"; stream_key = key, destination = to);
        self.observer.relay_up(key, &to.to_string());
        Ok(())
    }

    /// A server that is published to has no media to send; whatever it is, it is ignored.
    fn media(&mut self, _: Vec<Message>, _: usize) -> Result<(), LinkError> {
        Ok(())
    }

    fn redirected(&mut self, url: &RtmpUrl) {
        let Relay {
            key, destination, ..
        } = &self.link.purpose;
        log!(Info, "relay redirected"; stream_key = key, destination = destination, to = url);
        self.link.progress.redirected(url.to_string());
    }

    fn end(&mut self, error: &LinkError) {
        if let RelayPhase::Up {
            subscription,
            since,
        } = &self.phase
        {
            let over = subscription.is_over() || matches!(error, LinkError::Stopped);
            let worked = since.elapsed();
            self.phase = RelayPhase::Down { worked, over };
            let why = match over {
                true => "stream over".to_owned(),
                false => error.to_string(),
            };
            let Relay {
                key, destination, ..
            } = &self.link.purpose;
            let to = destination.to_string();
            self.observer.relay_down(key, &to, &why);
        }
        self.link.progress.settle();
    }
}
