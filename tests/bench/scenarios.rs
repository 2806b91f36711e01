//! What is measured.

use crate::http::Format;
use crate::media::Content;
use crate::scenario::{Scenario, Task};
use crate::server::RecordFormat;

/// Bits per second of most streams.
pub const RATE: u64 = 1_000_000;

const FAN_OUT: Scenario = Scenario {
    name: "fan-out",
    title: "300 viewers of 1 stream, 1 Mbit/s",
    streams: 1,
    content: Content::Moving(RATE),
    viewers: 300,
    probes: 10,
    slow: 0,
    slow_rate: 0,
    format: None,
    task: Task::None,
};

const HIGH_RATE: Scenario = Scenario {
    name: "high-rate",
    title: "50 viewers of 1 stream, 4 Mbit/s",
    content: Content::Moving(4 * RATE),
    viewers: 50,
    ..FAN_OUT
};

const RECORDINGS: Scenario = Scenario {
    name: "recordings-flv",
    title: "100 streams recorded as FLV, 1 Mbit/s, and 1 viewer of 10 of them",
    streams: 100,
    viewers: 10,
    task: Task::Record(RecordFormat::Flv),
    ..FAN_OUT
};

/// All scenarios, in the order in which they run.
pub const SCENARIOS: [Scenario; 14] = [
    Scenario {
        name: "idle",
        title: "10 viewers of 1 stream, 1 Mbit/s",
        viewers: 10,
        ..FAN_OUT
    },
    FAN_OUT,
    Scenario {
        name: "still",
        title: "300 viewers of 1 stream with a still picture",
        content: Content::Still,
        ..FAN_OUT
    },
    Scenario {
        name: "wide",
        title: "2000 viewers of 1 stream, 1 Mbit/s",
        viewers: 2000,
        ..FAN_OUT
    },
    Scenario {
        name: "streams",
        title: "60 streams with 1 viewer each, 1 Mbit/s",
        streams: 60,
        viewers: 60,
        ..FAN_OUT
    },
    HIGH_RATE,
    Scenario {
        name: "slow",
        title: "50 viewers of 1 stream, 4 Mbit/s, and 10 who take 20 kB/s",
        slow: 10,
        slow_rate: 20_000,
        ..HIGH_RATE
    },
    Scenario {
        name: "ingest",
        title: "200 streams without viewers, 1 Mbit/s",
        streams: 200,
        viewers: 0,
        ..FAN_OUT
    },
    RECORDINGS,
    Scenario {
        name: "recordings-mp4",
        title: "100 streams recorded as MP4, 1 Mbit/s, and 1 viewer of 10 of them",
        task: Task::Record(RecordFormat::Mp4),
        ..RECORDINGS
    },
    Scenario {
        name: "relays",
        title: "100 streams relayed to another server, 1 Mbit/s, and 1 viewer of 10 of them",
        task: Task::Relay,
        ..RECORDINGS
    },
    Scenario {
        name: "http-flv",
        title: "300 viewers of 1 stream by HTTP-FLV, 1 Mbit/s",
        format: Some(Format::Flv),
        ..FAN_OUT
    },
    Scenario {
        name: "http-mp4",
        title: "300 viewers of 1 stream by live MP4, 1 Mbit/s",
        format: Some(Format::Mp4),
        ..FAN_OUT
    },
    Scenario {
        name: "http-hls",
        title: "300 viewers of 1 stream by Low-Latency HLS, 1 Mbit/s",
        format: Some(Format::Hls),
        ..FAN_OUT
    },
];
