//! Streams on their way to other servers: for each stream and destination a thread with a
//! connection and a queue of its own, as long as the stream lasts.

use super::destination::Destination;
use super::link::{Link, LinkError, LinkHandler, LinkSettings, STEADY};
use super::stop::StopHandle;
use super::url::RtmpUrl;
use super::{LinkProgress, RelayObserver};
use crate::backoff::{Backoff, jittered};
use crate::log;
use crate::queue::Outbox;
use crate::registry::{Recipient, Registry, Subscription};
use crate::rtmp::client::Purpose;
use crate::rtmp::stream_key::StreamKey;
use crate::rtmp::{Message, StreamId};
use crate::stats::RelayStats;
use crate::sync::{self, Member, Mutex, WaitGroup};
use std::collections::HashMap;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

/// How long a relay waits for the one of the stream's last publication to be gone.
const TURN_LIMIT: Duration = Duration::from_secs(5);

/// Stack of a relay's thread: AMF nests at most 32 deep.
const STACK_LEN: usize = 256 << 10;

/// All relays. Cloning shares them.
#[derive(Clone)]
pub struct Relays(Arc<RelaysShared>);

struct RelaysShared {
    destinations: Vec<Destination>,
    link_settings: LinkSettings,
    listener: Arc<dyn RelayObserver>,
    /// By stream and index of the destination, those that have not ended.
    relays: Mutex<HashMap<(StreamKey, usize), Arc<Relay>>>,
    group: WaitGroup,
}

/// One stream on its way to one destination.
struct Relay {
    key: StreamKey,
    destination: Destination,
    switch: StopHandle,
    progress: LinkProgress,
}

impl Relays {
    /// Relays to these destinations; `listener` will be told of them.
    pub fn new(
        destinations: Vec<Destination>,
        link_settings: LinkSettings,
        listener: Arc<dyn RelayObserver>,
    ) -> Relays {
        Relays(Arc::new(RelaysShared {
            destinations,
            link_settings,
            listener,
            relays: Mutex::default(),
            group: WaitGroup::default(),
        }))
    }

    /// The stream `key` is published: it is relayed wherever it belongs, unless it is already.
    pub fn start(&self, key: &StreamKey, registry: &Registry) {
        for (index, destination) in self.0.destinations.iter().enumerate() {
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
        let Some(member) = self.0.group.join() else {
            return;
        };
        let relay = Arc::new(Relay {
            key: key.clone(),
            destination: destination.clone(),
            switch: StopHandle::default(),
            progress: LinkProgress::default(),
        });
        let place = (key.clone(), index);
        let mut relays = self.0.lock();
        if relays
            .get(&place)
            .is_some_and(|relay| !relay.switch.is_off())
        {
            return;
        }
        let last = relays.insert(place, Arc::clone(&relay));
        drop(relays);
        let (shared, registry) = (Arc::clone(&self.0), registry.clone());
        let own = Arc::clone(&relay);
        let run = move || shared.run(own, index, last, &registry, member);
        if let Err(error) = sync::spawn("relay", STACK_LEN, run) {
            self.0.forget(&relay, index);
            log!(Error, "cannot start relay"; stream_key = key, destination = destination, error = error);
        }
    }

    /// The stream `key` is over. Connections in use have taken leave of it themselves.
    pub fn stop(&self, key: &StreamKey) {
        let relays = self.0.lock();
        for (_, relay) in relays.iter().filter(|((of, _), _)| of == key) {
            relay.switch.turn_off();
        }
    }

    /// What can be told of each, by stream and destination.
    pub fn stats(&self) -> Vec<RelayStats> {
        let mut relays: Vec<_> = self
            .0
            .lock()
            .iter()
            .map(|(place, relay)| (place.clone(), Arc::clone(relay)))
            .collect();
        relays.sort_by(|(a, _), (b, _)| a.cmp(b));
        relays.iter().map(|(_, relay)| relay.stats()).collect()
    }

    /// Starts none any more, and ends those that are not connected.
    pub fn close(&self) {
        self.0.group.close();
        let relays = self.0.lock();
        relays.values().for_each(|relay| relay.switch.turn_off());
    }

    /// Waits until all are gone. `false`: not by `deadline`.
    pub fn wait_gone(&self, deadline: Instant) -> bool {
        self.0.group.wait(deadline)
    }
}

impl RelaysShared {
    fn lock(&self) -> MutexGuard<'_, HashMap<(StreamKey, usize), Arc<Relay>>> {
        self.relays.lock()
    }

    /// The life of a relay.
    fn run(
        &self,
        relay: Arc<Relay>,
        index: usize,
        last: Option<Arc<Relay>>,
        registry: &Registry,
        member: Member,
    ) {
        // The server there would refuse a second publisher.
        if relay.switch.pause_for(&last, TURN_LIMIT) {
            self.keep_connected(&relay, registry);
        }
        self.forget(&relay, index);
        drop((relay, member));
    }

    /// Takes a relay off the list, unless another has its place by now.
    fn forget(&self, relay: &Arc<Relay>, index: usize) {
        let place = (relay.key.clone(), index);
        let mut relays = self.lock();
        if relays
            .get(&place)
            .is_some_and(|held| Arc::ptr_eq(held, relay))
        {
            relays.remove(&place);
        }
    }

    fn keep_connected(&self, relay: &Relay, registry: &Registry) {
        let mut backoff = Backoff::new(STEADY);
        while !relay.switch.is_off() && registry.is_published(&relay.key) {
            relay.progress.connecting();
            let mut sender = Sender {
                shared: self,
                relay,
                registry,
                phase: RelayPhase::Connecting,
            };
            let error = self.connect(relay, registry, &mut sender);
            let (worked, over) = match sender.phase {
                RelayPhase::Up { since, .. } => (since.elapsed(), false),
                RelayPhase::Connecting => (Duration::ZERO, false),
                RelayPhase::Down { worked, over } => (worked, over),
            };
            if over || matches!(error, LinkError::Stopped) {
                log!(Info, "relay stopped"; stream_key = relay.key, destination = relay.destination,
                    sent_bytes = relay.progress.bytes());
                return;
            }
            self.link_settings.counters.relay_failures.add(1);
            let pause = jittered(backoff.pause(worked));
            log!(Warn, "relay failed"; stream_key = relay.key, destination = relay.destination,
                layer = error.layer(), error = error,
                retry_in_sec = log::Seconds(pause));
            relay.progress.waiting(error.to_string());
            if !relay.switch.pause(pause) {
                return;
            }
        }
    }

    fn connect(&self, relay: &Relay, registry: &Registry, sender: &mut Sender) -> LinkError {
        let mut via = registry.via(&relay.key);
        via.push(self.link_settings.name.clone());
        let link = Link {
            link_settings: &self.link_settings,
            url: &relay.destination.url,
            purpose: Purpose::Publish,
            switch: &relay.switch,
        };
        link.run(relay.destination.target(&relay.key, via), sender)
    }
}

impl Relay {
    fn stats(&self) -> RelayStats {
        let told = self.progress.told();
        RelayStats {
            stream_key: self.key.as_str().to_owned(),
            url: self.destination.to_string(),
            redirected_to: told.redirected_to,
            state: told.state,
            messages: told.messages,
            drops: told.drops,
            bytes: told.bytes,
            reconnects: told.reconnects,
            last_error: told.last_error,
        }
    }
}

/// A relay that uses a connection.
struct Sender<'a> {
    shared: &'a RelaysShared,
    relay: &'a Relay,
    registry: &'a Registry,
    phase: RelayPhase,
}

/// How far it has come with it.
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
        let (key, to) = (&self.relay.key, &self.relay.destination);
        let recipient = Recipient::server(format!("relay to {to}"), stream, end);
        let subscription = self.registry.subscribe(key, outbox, recipient);
        self.phase = RelayPhase::Up {
            subscription: subscription.map_err(|_| LinkError::Stopped)?,
            since: Instant::now(),
        };
        self.relay.progress.connected(outbox);
        log!(Info, "relay started"; stream_key = key, destination = to);
        self.shared.listener.relay_up(key, &to.to_string());
        Ok(())
    }

    /// A server that is published to has no media to send; whatever it is, it is ignored.
    fn media(&mut self, _: Vec<Message>, _: usize) -> Result<(), LinkError> {
        Ok(())
    }

    fn redirected(&mut self, url: &RtmpUrl) {
        let Relay {
            key, destination, ..
        } = self.relay;
        log!(Info, "relay redirected"; stream_key = key, destination = destination, to = url);
        self.relay.progress.redirected(url.to_string());
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
            } = self.relay;
            let to = destination.to_string();
            self.shared.listener.relay_down(key, &to, &why);
        }
        self.relay.progress.settle();
    }
}
