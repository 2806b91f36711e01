//! One publication of a stream. All that lasts as long as it does ends by dropping it.

use super::cache::Cache;
use super::ending::{AtEnd, Ended, Reason, Traffic};
use super::last_heard::LastHeard;
use super::media_message::MediaMessage;
use super::publisher::{Origin, Publisher};
use super::selection::Selection;
use super::tap::{Tap, Taps};
use super::timeline::Timeline;
use crate::media::Codec;
use crate::memory::{Budget, Owner};
use crate::queue::{Cause, Feed, FeedLimits, Role};
use crate::rtmp::data::Data;
use crate::rtmp::{Message, MessageType, Timestamp};
use crate::stats::{Counters, PublicationId};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A publication that goes on.
pub(super) struct Live {
    conn_id: String,
    role: Role,
    heard: Arc<LastHeard>,
    origin: Origin,
    via: Vec<String>,
    at_end: Option<AtEnd>,
    /// Consumers on this machine.
    feeds: Vec<Feed>,
    /// Those that came later.
    taps: Taps,
    cache: Cache,
    figures: Figures,
}

/// What is counted from the beginning of a publication until its viewers have left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    pub(super) publication: PublicationId,
    pub(super) since: Instant,
    pub(super) traffic: Traffic,
    /// Bytes sent to players who have left.
    pub(super) bytes_departed: u64,
    /// The time of the last message, as viewers see it.
    pub(super) time: Timestamp,
}

impl Live {
    /// A publication that begins now. It counts as a role of the publisher's connection.
    pub(super) fn new(id: PublicationId, publisher: Publisher, keep_gop: bool) -> Live {
        let Publisher {
            conn_id,
            outbox,
            heard,
            origin,
            via,
        } = publisher;
        Live {
            conn_id,
            role: outbox.take_role(),
            heard,
            origin,
            via,
            at_end: None,
            feeds: Vec::new(),
            taps: Taps::default(),
            cache: Cache::new(keep_gop),
            figures: Figures {
                publication: id,
                since: Instant::now(),
                traffic: Traffic::default(),
                bytes_departed: 0,
                time: Timestamp(0),
            },
        }
    }

    pub(super) fn id(&self) -> PublicationId {
        self.figures.publication
    }

    pub(super) fn conn_id(&self) -> &str {
        &self.conn_id
    }

    /// To whom the memory of the publication counts.
    pub(super) fn owner(&self) -> Option<Owner> {
        self.role.outbox().owner()
    }

    /// The servers that the stream has come through.
    pub(super) fn via(&self) -> &[String] {
        &self.via
    }

    /// For how long nothing has come from the publisher.
    pub(super) fn silence(&self) -> Duration {
        self.heard.silence()
    }

    pub(super) fn cache(&self) -> &Cache {
        &self.cache
    }

    pub(super) fn cache_mut(&mut self) -> &mut Cache {
        &mut self.cache
    }

    pub(super) fn figures(&self) -> &Figures {
        &self.figures
    }

    pub(super) fn figures_mut(&mut self) -> &mut Figures {
        &mut self.figures
    }

    /// Gives a consumer everything that is sent from now on.
    pub(super) fn attach(&mut self, feed: Feed) {
        feed.set_owner(self.owner());
        self.feeds.push(feed);
    }

    /// Gives a consumer what late joiners get, and everything that is sent from now on.
    pub(super) fn tap(&mut self, limits: FeedLimits, budget: &Arc<Budget>, now: Instant) -> Tap {
        Tap {
            intake: self
                .taps
                .open(&self.cache, limits, (budget, self.owner()), now),
            keyframes_ms: self.cache.keyframes_ms(),
        }
    }

    /// Whether a consumer takes what is sent.
    pub(super) fn is_recorded(&self) -> bool {
        self.feeds.iter().any(Feed::is_open)
    }

    /// Whether a consumer came late, and is still there.
    pub(super) fn is_tapped(&self) -> bool {
        self.taps.is_open()
    }

    pub(super) fn push_to_feeds(&self, run: &[MediaMessage], now: Instant) {
        for feed in &self.feeds {
            feed.push(run.iter().map(|media| &media.message), now);
        }
        self.taps.push(run, now);
    }

    /// Has `at_end` called when the publication ends.
    pub(super) fn set_at_end(&mut self, at_end: AtEnd) {
        self.at_end = Some(at_end);
    }

    /// Calls what is to be called at the end of the publication, once.
    pub(super) fn report_end(&mut self, reason: Reason, viewers: usize) {
        if let Some(at_end) = self.at_end.take() {
            at_end(Ended {
                reason,
                viewers,
                traffic: self.figures.traffic,
            });
        }
    }

    /// Tells the publisher that its publication was ended, and closes its connection; `how` follows
    /// the stream's name.
    pub(super) fn dismiss_publisher(&self, how: &str) {
        let closing_messages = self.origin.closing_messages(how);
        self.role.outbox().drain_and_close(closing_messages);
    }

    /// Ends the publisher's connection at once.
    pub(super) fn hang_up_publisher(&self, cause: Cause) {
        self.role.outbox().hang_up(cause);
    }

    /// Counts a message of the publisher, and puts it at the time that viewers see; `None` if it
    /// goes no further.
    pub(super) fn admit(
        &mut self,
        message: Message,
        timeline: &mut Timeline,
        counters: &Counters,
    ) -> Option<MediaMessage> {
        self.count(&message, counters);
        let message = match Data::new(message) {
            Data::Retain { name, message } => return Some(MediaMessage::retained(name, message)),
            Data::Clear(name) => {
                self.cache.clear(&name);
                return None;
            }
            Data::Pass(message) => message,
        };
        let media = MediaMessage::new(message);
        let (timing, time) = (media.timing(), media.message.timestamp);
        let placed = timeline.place(timing, time)?;
        self.figures.time = placed;
        Some(media.at(placed))
    }

    fn count(&mut self, message: &Message, counters: &Counters) {
        let traffic = &mut self.figures.traffic;
        match message.kind {
            MessageType::AUDIO => {
                traffic.audio += 1;
                traffic.audio_bytes += message.payload.len() as u64;
                counters.messages_audio.add(1);
            }
            MessageType::VIDEO => {
                traffic.video += 1;
                traffic.video_bytes += message.payload.len() as u64;
                counters.messages_video.add(1);
            }
            _ => {}
        }
        traffic.bytes += message.payload.len() as u64;
        counters.bytes_in.add(message.payload.len() as u64);
    }

    /// Takes note of the codec of the first audio and of the first video; returns it if it was not
    /// known.
    pub(super) fn note_codec(&mut self, media: &MediaMessage) -> Option<Codec> {
        let traffic = &mut self.figures.traffic;
        let known = match media.message.kind {
            MessageType::AUDIO => &mut traffic.audio_codec,
            MessageType::VIDEO => &mut traffic.video_codec,
            _ => return None,
        };
        if known.is_some() {
            return None;
        }
        *known = media.packet.codec;
        *known
    }

    /// Whether `media` has video tracks that are not in the cache yet.
    pub(super) fn shows_new_track(&self, media: &MediaMessage) -> bool {
        let known = self.cache.video_tracks(Selection::All);
        media.shows_video() && !known.contains(media.packet.tracks)
    }
}
