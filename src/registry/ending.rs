//! The end of a publication.

use crate::media::Codec;
use std::fmt;

/// Why a publication ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The publisher said that it has finished.
    Finished,
    /// The publisher's connection ended.
    Lost,
    /// Another publisher has the stream.
    TakenOver,
    /// The server ended the stream.
    EndedByServer,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Reason::Finished => "finished",
            Reason::Lost => "lost",
            Reason::TakenOver => "taken over",
            Reason::EndedByServer => "ended by the server",
        })
    }
}

/// What passed through a publication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Audio messages, headers included.
    pub audio: u64,
    /// Video messages, headers included.
    pub video: u64,
    /// Payload bytes of audio messages.
    pub audio_bytes: u64,
    /// Payload bytes of video messages.
    pub video_bytes: u64,
    /// Payload bytes of all messages, data included.
    pub bytes: u64,
    /// Messages that were left out for slow viewers, counted for each of them.
    pub dropped: u64,
    /// The codec of the first audio.
    pub audio_codec: Option<Codec>,
    /// The codec of the first video.
    pub video_codec: Option<Codec>,
}

/// A publication that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Who or what ended it.
    pub reason: Reason,
    /// How many players it had then.
    pub viewers: usize,
    /// What passed through it.
    pub traffic: Traffic,
}

/// Called once when a publication ends, under the stream's lock, before the next publication is
/// announced: it must not wait for anything.
pub type AtEnd = Box<dyn FnOnce(Ended) + Send>;

/// Whether a publication goes on.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublicationStatus {
    /// The publication goes on.
    Current,
    /// It was ended, or somebody else publishes the stream; what was asked for was not done.
    Over,
}
