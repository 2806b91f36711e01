//! What all connections share.

use super::connections::Connections;
use super::ended::Ended;
use super::pacing::Pacing;
use super::pull::Pulls;
use crate::auth::Gate;
use crate::hooks::Hooks;
use crate::ingest::Ingest;
use crate::net::Workload;
use crate::notify::Notify;
use crate::registry::Registry;
use crate::remote::LinkSettings;
use crate::stats::Counters;
use crate::sync::Mutex;
use crate::web::Hls;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// What all connections share.
pub(super) struct Context {
    /// Who may publish and play.
    pub gate: Gate,
    pub notify: Arc<Notify>,
    pub hooks: Arc<Hooks>,
    pub registry: Registry,
    pub ingest: Arc<Ingest>,
    pub pulls: Arc<Pulls>,
    pub connections: Arc<Connections>,
    pub hls: Hls,
    pub pacing: Pacing,
    /// Viewers that were ended a moment ago.
    pub ended: Ended,
    pub counters: Arc<Counters>,
    /// How busy the server is.
    pub workload: Arc<Workload>,
    /// For connections in both directions.
    pub link_settings: LinkSettings,
    /// Whether players get all tracks, even if they did not announce that they can take them.
    pub all_tracks: AtomicBool,
    /// Where clients are sent when they are asked to connect anew; `None`: to where they are.
    pub reconnect_url: Mutex<Option<String>>,
    /// Where the server's clock starts.
    pub epoch: Instant,
    /// Makes the handshakes of this run differ from those of others.
    pub seed: u64,
}

impl Context {
    /// Where clients are sent when they are asked to connect anew.
    pub(super) fn reconnect_url(&self) -> Option<String> {
        self.reconnect_url.lock().clone()
    }

    /// The server's clock, in ms.
    pub(super) fn clock_ms(&self) -> u32 {
        self.epoch.elapsed().as_millis() as u32
    }

    /// Whether the server has begun to stop.
    pub(super) fn is_stopping(&self) -> bool {
        self.connections.is_closed()
    }
}
