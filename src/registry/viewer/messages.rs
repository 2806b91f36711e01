//! A viewer that is sent the messages of a stream: which of them, and what becomes of those that it
//! has no room for.

use super::pending::PendingHeaders;
use super::subscriber::Subscriber;
use crate::log;
use crate::media::{Content, Tracks};
use crate::queue::{Cause, Offer};
use crate::registry::batches::Batches;
use crate::registry::cache::{Cache, JoinAt, JoinBurst};
use crate::registry::common_content::Outcome;
use crate::registry::media_message::MediaMessage;
use crate::registry::phase::{Video, ViewerPhase};
use crate::registry::recipient::RetainedData;
use crate::registry::selection::{Selection, Wants};
use crate::rtmp::Message;
use std::time::Instant;

/// What a viewer of messages wants, and what it has been sent.
#[derive(Debug)]
pub(super) struct MessageDelivery {
    wants: Wants,
    paused: bool,
    pending: PendingHeaders,
    /// The video tracks that it is sent while it plays.
    video: Video,
    /// Whether those that it is not sent were lost: then what needs them is lost as well, even when
    /// it has taken everything else.
    video_lost: bool,
}

impl MessageDelivery {
    /// Sound and pictures of these tracks.
    pub(super) fn new(tracks: Selection) -> MessageDelivery {
        MessageDelivery {
            wants: Wants {
                audio: true,
                video: true,
                tracks,
            },
            paused: false,
            pending: PendingHeaders::default(),
            video: Video::From(Tracks::default()),
            video_lost: false,
        }
    }

    pub(super) fn tracks(&self) -> Selection {
        self.wants.tracks
    }

    /// Whether live messages go to a viewer that plays as they are, without a look at each.
    pub(super) fn is_whole(&self) -> bool {
        let whole = matches!(self.video, Video::Whole);
        whole && !self.paused && self.wants.audio && self.wants.video && self.pending.is_empty()
    }

    /// Whether it is sent no pictures before the next keyframe, since it was too slow.
    pub(super) fn lacks_pictures(&self) -> bool {
        self.video_lost
    }

    /// The stream has another publication now: nothing of the last one counts.
    pub(super) fn restart(&mut self) {
        self.pending = PendingHeaders::default();
    }

    /// `media` has video tracks that are not in the cache: each of them begins with its own keyframe.
    pub(super) fn note_new_tracks(&mut self, media: &MediaMessage, cache: &Cache) {
        let known = cache.video_tracks(self.wants.tracks);
        let appears = |media: &MediaMessage| !known.contains(media.packet.tracks);
        if !media.of(self.wants.tracks).is_some_and(appears) {
            return;
        }
        if matches!(self.video, Video::Whole) {
            self.video = Video::From(known);
        }
    }

    /// Pauses or goes on, which is at the next keyframe.
    pub(super) fn set_paused(&mut self, paused: bool) {
        if self.paused && !paused {
            self.resync();
        }
        self.paused = paused;
    }

    /// Turns audio on or off.
    pub(super) fn set_audio(&mut self, on: bool) {
        self.wants.audio = on;
    }

    /// Turns video on or off; it comes back at the next keyframe.
    pub(super) fn set_video(&mut self, on: bool) {
        if on && !self.wants.video {
            self.resync();
        }
        self.wants.video = on;
    }

    fn resync(&mut self) {
        self.send_video(Video::From(Tracks::default()));
    }

    /// The viewer is sent these tracks, and has lost none of the others.
    fn send_video(&mut self, video: Video) {
        self.video = video;
        self.video_lost = false;
    }

    /// Sends the beginning of the stream, if the cache has one.
    pub(super) fn begin(
        &mut self,
        subscriber: &mut Subscriber,
        cache: &Cache,
        current: Option<&MediaMessage>,
        at: JoinAt,
    ) {
        if self.paused || subscriber.push_due() == Offer::Full {
            return;
        }
        if subscriber.recipient.needs_kinds {
            let presentation = cache.presentation();
            let Some(known) = presentation.filter(|presentation| presentation.is_open()) else {
                return;
            };
            subscriber.outbox().set_kinds(known.kinds());
        }
        let Some(burst) = cache.join_burst(self.wants, current, at) else {
            return;
        };
        let JoinBurst {
            data,
            messages,
            started,
            left_out,
        } = burst;
        let form = subscriber.recipient.retained_data;
        let data = data.iter().map(|message| form.form(message));
        let messages = data.chain(messages).collect();
        if push_media(subscriber, messages) != Offer::Full {
            subscriber.phase = ViewerPhase::Playing;
            self.send_video(Video::from(started, cache, self.wants.tracks));
            self.pending = PendingHeaders::new(left_out);
            subscriber.outbox().set_pending(self.pending.cost());
            subscriber.recipient.needs_kinds = false;
        }
    }

    /// Whether a viewer in step is sent live messages as they are, without a look at each.
    pub(super) fn takes_all(
        &self,
        subscriber: &Subscriber,
        has_disposable: bool,
        has_retained: bool,
    ) -> bool {
        let leaves_out = has_disposable && subscriber.outbox().is_half_full();
        let rewrites = has_retained && subscriber.recipient.retained_data != RetainedData::Plain;
        !leaves_out && !rewrites && subscriber.due.is_empty()
    }

    /// Sends live messages to a viewer in step as one batch, if there is room.
    pub(super) fn take(
        &self,
        subscriber: &mut Subscriber,
        batches: &Batches,
        now: Instant,
    ) -> Outcome {
        let Some(batch) = batches.of(self.wants.tracks) else {
            return Outcome::SENT;
        };
        let offer = subscriber
            .outbox()
            .offer(subscriber.recipient.stream, batch);
        match offer {
            Offer::Sent => subscriber.caught_up(now, self.video_lost),
            Offer::Queued | Offer::Closed => {}
            Offer::Full => return Outcome::Look,
        }
        Outcome::SENT
    }

    /// Decides on one live message, which is noted in the cache already. Returns how many
    /// messages a player was not sent.
    pub(super) fn deliver_one(
        &mut self,
        subscriber: &mut Subscriber,
        media: &MediaMessage,
        cache: &Cache,
        now: Instant,
    ) -> u64 {
        let Some(media) = media.of(self.wants.tracks) else {
            return 0;
        };
        match &mut subscriber.phase {
            ViewerPhase::Waiting(_) => 0,
            ViewerPhase::Starting(wait) => {
                let at = match wait.is_over(media, now) {
                    true => JoinAt::AnySound,
                    false => JoinAt::Keyframe,
                };
                self.begin(subscriber, cache, Some(media), at);
                0
            }
            ViewerPhase::Playing if self.paused || !self.wants.includes(media.message.kind) => {
                if media.is_header() || media.is_retained() {
                    self.defer(subscriber, media);
                }
                0
            }
            // What is pending gets the time of what it is sent in front of, and this has none.
            ViewerPhase::Playing if media.is_retained() && !self.pending.is_empty() => {
                self.defer(subscriber, media);
                0
            }
            ViewerPhase::Playing => {
                if media.is_dependent_frame() && !self.video.has_begun(media.packet.tracks) {
                    subscriber.skip_one(self.video_lost)
                } else {
                    self.send(subscriber, media, cache, now)
                }
            }
        }
    }

    /// Sends one message behind what is pending, or drops it where it may be dropped.
    fn send(
        &mut self,
        subscriber: &mut Subscriber,
        media: &MediaMessage,
        cache: &Cache,
        now: Instant,
    ) -> u64 {
        let is_disposable = media.packet.content == Content::Disposable;
        let restarts = media.is_keyframe() && subscriber.slowness.is_behind();
        if (is_disposable || restarts) && subscriber.outbox().is_half_full() {
            return match is_disposable {
                true => subscriber.drop_one(now),
                false => self.lose_video(subscriber, now),
            };
        }
        match self.push_with_pending(subscriber, media) {
            Offer::Full if !is_droppable(media) => {
                self.defer(subscriber, media);
                subscriber.fall_behind(now);
                0
            }
            Offer::Full if media.is_video() => self.lose_video(subscriber, now),
            Offer::Full => subscriber.drop_one(now),
            offer => {
                self.video_begins(media, cache);
                if offer == Offer::Sent {
                    subscriber.caught_up(now, self.video_lost);
                }
                0
            }
        }
    }

    /// Offers one message behind what is pending.
    fn push_with_pending(&mut self, subscriber: &mut Subscriber, media: &MediaMessage) -> Offer {
        if subscriber.push_due() == Offer::Full {
            return Offer::Full;
        }
        let form = subscriber.recipient.retained_data;
        if self.pending.is_empty() {
            let message = match media.is_retained() {
                true => form.form(&media.message),
                false => media.message.clone(),
            };
            return push_media(subscriber, vec![message]);
        }
        let pending = self.pending.take(self.wants);
        let timestamp = media.message.timestamp;
        let due = |kept: &MediaMessage| match kept.is_retained() {
            true => form.form(&kept.message),
            false => Message {
                timestamp,
                ..kept.message.clone()
            },
        };
        let messages = pending.iter().chain([media]).map(due).collect();
        let offer = push_media(subscriber, messages);
        if offer == Offer::Full {
            self.pending.put_back(pending);
        }
        subscriber.outbox().set_pending(self.pending.cost());
        offer
    }

    fn video_begins(&mut self, media: &MediaMessage, cache: &Cache) {
        if let (true, Video::From(started)) = (media.is_keyframe(), &mut self.video) {
            started.extend(media.packet.tracks);
            let started = *started;
            self.video = Video::from(started, cache, self.wants.tracks);
            self.video_lost &= !matches!(self.video, Video::Whole);
        }
    }

    /// Keeps what must not be lost until there is room, in place of what it replaces.
    fn defer(&mut self, subscriber: &Subscriber, media: &MediaMessage) {
        let fits = self.pending.keep(media);
        subscriber.outbox().set_pending(self.pending.cost());
        if !fits {
            let conn_id = &subscriber.recipient.conn_id;
            log!(Warn, "viewer takes no headers, hanging up"; conn_id = conn_id);
            subscriber.outbox().hang_up(Cause::HeadersMissed);
        }
    }

    /// A picture is lost, and with it all that need it.
    fn lose_video(&mut self, subscriber: &mut Subscriber, now: Instant) -> u64 {
        self.resync();
        self.video_lost = true;
        subscriber.drop_one(now)
    }
}

fn push_media(subscriber: &Subscriber, messages: Vec<Message>) -> Offer {
    subscriber
        .outbox()
        .push_media(subscriber.recipient.stream, messages)
}

/// Whether a message may be left out for a slow viewer: sound, pictures, and data that passes.
fn is_droppable(media: &MediaMessage) -> bool {
    let needed = matches!(
        media.packet.content,
        Content::Header | Content::Config | Content::End
    );
    !needed && !media.is_retained()
}
