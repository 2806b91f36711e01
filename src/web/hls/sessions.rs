//! Who watches a stream as HLS. There is no connection that lasts as long as a viewer stays, so a
//! viewer is one as long as it asks for playlists.

use crate::web::session::WebSession;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most sessions of all streams together, however many connections there may be.
pub const SESSIONS_MAX: usize = 8192;

/// A session ends when no playlist was asked for this long.
pub(super) const SESSION_IDLE_MAX: Duration = Duration::from_secs(60);

/// One that was ended by somebody is refused for this long.
const BANNED: Duration = Duration::from_secs(60);

/// Most that are refused at a time; the oldest is forgotten first.
const BANNED_MAX: usize = 256;

/// What two requests of one viewer have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum SessionKey {
    /// The name that it was given, where clients have to show something.
    Named(String),
    /// Its address, and what it calls itself.
    Client(IpAddr, String),
}

/// The sessions of a stream.
#[derive(Default)]
pub(super) struct Sessions {
    open: HashMap<SessionKey, Session>,
    banned: Vec<(SessionKey, Instant)>,
}

struct Session {
    viewer: Arc<dyn WebSession>,
    address: IpAddr,
    user_agent: String,
    last: Instant,
}

/// Whether a request belongs to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Membership {
    Member,
    /// Its session was ended by somebody.
    Banned,
    Stranger,
}

impl Sessions {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// A request comes at `now`.
    pub(super) fn touch(&mut self, key: &SessionKey, now: Instant) -> Membership {
        if self.banned.iter().any(|(banned, _)| banned == key) {
            return Membership::Banned;
        }
        match self.open.get_mut(key) {
            Some(session) => {
                session.last = now;
                Membership::Member
            }
            None => Membership::Stranger,
        }
    }

    /// Adds a session. What is returned is to be dropped without the lock: another request was faster.
    #[must_use]
    pub(super) fn add(
        &mut self,
        key: SessionKey,
        viewer: Arc<dyn WebSession>,
        address: IpAddr,
        user_agent: &str,
        now: Instant,
    ) -> Option<Arc<dyn WebSession>> {
        if self.open.contains_key(&key) {
            return Some(viewer);
        }
        let session = Session {
            viewer,
            address,
            user_agent: user_agent.to_owned(),
            last: now,
        };
        self.open.insert(key, session);
        None
    }

    /// The session that most likely asks for a segment: those have no name of a session in them.
    pub(super) fn likely(&self, address: IpAddr, user_agent: &str) -> Option<Arc<dyn WebSession>> {
        let same =
            |session: &&Session| session.address == address && session.user_agent == user_agent;
        let latest = self.open.values().filter(same).max_by_key(|one| one.last);
        latest.map(|session| Arc::clone(&session.viewer))
    }

    /// Takes out those that are over by `now`. They are to be dropped without the lock.
    #[must_use]
    pub(super) fn expire(&mut self, now: Instant) -> Vec<Arc<dyn WebSession>> {
        self.banned
            .retain(|(_, since)| now.saturating_duration_since(*since) < BANNED);
        let Sessions { open, banned, .. } = self;
        let ended = open.extract_if(|key, session| {
            let was_ended = session.viewer.was_ended();
            if was_ended {
                if banned.len() >= BANNED_MAX {
                    banned.remove(0);
                }
                banned.push((key.clone(), now));
            }
            was_ended || now.saturating_duration_since(session.last) >= SESSION_IDLE_MAX
        });
        ended.map(|(_, session)| session.viewer).collect()
    }

    /// Takes all out. They are to be dropped without the lock.
    #[must_use]
    pub(super) fn take_all(&mut self) -> Vec<Arc<dyn WebSession>> {
        let all = self.open.drain();
        all.map(|(_, session)| session.viewer).collect()
    }
}
