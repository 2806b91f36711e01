//! One viewer of a stream: how it joins, stays and leaves. What it is sent is up to its [`Delivery`].

mod due;
mod fragments;
mod messages;
mod pending;
mod subscriber;

use super::cache::{Cache, JoinAt};
use super::common_content::{CommonContent, Outcome};
use super::keyframe_wait::KeyframeWait;
use super::media_message::MediaMessage;
use super::muxer::{Muxer, MuxerEvent};
use super::muxers::Muxers;
use super::phase::ViewerPhase;
use super::presence::Place;
use super::recipient::{Notice, Recipient, SubscriptionEnd, Takes};
use super::selection::Selection;
use super::subscription_id::SubscriptionId;
use crate::awake;
use crate::media::mp4::live::TrackChoice;
use crate::queue::{Cause, Offer, Outbox, Role};
use fragments::FragmentDelivery;
use messages::MessageDelivery;
use std::time::Instant;
use subscriber::Subscriber;

/// A viewer's place in the audience.
pub(super) struct Viewer {
    subscriber: Subscriber,
    delivery: Delivery,
}

/// What a viewer is sent of a stream.
enum Delivery {
    /// Its messages, as they come.
    Messages(MessageDelivery),
    /// Fragments of MP4 that are made of them.
    Fragments(FragmentDelivery),
    /// Nothing: it fetches what it wants, and is here to be counted, told and ended.
    Nothing,
}

impl Viewer {
    /// A viewer who waits for a publisher until `deadline`.
    pub(super) fn new(
        identity: (SubscriptionId, Place),
        role: Role,
        recipient: Recipient,
        deadline: Instant,
    ) -> Viewer {
        let delivery = match recipient.takes {
            Takes::Messages => Delivery::Messages(MessageDelivery::new(recipient.tracks)),
            Takes::Fragments(choice) => Delivery::Fragments(FragmentDelivery::new(choice)),
            Takes::Nothing => Delivery::Nothing,
        };
        Viewer {
            subscriber: Subscriber::new(identity, role, recipient, deadline),
            delivery,
        }
    }

    pub(super) fn id(&self) -> SubscriptionId {
        self.subscriber.id
    }

    /// The outbox of its connection.
    pub(super) fn outbox(&self) -> &Outbox {
        self.subscriber.outbox()
    }

    /// Whether it is one of the audience: a client that plays or waits.
    pub(super) fn is_player(&self) -> bool {
        self.subscriber.recipient.is_player()
    }

    /// Whether what it is sent goes to one of these servers.
    pub(super) fn goes_to(&self, servers: &[String]) -> bool {
        self.subscriber.recipient.goes_to(servers)
    }

    /// The servers that what it is sent goes to.
    pub(super) fn via(&self) -> &[String] {
        &self.subscriber.recipient.via
    }

    /// Bytes that its connection was sent since the publication began, or since it joined.
    pub(super) fn bytes_sent(&self) -> u64 {
        let bytes = self.outbox().bytes();
        bytes.saturating_sub(self.subscriber.bytes_before)
    }

    /// Whether the viewer still waits to be told anything, and its time is up.
    pub(super) fn has_waited_until(&self, now: Instant) -> bool {
        let phase = &self.subscriber.phase;
        self.is_player() && matches!(phase, ViewerPhase::Waiting(deadline) if *deadline <= now)
    }

    /// Whether the viewer was told that it plays.
    pub(super) fn has_started(&self) -> bool {
        !matches!(self.subscriber.phase, ViewerPhase::Waiting(_))
    }

    /// Whether it cannot begin before the tracks are known.
    pub(super) fn needs_presentation(&self) -> bool {
        self.subscriber.recipient.needs_kinds
    }

    /// Whether it takes the first track of each kind only.
    pub(super) fn takes_first_tracks(&self) -> bool {
        match &self.delivery {
            Delivery::Messages(messages) => messages.tracks() == Selection::First,
            Delivery::Fragments(_) | Delivery::Nothing => false,
        }
    }

    /// The tracks whose fragments it takes, if it takes any.
    pub(super) fn choice(&self) -> Option<TrackChoice> {
        match &self.delivery {
            Delivery::Fragments(fragments) => Some(fragments.choice()),
            Delivery::Messages(_) | Delivery::Nothing => None,
        }
    }

    /// Whether it cannot be sent what the stream has now.
    pub(super) fn is_unplayable(&self) -> bool {
        matches!(&self.delivery, Delivery::Fragments(fragments) if fragments.end().is_some())
    }

    /// How live messages go to this viewer.
    pub(super) fn step(&self) -> Step {
        match &self.delivery {
            Delivery::Messages(messages) => {
                let playing = matches!(self.subscriber.phase, ViewerPhase::Playing);
                match playing && messages.is_whole() {
                    true => Step::Batches,
                    false => Step::Each,
                }
            }
            Delivery::Fragments(_) | Delivery::Nothing => Step::Nothing,
        }
    }

    /// Tells the recipient that it plays, and begins if the stream can.
    pub(super) fn start(&mut self, cache: &Cache, muxers: &Muxers, now: Instant) {
        let start = self.subscriber.recipient.notices.start();
        if !start.is_empty() && self.outbox().push_reply(start) == Offer::Full {
            self.outbox().hang_up(Cause::QueueFull);
        }
        self.subscriber.phase = ViewerPhase::Starting(KeyframeWait::since(now));
        match &mut self.delivery {
            Delivery::Messages(messages) => {
                messages.begin(&mut self.subscriber, cache, None, JoinAt::Keyframe);
            }
            Delivery::Fragments(fragments) => {
                let muxer = muxers.get(fragments.choice());
                muxer
                    .into_iter()
                    .for_each(|muxer| fragments.begin(&mut self.subscriber, muxer));
            }
            Delivery::Nothing => {}
        }
    }

    /// The stream has another publication now: nothing of the last one counts.
    pub(super) fn restart(&mut self, now: Instant) {
        self.subscriber.bytes_before = self.outbox().bytes();
        if !self.has_started() {
            return;
        }
        self.subscriber.phase = ViewerPhase::Starting(KeyframeWait::since(now));
        if let Delivery::Messages(messages) = &mut self.delivery {
            messages.restart();
            self.subscriber.outbox().set_pending(0);
        }
    }

    /// `media` has video tracks that are not in the cache: each of them begins with its own keyframe.
    pub(super) fn note_new_tracks(&mut self, media: &MediaMessage, cache: &Cache) {
        if let Delivery::Messages(messages) = &mut self.delivery {
            messages.note_new_tracks(media, cache);
        }
    }

    /// Tells the recipient something, at once or when there is room.
    pub(super) fn notify(&mut self, notice: Notice) {
        self.subscriber.notify(notice);
    }

    /// It is a viewer no longer: logs what it has missed.
    pub(super) fn leave(&mut self) {
        self.subscriber.leave(awake::now());
    }

    /// Ends the subscription: the recipient is told so, behind what is due, and hung up on if it has
    /// no other role.
    pub(super) fn end(mut self) {
        self.leave();
        let Subscriber {
            place,
            role,
            recipient,
            phase,
            due,
            ..
        } = self.subscriber;
        let unplayable = match &self.delivery {
            Delivery::Fragments(fragments) => fragments.end(),
            Delivery::Messages(_) | Delivery::Nothing => None,
        };
        let end = match (unplayable, phase) {
            (Some(why), _) => SubscriptionEnd::Unplayable(why),
            (None, ViewerPhase::Waiting(_)) => SubscriptionEnd::NeverBegan,
            (None, ViewerPhase::Starting(_) | ViewerPhase::Playing) => SubscriptionEnd::StreamOver,
        };
        place.note_end(end);
        let mut messages = due.messages(recipient.notices.as_ref());
        messages.extend(recipient.notices.closing_messages(end));
        role.end(messages);
    }

    /// Pauses or goes on, which is at the next keyframe.
    pub(super) fn set_paused(&mut self, paused: bool) {
        if let Delivery::Messages(messages) = &mut self.delivery {
            messages.set_paused(paused);
        }
    }

    /// Turns audio on or off.
    pub(super) fn set_audio(&mut self, on: bool) {
        if let Delivery::Messages(messages) = &mut self.delivery {
            messages.set_audio(on);
        }
    }

    /// Turns video on, from the next keyframe, or off.
    pub(super) fn set_video(&mut self, on: bool) {
        if let Delivery::Messages(messages) = &mut self.delivery {
            messages.set_video(on);
        }
    }

    /// Sends the viewer what all get, if it is for it and it can take it as it is.
    pub(super) fn take(&mut self, content: &CommonContent, now: Instant) -> Outcome {
        let subscriber = &mut self.subscriber;
        match (&mut self.delivery, content) {
            (
                Delivery::Messages(messages),
                CommonContent::Messages {
                    batches,
                    has_disposable,
                    has_retained,
                },
            ) => {
                let can_take = messages.takes_all(subscriber, *has_disposable, *has_retained);
                match can_take {
                    true => messages.take(subscriber, batches, now),
                    false => Outcome::Look,
                }
            }
            (Delivery::Fragments(fragments), CommonContent::Fragment(choice, whole))
                if fragments.choice() == *choice =>
            {
                fragments.take(subscriber, whole, now)
            }
            (Delivery::Messages(_) | Delivery::Fragments(_) | Delivery::Nothing, _) => {
                Outcome::SENT
            }
        }
    }

    /// Decides on one live message, which is noted in the cache already. Returns how many
    /// messages a player was not sent.
    pub(super) fn deliver_one(&mut self, media: &MediaMessage, cache: &Cache, now: Instant) -> u64 {
        match &mut self.delivery {
            Delivery::Messages(messages) => {
                messages.deliver_one(&mut self.subscriber, media, cache, now)
            }
            Delivery::Fragments(_) | Delivery::Nothing => 0,
        }
    }

    /// Sends what has come of a muxer, if it is the one for this viewer. Returns how many fragments a
    /// player was not sent.
    pub(super) fn deliver_fragment(
        &mut self,
        event: &MuxerEvent,
        muxer: &Muxer,
        now: Instant,
    ) -> u64 {
        let fragments = match &mut self.delivery {
            Delivery::Fragments(fragments) if fragments.choice() == muxer.choice() => fragments,
            _ => return 0,
        };
        match event {
            MuxerEvent::Fragment(fragment) => {
                fragments.deliver(&mut self.subscriber, fragment, muxer, now)
            }
            MuxerEvent::Ends(end) => {
                fragments.set_end(&self.subscriber, *end);
                0
            }
        }
    }

    /// Tells it what is due, and looks whether it has been behind for too long.
    pub(super) fn check(&mut self, now: Instant) {
        let lacks = match &self.delivery {
            Delivery::Messages(messages) => messages.lacks_pictures(),
            Delivery::Fragments(fragments) => fragments.lacks_pictures(),
            Delivery::Nothing => false,
        };
        self.subscriber.check(now, lacks);
    }
}

/// How live messages go to a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// As they are, in one batch for all such viewers.
    Batches,
    /// After a look at each.
    Each,
    /// Not at all: it takes nothing.
    Nothing,
}
