//! What hooks are told of connections.

use super::connections::Origin;
use crate::auth::Action;
use crate::hooks::{Event, EventKind, seconds};
use crate::rtmp::stream_key::StreamKey;
use crate::stats::Protocol;
use std::fmt::Display;
use std::time::Duration;

pub(super) fn accepted(conn_id: &str, origin: Origin) -> Event {
    let event = Event::new(EventKind::ConnectionAccept).on(conn_id);
    event
        .with("remote_addr", origin.addr.to_string())
        .with("tls", origin.tls)
}

pub(super) fn handshake_done(conn_id: &str) -> Event {
    Event::new(EventKind::HandshakeComplete).on(conn_id)
}

/// It is over. The role is the last that it had.
pub(super) fn closed(conn_id: &str, role: &str, duration: Duration) -> Event {
    let event = Event::new(EventKind::ConnectionClose).on(conn_id);
    event
        .with("role", role)
        .with("duration_sec", seconds(duration))
}

/// Who plays what, and how.
#[derive(Clone, Copy)]
pub(super) struct PlayInfo<'a> {
    pub(super) conn_id: &'a str,
    pub(super) key: &'a StreamKey,
    pub(super) protocol: Protocol,
}

impl PlayInfo<'_> {
    fn event(self, kind: EventKind) -> Event {
        let event = Event::new(kind).on(self.conn_id).of(self.key.as_str());
        event.with("protocol", self.protocol.name())
    }
}

pub(super) fn play_started(play: PlayInfo, app: &str) -> Event {
    play.event(EventKind::PlayStart).with("app", app)
}

pub(super) fn play_stopped(play: PlayInfo, duration: Duration) -> Event {
    let event = play.event(EventKind::PlayStop);
    event.with("duration_sec", seconds(duration))
}

/// A client was not let in.
pub(super) fn auth_failed(
    conn_id: &str,
    key: &str,
    action: Action,
    denied: &impl Display,
) -> Event {
    let event = Event::new(EventKind::AuthFailed).on(conn_id).of(key);
    event
        .with("action", action.name())
        .with("error", denied.to_string())
}
