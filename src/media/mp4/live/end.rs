//! Why a live response cannot go on.

use std::fmt;

/// Why players that were set up for a stream cannot go on with it, or cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveEnd {
    /// The stream has other tracks now, or one of them another configuration.
    TracksChanged,
    /// The publisher's times have jumped back, farther than sound could make up for.
    TimesWentBack,
    /// No track of the stream has a place in MP4.
    NoTrack,
    /// A track was asked for that the stream does not have.
    NoSuchTrack,
}

impl fmt::Display for LiveEnd {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            LiveEnd::TracksChanged => "the tracks of the stream have changed",
            LiveEnd::TimesWentBack => "the times of the stream went back",
            LiveEnd::NoTrack => "no track of the stream has a place in MP4",
            LiveEnd::NoSuchTrack => "the stream has no such track",
        })
    }
}
