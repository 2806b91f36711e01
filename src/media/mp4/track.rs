//! What a file is made of: its tracks, and what is said of all of it.

use crate::media::config::Config;
use crate::media::sample::{MediaType, TrackId};

/// A track of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mp4Track {
    /// What it is called in the stream.
    pub id: TrackId,
    /// What its decoder has to know.
    pub config: Config,
}

impl Mp4Track {
    /// Whether its samples are sound or pictures.
    pub(super) fn medium(&self) -> MediaType {
        self.config.format.medium()
    }
}

/// Metadata of a whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Movie {
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// The program that encoded it, by what the publisher says.
    pub encoder: Option<String>,
}
