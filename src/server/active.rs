//! What a message stream of a peer is used for, from its beginning to its end.

use super::events::{self, PlayInfo};
use super::peer_info::{ConnectionRole, StreamUse};
use crate::hooks::Hooks;
use crate::ingest::Publishing;
use crate::log;
use crate::notify::NotifySession;
use crate::queue::Outbox;
use crate::registry::{Subscription, SubscriptionEnd};
use crate::rtmp::StreamId;
use crate::rtmp::session::Medium;
use crate::rtmp::stream_key::StreamKey;
use crate::stats::Protocol;
use crate::web::Traits;
use std::sync::Arc;
use std::time::Instant;

/// A publication or a playback.
pub(super) enum Active {
    Publishing(Publishing),
    Playing(Playing),
}

/// A subscription and what the log tells at its end.
pub(super) struct Playing {
    subscription: Subscription,
    key: StreamKey,
    since: Instant,
    protocol: Protocol,
    /// The way to the viewer.
    outbox: Arc<Outbox>,
    /// Bytes and drops of its connection, when playing began.
    before: (u64, u64),
    /// Tells the services of -notify of the end.
    notified: NotifySession,
}

/// How an activity ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The peer said so.
    Finished,
    /// The connection ended first.
    Lost,
}

impl Active {
    /// What others see of it: it is done on message stream `stream`, by a client of these `traits`.
    pub(super) fn used(&self, stream: StreamId, traits: Option<Traits>) -> StreamUse {
        let (role, key, presence) = match self {
            Active::Publishing(publishing) => (ConnectionRole::Publisher, &publishing.key, None),
            Active::Playing(playing) => {
                let presence = playing.subscription.presence();
                (ConnectionRole::Subscriber, &playing.key, Some(presence))
            }
        };
        StreamUse {
            stream,
            role,
            key: key.clone(),
            traits,
            presence,
        }
    }

    /// What a publisher sends from now on follows what it has sent, whatever its times are.
    pub(super) fn restart_times(&self) {
        if let Active::Publishing(publishing) = self {
            publishing.publication.restart_times();
        }
    }

    /// Turns a kind of media on or off, for a viewer.
    pub(super) fn receive(&self, medium: Medium, on: bool) {
        match (self, medium) {
            (Active::Playing(playing), Medium::Audio) => playing.subscription.set_audio(on),
            (Active::Playing(playing), Medium::Video) => playing.subscription.set_video(on),
            (Active::Publishing(_), _) => {}
        }
    }

    /// Pauses a viewer, or lets it go on.
    pub(super) fn pause(&self, paused: bool) {
        if let Active::Playing(playing) = self {
            playing.subscription.set_paused(paused);
        }
    }

    /// Ends it, and tells the log and the hooks.
    pub(super) fn end(self, hooks: &Hooks, conn_id: &str, ending: Ending) {
        match (self, ending) {
            (Active::Publishing(publishing), Ending::Finished) => publishing.finish(),
            (Active::Publishing(publishing), Ending::Lost) => drop(publishing),
            (Active::Playing(playing), ending) => playing.end(hooks, conn_id, ending),
        }
    }
}

impl Playing {
    /// A playback that begins now.
    pub(super) fn new(
        subscription: Subscription,
        key: StreamKey,
        outbox: &Arc<Outbox>,
        protocol: Protocol,
        notified: NotifySession,
    ) -> Playing {
        Playing {
            subscription,
            key,
            since: Instant::now(),
            protocol,
            outbox: Arc::clone(outbox),
            before: (outbox.bytes(), outbox.drops()),
            notified,
        }
    }

    /// Ends it, and tells the log and the hooks.
    pub(super) fn end(self, hooks: &Hooks, conn_id: &str, ending: Ending) {
        let Playing {
            subscription,
            key,
            since,
            protocol,
            outbox,
            before: (bytes, drops),
            notified,
        } = self;
        let how = match (subscription.end(), ending) {
            (Some(SubscriptionEnd::Unplayable(why)), _) => why.to_string(),
            (Some(SubscriptionEnd::StreamOver | SubscriptionEnd::NeverBegan), _) => {
                "stream over".to_owned()
            }
            (None, Ending::Finished) => "finished".to_owned(),
            (None, Ending::Lost) => "lost".to_owned(),
        };
        drop(subscription);
        log!(Info, "player stopped"; conn_id = conn_id, stream_key = key, how = how,
            duration_sec = log::Seconds(since.elapsed()),
            total_bytes = outbox.bytes() - bytes, dropped = outbox.drops() - drops);
        let play = PlayInfo {
            conn_id,
            key: &key,
            protocol,
        };
        hooks.fire(events::play_stopped(play, since.elapsed()));
        drop(notified);
    }
}
