//! One viewer of a stream: what it has been sent, and what it can take.

use super::batches::Batches;
use super::cache::{Cache, JoinBurst, MediaMessage, Selection, Wants};
use super::keyframe_wait::KeyframeWait;
use crate::log;
use crate::media::{Content, Tracks};
use crate::queue::{Cause, Offer, Outbox, Role};
use crate::rtmp::data::set_data_frame;
use crate::rtmp::{Message, StreamId, status};
use std::time::{Duration, Instant};

/// How long a viewer may stay behind before it is hung up on.
pub const BEHIND_MAX: Duration = Duration::from_secs(30);

/// Most headers and data messages that wait for room in a viewer's queue; a viewer that has missed
/// more cannot be brought back in step.
const PENDING_MAX: usize = 128;

/// Most bytes of memory that they take.
pub const PENDING_BYTES_MAX: usize = 4 << 20;

/// Who is sent a stream.
#[derive(Clone, Debug)]
pub struct Recipient {
    /// The connection, for the log.
    pub conn_id: String,
    /// The message stream on which it is sent.
    pub stream: StreamId,
    /// What it is to us.
    pub part: SubscriberKind,
    /// Which tracks it takes.
    pub tracks: Selection,
    /// The servers that what it is sent goes to, if it is a server that says so.
    pub via: Vec<String>,
}

impl Recipient {
    /// Whether what it is sent goes to one of these servers.
    pub fn goes_to(&self, servers: &[String]) -> bool {
        self.via.iter().any(|server| servers.contains(server))
    }
}

/// What a recipient is to us, and thereby what it is told besides the media.
#[derive(Clone, Debug)]
pub enum SubscriberKind {
    /// A client that plays.
    Player {
        /// The name that it asked for.
        name: String,
        /// What it is to be told when playing begins.
        start: Vec<Message>,
    },
    /// A server that we publish to. It is part of nobody's audience.
    Server {
        /// What it is to be told when the stream is over.
        end: Vec<Message>,
    },
}

/// How far a viewer has come.
#[derive(Debug)]
enum ViewerPhase {
    /// There is no publisher; the viewer has been told nothing and waits, a player until then.
    Waiting(Instant),
    /// The viewer was told that it plays, and has nothing of this publication yet.
    Starting(KeyframeWait),
    /// The viewer is sent what comes. Of video only the tracks that have begun, until all have.
    Playing(Video),
}

#[derive(Debug)]
enum Video {
    Whole,
    From(Tracks),
}

/// A time during which a viewer takes less than there is.
#[derive(Debug)]
struct Episode {
    since: Instant,
    dropped: u64,
}

/// A viewer's place in the audience.
pub struct Viewer {
    id: u64,
    role: Role,
    recipient: Recipient,
    phase: ViewerPhase,
    wants: Wants,
    paused: bool,
    /// What could not be sent and must not be lost: headers, metadata, notices.
    pending: Vec<MediaMessage>,
    notice_pending: bool,
    episode: Option<Episode>,
    /// What its connection had been sent, in bytes, when the publication began, or it came.
    bytes_before: u64,
}

impl Viewer {
    /// A viewer who waits for a publisher until `deadline`.
    pub fn new(id: u64, role: Role, recipient: Recipient, deadline: Instant) -> Viewer {
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
            episode: None,
        }
    }

    /// The number of the subscription.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The way to it.
    pub fn outbox(&self) -> &Outbox {
        self.role.outbox()
    }

    /// Whether it is one of the audience: a client that plays or waits.
    pub fn is_player(&self) -> bool {
        matches!(self.recipient.part, SubscriberKind::Player { .. })
    }

    /// Whether what it is sent goes to one of these servers.
    pub fn goes_to(&self, servers: &[String]) -> bool {
        self.recipient.goes_to(servers)
    }

    /// The servers that what it is sent goes to.
    pub fn via(&self) -> &[String] {
        &self.recipient.via
    }

    /// Bytes that its connection was sent since the publication began, or it came.
    pub fn bytes_sent(&self) -> u64 {
        self.outbox().bytes().saturating_sub(self.bytes_before)
    }

    /// Whether the viewer still waits to be told anything, and its time is up.
    pub fn has_waited_until(&self, now: Instant) -> bool {
        self.is_player() && matches!(self.phase, ViewerPhase::Waiting(deadline) if deadline <= now)
    }

    /// Whether the viewer was told that it plays.
    pub fn has_started(&self) -> bool {
        !matches!(self.phase, ViewerPhase::Waiting(_))
    }

    /// Whether live messages go to this viewer as they are, without a look at each.
    pub fn is_in_step(&self) -> bool {
        let playing = matches!(self.phase, ViewerPhase::Playing(Video::Whole));
        playing && !self.paused && self.wants.audio && self.wants.video && self.pending.is_empty()
    }

    /// Tells a player that it plays, and begins if the stream can.
    pub fn start(&mut self, cache: &Cache, now: Instant) {
        if let SubscriberKind::Player { start, .. } = &mut self.recipient.part
            && self.role.outbox().push_reply(std::mem::take(start)) == Offer::Full
        {
            self.role.outbox().hang_up(Cause::QueueFull);
        }
        self.phase = ViewerPhase::Starting(KeyframeWait::since(now));
        self.begin(cache, None, false);
    }

    /// The stream has another publication now: nothing of the last one counts.
    pub fn restart(&mut self, now: Instant) {
        self.bytes_before = self.outbox().bytes();
        if self.has_started() {
            self.phase = ViewerPhase::Starting(KeyframeWait::since(now));
            self.pending.clear();
        }
    }

    /// Whether it takes the first track of each kind only.
    pub fn takes_first_tracks(&self) -> bool {
        self.wants.tracks == Selection::First
    }

    /// With `media`, video tracks have appeared beside those in the cache: each of them begins with
    /// its own keyframe.
    pub fn tracks_appeared(&mut self, media: &MediaMessage, cache: &Cache) {
        let known = cache.video_tracks(self.wants.tracks);
        let appears = |media: &MediaMessage| !known.contains(media.packet.tracks);
        if !media.of(self.wants.tracks).is_some_and(appears) {
            return;
        }
        if let ViewerPhase::Playing(video @ Video::Whole) = &mut self.phase {
            *video = Video::From(known);
        }
    }

    /// Sends a player a message that nothing depends on.
    pub fn tell(&self, message: Message) {
        if self.is_player() {
            self.role.outbox().push_reply(vec![message]);
        }
    }

    /// The stream is over: says so and takes leave.
    pub fn end(self) {
        let stream = self.recipient.stream;
        let messages = match (self.recipient.part, self.phase) {
            (SubscriberKind::Player { name, .. }, ViewerPhase::Waiting(_)) => {
                vec![status::not_found(stream, &name)]
            }
            (SubscriberKind::Player { name, .. }, _) => status::play_end(stream, &name).into(),
            (SubscriberKind::Server { end }, _) => end,
        };
        self.role.end(messages);
    }

    /// The message stream on which it is sent.
    pub fn stream(&self) -> StreamId {
        self.recipient.stream
    }

    /// Data that is kept, as this recipient is told of it.
    fn as_sent_to_viewer(&self, message: &Message) -> Message {
        match self.recipient.part {
            SubscriberKind::Player { .. } => message.clone(),
            SubscriberKind::Server { .. } => set_data_frame(message),
        }
    }

    /// Pauses or goes on, which is at the next keyframe.
    pub fn set_paused(&mut self, paused: bool) {
        if self.paused && !paused {
            self.resync();
        }
        self.paused = paused;
    }

    /// Turns audio on or off.
    pub fn set_audio(&mut self, on: bool) {
        self.wants.audio = on;
    }

    /// Turns video on or off; it comes back at the next keyframe.
    pub fn set_video(&mut self, on: bool) {
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

    /// Sends the beginning, if there is one. `overdue`: it need not be a keyframe any more.
    fn begin(&mut self, cache: &Cache, current: Option<&MediaMessage>, overdue: bool) {
        if self.paused {
            return;
        }
        let Some(beginning) = cache.beginning(self.wants, current, overdue) else {
            return;
        };
        let JoinBurst {
            data,
            messages,
            started,
            left_out,
        } = beginning;
        let data = data.iter().map(|message| self.as_sent_to_viewer(message));
        let messages = data.chain(messages).collect();
        if self.outbox().push_media(self.stream(), messages) != Offer::Full {
            self.phase = ViewerPhase::Playing(video_from(started, cache, self.wants.tracks));
            self.pending = left_out;
        }
    }

    /// Offers live messages to a viewer in step. Where there is no room, each is looked at.
    pub fn offer(
        &mut self,
        batches: &Batches,
        media: &[MediaMessage],
        cache: &Cache,
        now: Instant,
    ) -> u64 {
        let disposable = |media: &MediaMessage| media.packet.content == Content::Disposable;
        let leaves_out = media.iter().any(disposable) && self.outbox().is_half_full();
        let dresses = !self.is_player() && media.iter().any(MediaMessage::is_retained);
        if leaves_out || dresses {
            return media
                .iter()
                .map(|media| self.deliver_one(media, cache, now))
                .sum();
        }
        let Some(batch) = batches.of(self.wants.tracks) else {
            return 0;
        };
        match self.outbox().offer(self.stream(), batch) {
            Offer::Sent => self.caught_up(now),
            Offer::Queued | Offer::Closed => {}
            Offer::Full => {
                return media
                    .iter()
                    .map(|media| self.deliver_one(media, cache, now))
                    .sum();
            }
        }
        0
    }

    /// Decides on one live message, which is noted in the cache already. Returns how many
    /// messages a player was not sent.
    pub fn deliver_one(&mut self, media: &MediaMessage, cache: &Cache, now: Instant) -> u64 {
        let Some(media) = media.of(self.wants.tracks) else {
            return 0;
        };
        match &mut self.phase {
            ViewerPhase::Waiting(_) => 0,
            ViewerPhase::Starting(wait) => {
                let overdue = wait.is_over(media, now);
                self.begin(cache, Some(media), overdue);
                0
            }
            ViewerPhase::Playing(_) if self.paused || !self.wants.includes(media.message.kind) => {
                if media.is_header() || media.is_retained() {
                    self.keep(media);
                }
                0
            }
            ViewerPhase::Playing(video) => {
                if media.is_dependent_frame() && !video.has_begun(media.packet.tracks) {
                    self.count_drop(0)
                } else {
                    self.send(media, cache, now)
                }
            }
        }
    }

    /// Sends one message behind what is pending, or drops it where it may be dropped.
    fn send(&mut self, media: &MediaMessage, cache: &Cache, now: Instant) -> u64 {
        let disposable = media.packet.content == Content::Disposable;
        let restarts = media.is_keyframe() && self.episode.is_some();
        if (disposable || restarts) && self.outbox().is_half_full() {
            return match disposable {
                true => self.drop_one(now),
                false => self.lose_video(now),
            };
        }
        match self.offer_with_pending(media) {
            Offer::Full if !is_droppable(media) => {
                self.keep(media);
                self.begin_episode(now);
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

    fn offer_with_pending(&mut self, media: &MediaMessage) -> Offer {
        let (outbox, stream) = (self.role.outbox(), self.recipient.stream);
        if let (true, SubscriberKind::Player { name, .. }) =
            (self.notice_pending, &self.recipient.part)
        {
            let notice = status::insufficient_bandwidth(stream, name);
            match outbox.push_reply(vec![notice]) {
                Offer::Full => return Offer::Full,
                _ => self.notice_pending = false,
            }
        }
        if self.pending.is_empty() {
            let message = match media.is_retained() {
                true => self.as_sent_to_viewer(&media.message),
                false => media.message.clone(),
            };
            return outbox.push_media(stream, vec![message]);
        }
        let wants = self.wants;
        let (now, later): (Vec<MediaMessage>, _) = self
            .pending
            .drain(..)
            .partition(|kept| wants.includes(kept.message.kind));
        let timestamp = media.message.timestamp;
        let due = |kept: &MediaMessage| match kept.is_retained() {
            true => self.as_sent_to_viewer(&kept.message),
            false => Message {
                timestamp,
                ..kept.message.clone()
            },
        };
        let messages = now.iter().chain([media]).map(due).collect();
        let offer = self.outbox().push_media(stream, messages);
        self.pending = later;
        if offer == Offer::Full {
            self.pending.extend(now);
        }
        offer
    }

    fn video_begins(&mut self, media: &MediaMessage, cache: &Cache) {
        if let (true, ViewerPhase::Playing(Video::From(started))) =
            (media.is_keyframe(), &mut self.phase)
        {
            started.extend(media.packet.tracks);
            let started = *started;
            self.phase = ViewerPhase::Playing(video_from(started, cache, self.wants.tracks));
        }
    }

    /// Keeps what must not be lost, in place of what it replaces.
    fn keep(&mut self, media: &MediaMessage) {
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
        self.begin_episode(now);
        self.count_drop(1)
    }

    fn count_drop(&mut self, at_least: u64) -> u64 {
        let dropped = if self.episode.is_some() { 1 } else { at_least };
        if let Some(episode) = &mut self.episode {
            episode.dropped += dropped;
        }
        self.outbox().count_drops(dropped);
        match self.is_player() {
            true => dropped,
            false => 0,
        }
    }

    fn begin_episode(&mut self, now: Instant) {
        if self.episode.is_none() {
            self.episode = Some(Episode {
                since: now,
                dropped: 0,
            });
            self.notice_pending = true;
        }
    }

    fn caught_up(&mut self, now: Instant) {
        if let Some(episode) = self.episode.take() {
            let behind_sec = log::Seconds(now.saturating_duration_since(episode.since));
            log!(Warn, "viewer was too slow"; conn_id = self.recipient.conn_id,
                dropped = episode.dropped, behind_sec = behind_sec);
        }
    }

    /// Ends the episode of a viewer that has taken everything; hangs up on one that has been behind
    /// for too long.
    pub fn check_behind(&mut self, now: Instant) {
        // It may be sent nothing more for long, paused say, so this is not left to the next message.
        if self.outbox().waiting() == 0 {
            self.caught_up(now);
        }
        let too_long =
            |episode: &Episode| now.saturating_duration_since(episode.since) >= BEHIND_MAX;
        if let Some(episode) = self.episode.take_if(|episode| too_long(episode)) {
            log!(Warn, "viewer too slow, hanging up"; conn_id = self.recipient.conn_id,
                dropped = episode.dropped, behind_sec = BEHIND_MAX.as_secs());
            self.role.outbox().hang_up(Cause::Behind);
        }
    }
}

impl Video {
    fn has_begun(&self, tracks: Tracks) -> bool {
        match self {
            Video::Whole => true,
            Video::From(started) => started.contains(tracks),
        }
    }
}

fn video_from(started: Tracks, cache: &Cache, selection: Selection) -> Video {
    match started.contains(cache.video_tracks(selection)) {
        true => Video::Whole,
        false => Video::From(started),
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
