//! How far a viewer has come in a publication.

use super::cache::Cache;
use super::keyframe_wait::KeyframeWait;
use super::selection::Selection;
use crate::media::Tracks;
use std::time::Instant;

/// How far a viewer has come.
#[derive(Debug)]
pub(super) enum ViewerPhase {
    /// There is no publisher; the viewer has been told nothing and waits, a player until then.
    Waiting(Instant),
    /// The viewer was told that it plays, and has nothing of this publication yet.
    Starting(KeyframeWait),
    /// The viewer is sent what comes.
    Playing,
}

/// Which video tracks a viewer who plays is sent: those that have begun, until all have.
#[derive(Debug)]
pub(super) enum Video {
    /// All tracks, also those that begin later.
    Whole,
    /// Those that have begun with a keyframe: others have not.
    From(Tracks),
}

impl Video {
    /// The video of a viewer for whom these tracks have begun, of those in the cache.
    pub(super) fn from(started: Tracks, cache: &Cache, selection: Selection) -> Video {
        match started.contains(cache.video_tracks(selection)) {
            true => Video::Whole,
            false => Video::From(started),
        }
    }

    /// Whether all of these tracks have begun.
    pub(super) fn has_begun(&self, tracks: Tracks) -> bool {
        match self {
            Video::Whole => true,
            Video::From(started) => started.contains(tracks),
        }
    }
}
