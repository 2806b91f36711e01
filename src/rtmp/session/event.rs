//! What the session hands to the server.

use crate::rtmp::command::ClientInfo;
use crate::rtmp::stream_key::StreamPath;
use crate::rtmp::{Message, StreamId, command};

/// A client that wants to connect, for the server to decide on.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectRequest {
    /// The app, with its query cut off, as [`shown`](crate::text::shown).
    pub app: String,
    /// The client's name for itself, as [`shown`](crate::text::shown).
    pub flash_ver: String,
    /// The servers that its streams have come through.
    pub via: Vec<String>,
    /// What else it said of itself.
    pub about: ClientInfo,
}

/// What a client wants to publish or play, for the server to decide on.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamRequest {
    /// The message stream that it is for.
    pub stream: StreamId,
    /// The name as the client wrote it, without its query, as [`shown`](crate::text::shown).
    pub name: String,
    /// The stream that is meant.
    pub path: StreamPath,
    /// What else the client said.
    pub details: RequestDetails,
}

/// What a client says of a publication or a playback besides its name. Live streams are the same
/// whatever it says.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestDetails {
    /// The kind of publication, `live` mostly; cut like [`ClientInfo`].
    Publish(String),
    /// Where to begin, how much to play, and whether to replace what plays, as far as it is said.
    Play {
        /// The position to begin at.
        start: Option<f64>,
        /// How long to play.
        duration: Option<f64>,
        /// Whether it is to replace what plays.
        reset: Option<bool>,
    },
}

/// Media that a viewer can turn off for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Audio, which receiveAudio turns on and off (§7.2.2.4).
    Audio,
    /// Video, which receiveVideo turns on and off (§7.2.2.5).
    Video,
}

/// What follows from a message, in the order in which it is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionEvent {
    /// Send this to the client.
    Send(Message),
    /// The client wants to connect: answer with
    /// [`Session::accept_connect`](super::Session::accept_connect) or
    /// [`Session::reject_connect`](super::Session::reject_connect).
    Connect(Box<ConnectRequest>),
    /// The client wants to publish: answer with [`Session::accept`](super::Session::accept) or
    /// [`Session::reject`](super::Session::reject).
    Publish(Box<StreamRequest>),
    /// The client began the publication on this stream again; its times may start from 0.
    PublishedAgain(StreamId),
    /// The client wants to play: answer the same way.
    Play(Box<StreamRequest>),
    /// The client's publication or playback on this stream is over, as it wished.
    Ended(StreamId),
    /// Audio, video or data of the publication on its message stream.
    Media(Message),
    /// A viewer pauses, or goes on.
    Pause(StreamId, bool),
    /// A viewer wants a kind of media, or no longer.
    Receive(StreamId, Medium, bool),
    /// The client was refused something that no server decides on: with which code, and why.
    Refused(&'static str, String),
    /// Hang up as soon as what was sent has left.
    Close,
    /// A message without effect; why.
    Ignored(&'static str),
    /// A command that cannot be read, which has no effect either.
    Unreadable(command::Error),
}

// Each connection has room for some of them.
const _: () = assert!(size_of::<SessionEvent>() <= 96);
