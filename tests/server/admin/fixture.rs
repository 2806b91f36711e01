//! What the servers of these tests have to show.

use rtmp_server::admin::AdminSource;
use rtmp_server::media::Codec;
use rtmp_server::stats::{
    ConnectionStats, LinkState, MemoryStats, Metadata, Protocol, PublicationId, PullStats,
    RecordingStats, RelayStats, Snapshot, StreamStats, StreamUseStats, TlsState, TlsStats, Totals,
};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// A source that tells what it was given, and notes who is hung up on.
#[derive(Default)]
pub struct Fixture {
    pub snapshot: Mutex<Snapshot>,
    /// Connections and streams that were to be ended, in order.
    pub hung_up: Mutex<Vec<String>>,
    pub stopping: AtomicBool,
    /// How often it was asked.
    pub asked: AtomicUsize,
}

impl Fixture {
    /// One that tells this.
    pub fn new(snapshot: Snapshot) -> Fixture {
        Fixture {
            snapshot: Mutex::new(snapshot),
            ..Fixture::default()
        }
    }

    fn hang_up(&self, name: &str, there: impl Fn(&Snapshot) -> bool) -> bool {
        let there = there(&self.snapshot.lock().unwrap());
        if there {
            self.hung_up.lock().unwrap().push(name.to_owned());
        }
        there
    }
}

impl AdminSource for Fixture {
    fn snapshot(&self) -> Snapshot {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.snapshot.lock().unwrap().clone()
    }

    fn hang_up_connection(&self, id: &str) -> bool {
        self.hang_up(id, |snapshot| {
            snapshot.connections.iter().any(|conn| conn.id == id)
        })
    }

    fn hang_up_stream(&self, key: &str) -> bool {
        self.hang_up(key, |snapshot| {
            snapshot.streams.iter().any(|stream| stream.key == key)
        })
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// The numbers differ everywhere, so that none can be taken for another.
fn stream(number: usize, key: &str) -> StreamStats {
    let n = number as u64;
    let codecs = [
        (Some(Codec::LegacyVideo(7)), Some(Codec::LegacyAudio(10))),
        (Some(Codec::FourCc(*b"hvc1")), Some(Codec::FourCc(*b"Opus"))),
        (Some(Codec::FourCc(*b"av01")), None),
        (None, Some(Codec::LegacyAudio(2))),
        (None, None),
    ];
    let (video_codec, audio_codec) = codecs[number % codecs.len()];
    let size = video_codec.map(|_| [(1920.0, 1080.0), (1280.0, 720.0)][number % 2]);
    StreamStats {
        key: key.to_owned(),
        publication: PublicationId(n),
        publisher: (number != 3).then(|| format!("c{:06}", number * 10 + 1)),
        uptime: Duration::from_millis(90_061_500 * n + 1500),
        viewers: number * number + 1,
        recording: number.is_multiple_of(4),
        video_codec,
        audio_codec,
        metadata: Metadata {
            width: size.map(|(width, _)| width),
            height: size.map(|(_, height)| height),
            frame_rate: size.map(|_| [30.0, 29.97][number % 2]),
        },
        video: None,
        audio: None,
        timestamp_ms: 1000 * n as u32,
        audio_bytes: 7000 + n,
        video_bytes: 70_000 + n,
        audio_messages: 1000 + n,
        video_messages: 2000 + n,
        bytes_in: 3_000_000 * (n + 1),
        bytes_out: 3_000_000 * (n + 1) * (n * n + 1),
        drops: if number % 3 == 1 { 17 * n } else { 0 },
        cached_messages: 60 + number,
        cached_bytes: 70_000 + number,
        queue_depths: [n, 1, 2, 0, 0, 0, u64::from(number == 1)],
        left_out: (number == 1)
            .then(|| "VP8".to_owned())
            .into_iter()
            .collect(),
    }
}

fn connection(number: usize, role: &'static str, key: &str) -> ConnectionStats {
    let n = number as u64;
    ConnectionStats {
        id: format!("c{number:06}"),
        addr: SocketAddr::from(([192, 0, 2, 7], 40_000 + number as u16)),
        tls: number % 2 == 1,
        protocol: Protocol::HttpFlv,
        role,
        uses: (!key.is_empty())
            .then(|| StreamUseStats {
                role,
                stream_key: key.to_owned(),
            })
            .into_iter()
            .collect(),
        flash_ver: "FMLE/3.0 \"x\"".to_owned(),
        uptime: Duration::from_secs(100 + n),
        bytes_in: 5000 + n,
        bytes_out: 6000 + n,
        drops: n,
        queue: number % 50,
    }
}

fn relays(key: &str) -> Vec<RelayStats> {
    let states = LinkState::ALL.iter().enumerate();
    let relays = states.map(|(index, state)| RelayStats {
        stream_key: key.to_owned(),
        redirected_to: None,
        // What tells the last two apart is secret and not shown.
        url: format!("rtmp://relay{}.example/live", index.min(1)),
        state: *state,
        messages: 10 + index as u64,
        drops: 20 + index as u64,
        bytes: 3_000_000 + index as u64,
        reconnects: 40 + index as u64,
        last_error: ["", "", "cannot connect: Connection refused"][index].to_owned(),
    });
    relays.collect()
}

#[allow(clippy::needless_update)] // a new counter may be left out
fn totals() -> Totals {
    Totals {
        connections: 101,
        connections_refused: 102,
        connections_displaced: 0,
        handshake_failures: 103,
        commands_unreadable: 124,
        beginnings_refused: 127,
        memory_hangups: 126,
        zombies: 104,
        publishers: 105,
        subscribers: 106,
        subscriber_drops: 107,
        auth_successes: 108,
        auth_failures: 109,
        messages_audio: 110,
        messages_video: 111,
        bytes_in: 11_200_000,
        bytes_out: u64::MAX / 4,
        recording_errors: 114,
        recordings: 115,
        relay_messages: 116,
        relay_drops: 117,
        relay_bytes: 118,
        relay_failures: 119,
        hook_events: 120,
        hook_drops: 121,
        hook_failures: 122,
        child_restarts: 123,
        ..Totals::default()
    }
}

/// The keys of [`busy`], among them such as only strangers choose.
pub fn keys(streams: usize) -> Vec<String> {
    let odd = [
        "live/d<img src=x onerror=document.title='hit'>".to_owned(),
        "live/e\"quoted\\\" & \u{1f600} caf\u{e9}".to_owned(),
        format!("live/{}", "long-".repeat(40)),
    ];
    let plain = (0..).map(|number| format!("live/cam{number:02}"));
    plain
        .take(streams.saturating_sub(odd.len()))
        .chain(odd)
        .take(streams)
        .collect()
}

/// A server with so many streams and all that can belong to them.
pub fn busy(streams: usize) -> Snapshot {
    let keys = keys(streams);
    let streams = keys.iter().enumerate();
    let connections = streams.clone().flat_map(|(number, key)| {
        [
            connection(number * 10 + 1, "publisher", key),
            connection(number * 10 + 2, "subscriber", key),
        ]
    });
    let recordings = keys.iter().step_by(4).map(|key| RecordingStats {
        stream_key: key.clone(),
        path: format!("recordings/{}_20260101_120000.flv", key.replace('/', "_")),
        bytes: 7_654_321,
        duration: Duration::from_millis(61_250),
    });
    let pulls = keys.iter().take(1).map(|key| PullStats {
        stream_key: key.clone(),
        redirected_to: None,
        url: "rtmp://origin.example/live".to_owned(),
        state: LinkState::Connected,
        bytes: 8_765_432,
        reconnects: 1,
        last_error: String::new(),
    });
    let mut snapshot = Snapshot {
        uptime: Duration::from_millis(93_784_900),
        listening: vec![([192, 0, 2, 1], 1936).into()],
        http_listening: vec![([0, 0, 0, 0], 8080).into()],
        totals: totals(),
        streams: streams.map(|(number, key)| stream(number, key)).collect(),
        connections: connections.collect(),
        relays: keys.iter().take(2).flat_map(|key| relays(key)).collect(),
        pulls: pulls.collect(),
        recordings: recordings.collect(),
        hooks_waiting: 5,
        children: 6,
        memory: MemoryStats::default(),
        tls: Some(TlsStats {
            listening: vec![([192, 0, 2, 1], 443).into()],
            state: TlsState::Waiting,
            pid: None,
            draining: 2,
            restarts: 3,
            last_error: "signal: 9 (SIGKILL)".to_owned(),
        }),
    };
    let idle = connection(999, "none", "");
    snapshot.connections.push(idle);
    snapshot
}
