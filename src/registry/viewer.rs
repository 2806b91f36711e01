//! One viewer of a stream: what it has been sent, and what it can take.

use super::batches::Batches;
use super::cache::{Cache, JoinAt, JoinBurst};
use super::keyframe_wait::KeyframeWait;
use super::media_message::MediaMessage;
use super::phase::{Video, ViewerPhase};
use super::recipient::{Notice, Recipient, RetainedData, SubscriptionEnd};
use super::selection::{Selection, Wants};
use super::slowness::{Patience, Slowness};
use crate::log;
use crate::media::{Content, Tracks};
use crate::queue::{Cause, Offer, Outbox, Role};
use crate::rtmp::Message;
use std::time::Instant;

/// Most headers and data messages that wait for room in a viewer's queue; a viewer that has missed
/// more cannot be brought back in step.
const PENDING_MAX: usize = 128;

/// Most bytes of memory that they take.
pub(super) const PENDING_BYTES_MAX: usize = 4 << 20;

/// The identity of a subscription, unique in a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SubscriptionId(pub(super) u64);

/// A viewer's place in the audience.
pub(super) struct Viewer {
    id: SubscriptionId,
    role: Role,
    recipient: Recipient,
    phase: ViewerPhase,
    wants: Wants,
    paused: bool,
    /// Headers and metadata that could not be sent and must not be lost.
    pending: Vec<MediaMessage>,
    /// Whether the recipient is to be told that it is too slow.
    notice_pending: bool,
    slowness: Slowness,
    /// Bytes that its connection had been sent when the publication began, or when it joined.
    bytes_before: u64,
}

impl Viewer {
    /// A viewer who waits for a publisher until `deadline`.
    pub(super) fn new(
        id: SubscriptionId,
        role: Role,
        recipient: Recipient,
        deadline: Instant,
    ) -> Viewer {
        Viewer {
            id,
            bytes_before: role.outbox().bytes(),
            role,
            phase: ViewerPhase::Waiting(deadline),
            wants: Wants {
                audio: true,
                video: true,
                tracks: recipient.tracks,
            },
            recipient,
            paused: false,
            pending: Vec::new(),
            notice_pending: false,
            slowness: Slowness::default(),
        }
    }

    pub(super) fn id(&self) -> SubscriptionId {
        self.id
    }

    /// The outbox of its connection.
    pub(super) fn outbox(&self) -> &Outbox {
        self.role.outbox()
    }

    /// Whether it is one of the audience: a client that plays or waits.
    pub(super) fn is_player(&self) -> bool {
        self.recipient.is_player()
    }

    /// Whether what it is sent goes to one of these servers.
    pub(super) fn goes_to(&self, servers: &[String]) -> bool {
        self.recipient.goes_to(servers)
    }

    /// The servers that what it is sent goes to.
    pub(super) fn via(&self) -> &[String] {
        &self.recipient.via
    }

    /// Bytes that its connection was sent since the publication began, or since it joined.
    pub(super) fn bytes_sent(&self) -> u64 {
        self.outbox().bytes().saturating_sub(self.bytes_before)
    }

    /// Whether the viewer still waits to be told anything, and its time is up.
    pub(super) fn has_waited_until(&self, now: Instant) -> bool {
        self.is_player() && matches!(self.phase, ViewerPhase::Waiting(deadline) if deadline <= now)
    }

    /// Whether the viewer was told that it plays.
    pub(super) fn has_started(&self) -> bool {
        !matches!(self.phase, ViewerPhase::Waiting(_))
    }

    /// Whether live messages go to this viewer as they are, without a look at each.
    pub(super) fn is_in_step(&self) -> bool {
        let playing = matches!(self.phase, ViewerPhase::Playing(Video::Whole));
        playing && !self.paused && self.wants.audio && self.wants.video && self.pending.is_empty()
    }

    /// Tells the recipient that it plays, and begins if the stream can.
    pub(super) fn start(&mut self, cache: &Cache, now: Instant) {
        let start = self.recipient.notices.start();
        if !start.is_empty() && self.outbox().push_reply(start) == Offer::Full {
            self.outbox().hang_up(Cause::QueueFull);
        }
        self.phase = ViewerPhase::Starting(KeyframeWait::since(now));
        self.begin(cache, None, JoinAt::Keyframe);
    }

    /// The stream has another publication now: nothing of the last one counts.
    pub(super) fn restart(&mut self, now: Instant) {
        self.bytes_before = self.outbox().bytes();
        if self.has_started() {
            self.phase = ViewerPhase::Starting(KeyframeWait::since(now));
            self.pending.clear();
        }
    }

    /// Whether it cannot begin before the tracks are known.
    pub(super) fn needs_presentation(&self) -> bool {
        self.recipient.needs_kinds
    }

    /// Whether it takes the first track of each kind only.
    pub(super) fn takes_first_tracks(&self) -> bool {
        self.wants.tracks == Selection::First
    }

    /// `media` has video tracks that are not in the cache: each of them begins with its own keyframe.
    pub(super) fn note_new_tracks(&mut self, media: &MediaMessage, cache: &Cache) {
        let known = cache.video_tracks(self.wants.tracks);
        let appears = |media: &MediaMessage| !known.contains(media.packet.tracks);
        if !media.of(self.wants.tracks).is_some_and(appears) {
            return;
        }
        if let ViewerPhase::Playing(video @ Video::Whole) = &mut self.phase {
            *video = Video::From(known);
        }
    }

    /// Tells the recipient something that nothing depends on.
    pub(super) fn notify(&self, notice: Notice) {
        if let Some(message) = self.recipient.notices.notice(notice) {
            self.outbox().push_reply(vec![message]);
        }
    }

    /// Ends the subscription: the recipient is told so, and hung up on if it has no other role.
    pub(super) fn end(self) {
        let end = match self.phase {
            ViewerPhase::Waiting(_) => SubscriptionEnd::NeverBegan,
            ViewerPhase::Starting(_) | ViewerPhase::Playing(_) => SubscriptionEnd::StreamOver,
        };
        self.role.end(self.recipient.notices.closing_messages(end));
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
        if let ViewerPhase::Playing(video) = &mut self.phase {
            *video = Video::From(Tracks::default());
        }
    }

    /// Sends the beginning of the stream, if the cache has one.
    fn begin(&mut self, cache: &Cache, current: Option<&MediaMessage>, at: JoinAt) {
        if self.paused {
            return;
        }
        if self.recipient.needs_kinds {
            let presentation = cache.presentation();
            let Some(known) = presentation.filter(|presentation| presentation.is_open()) else {
                return;
            };
            self.outbox().set_kinds(known.kinds());
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
        let form = self.recipient.retained_data;
        let data = data.iter().map(|message| form.form(message));
        let messages = data.chain(messages).collect();
        if self.push_media(messages) != Offer::Full {
            self.phase = ViewerPhase::Playing(Video::from(started, cache, self.wants.tracks));
            self.pending = left_out;
            self.recipient.needs_kinds = false;
        }
    }

    /// Sends live messages to a viewer in step as one batch; where there is no room, decides on each.
    /// Returns how many messages a player was not sent.
    pub(super) fn deliver_batch(
        &mut self,
        batches: &Batches,
        media: &[MediaMessage],
        cache: &Cache,
        now: Instant,
    ) -> u64 {
        let is_disposable = |media: &MediaMessage| media.packet.content == Content::Disposable;
        let leaves_out = media.iter().any(is_disposable) && self.outbox().is_half_full();
        let rewrites = self.recipient.retained_data != RetainedData::Plain
            && media.iter().any(MediaMessage::is_retained);
        if leaves_out || rewrites {
            return self.deliver_each(media, cache, now);
        }
        let Some(batch) = batches.of(self.wants.tracks) else {
            return 0;
        };
        match self.outbox().offer(self.recipient.stream, batch) {
            Offer::Sent => self.caught_up(now),
            Offer::Queued | Offer::Closed => {}
            Offer::Full => return self.deliver_each(media, cache, now),
        }
        0
    }

    fn deliver_each(&mut self, media: &[MediaMessage], cache: &Cache, now: Instant) -> u64 {
        let deliver = |media| self.deliver_one(media, cache, now);
        media.iter().map(deliver).sum()
    }

    /// Decides on one live message, which is noted in the cache already. Returns how many
    /// messages a player was not sent.
    pub(super) fn deliver_one(&mut self, media: &MediaMessage, cache: &Cache, now: Instant) -> u64 {
        let Some(media) = media.of(self.wants.tracks) else {
            return 0;
        };
        match &mut self.phase {
            ViewerPhase::Waiting(_) => 0,
            ViewerPhase::Starting(wait) => {
                let at = match wait.is_over(media, now) {
                    true => JoinAt::AnySound,
                    false => JoinAt::Keyframe,
                };
                self.begin(cache, Some(media), at);
                0
            }
            ViewerPhase::Playing(_) if self.paused || !self.wants.includes(media.message.kind) => {
                if media.is_header() || media.is_retained() {
                    self.defer(media);
                }
                0
            }
            ViewerPhase::Playing(video) => {
                if media.is_dependent_frame() && !video.has_begun(media.packet.tracks) {
                    self.skip_one()
                } else {
                    self.send(media, cache, now)
                }
            }
        }
    }

    /// Sends one message behind what is pending, or drops it where it may be dropped.
    fn send(&mut self, media: &MediaMessage, cache: &Cache, now: Instant) -> u64 {
        let is_disposable = media.packet.content == Content::Disposable;
        let restarts = media.is_keyframe() && self.slowness.is_behind();
        if (is_disposable || restarts) && self.outbox().is_half_full() {
            return match is_disposable {
                true => self.drop_one(now),
                false => self.lose_video(now),
            };
        }
        match self.push_with_pending(media) {
            Offer::Full if !is_droppable(media) => {
                self.defer(media);
                self.fall_behind(now);
                0
            }
            Offer::Full if media.is_video() => self.lose_video(now),
            Offer::Full => self.drop_one(now),
            offer => {
                self.video_begins(media, cache);
                if offer == Offer::Sent {
                    self.caught_up(now);
                }
                0
            }
        }
    }

    /// Offers one message behind what is pending.
    fn push_with_pending(&mut self, media: &MediaMessage) -> Offer {
        if self.push_notice() == Offer::Full {
            return Offer::Full;
        }
        let form = self.recipient.retained_data;
        if self.pending.is_empty() {
            let message = match media.is_retained() {
                true => form.form(&media.message),
                false => media.message.clone(),
            };
            return self.push_media(vec![message]);
        }
        let wants = self.wants;
        let (now, later): (Vec<MediaMessage>, _) = self
            .pending
            .drain(..)
            .partition(|kept| wants.includes(kept.message.kind));
        let timestamp = media.message.timestamp;
        let due = |kept: &MediaMessage| match kept.is_retained() {
            true => form.form(&kept.message),
            false => Message {
                timestamp,
                ..kept.message.clone()
            },
        };
        let messages = now.iter().chain([media]).map(due).collect();
        let offer = self.push_media(messages);
        self.pending = later;
        if offer == Offer::Full {
            self.pending.extend(now);
        }
        offer
    }

    /// Tells the recipient that it is too slow, if that is due.
    fn push_notice(&mut self) -> Offer {
        let due = self.notice_pending.then_some(Notice::TooSlow);
        let message = due.and_then(|notice| self.recipient.notices.notice(notice));
        let offer = message.map_or(Offer::Sent, |message| {
            self.outbox().push_reply(vec![message])
        });
        self.notice_pending &= offer == Offer::Full;
        offer
    }

    fn push_media(&self, messages: Vec<Message>) -> Offer {
        self.outbox().push_media(self.recipient.stream, messages)
    }

    fn video_begins(&mut self, media: &MediaMessage, cache: &Cache) {
        if let (true, ViewerPhase::Playing(Video::From(started))) =
            (media.is_keyframe(), &mut self.phase)
        {
            started.extend(media.packet.tracks);
            let started = *started;
            self.phase = ViewerPhase::Playing(Video::from(started, cache, self.wants.tracks));
        }
    }

    /// Keeps what must not be lost until there is room, in place of what it replaces.
    fn defer(&mut self, media: &MediaMessage) {
        self.pending.retain(|kept| !media.replaces(kept));
        self.pending.push(media.clone());
        let costs = self.pending.iter().map(MediaMessage::cost);
        if self.pending.len() > PENDING_MAX || costs.sum::<usize>() > PENDING_BYTES_MAX {
            log!(Warn, "viewer takes no headers, hanging up"; conn_id = self.recipient.conn_id);
            self.role.outbox().hang_up(Cause::HeadersMissed);
        }
    }

    /// A picture is lost, and with it all that need it.
    fn lose_video(&mut self, now: Instant) -> u64 {
        self.resync();
        self.drop_one(now)
    }

    fn drop_one(&mut self, now: Instant) -> u64 {
        self.fall_behind(now);
        self.count_drop()
    }

    /// A picture is left out because another is missing; it counts only if that was dropped.
    fn skip_one(&mut self) -> u64 {
        match self.slowness.is_behind() {
            true => self.count_drop(),
            false => 0,
        }
    }

    /// Counts a message that was left out; returns 1 for a player, and 0 for a server.
    fn count_drop(&mut self) -> u64 {
        self.slowness.count_drop();
        self.outbox().count_drops(1);
        u64::from(self.is_player())
    }

    fn fall_behind(&mut self, now: Instant) {
        if !self.slowness.is_behind() {
            self.slowness.begin(now);
            self.notice_pending = true;
        }
    }

    fn caught_up(&mut self, now: Instant) {
        self.slowness.end(now, &self.recipient.conn_id);
    }

    /// A viewer that has taken everything is not behind any more. One that has been behind for too
    /// long is hung up on.
    pub(super) fn check_behind(&mut self, now: Instant) {
        // It may be sent nothing more for long, paused say, so this is not left to the next message.
        if self.outbox().waiting() == 0 {
            self.caught_up(now);
        }
        if self.slowness.check(now, &self.recipient.conn_id) == Patience::Exhausted {
            self.outbox().hang_up(Cause::Behind);
        }
    }
}

/// Whether a message may be left out for a slow viewer: sound, pictures, and data that passes.
fn is_droppable(media: &MediaMessage) -> bool {
    let needed = matches!(
        media.packet.content,
        Content::Header | Content::Config | Content::End
    );
    !needed && !media.is_retained()
}
