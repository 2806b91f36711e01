//! Who watches a stream as HLS. There is no connection that lasts as long as a viewer stays, so a
//! viewer is one as long as it asks for playlists.

use crate::memory::Owner;
use crate::web::session::WebSession;
use crate::web::traits::Traits;
use std::collections::{HashMap, HashSet};
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

/// Most sessions of a stream that were handed out and have not begun. An address has as many of them as
/// are left for others. What finds no room is checked anew when it begins.
pub const INVITED_MAX: usize = 2048;

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
    /// Names that were handed out.
    invited: HashMap<String, Invitation>,
    banned: Vec<Banned>,
}

struct Invitation {
    /// To whom it was handed out.
    traits: Traits,
    since: Instant,
}

/// A viewer that was ended.
struct Banned {
    key: SessionKey,
    since: Instant,
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
    /// It was handed out, and begins with this request.
    Invited,
    /// Its session was ended by somebody.
    Banned,
    Stranger,
}

impl Sessions {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// How many owners of memory watch beside `owner`.
    pub(super) fn count_owners_beside(&self, owner: Option<Owner>) -> usize {
        let all = self.open.values().map(|one| Owner::new(one.address));
        let others = all.filter(|other| Some(*other) != owner);
        others.collect::<HashSet<_>>().len()
    }

    /// A request comes at `now`.
    pub(super) fn touch(&mut self, key: &SessionKey, now: Instant) -> Membership {
        if self.banned.iter().any(|banned| banned.key == *key) {
            return Membership::Banned;
        }
        if let Some(session) = self.open.get_mut(key) {
            session.last = now;
            return Membership::Member;
        }
        match key {
            SessionKey::Named(name) if self.invited.contains_key(name) => Membership::Invited,
            _ => Membership::Stranger,
        }
    }

    /// To whom the session was handed out that has not begun.
    pub(super) fn invited(&self, key: &SessionKey) -> Option<Traits> {
        match key {
            SessionKey::Named(name) => self.invited.get(name).map(|one| one.traits.clone()),
            SessionKey::Client(..) => None,
        }
    }

    /// Hands out a session to one that was let in, which begins with its first playlist.
    pub(super) fn invite(&mut self, name: &str, traits: Traits, since: Instant) {
        let others = self.invited.values();
        let taken = others
            .filter(|one| one.traits.network == traits.network)
            .count();
        if taken < INVITED_MAX - self.invited.len() {
            let invitation = Invitation { traits, since };
            self.invited.insert(name.to_owned(), invitation);
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
        if let SessionKey::Named(name) = &key {
            self.invited.remove(name);
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
            .retain(|one| now.saturating_duration_since(one.since) < BANNED);
        self.invited
            .retain(|_, one| now.saturating_duration_since(one.since) < SESSION_IDLE_MAX);
        let Sessions { open, banned, .. } = self;
        let ended = open.extract_if(|key, session| {
            let was_ended = session.viewer.was_ended();
            if was_ended {
                if banned.len() >= BANNED_MAX {
                    banned.remove(0);
                }
                banned.push(Banned {
                    key: key.clone(),
                    since: now,
                });
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
