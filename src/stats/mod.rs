//! What can be told of a running server, as plain data: metrics, lists and pages are made of it.

mod snapshot;

pub use snapshot::{
    ConnectionStats, Counter, Counters, LinkState, Metadata, PullStats, QUEUE_DEPTHS,
    RecordingStats, RelayStats, Snapshot, StreamStats, Totals,
};
