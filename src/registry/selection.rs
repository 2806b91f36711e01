//! Which media of a stream a viewer takes.

use crate::media::Tracks;
use crate::rtmp::MessageType;

/// Which tracks of a stream a viewer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All tracks, and all that is said of them.
    All,
    /// The first of each kind, and nothing that says that there are others.
    First,
}

impl Selection {
    pub(super) fn of(self, tracks: Tracks) -> Tracks {
        let first = Tracks::one(0);
        match self {
            Selection::All => tracks,
            Selection::First if tracks.contains(first) => first,
            Selection::First => Tracks::default(),
        }
    }
}

/// Which media a viewer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wants {
    /// Whether receiveAudio is on.
    pub(super) audio: bool,
    /// Whether receiveVideo is on.
    pub(super) video: bool,
    pub(super) tracks: Selection,
}

impl Wants {
    /// Whether this message is wanted; data always is.
    pub(super) fn includes(self, kind: MessageType) -> bool {
        match kind {
            MessageType::AUDIO => self.audio,
            MessageType::VIDEO => self.video,
            _ => true,
        }
    }
}
