//! The choices of a stream's tracks that are made into live MP4, for as long as somebody watches.

use super::cache::Cache;
use super::left_out::LeftOut;
use super::muxer::Muxer;
use super::refusal::Refusal;
use crate::media::mp4::live::TrackChoice;
use crate::rtmp::stream_key::StreamKey;
use std::time::{Duration, Instant};

/// Most choices of a stream's tracks at a time beside the usual one: each takes memory and work of its
/// own.
pub(super) const CHOICES_MAX: usize = 4;

/// How long a choice stays that nobody watches any more: most who come back do so at once.
pub(super) const CHOICE_LINGER: Duration = Duration::from_secs(10);

/// The muxers of a stream.
#[derive(Default)]
pub(super) struct Muxers {
    places: Vec<Place>,
    /// What they leave out of the publication.
    left_out: LeftOut,
}

struct Place {
    muxer: Muxer,
    /// Since when nobody has watched it.
    unwatched: Option<Instant>,
}

/// Whether this is the choice of a player that asks for no track.
fn is_usual(choice: TrackChoice) -> bool {
    choice == TrackChoice::default()
}

impl Muxers {
    /// Makes the muxer of a choice if it is not there, of a stream that has this in its cache.
    /// `is_watched` tells of others.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooManyChoices`] if [`CHOICES_MAX`] others are watched. The usual choice always has a
    /// place: visitors with others cannot keep the ordinary viewers out.
    pub(super) fn add(
        &mut self,
        choice: TrackChoice,
        cache: Option<&Cache>,
        key: &StreamKey,
        is_watched: impl Fn(TrackChoice) -> bool,
    ) -> Result<(), Refusal> {
        let mut places = self.places.iter_mut();
        if let Some(place) = places.find(|place| place.muxer.choice() == choice) {
            place.unwatched = None;
            // Those who watch it go on with its times.
            let is_behind = cache.is_some_and(|cache| place.muxer.is_behind(cache));
            if is_behind && !is_watched(choice) {
                place.muxer = Muxer::new(choice, cache, &mut self.left_out, key);
            }
            return Ok(());
        }
        if !is_usual(choice) {
            self.make_room(is_watched)?;
        }
        self.places.push(Place {
            muxer: Muxer::new(choice, cache, &mut self.left_out, key),
            unwatched: None,
        });
        Ok(())
    }

    /// Removes a choice that nobody watches if there are [`CHOICES_MAX`] beside the usual one.
    fn make_room(&mut self, is_watched: impl Fn(TrackChoice) -> bool) -> Result<(), Refusal> {
        let choices = self.places.iter().map(|place| place.muxer.choice());
        let others: Vec<TrackChoice> = choices.filter(|choice| !is_usual(*choice)).collect();
        if others.len() < CHOICES_MAX {
            return Ok(());
        }
        let unwatched = others.into_iter().find(|choice| !is_watched(*choice));
        let unwatched = unwatched.ok_or(Refusal::TooManyChoices)?;
        self.places
            .retain(|place| place.muxer.choice() != unwatched);
        Ok(())
    }

    /// The muxer of a choice that was added.
    pub(super) fn get(&self, choice: TrackChoice) -> Option<&Muxer> {
        let mut muxers = self.places.iter().map(|place| &place.muxer);
        muxers.find(|muxer| muxer.choice() == choice)
    }

    /// The codecs of tracks that are left out, each once.
    pub(super) fn left_out(&self) -> Vec<String> {
        self.left_out.codecs()
    }

    /// Another publication begins; see [`Muxer::restart`].
    pub(super) fn restart(&mut self, goes_on: bool) {
        self.left_out = LeftOut::default();
        self.iter_mut().for_each(|muxer| muxer.restart(goes_on));
    }

    /// All of them, and what they leave out.
    pub(super) fn each(&mut self) -> (impl Iterator<Item = &mut Muxer>, &mut LeftOut) {
        let muxers = self.places.iter_mut().map(|place| &mut place.muxer);
        (muxers, &mut self.left_out)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Muxer> {
        self.places.iter_mut().map(|place| &mut place.muxer)
    }

    /// The memory that all of them take, in bytes.
    pub(super) fn cost(&self) -> usize {
        self.places.iter().map(|place| place.muxer.cost()).sum()
    }

    /// Ends those that nobody has watched for [`CHOICE_LINGER`].
    pub(super) fn expire(&mut self, now: Instant, is_watched: impl Fn(TrackChoice) -> bool) {
        self.places.retain_mut(|place| {
            if is_watched(place.muxer.choice()) {
                place.unwatched = None;
                return true;
            }
            let since = *place.unwatched.get_or_insert(now);
            now.saturating_duration_since(since) < CHOICE_LINGER
        });
    }
}
