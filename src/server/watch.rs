//! What others may know of a running server, and may ask of it.

use super::context::Context;
use crate::admin::AdminSource;
use crate::hooks::Supervisor;
use crate::queue::Cause;
use crate::record::Recorder;
use crate::rtmp::stream_key::StreamKey;
use crate::stats::Snapshot;
use std::sync::Arc;

/// How much there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Connections.
    pub connections: usize,
    /// Streams that are published.
    pub streams: usize,
    /// Who plays, or waits for a stream.
    pub viewers: usize,
    /// Bytes sent to clients since the start.
    pub bytes_sent: u64,
}

/// A running server, for those who only look at it, for as long as they like.
#[derive(Clone)]
pub struct Watch(pub Arc<Context>);

impl Watch {
    /// How much there is to do now.
    pub fn load(&self) -> Load {
        let (streams, viewers) = self.0.registry.count();
        Load {
            connections: self.0.connections.total(),
            streams,
            viewers,
            bytes_sent: self.0.counters.bytes_out.get(),
        }
    }
}

impl AdminSource for Watch {
    fn snapshot(&self) -> Snapshot {
        self.0.snapshot()
    }

    fn hang_up_connection(&self, id: &str) -> bool {
        let peer = self.0.connections.peer(id);
        peer.inspect(|peer| peer.outbox.hang_up(Cause::Asked))
            .is_some()
    }

    fn hang_up_stream(&self, key: &str) -> bool {
        StreamKey::new(key).is_ok_and(|key| self.0.registry.end(&key))
    }

    fn is_stopping(&self) -> bool {
        self.0.is_stopping()
    }
}

impl Context {
    /// What can be told of the server now.
    pub fn snapshot(&self) -> Snapshot {
        let supervisor = self.supervisor.as_ref();
        let recorder = self.recorder.as_ref();
        let peers = self.connections.peers();
        let mut connections: Vec<_> = peers.iter().map(|peer| peer.stats()).collect();
        connections.sort_by(|a, b| (a.id.len(), &a.id).cmp(&(b.id.len(), &b.id)));
        Snapshot {
            uptime: self.epoch.elapsed(),
            listening: self.listening.clone(),
            totals: self.counters.totals(),
            streams: self.registry.stats(),
            connections,
            relays: self.relays.stats(),
            pulls: self.pulls.stats(),
            recordings: recorder.map(Recorder::snapshot).unwrap_or_default(),
            hooks_waiting: self.hooks.waiting(),
            children: supervisor.map_or(0, Supervisor::children),
        }
    }
}
