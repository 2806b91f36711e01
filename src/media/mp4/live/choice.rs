//! Which tracks of a stream a live response has.

use super::end::LiveEnd;
use crate::media::mp4::{Mp4Track, is_supported};
use crate::media::sample::MediaType;
use crate::media::tracks::StreamTracks;

/// Which tracks of a stream a player asks for: one of pictures and one of sound, by the ids that
/// multitrack messages give them. `None`: the first that has a place in MP4, if there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TrackChoice {
    /// The track of pictures.
    pub video: Option<u8>,
    /// The track of sound.
    pub audio: Option<u8>,
}

impl TrackChoice {
    /// Those of the known tracks that are chosen, pictures first.
    pub(super) fn of(self, known: &StreamTracks) -> Result<Vec<Mp4Track>, LiveEnd> {
        let mut chosen = Vec::new();
        for (medium, wanted) in [
            (MediaType::Video, self.video),
            (MediaType::Audio, self.audio),
        ] {
            let mut playable = known
                .known()
                .filter(|(id, config)| id.medium == medium && is_supported(config.format));
            let found = playable.find(|(id, _)| wanted.is_none_or(|wanted| id.id == wanted));
            if found.is_none() && wanted.is_some() {
                return Err(LiveEnd::NoSuchTrack);
            }
            chosen.extend(found.map(|(id, config)| Mp4Track {
                id,
                config: config.clone(),
            }));
        }
        match chosen.is_empty() {
            true => Err(LiveEnd::NoTrack),
            false => Ok(chosen),
        }
    }
}

/// Whether players that were set up for one set of tracks can go on with the other.
pub(super) fn are_same(one: &[Mp4Track], other: &[Mp4Track]) -> bool {
    let same = |(one, other): (&Mp4Track, &Mp4Track)| {
        one.id == other.id && one.config.is_same(&other.config)
    };
    one.len() == other.len() && one.iter().zip(other).all(same)
}
