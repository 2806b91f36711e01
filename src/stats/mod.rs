//! What can be told of a running server, as plain data: metrics, lists and pages are made of it.

mod counters;
mod gauges;
mod protocol;
mod snapshot;

pub use counters::{COUNTERS, Counter, CounterNames, Counters, Totals};
pub use gauges::{GAUGES, Gauge};
pub use protocol::Protocol;
pub use snapshot::{
    ConnectionStats, LinkState, MemoryStats, Metadata, PublicationId, PullStats, QUEUE_DEPTHS,
    RecordingStats, RelayStats, Snapshot, StreamStats, StreamUseStats, TlsState, TlsStats,
};
