//! Streams on their way to other servers: for each stream and destination a thread with a
//! connection and a queue of its own, as long as the stream lasts.

use super::destination::Destination;
use super::destinations::Destinations;
use super::error::LinkError;
use super::link::{Link, LinkHandler, LinkSettings};
use super::pool::{LinkPool, PooledLink};
use super::reconnect::{Attempt, Next, Reconnect, keep_connected};
use crate::log;
use crate::queue::{Cause, Outbox};
use crate::registry::{Recipient, Registry, Subscription};
use crate::rtmp::client::Purpose;
use crate::rtmp::stream_key::StreamKey;
use crate::rtmp::{Message, StreamId};
use crate::stats::RelayStats;
use crate::sync::{Mutex, Rank};
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
    /// Relays are started and given up under this lock, so that none is started for a destination
    /// that is not wanted any more.
    destinations: Arc<Mutex<Destinations>>,
    link_settings: LinkSettings,
    observer: Arc<dyn RelayObserver>,
    /// By stream and number of the destination.
    pool: LinkPool<(StreamKey, usize), Relay>,
}

/// One stream on its way to one destination.
struct Relay {
    key: StreamKey,
    number: usize,
    destination: Destination,
    /// While the destination takes the stream: the way there, and what it is told at the end.
    way: Mutex<Option<(Arc<Outbox>, Vec<Message>)>>,
    /// Room in the system for its threads, unless the publication has that.
    _room: Option<Room>,
}

/// Room in the system that is given back when this is dropped.
pub(crate) type Room = Box<dyn Send + Sync>;

impl Relays {
    /// Relays to these destinations; `observer` will be told of them.
    pub(crate) fn new(
        list: &[Destination],
        link_settings: LinkSettings,
        observer: Arc<dyn RelayObserver>,
    ) -> Relays {
        let mut destinations = Destinations::default();
        destinations.replace(list, |_| false);
        Relays {
            destinations: Arc::new(Mutex::ranked(Rank::Destinations, destinations)),
            link_settings,
            observer,
            pool: LinkPool::new("relay"),
        }
    }

    /// The stream `key` is published: it is relayed to each destination that takes it, unless it
    /// is already.
    pub(crate) fn start(&self, key: &StreamKey, registry: &Registry) {
        let destinations = self.destinations.lock();
        for (number, destination) in destinations.wanted() {
            if destination.takes(key) {
                self.start_one(key, number, destination, registry, None);
            }
        }
    }

    /// Streams go to the destinations of `list` from now on. Relays to those that are still wanted
    /// go on. New ones are started for the streams of `registry`, if there is `room`, and the others
    /// take leave of their destinations.
    pub(crate) fn replace(
        &self,
        list: &[Destination],
        registry: &Registry,
        room: impl Fn(&Destination) -> Result<Room, &'static str>,
    ) {
        let mut destinations = self.destinations.lock();
        let links = self.pool.list();
        let ending = |number| links.iter().any(|link| link.purpose.number == number);
        let difference = destinations.replace(list, ending);
        let come = |(number, _): &(usize, &Destination)| difference.come.contains(number);
        let new = destinations.wanted().filter(come);
        let new: Vec<_> = new.map(|(number, to)| (number, to.clone())).collect();
        // A stream that begins goes to all of them from here on. Streams take this lock under theirs.
        drop(destinations);
        for link in &links {
            if difference.gone.contains(&link.purpose.number) {
                link.stop.turn_off();
                link.purpose.take_leave();
            }
        }
        let live = if new.is_empty() {
            Vec::new()
        } else {
            registry.live_keys()
        };
        for (number, destination) in &new {
            for key in live.iter().filter(|key| destination.takes(key)) {
                match room(destination) {
                    Ok(room) => self.start_one(key, *number, destination, registry, Some(room)),
                    Err(limit) => {
                        log!(Error, "no room for relay"; stream_key = key, destination = destination, limit = limit);
                    }
                }
            }
        }
    }

    fn start_one(
        &self,
        key: &StreamKey,
        number: usize,
        destination: &Destination,
        registry: &Registry,
        room: Option<Room>,
    ) {
        let relay = Relay {
            key: key.clone(),
            number,
            destination: destination.clone(),
            way: Mutex::ranked(Rank::Relay, None),
            _room: room,
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
        if let Err(error) = self.pool.start((key.clone(), number), relay, run) {
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

    /// Hangs up on the destinations that have not taken the rest.
    pub(crate) fn cut(&self) {
        self.pool.cut(|relay| {
            log!(Warn, "relay cut off, its destination did not take the rest";
                stream_key = relay.key, destination = relay.destination);
        });
    }

    /// Waits until all are gone. `false`: not by `deadline`.
    pub(crate) fn wait_gone(&self, deadline: Instant) -> bool {
        self.pool.wait_gone(deadline)
    }
}

impl Relay {
    /// Tells the destination that nothing more comes, if it takes the stream.
    fn take_leave(&self) {
        let way = self.way.lock().take();
        if let Some((outbox, end)) = way {
            outbox.drain_and_close(end);
        }
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
        let Relay {
            key, destination, ..
        } = &self.link.purpose;
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
            RelayPhase::Down { worked, over, cut } => {
                if let (true, Some(cause)) = (over, cut) {
                    self.link_settings.counters.relay_failures.add(1);
                    log!(Warn, "relay cut off, its destination did not take the rest";
                        stream_key = key, destination = destination, reason = cause);
                }
                (worked, over)
            }
        };
        if over || matches!(error, LinkError::Stopped) {
            log!(Info, "relay stopped"; stream_key = key, destination = destination,
                sent_bytes = self.link.progress.bytes());
            return Attempt::Over;
        }
        Attempt::Failed { error, worked }
    }

    fn failed(&self, error: &LinkError, retry_in: Duration) {
        let Relay {
            key, destination, ..
        } = &self.link.purpose;
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
        outbox: Arc<Outbox>,
    },
    /// It does not any more; also because the stream is over?
    Down {
        worked: Duration,
        over: bool,
        /// Why it was cut off with something left to send, if it was.
        cut: Option<Cause>,
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
        *self.link.purpose.way.lock() = Some((Arc::clone(outbox), end.clone()));
        // Those who give it up do so first, and then look for the way.
        if !self.link.is_running() {
            return Err(LinkError::Stopped);
        }
        let recipient = Recipient::server(format!("relay to {to}"), stream, end);
        let subscription = self.registry.subscribe(key, outbox, recipient);
        self.phase = RelayPhase::Up {
            subscription: subscription.map_err(|_| LinkError::Stopped)?,
            since: Instant::now(),
            outbox: Arc::clone(outbox),
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

    fn redirected(&mut self, to: &str) {
        let Relay {
            key, destination, ..
        } = &self.link.purpose;
        log!(Info, "relay redirected"; stream_key = key, destination = destination, to = to);
        self.link.progress.redirected(to.to_owned());
    }

    fn end(&mut self, error: &LinkError) {
        *self.link.purpose.way.lock() = None;
        if let RelayPhase::Up {
            subscription,
            since,
            outbox,
        } = &self.phase
        {
            let is_over = subscription.is_over();
            let over = is_over || matches!(error, LinkError::Stopped);
            let worked = since.elapsed();
            let took_too_long = |cause: &Cause| cause.took_too_long();
            let cut = outbox.cause().filter(took_too_long);
            self.phase = RelayPhase::Down { worked, over, cut };
            let why = match is_over {
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
