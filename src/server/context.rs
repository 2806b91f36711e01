//! What all connections share.

use super::connections::Connections;
use super::pacing::Pacing;
use super::pull::Pulls;
use crate::auth::Authenticator;
use crate::capacity::{Capacity, Share};
use crate::hooks::{Hooks, Supervisor};
use crate::net::Merge;
use crate::record::Recorder;
use crate::registry::Registry;
use crate::remote::{LinkSettings, Relays};
use crate::stats::Counters;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// What all connections share.
pub struct Context {
    pub auth: Authenticator,
    pub hooks: Arc<Hooks>,
    pub supervisor: Option<Supervisor>,
    pub registry: Registry,
    /// What the system has room for.
    pub capacity: Arc<Capacity>,
    pub pacing: Pacing,
    /// Threads and processes that a publication has beside its connection.
    pub publication_threads: usize,
    pub connections: Arc<Connections>,
    pub counters: Arc<Counters>,
    pub recorder: Option<Recorder>,
    pub relays: Relays,
    pub pulls: Pulls,
    /// For connections to other servers.
    pub link_settings: LinkSettings,
    pub chunk_size: u32,
    /// Whether players get all tracks, whatever they announced.
    pub all_tracks: bool,
    /// How long a publisher's bytes may wait.
    pub merge: Option<Merge>,
    /// Where clients are waited for.
    pub listening: Vec<SocketAddr>,
    /// Where our clock starts.
    pub epoch: Instant,
    /// Makes the handshakes of this run differ from those of others.
    pub seed: u64,
}

impl Context {
    /// Our clock, in ms.
    pub fn clock_ms(&self) -> u32 {
        self.epoch.elapsed().as_millis() as u32
    }

    /// Room for what runs beside a publication.
    ///
    /// # Errors
    ///
    /// The limit of the system that leaves none.
    pub fn room_for_publication(&self) -> Result<Share, &'static str> {
        self.capacity.beside(self.publication_threads)
    }

    /// Whether the server has begun to stop.
    pub fn is_stopping(&self) -> bool {
        self.connections.is_closed()
    }
}
