//! What is the same for most viewers, and what became of it for one of them.

use super::batches::Batches;
use super::media_message::MediaMessage;
use crate::media::Content;
use crate::media::mp4::live::TrackChoice;
use crate::queue::SharedBytes;
use std::sync::Arc;

/// What all viewers are sent.
pub(super) enum CommonContent {
    /// Live messages, as they come.
    Messages {
        batches: Batches,
        /// Whether some may be left out for viewers who take too little.
        has_disposable: bool,
        /// Whether some are kept for late joiners.
        has_retained: bool,
    },
    /// A fragment with these tracks.
    Fragment(TrackChoice, Arc<SharedBytes>),
}

impl CommonContent {
    /// A run of live messages, as batches for viewers of each selection of tracks.
    pub(super) fn messages(batches: Batches, run: &[MediaMessage]) -> CommonContent {
        let is_disposable = |media: &MediaMessage| media.packet.content == Content::Disposable;
        CommonContent::Messages {
            batches,
            has_disposable: run.iter().any(is_disposable),
            has_retained: run.iter().any(MediaMessage::is_retained),
        }
    }
}

/// What became of it for a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was sent, or is not for this viewer; a player was not sent this many messages or fragments.
    Done { dropped: u64 },
    /// The viewer needs a look of its own.
    Look,
}

impl Outcome {
    /// Nothing was left out.
    pub(super) const SENT: Outcome = Outcome::Done { dropped: 0 };
}
