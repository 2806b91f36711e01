//! What is known of a client: what it calls itself, and what it does with which streams.

use crate::registry::Presence;
use crate::rtmp::StreamId;
use crate::rtmp::stream_key::StreamKey;
use crate::stats::StreamUseStats;
use crate::web::Traits;

/// What a connection is, or was last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectionRole {
    /// It has neither published nor played.
    None,
    Publisher,
    Subscriber,
}

impl ConnectionRole {
    /// `none`, `publisher` or `subscriber`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ConnectionRole::None => "none",
            ConnectionRole::Publisher => "publisher",
            ConnectionRole::Subscriber => "subscriber",
        }
    }
}

/// What a client does with a stream.
#[derive(Clone, Debug)]
pub(super) struct StreamUse {
    /// The message stream on which it does; the connection itself, where there are none.
    pub(super) stream: StreamId,
    pub(super) role: ConnectionRole,
    pub(super) key: StreamKey,
    /// By what a viewer would be known that comes back.
    pub(super) traits: Option<Traits>,
    /// Whether a viewer is still there: it may have waited in vain.
    pub(super) presence: Option<Presence>,
}

impl StreamUse {
    /// A client with nothing but one playback.
    pub(super) fn playing(key: &StreamKey, traits: Traits) -> StreamUse {
        StreamUse {
            stream: StreamId::CONTROL,
            role: ConnectionRole::Subscriber,
            key: key.clone(),
            traits: Some(traits),
            presence: None,
        }
    }

    fn is_over(&self) -> bool {
        self.presence.as_ref().is_some_and(Presence::is_over)
    }
}

/// What is known of a client.
#[derive(Clone, Debug)]
pub(crate) struct PeerInfo {
    /// What the client calls itself.
    pub(crate) flash_ver: String,
    /// What it did last.
    last: ConnectionRole,
    /// What it does, in the order in which that began: no more than it has message streams.
    uses: Vec<StreamUse>,
}

impl PeerInfo {
    /// A client of which nothing is known.
    pub(super) fn new() -> PeerInfo {
        PeerInfo {
            flash_ver: String::new(),
            last: ConnectionRole::None,
            uses: Vec::new(),
        }
    }

    /// It publishes or plays something from now on.
    pub(super) fn begin(&mut self, used: StreamUse) {
        self.last = used.role;
        self.uses.reserve_exact(1);
        self.uses.push(used);
    }

    /// What it did on a message stream is over.
    pub(super) fn end(&mut self, stream: StreamId) {
        if let Some(index) = self.uses.iter().position(|used| used.stream == stream) {
            self.last = self.uses.remove(index).role;
        }
    }

    /// All that it publishes and plays now: publications first, each kind in the order in which it began.
    fn current(&self) -> Vec<&StreamUse> {
        let mut uses: Vec<_> = self.uses.iter().filter(|used| !used.is_over()).collect();
        uses.sort_by_key(|used| used.role != ConnectionRole::Publisher);
        uses
    }

    /// What it is, or was last.
    pub(super) fn role(&self) -> ConnectionRole {
        self.current().first().map_or(self.last, |used| used.role)
    }

    /// The same, for those who look at it.
    pub(super) fn uses(&self) -> Vec<StreamUseStats> {
        let uses = self.current().into_iter();
        let uses = uses.map(|used| StreamUseStats {
            role: used.role.name(),
            stream_key: used.key.as_str().to_owned(),
        });
        uses.collect()
    }

    /// By what it would be known as a viewer that comes back.
    pub(super) fn traits(&self) -> Vec<Traits> {
        let uses = self.current().into_iter();
        uses.filter_map(|used| used.traits.clone()).collect()
    }
}
