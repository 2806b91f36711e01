//! The state of a running server at one moment.

use super::counters::Totals;
use super::protocol::Protocol;
use crate::media::Codec;
use crate::media::config::Config;
use std::net::SocketAddr;
use std::time::Duration;

/// The whole server at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Since the server started.
    pub uptime: Duration,
    /// Where clients are waited for.
    pub listening: Vec<SocketAddr>,
    /// Where streams are served over HTTP.
    pub http_listening: Vec<SocketAddr>,
    /// The counters since the start.
    pub totals: Totals,
    /// Published streams, sorted by key.
    pub streams: Vec<StreamStats>,
    /// Connections, sorted by number.
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
    /// What all that strangers make the server hold takes.
    pub memory: MemoryStats,
    /// The program that speaks TLS; `None`: TLS is not served.
    pub tls: Option<TlsStats>,
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

/// Memory that is bounded as a whole, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// What is held now.
    pub held: usize,
    /// The most that may be held.
    pub max: usize,
}

/// The identity of a publication, unique while the server runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicationId(pub u64);

/// A stream that is published, or whose publisher was lost a moment ago.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamStats {
    /// The stream key, `app/name`.
    pub key: String,
    /// The publication whose figures these are. It is not shown.
    pub publication: PublicationId,
    /// The publisher's connection; `None`: it was lost, viewers wait for it.
    pub publisher: Option<String>,
    /// Since the publication began.
    pub uptime: Duration,
    /// How many clients play it.
    pub viewers: usize,
    /// Whether it is being recorded.
    pub recording: bool,
    /// Of the first video.
    pub video_codec: Option<Codec>,
    /// Of the first audio.
    pub audio_codec: Option<Codec>,
    /// What the publisher's metadata says.
    pub metadata: Metadata,
    /// The configuration of the first track of pictures, where it is known.
    pub video: Option<Config>,
    /// The configuration of the first track of sound, where it is known.
    pub audio: Option<Config>,
    /// The time of the last message, as viewers see it, in ms.
    pub timestamp_ms: u32,
    /// Payload bytes of audio of this publication.
    pub audio_bytes: u64,
    /// Payload bytes of video of this publication.
    pub video_bytes: u64,
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
    /// Messages that a late joiner is sent at once.
    pub cached_messages: usize,
    /// Payload bytes of those messages.
    pub cached_bytes: usize,
    /// Histogram of the viewers' queues: how many hold more items than the bound of [`QUEUE_DEPTHS`]
    /// before, and at most that of the same index; the last has those above all bounds.
    pub queue_depths: [u64; QUEUE_DEPTHS.len() + 1],
    /// Codecs that viewers of live MP4 do not get, for it has no place for them.
    pub left_out: Vec<String>,
}

/// The upper bounds of [`StreamStats::queue_depths`].
pub const QUEUE_DEPTHS: [usize; 6] = [0, 1, 5, 10, 25, 50];

/// What a publisher's onMetaData says of its stream, unchecked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Metadata {
    /// Picture width in pixels.
    pub width: Option<f64>,
    /// Picture height in pixels.
    pub height: Option<f64>,
    /// Pictures per second; 30000/1001 comes as 29.97 or the like.
    pub frame_rate: Option<f64>,
}

/// A connection that has shaken hands.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionStats {
    /// The id in logs and events, `c000001` and on.
    pub id: String,
    /// Where it comes from.
    pub addr: SocketAddr,
    /// Whether it came by TLS.
    pub tls: bool,
    /// How it is connected.
    pub protocol: Protocol,
    /// What it is, or was last: `none`, `publisher` or `subscriber`.
    pub role: &'static str,
    /// What it publishes and plays, publications first.
    pub uses: Vec<StreamUseStats>,
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

/// What a connection does with a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamUseStats {
    /// What it is there: `publisher` or `subscriber`.
    pub role: &'static str,
    /// The key of the stream.
    pub stream_key: String,
}

impl ConnectionStats {
    /// What it does with the stream `key`, if it does anything.
    pub fn use_of(&self, key: &str) -> Option<&StreamUseStats> {
        self.uses.iter().find(|used| used.stream_key == key)
    }
}

/// The program that speaks TLS with clients.
#[derive(Clone, Debug, PartialEq)]
pub struct TlsStats {
    /// The addresses that clients connect to.
    pub listening: Vec<SocketAddr>,
    /// How far it is.
    pub state: TlsState,
    /// Of the process that accepts clients, if there is one.
    pub pid: Option<u32>,
    /// Processes that only have connections from before a renewal of the certificate.
    pub draining: usize,
    /// How many times it ended and was started again.
    pub restarts: u64,
    /// Why it last ended; empty: never.
    pub last_error: String,
}

/// How far the program is that speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsState {
    /// It runs and accepts clients.
    Running,
    /// It ended and will be started again; clients wait.
    Waiting,
    /// It accepts nobody any more.
    Stopping,
    /// It has ended for good.
    Stopped,
}

impl TlsState {
    /// The name, as `/api/status` has it.
    pub fn name(self) -> &'static str {
        match self {
            TlsState::Running => "running",
            TlsState::Waiting => "waiting",
            TlsState::Stopping => "stopping",
            TlsState::Stopped => "stopped",
        }
    }
}

/// How far a connection to another server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// It is being made.
    Connecting,
    /// Media flows over it.
    Connected,
    /// It failed and will be tried again.
    Waiting,
}

impl LinkState {
    /// All states, in the order of the metrics.
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
    /// The stream that is relayed.
    pub stream_key: String,
    /// Where it goes, without name and query, which may be secret.
    pub url: String,
    /// Where the destination sent it on to, shown in the same way.
    pub redirected_to: Option<String>,
    /// How far it is.
    pub state: LinkState,
    /// Messages sent to the destination.
    pub messages: u64,
    /// Messages left out because the destination is slow.
    pub drops: u64,
    /// Bytes sent to the destination.
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
    /// Where the source sent it on to, shown in the same way.
    pub redirected_to: Option<String>,
    /// How far it is.
    pub state: LinkState,
    /// Bytes received from the source.
    pub bytes: u64,
    /// How many times it was connected anew.
    pub reconnects: u64,
    /// Why it was last lost; empty: never.
    pub last_error: String,
}

/// A file that is being written.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordingStats {
    /// The stream that is recorded.
    pub stream_key: String,
    /// The path of the file.
    pub path: String,
    /// Its length so far, in bytes.
    pub bytes: u64,
    /// How much of the stream is in it.
    pub duration: Duration,
}
