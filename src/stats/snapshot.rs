//! The state of a running server at one moment.

use crate::media::Codec;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// All of it, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Since the server started.
    pub uptime: Duration,
    /// Where clients are waited for.
    pub listening: Vec<SocketAddr>,
    /// What only grows.
    pub totals: Totals,
    /// By key.
    pub streams: Vec<StreamStats>,
    /// By number.
    pub connections: Vec<ConnectionStats>,
    /// One for each stream and destination.
    pub relays: Vec<RelayStats>,
    /// Streams that come from other servers.
    pub pulls: Vec<PullStats>,
    /// Recordings that are being written.
    pub recordings: Vec<RecordingStats>,
    /// Events that wait for a hook.
    pub hooks_waiting: usize,
    /// Programs that run beside streams.
    pub children: usize,
}

impl Snapshot {
    /// How many streams have a publisher now.
    pub fn publishers(&self) -> usize {
        let streams = self.streams.iter();
        streams.filter(|stream| stream.publisher.is_some()).count()
    }

    /// How many viewers all streams have.
    pub fn viewers(&self) -> usize {
        self.streams.iter().map(|stream| stream.viewers).sum()
    }
}

/// Counters since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections that were accepted.
    pub connections: u64,
    /// Connections that were refused: too many, or no room in the system.
    pub connections_refused: u64,
    /// Handshakes that failed.
    pub handshake_failures: u64,
    /// Commands that could not be read and were passed over.
    pub commands_unreadable: u64,
    /// Connections that were ended because their peer said or took nothing for too long.
    pub zombies: u64,
    /// Publications.
    pub publishers: u64,
    /// Playbacks.
    pub subscribers: u64,
    /// Messages left out for slow viewers, counted for each of them.
    pub subscriber_drops: u64,
    /// Clients that were let in by the authentication.
    pub auth_successes: u64,
    /// Clients that were not.
    pub auth_failures: u64,
    /// Audio messages from publishers.
    pub messages_audio: u64,
    /// Video messages from publishers.
    pub messages_video: u64,
    /// Payload bytes from publishers.
    pub bytes_ingested: u64,
    /// Bytes sent to clients, headers and all.
    pub bytes_egress: u64,
    /// Recordings that ended before their stream did.
    pub recording_errors: u64,
    /// Files that were recorded and closed.
    pub recordings: u64,
    /// Messages sent to relays' destinations.
    pub relay_messages: u64,
    /// Messages left out for slow destinations.
    pub relay_drops: u64,
    /// Bytes sent to destinations.
    pub relay_bytes: u64,
    /// Connections to destinations that were lost or refused.
    pub relay_failures: u64,
    /// Events fired that any hook is for.
    pub hook_events: u64,
    /// Events lost, since too many waited.
    pub hook_drops: u64,
    /// Runs of a hook that failed.
    pub hook_failures: u64,
    /// Programs beside streams that were started again.
    pub child_restarts: u64,
}

/// A number that only grows, added to from any thread.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// What it has come to.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What is counted where it happens; see [`Totals`] for what each means.
#[derive(Debug, Default)]
#[allow(missing_docs)] // the names are those of Totals
pub struct Counters {
    pub connections: Counter,
    pub connections_refused: Counter,
    pub handshake_failures: Counter,
    pub commands_unreadable: Counter,
    pub zombies: Counter,
    pub publishers: Counter,
    pub subscribers: Counter,
    pub subscriber_drops: Counter,
    pub auth_successes: Counter,
    pub auth_failures: Counter,
    pub messages_audio: Counter,
    pub messages_video: Counter,
    pub bytes_ingested: Counter,
    pub bytes_egress: Counter,
    pub relay_messages: Counter,
    pub relay_drops: Counter,
    pub relay_bytes: Counter,
    pub relay_failures: Counter,
}

impl Counters {
    /// What they have come to. Recordings, hooks and programs count for themselves.
    pub fn totals(&self) -> Totals {
        Totals {
            connections: self.connections.get(),
            connections_refused: self.connections_refused.get(),
            handshake_failures: self.handshake_failures.get(),
            commands_unreadable: self.commands_unreadable.get(),
            zombies: self.zombies.get(),
            publishers: self.publishers.get(),
            subscribers: self.subscribers.get(),
            subscriber_drops: self.subscriber_drops.get(),
            auth_successes: self.auth_successes.get(),
            auth_failures: self.auth_failures.get(),
            messages_audio: self.messages_audio.get(),
            messages_video: self.messages_video.get(),
            bytes_ingested: self.bytes_ingested.get(),
            bytes_egress: self.bytes_egress.get(),
            relay_messages: self.relay_messages.get(),
            relay_drops: self.relay_drops.get(),
            relay_bytes: self.relay_bytes.get(),
            relay_failures: self.relay_failures.get(),
            ..Totals::default()
        }
    }
}

/// A stream that is published, or whose publisher was lost a moment ago.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamStats {
    /// `app/name`.
    pub key: String,
    /// The publisher's connection; `None`: it was lost, viewers wait for it.
    pub publisher: Option<String>,
    /// Since the publication began.
    pub uptime: Duration,
    /// Who plays.
    pub viewers: usize,
    /// Whether it is being recorded.
    pub recording: bool,
    /// Of the first video.
    pub video_codec: Option<Codec>,
    /// Of the first audio.
    pub audio_codec: Option<Codec>,
    /// What the publisher's metadata says.
    pub metadata: Metadata,
    /// Audio messages of this publication.
    pub audio_messages: u64,
    /// Video messages of this publication.
    pub video_messages: u64,
    /// Payload bytes of this publication.
    pub bytes_in: u64,
    /// Bytes sent to viewers of this publication.
    pub bytes_out: u64,
    /// Messages left out for slow viewers of this publication.
    pub drops: u64,
    /// Messages and payload bytes that late joiners would be sent at once.
    pub cached_messages: usize,
    /// See above.
    pub cached_bytes: usize,
    /// Of all viewers together: how many have so many items waiting in their queue, the number of
    /// items being at most [`QUEUE_DEPTHS`] of the same index, and more in the last.
    pub queue_depths: [u64; QUEUE_DEPTHS.len() + 1],
}

/// The upper bounds of [`StreamStats::queue_depths`].
pub const QUEUE_DEPTHS: [usize; 6] = [0, 1, 5, 10, 25, 50];

/// What a publisher's onMetaData says of its stream; nothing of it is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Metadata {
    /// In pixels.
    pub width: Option<f64>,
    /// In pixels.
    pub height: Option<f64>,
    /// Pictures a second.
    pub frame_rate: Option<f64>,
}

/// A connection that has shaken hands.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionStats {
    /// `c000001` and on.
    pub id: String,
    /// Where it comes from.
    pub addr: SocketAddr,
    /// `none`, `publisher` or `subscriber`.
    pub role: &'static str,
    /// The stream that it publishes or plays; empty: none.
    pub stream_key: String,
    /// What the client calls itself.
    pub flash_ver: String,
    /// Since it was accepted.
    pub uptime: Duration,
    /// Bytes that came from it.
    pub bytes_in: u64,
    /// Bytes sent to it.
    pub bytes_out: u64,
    /// Messages left out for it.
    pub drops: u64,
    /// Items that wait for it.
    pub queue: usize,
}

/// How far a connection to another server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// It is being made.
    Connecting,
    /// Media flows.
    Connected,
    /// It failed and will be tried again.
    Waiting,
}

impl LinkState {
    /// All there are.
    pub const ALL: [LinkState; 3] = [
        LinkState::Connecting,
        LinkState::Connected,
        LinkState::Waiting,
    ];

    /// The name, as lists and metrics have it.
    pub fn name(self) -> &'static str {
        match self {
            LinkState::Connecting => "connecting",
            LinkState::Connected => "connected",
            LinkState::Waiting => "waiting",
        }
    }
}

/// A stream on its way to another server.
#[derive(Clone, Debug, PartialEq)]
pub struct RelayStats {
    /// The stream.
    pub stream_key: String,
    /// Where it goes, without name and query, which may be secret.
    pub url: String,
    /// How far it is.
    pub state: LinkState,
    /// Messages sent.
    pub messages: u64,
    /// Messages left out.
    pub drops: u64,
    /// Bytes sent.
    pub bytes: u64,
    /// How many times it was connected anew.
    pub reconnects: u64,
    /// Why it was last lost; empty: never.
    pub last_error: String,
}

/// A stream that comes from another server.
#[derive(Clone, Debug, PartialEq)]
pub struct PullStats {
    /// The stream, as it is called here.
    pub stream_key: String,
    /// Where it comes from, without name and query.
    pub url: String,
    /// How far it is.
    pub state: LinkState,
    /// Bytes received.
    pub bytes: u64,
    /// How many times it was connected anew.
    pub reconnects: u64,
    /// Why it was last lost; empty: never.
    pub last_error: String,
}

/// A file that is being written.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordingStats {
    /// The stream.
    pub stream_key: String,
    /// The file.
    pub path: String,
    /// Its length so far, in bytes.
    pub bytes: u64,
    /// How much of the stream is in it.
    pub duration: Duration,
}
