//! What others may know of a running server, and may ask of it.

use super::context::Context;
use crate::admin::AdminSource;
use crate::log;
use crate::queue::Cause;
use crate::rtmp::stream_key::StreamKey;
use crate::stats::{MemoryStats, Snapshot, Totals};
use crate::tls::TlsFront;
use std::net::SocketAddr;
use std::sync::Arc;

/// How much there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// RTMP connections from clients, with those that still shake hands.
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
pub struct Watch {
    context: Arc<Context>,
    listening: Arc<[SocketAddr]>,
    http_listening: Arc<[SocketAddr]>,
    tls: Option<Arc<TlsFront>>,
}

impl Watch {
    pub(super) fn new(
        context: &Arc<Context>,
        listening: &[SocketAddr],
        http_listening: &[SocketAddr],
        tls: Option<&Arc<TlsFront>>,
    ) -> Watch {
        Watch {
            context: Arc::clone(context),
            listening: Arc::from(listening),
            http_listening: Arc::from(http_listening),
            tls: tls.cloned(),
        }
    }

    /// How much there is to do now.
    pub fn load(&self) -> Load {
        let (streams, viewers) = self.context.registry.count();
        Load {
            connections: self.context.connections.total(),
            streams,
            viewers,
            bytes_sent: self.context.counters.bytes_out.get(),
        }
    }
}

impl AdminSource for Watch {
    fn snapshot(&self) -> Snapshot {
        let context = &self.context;
        let ingest = &context.ingest;
        let peers = context.connections.peers();
        let mut connections: Vec<_> = peers.iter().map(|peer| peer.stats()).collect();
        connections.sort_by(|a, b| (a.id.len(), &a.id).cmp(&(b.id.len(), &b.id)));
        Snapshot {
            uptime: context.epoch.elapsed(),
            listening: self.listening.to_vec(),
            http_listening: self.http_listening.to_vec(),
            totals: Totals {
                log_lines_lost: log::lines_lost(),
                ..context.counters.totals()
            },
            streams: context.registry.stats(),
            connections,
            relays: ingest.relays.stats(),
            pulls: context.pulls.stats(),
            recordings: ingest.recorder.snapshot(),
            hooks_waiting: context.hooks.waiting(),
            children: ingest.supervisor.children(),
            memory: MemoryStats {
                held: context.link_settings.budget.held(),
                max: context.link_settings.budget.max(),
            },
            tls: self.tls.as_ref().map(|tls| tls.stats()),
        }
    }

    fn hang_up_connection(&self, id: &str) -> bool {
        let Some(peer) = self.context.connections.peer(id) else {
            return false;
        };
        let viewers = peer.info().traits();
        viewers
            .into_iter()
            .for_each(|traits| self.context.ended.add(traits));
        peer.outbox.hang_up(Cause::Asked);
        true
    }

    fn hang_up_stream(&self, key: &str) -> bool {
        StreamKey::new(key).is_ok_and(|key| self.context.registry.end(&key).is_ok())
    }

    fn is_stopping(&self) -> bool {
        self.context.is_stopping()
    }
}
