//! Publications with all that lives as long as they do: the recording, the relays, the program
//! beside them, and what the log and the hooks are told of their start and end. Clients that
//! publish and streams that are pulled use it alike.

mod events;
mod observers;

pub(crate) use observers::DemandObserver;

use crate::capacity::{Capacity, Share};
use crate::hooks::{Child, Event, Hooks, Supervisor};
use crate::log;
use crate::media::Codec;
use crate::memory::Budget;
use crate::notify::{Notify, NotifySession};
use crate::queue;
use crate::record::{self, RecordSettings, Recorder};
use crate::registry::{
    Ended, Publication, PublicationStatus, Publisher, Refusal, Registry, StreamSettings,
};
use crate::remote::{self, Destination, LinkSettings, Relays, Room, Scheme};
use crate::rtmp::stream_key::StreamKey;
use crate::sync::{Mutex, Rank};
use observers::{DemandSlot, RecordEvents, RelayEvents, StreamEvents};
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// Threads that a recording counts as: its own, and one for its file.
const RECORDING_THREADS: usize = 2;

/// Threads that a program counts as: itself, the thread that waits for it, and two for its output.
const PROGRAM_THREADS: usize = 4;

/// Threads of a relay: a reader and a writer.
const RELAY_THREADS: usize = 2;

/// What publications have beside them.
pub(crate) struct IngestSettings {
    pub(crate) streams: StreamSettings,
    pub(crate) record: Option<RecordSettings>,
    pub(crate) relay_to: Vec<Destination>,
    /// The command of the program beside each publication.
    pub(crate) run_on_publish: Option<String>,
}

/// What every publication needs, wherever it comes from.
pub(crate) struct Ingest {
    pub(crate) registry: Registry,
    pub(crate) relays: Relays,
    pub(crate) recorder: Recorder,
    pub(crate) supervisor: Supervisor,
    /// What those have beside them that begin from now on.
    beside: Mutex<BesideSettings>,
    hooks: Arc<Hooks>,
    demand: Arc<DemandSlot>,
    capacity: Arc<Capacity>,
    budget: Arc<Budget>,
}

/// What a publication has beside it.
#[derive(Clone, Copy)]
struct BesideSettings {
    /// Whether it is recorded.
    records: bool,
    /// Whether a program runs.
    runs: bool,
    /// Threads and processes beside its connection, at most.
    threads: usize,
}

impl BesideSettings {
    fn new(settings: &IngestSettings) -> BesideSettings {
        BesideSettings {
            records: settings.record.is_some(),
            runs: settings.run_on_publish.is_some(),
            threads: threads_beside(settings),
        }
    }
}

/// Why a stream cannot be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PublishError {
    /// The system has no room for what runs beside it; the limit that leaves none.
    NoRoom(&'static str),
    /// The registry refuses it.
    Refused(Refusal),
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            PublishError::NoRoom(limit) => write!(f, "the system has no room: {limit}"),
            PublishError::Refused(Refusal::InUse) => write!(f, "stream is published here"),
            PublishError::Refused(Refusal::NotFound | Refusal::TooManyChoices) => {
                write!(f, "stream not found")
            }
            PublishError::Refused(Refusal::Loop) => write!(f, "stream would come back"),
        }
    }
}

impl std::error::Error for PublishError {}

impl Ingest {
    /// No publications yet. Hooks are told of what becomes of them, and relays use `link_settings`.
    pub(crate) fn new(
        settings: IngestSettings,
        hooks: Arc<Hooks>,
        notify: &Arc<Notify>,
        link_settings: LinkSettings,
        capacity: Arc<Capacity>,
    ) -> Ingest {
        let beside = BesideSettings::new(&settings);
        let counters = Arc::clone(&link_settings.counters);
        let budget = Arc::clone(&link_settings.budget);
        let listener = Arc::new(RelayEvents(Arc::clone(&hooks)));
        let relays = Relays::new(&settings.relay_to, link_settings, listener);
        let demand = Arc::<DemandSlot>::default();
        let observer = StreamEvents {
            hooks: Arc::clone(&hooks),
            relays: relays.clone(),
            demand: Arc::clone(&demand),
        };
        let registry = Registry::new(
            settings.streams,
            Arc::new(observer),
            Arc::clone(&counters),
            Arc::clone(&budget),
        );
        let listener = Arc::new(RecordEvents(Arc::clone(&hooks), Arc::clone(notify)));
        let record = settings.record.unwrap_or_default();
        let command = settings.run_on_publish.unwrap_or_default();
        Ingest {
            registry,
            relays,
            recorder: Recorder::new(record, listener, Arc::clone(&counters)),
            supervisor: Supervisor::new(&command, counters),
            beside: Mutex::ranked(Rank::Beside, beside),
            hooks,
            demand,
            capacity,
            budget,
        }
    }

    /// Changes the settings. Recordings and programs of publications that there are go on as they
    /// are, and so do relays to destinations that are still wanted.
    pub(crate) fn replace(&self, settings: IngestSettings) {
        self.registry.set_settings(settings.streams);
        let beside = BesideSettings::new(&settings);
        if let Some(record) = settings.record {
            self.recorder.set_settings(record);
        }
        if let Some(command) = &settings.run_on_publish {
            self.supervisor.set_command(command);
        }
        // What runs beside the next publication is set by then.
        *self.beside.lock() = beside;
        let room = |to: &Destination| -> Result<Room, &'static str> {
            Ok(Box::new(self.capacity.beside(threads_of_relay(to))?))
        };
        self.relays
            .replace(&settings.relay_to, &self.registry, room);
    }

    /// Has `observer` told of the streams' viewers for as long as it lives; the first one stays.
    pub(crate) fn observe_demand(&self, observer: Weak<dyn DemandObserver>) {
        self.demand.fill(observer);
    }

    /// Takes room in the system for the program that speaks TLS to a source.
    ///
    /// # Errors
    ///
    /// The limit that leaves none.
    pub(crate) fn room_for_tls(&self) -> Result<Share, &'static str> {
        self.capacity.beside(remote::TLS_TASKS)
    }

    /// Makes `publisher` the publisher of `key`.
    ///
    /// # Errors
    ///
    /// [`PublishError`]: somebody else is, or there is no room for it.
    pub(crate) fn claim(
        &self,
        key: &StreamKey,
        publisher: Publisher,
    ) -> Result<Claim<'_>, PublishError> {
        let beside = *self.beside.lock();
        let share = self.capacity.beside(beside.threads);
        let share = share.map_err(PublishError::NoRoom)?;
        let conn_id = publisher.conn_id.clone();
        let publication = self.registry.publish(key, publisher);
        Ok(Claim {
            ingest: self,
            publication: publication.map_err(PublishError::Refused)?,
            key: key.clone(),
            conn_id,
            beside,
            share,
        })
    }
}

fn threads_beside(settings: &IngestSettings) -> usize {
    let recording = settings.record.as_ref().map_or(0, |_| RECORDING_THREADS);
    let program = settings
        .run_on_publish
        .as_ref()
        .map_or(0, |_| PROGRAM_THREADS);
    let relays = settings.relay_to.iter().map(threads_of_relay);
    recording + program + relays.sum::<usize>()
}

fn threads_of_relay(to: &Destination) -> usize {
    match to.url.scheme {
        Scheme::Rtmp => RELAY_THREADS,
        Scheme::Rtmps => RELAY_THREADS + remote::TLS_TASKS,
    }
}

/// A publication that nobody has been told of yet.
#[must_use = "dropped, the publisher is lost"]
pub(crate) struct Claim<'a> {
    ingest: &'a Ingest,
    publication: Publication,
    key: StreamKey,
    conn_id: String,
    beside: BesideSettings,
    share: Share,
}

impl Claim<'_> {
    /// Tells the hooks, and starts what is to run beside the publication. `app` and `name` are
    /// without their queries; `notified` is dropped when the publication ends.
    pub(crate) fn begin(
        self,
        app: &str,
        name: &str,
        notified: Option<NotifySession>,
    ) -> Publishing {
        let Claim {
            ingest,
            publication,
            key,
            conn_id,
            beside: settings,
            share,
        } = self;
        let event = events::publish_started(&conn_id, &key, app, name);
        let status = publication.begin(|| {
            let beside = Beside::start(ingest, settings.runs, &key, event, share);
            Box::new(move |ended| {
                beside.end(&ended);
                drop(notified);
            })
        });
        if status == PublicationStatus::Current {
            if settings.records {
                let (feed, intake) = queue::feed_within(record::FEED_LIMITS, &ingest.budget);
                publication.attach(feed);
                ingest.recorder.start_of(&conn_id, &key, intake);
            }
            ingest.relays.start(&key, &ingest.registry);
        }
        Publishing { publication, key }
    }
}

/// A publication with all that lives as long as it does. Dropping it means that the publisher was
/// lost; the polite way is [`Publishing::finish`].
pub(crate) struct Publishing {
    pub(crate) publication: Publication,
    pub(crate) key: StreamKey,
}

impl Publishing {
    /// The publisher is done.
    pub(crate) fn finish(self) {
        self.publication.finish();
    }
}

/// What ends with a publication, wherever that ends.
struct Beside {
    hooks: Arc<Hooks>,
    conn_id: String,
    key: StreamKey,
    since: Instant,
    /// The program that runs beside it.
    child: Option<Child>,
    /// Room in the system for what runs beside it.
    share: Share,
}

impl Beside {
    fn start(ingest: &Ingest, runs: bool, key: &StreamKey, event: Event, share: Share) -> Beside {
        ingest.hooks.fire(event.clone());
        let conn_id = event.conn_id.clone();
        Beside {
            hooks: Arc::clone(&ingest.hooks),
            conn_id,
            key: key.clone(),
            since: Instant::now(),
            child: runs.then(|| ingest.supervisor.start(event)),
            share,
        }
    }

    /// Tells the log and the hooks.
    fn end(self, ended: &Ended) {
        let Beside {
            hooks,
            conn_id,
            key,
            since,
            child,
            share: _share,
        } = self;
        let (traffic, duration) = (&ended.traffic, since.elapsed());
        let codec = |codec: Option<Codec>| codec.map_or("-".to_owned(), |codec| codec.to_string());
        log!(Info, "publisher stopped"; conn_id = conn_id, stream_key = key, how = ended.reason,
            duration_sec = log::Seconds(duration),
            audio_codec = codec(traffic.audio_codec), audio_packets = traffic.audio,
            video_codec = codec(traffic.video_codec), video_packets = traffic.video,
            total_bytes = traffic.bytes, viewers = ended.viewers, dropped = traffic.dropped);
        hooks.fire(events::publish_stopped(&conn_id, &key, traffic, duration));
        drop(child);
    }
}
