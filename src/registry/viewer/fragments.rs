//! A viewer that is sent fragments of MP4: from which on, and what becomes of those that it has no
//! room for.

use super::subscriber::Subscriber;
use crate::media::mp4::live::{Entry, LiveEnd, TrackChoice};
use crate::queue::{Offer, SharedBytes};
use crate::registry::common_content::Outcome;
use crate::registry::muxer::{Muxer, SharedBeginning, SharedFragment};
use crate::registry::phase::ViewerPhase;
use std::iter;
use std::sync::Arc;
use std::time::Instant;

/// What a viewer of fragments has been sent.
#[derive(Debug)]
pub(super) struct FragmentDelivery {
    choice: TrackChoice,
    /// Whether its response has begun.
    has_begun: bool,
    /// What it is sent while it plays.
    goes_on: GoesOn,
    /// Why it cannot go on.
    end: Option<LiveEnd>,
}

/// Which fragments a viewer who plays can go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GoesOn {
    /// Any: it has the one before.
    Next,
    /// The next one to begin with; until then the sound of each.
    WithSound,
    /// The next one to begin with: it had no room for one before that.
    AtEntry,
}

impl FragmentDelivery {
    /// Fragments with these tracks.
    pub(super) fn new(choice: TrackChoice) -> FragmentDelivery {
        FragmentDelivery {
            choice,
            has_begun: false,
            goes_on: GoesOn::Next,
            end: None,
        }
    }

    pub(super) fn choice(&self) -> TrackChoice {
        self.choice
    }

    /// Why it cannot go on, if it cannot.
    pub(super) fn end(&self) -> Option<LiveEnd> {
        self.end
    }

    /// Whether it is sent no pictures before the next fragment to begin with, since it was too slow.
    pub(super) fn lacks_pictures(&self) -> bool {
        self.goes_on == GoesOn::AtEntry
    }

    /// Its muxer's responses are over, or there is nothing for any to begin with.
    pub(super) fn set_end(&mut self, subscriber: &Subscriber, end: LiveEnd) {
        let is_for_newcomers = matches!(end, LiveEnd::NoTrack | LiveEnd::NoSuchTrack);
        let waits = matches!(subscriber.phase, ViewerPhase::Waiting(_));
        if self.has_begun || is_for_newcomers && !waits {
            self.end = Some(end);
        }
    }

    /// Sends the beginning of the stream, if there is one.
    pub(super) fn begin(&mut self, subscriber: &mut Subscriber, muxer: &Muxer) {
        if let (Some(beginning), [_, ..]) = (muxer.beginning(), muxer.kept()) {
            self.begin_with(subscriber, beginning, muxer.kept(), GoesOn::Next);
        }
    }

    fn begin_with(
        &mut self,
        subscriber: &mut Subscriber,
        beginning: &SharedBeginning,
        fragments: &[Arc<SharedBytes>],
        goes_on: GoesOn,
    ) {
        let initialization = (!self.has_begun).then_some(&beginning.initialization);
        let parts: Vec<_> = initialization
            .into_iter()
            .chain(fragments)
            .cloned()
            .collect();
        let offer = subscriber
            .outbox()
            .offer_shared(&beginning.content_type, &parts);
        if offer != Offer::Full {
            subscriber.phase = ViewerPhase::Playing;
            (self.has_begun, self.goes_on) = (true, goes_on);
        }
    }

    /// Sends the next fragment to a viewer that has the one before.
    pub(super) fn take(
        &mut self,
        subscriber: &mut Subscriber,
        whole: &Arc<SharedBytes>,
        now: Instant,
    ) -> Outcome {
        let is_playing = matches!(subscriber.phase, ViewerPhase::Playing);
        match is_playing && self.end.is_none() && self.goes_on == GoesOn::Next {
            true => Outcome::Done {
                dropped: self.send(subscriber, whole, now),
            },
            false => Outcome::Look,
        }
    }

    /// Sends the next fragment, or what the viewer can do with of it. Returns how many a player was
    /// not sent.
    pub(super) fn deliver(
        &mut self,
        subscriber: &mut Subscriber,
        fragment: &SharedFragment,
        muxer: &Muxer,
        now: Instant,
    ) -> u64 {
        match &subscriber.phase {
            // What comes behind an end is of another response.
            _ if self.end.is_some() => 0,
            ViewerPhase::Waiting(_) => 0,
            ViewerPhase::Starting(wait) => {
                let has_waited = wait.has_passed(now);
                self.begin(subscriber, muxer);
                let waits = matches!(subscriber.phase, ViewerPhase::Starting(_));
                if let (true, Some(beginning), Some(sound)) =
                    (waits && has_waited, muxer.beginning(), fragment.sound())
                {
                    let sound = iter::once(sound).cloned().collect::<Vec<_>>();
                    self.begin_with(subscriber, beginning, &sound, GoesOn::WithSound);
                }
                0
            }
            ViewerPhase::Playing => self.go_on(subscriber, fragment, now),
        }
    }

    fn go_on(
        &mut self,
        subscriber: &mut Subscriber,
        fragment: &SharedFragment,
        now: Instant,
    ) -> u64 {
        let is_entry = fragment.entry == Entry::Any;
        let part = match self.goes_on {
            GoesOn::AtEntry if !is_entry => return subscriber.skip_one(true),
            // A viewer that is behind begins again when it has taken half of what waits.
            GoesOn::AtEntry if subscriber.outbox().is_half_full() => {
                return subscriber.drop_one(now);
            }
            GoesOn::WithSound if !is_entry => fragment.sound(),
            GoesOn::Next | GoesOn::WithSound | GoesOn::AtEntry => Some(&fragment.whole),
        };
        let Some(part) = part else { return 0 };
        if is_entry {
            self.goes_on = GoesOn::Next;
        }
        self.send(subscriber, part, now)
    }

    fn send(&mut self, subscriber: &mut Subscriber, part: &Arc<SharedBytes>, now: Instant) -> u64 {
        let parts = std::slice::from_ref(part);
        match subscriber.outbox().offer_shared("", parts) {
            Offer::Full => {
                self.goes_on = GoesOn::AtEntry;
                return subscriber.drop_one(now);
            }
            Offer::Sent => subscriber.caught_up(now, self.lacks_pictures()),
            Offer::Queued | Offer::Closed => {}
        }
        0
    }
}
