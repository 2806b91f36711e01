//! The table of gauges: what there is of something now.

use super::snapshot::Snapshot;

/// A gauge of the whole server.
pub struct Gauge {
    /// What it is called in `/metrics`.
    pub metric: &'static str,
    /// Whether it is in `/debug/vars` too, under the same name.
    pub is_var: bool,
    /// What it measures, for people.
    pub help: &'static str,
    /// Its value in a snapshot.
    pub get: fn(&Snapshot) -> usize,
}

/// All of them, in the order in which they are shown.
pub const GAUGES: [Gauge; 9] = [
    Gauge {
        metric: "rtmp_connections_active",
        is_var: true,
        help: "Connections that have shaken hands.",
        get: |snapshot| snapshot.connections.len(),
    },
    Gauge {
        metric: "rtmp_streams_active",
        is_var: true,
        help: "Streams, with those that wait for their publisher to come back.",
        get: |snapshot| snapshot.streams.len(),
    },
    Gauge {
        metric: "rtmp_publishers_active",
        is_var: true,
        help: "Streams that have a publisher now.",
        get: Snapshot::publishers,
    },
    Gauge {
        metric: "rtmp_subscribers_active",
        is_var: true,
        help: "Viewers of all streams.",
        get: Snapshot::viewers,
    },
    Gauge {
        metric: "rtmp_recordings_active",
        is_var: true,
        help: "Recordings that are being written.",
        get: |snapshot| snapshot.recordings.len(),
    },
    Gauge {
        metric: "rtmp_hook_events_waiting",
        is_var: false,
        help: "Events that wait for a hook.",
        get: |snapshot| snapshot.hooks_waiting,
    },
    Gauge {
        metric: "rtmp_children_active",
        is_var: false,
        help: "Programs that run beside streams.",
        get: |snapshot| snapshot.children,
    },
    Gauge {
        metric: "rtmp_memory_held_bytes",
        is_var: false,
        help: "Memory of all that waits, is unfinished, cached or packaged.",
        get: |snapshot| snapshot.memory.held,
    },
    Gauge {
        metric: "rtmp_memory_max_bytes",
        is_var: false,
        help: "The bound of that, -max-memory.",
        get: |snapshot| snapshot.memory.max,
    },
];
