//! The server behind media over HTTP, as seen from here.

use super::hls::Hls;
use super::session::WebSession;
use super::traits::Traits;
use crate::http::server::NoRoom;
use crate::net::SharedSocket;
use crate::queue::{Framing, Outbox, Writer};
use crate::registry::Recipient;
use crate::rtmp::stream_key::{StreamKey, StreamPath};
use crate::stats::Protocol;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// The server whose streams are served.
pub trait WebHost: Send + Sync + 'static {
    /// Gives a connection its place among all connections of the server.
    ///
    /// # Errors
    ///
    /// [`NoRoom`]: a limit is reached, and the log was told.
    fn admit(
        &self,
        socket: &Arc<SharedSocket>,
        peer: SocketAddr,
    ) -> Result<Arc<dyn WebConnection>, NoRoom>;
}

/// A connection that has its place as long as this is held.
pub trait WebConnection: Send + Sync {
    /// Whether the client, which calls itself `user_agent`, may play the stream at `path`. Blocks while a
    /// web service is asked.
    fn access(&self, path: &StreamPath, user_agent: &str) -> Access;

    /// What the stream that the client was let in to by the name `key` is called here, if it is called
    /// otherwise.
    fn renamed(&self, key: &StreamKey) -> Option<StreamKey>;

    /// Where the client comes from.
    fn address(&self) -> SocketAddr;

    /// Whether a request of the client is being answered: until then, and between two of them, the
    /// connection may have to give way to others.
    fn set_busy(&self, busy: bool);

    /// The streams that are packaged as HLS.
    fn hls(&self) -> &Hls;

    /// Has the stream fetched from elsewhere, if that is where it comes from, and waits until it is
    /// there. Whether it is.
    fn fetch(&self, key: &StreamKey) -> bool;

    /// Makes the client, who was let in as one with these traits, a viewer of the stream who fetches what
    /// it wants, until that is dropped.
    ///
    /// # Errors
    ///
    /// [`PlayRefusal`].
    fn begin_session(
        &self,
        path: &StreamPath,
        user_agent: &str,
        traits: Traits,
    ) -> Result<Arc<dyn WebSession>, PlayRefusal>;

    /// Counts the memory of a response for as long as what is returned is held.
    fn count_held(&self, pieces: &[Arc<[u8]>]) -> Option<Box<dyn fmt::Debug + Send>>;

    /// Counts bytes that the client was sent and that belong to no viewer.
    fn count_sent(&self, bytes: usize);

    /// Whether somebody publishes the stream now, or did a moment ago.
    fn is_published(&self, key: &StreamKey) -> bool;

    /// Makes the connection one of a viewer, who is told of like any other, calls `send` with its
    /// outbox, and ends the viewing when that returns.
    ///
    /// # Errors
    ///
    /// [`PlayRefusal`]; `send` was not called then.
    fn watch(
        &self,
        viewing: Viewing,
        send: &mut dyn FnMut(&Arc<Outbox>, Writer) -> Outcome,
    ) -> Result<(), PlayRefusal>;
}

/// Whether a client may play a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everyone may play it.
    Open,
    /// The client has shown that it may.
    Checked,
    /// It may not. The log was told why.
    Denied,
}

/// What a viewer watches, and how.
pub struct Viewing<'a> {
    /// The stream, as the client asked for it.
    pub path: &'a StreamPath,
    /// How the stream goes to it.
    pub protocol: Protocol,
    /// What the client calls itself.
    pub user_agent: &'a str,
    /// How messages become bytes.
    pub framing: Framing,
    /// What the connection with this id is to the stream.
    pub recipient: Box<dyn FnOnce(String) -> Recipient>,
}

/// How sending to a viewer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The stream is over for it, and it has everything.
    Complete,
    /// The connection ended before.
    Lost,
}

/// Why a stream cannot be watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayRefusal {
    /// Nobody publishes it, and viewers do not wait.
    NotFound,
    /// Too many streams are being fetched from other servers.
    Busy,
    /// Too many choices of the stream's tracks are watched.
    TooManyChoices,
    /// There are as many viewers as there may be, or as many of the client's address.
    Full,
    /// It was ended by somebody a moment ago.
    Ended,
    /// The server is about to stop.
    Stopping,
}
