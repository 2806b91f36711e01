//! One stream: whether it is published, and its audience.

use super::audience::Audience;
use super::cache::Cache;
use super::context::StreamContext;
use super::ending::{AtEnd, PublicationStatus, Reason};
use super::live::{Figures, Live};
use super::media_message::MediaMessage;
use super::presence::Place;
use super::publisher::Publisher;
use super::recipient::{Notice, Recipient, SubscriberKind};
use super::refusal::Refusal;
use super::settings::SILENT_MAX;
use super::stats;
use super::subscription_id::SubscriptionId;
use super::tap::Tap;
use super::timeline::Timeline;
use super::viewer::Viewer;
use crate::awake;
use crate::memory::{Account, GaveWay, Holding, Source};
use crate::queue::{Cause, Feed, FeedLimits, Outbox};
use crate::rtmp::stream_key::StreamKey;
use crate::rtmp::{Message, Timestamp};
use crate::stats::{PublicationId, StreamStats};
use std::sync::Arc;
use std::time::Instant;

/// Whether a stream is published.
enum PublishState {
    /// Nobody publishes it; its audience waits for a publisher.
    Vacant,
    /// The stream has a publisher.
    Live(Box<Live>),
    /// The publisher was lost. Viewers stay until the time given.
    Lost { until: Instant, figures: Figures },
    /// The registry has forgotten the stream: nobody may join it any more.
    Retired,
}

/// One stream. All of it is under one lock, so that joining is one step.
pub(super) struct Stream {
    key: StreamKey,
    context: Arc<StreamContext>,
    /// What is kept for those who join later.
    memory: Account,
    state: PublishState,
    audience: Audience,
    /// The time that the audience sees, across publications.
    timeline: Timeline,
}

impl Stream {
    /// A stream that nobody publishes or watches yet.
    pub(super) fn new(key: StreamKey, context: Arc<StreamContext>) -> Stream {
        Stream {
            key,
            audience: Audience::new(context.settings().chunk_size, &context.send_threads),
            memory: Account::new(&context.budget),
            context,
            state: PublishState::Vacant,
            timeline: Timeline::default(),
        }
    }

    /// Whether the registry has forgotten it.
    pub(super) fn is_retired(&self) -> bool {
        matches!(self.state, PublishState::Retired)
    }

    /// Retires a stream that nobody publishes or watches. Whether it is retired now.
    #[must_use]
    pub(super) fn retire(&mut self) -> bool {
        if self.is_vacant() && self.audience.is_empty() {
            self.state = PublishState::Retired;
        }
        self.is_retired()
    }

    /// The time of the last message of the publication, as viewers see it.
    pub(super) fn time(&self) -> Option<Timestamp> {
        self.live().map(|live| live.figures().time)
    }

    /// Whether somebody sees at once what is sent.
    pub(super) fn is_watched(&self) -> bool {
        !self.audience.is_empty() || self.live().is_some_and(Live::is_tapped)
    }

    fn live(&self) -> Option<&Live> {
        match &self.state {
            PublishState::Live(live) => Some(live),
            PublishState::Vacant | PublishState::Lost { .. } | PublishState::Retired => None,
        }
    }

    /// The publication `id`, unless it is over.
    fn publication(&mut self, id: PublicationId) -> Option<&mut Live> {
        match &mut self.state {
            PublishState::Live(live) if live.id() == id => Some(live),
            _ => None,
        }
    }

    fn figures(&mut self) -> Option<&mut Figures> {
        match &mut self.state {
            PublishState::Live(live) => Some(live.figures_mut()),
            PublishState::Lost { figures, .. } => Some(figures),
            PublishState::Vacant | PublishState::Retired => None,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        self.live().is_some()
    }

    /// Whether nobody publishes, and nobody did a moment ago.
    pub(super) fn is_vacant(&self) -> bool {
        matches!(self.state, PublishState::Vacant | PublishState::Retired)
    }

    /// The servers on the shortest way to one of the audience.
    pub(super) fn shortest_way(&self) -> Option<Vec<String>> {
        self.audience.shortest_way()
    }

    /// The servers that the stream has come through.
    pub(super) fn via(&self) -> &[String] {
        self.live().map_or(&[], Live::via)
    }

    /// Counts those who play or wait.
    pub(super) fn player_count(&self) -> usize {
        self.audience.player_count()
    }

    /// Makes `publisher` the publisher, of publication `id`. The one before is told and hung up on.
    /// Viewers who were there go on with the new headers and keyframe.
    ///
    /// # Errors
    ///
    /// As [`Registry::publish`](super::Registry::publish).
    pub(super) fn publish(
        &mut self,
        id: PublicationId,
        publisher: Publisher,
    ) -> Result<(), Refusal> {
        // A server that has the stream from here must not send it here.
        if !self.is_vacant() && self.audience.goes_to(&publisher.via) {
            return Err(Refusal::Loop);
        }
        if let Some(live) = self.live() {
            let gives_way = self.context.settings().takeover || live.silence() >= SILENT_MAX;
            if !gives_way || publisher.origin.is_server() {
                return Err(Refusal::InUse);
            }
        }
        self.replace_publication(id, publisher);
        Ok(())
    }

    fn replace_publication(&mut self, id: PublicationId, publisher: Publisher) {
        let mut live = Live::new(id, publisher, self.context.settings().gop_cache);
        if self.audience.needs_presentation() {
            live.cache_mut().present();
        }
        self.report_end(Reason::TakenOver);
        self.audience.flush_fragments(&self.key, awake::now());
        let last = std::mem::replace(&mut self.state, PublishState::Vacant);
        if let PublishState::Live(last) = &last {
            last.dismiss_publisher("was taken over by another publisher.");
        }
        // These viewers would send the stream to the servers that it comes from.
        self.audience.end_looping(live.via());
        self.context.counters.publishers.add(1);
        let notice = match &last {
            PublishState::Lost { .. } => Some(Notice::BeginsAgain),
            PublishState::Live(_) => None,
            PublishState::Vacant | PublishState::Retired => {
                self.context.observer.stream_begins(&self.key);
                None
            }
        };
        match self.audience.has_started() {
            true => self.timeline.begin_next(),
            false => self.timeline.begin_first(),
        }
        self.audience
            .begin(live.cache(), live.figures().since, notice);
        self.state = PublishState::Live(Box::new(live));
        self.announce_audience();
        // The last publication's role lasts until here: its connection may be one of the audience.
        drop(last);
    }

    fn announce_audience(&mut self) {
        self.audience
            .announce(&self.key, self.context.observer.as_ref());
    }

    /// Tells the observer how many viewers there are, as if that had changed.
    pub(super) fn announce_demand(&self) {
        let viewers = self.audience.player_count();
        self.context.observer.demand_changes(&self.key, viewers);
    }

    /// Gives a consumer everything that publication `id` sends from now on; nothing, if that is
    /// over.
    pub(super) fn attach(&mut self, id: PublicationId, feed: Feed) {
        if let Some(live) = self.publication(id) {
            live.attach(feed);
        }
    }

    /// Gives a consumer the publication at hand; `None` if there is none.
    pub(super) fn tap(&mut self, limits: FeedLimits, now: Instant) -> Option<Tap> {
        match &mut self.state {
            PublishState::Live(live) => Some(live.tap(limits, &self.context.budget, now)),
            _ => None,
        }
    }

    /// Calls `begin` if publication `id` is not over; what that returns is called when the
    /// publication ends.
    pub(super) fn begin(
        &mut self,
        id: PublicationId,
        begin: impl FnOnce() -> AtEnd,
    ) -> PublicationStatus {
        let Some(live) = self.publication(id) else {
            return PublicationStatus::Over;
        };
        live.set_at_end(begin());
        PublicationStatus::Current
    }

    /// Reports the end of the publication at hand, if there is one and it was not reported.
    fn report_end(&mut self, reason: Reason) {
        if let PublishState::Live(live) = &mut self.state {
            live.report_end(reason, self.audience.player_count());
        }
    }

    /// Has the next sound or picture of publication `id` follow the last.
    pub(super) fn restart_times(&mut self, id: PublicationId) {
        if self.publication(id).is_some() {
            self.timeline.begin_next();
        }
    }

    /// Sends messages of publication `id` to everyone, and waits for no one; sends nothing if it
    /// is over.
    pub(super) fn send(
        &mut self,
        id: PublicationId,
        messages: impl IntoIterator<Item = Message>,
        now: Instant,
    ) -> PublicationStatus {
        let PublishState::Live(live) = &mut self.state else {
            return PublicationStatus::Over;
        };
        if live.id() != id {
            return PublicationStatus::Over;
        }
        let StreamContext {
            counters, observer, ..
        } = &*self.context;
        let mut run = Vec::new();
        for message in messages {
            let Some(media) = live.admit(message, &mut self.timeline, counters) else {
                continue;
            };
            if let Some(codec) = live.note_codec(&media) {
                let kind = media.message.kind;
                observer.codec_appears(&self.key, live.conn_id(), kind, codec);
            }
            if live.shows_new_track(&media) {
                let run = std::mem::take(&mut run);
                deliver(run, live, &mut self.audience, &self.key, now);
                self.audience.note_new_tracks(&media, live.cache());
            }
            run.push(media);
        }
        deliver(run, live, &mut self.audience, &self.key, now);
        if let Some(bytes) = self.audience.end_unplayable() {
            live.figures_mut().bytes_departed += bytes;
            self.announce_audience();
        }
        self.count_memory();
        PublicationStatus::Current
    }

    /// Counts what is kept for those who join later. Where there is no room for it, pictures go.
    fn count_memory(&mut self) {
        self.memory.set(self.cost());
        if !self.memory.is_tolerated() {
            self.forget_pictures();
        }
    }

    fn cost(&self) -> usize {
        let cache = self.live().map(Live::cache);
        cache.map_or(0, Cache::cost) + self.audience.muxers_cost()
    }

    fn forget_pictures(&mut self) {
        if let PublishState::Live(live) = &mut self.state {
            live.cache_mut().forget_pictures();
        }
        self.audience.forget_fragments();
        self.memory.set(self.cost());
    }

    /// The memory of what is kept for those who join later, in bytes.
    pub(super) fn held_bytes(&self) -> usize {
        self.memory.bytes()
    }

    /// The same, and whose it is: the publisher's. Viewers elsewhere need it.
    pub(super) fn holding(&self) -> Holding {
        let owner = self.live().and_then(Live::owner);
        Holding {
            others: self.audience.count_owners_beside(owner),
            ..Holding::own(owner, self.held_bytes())
        }
    }

    /// Gives memory back: pictures that are kept for those who join later, and where others are most of
    /// it, the publisher.
    pub(super) fn give_way(&mut self) -> Option<GaveWay> {
        let before = self.cost();
        self.forget_pictures();
        if self.cost() <= before / 2 {
            return Some(GaveWay::Cache);
        }
        let live = self.live()?;
        live.hang_up_publisher(Cause::Kept);
        Some(GaveWay::Peer)
    }

    /// The publisher of publication `id` is gone without a word. Viewers stay for a while.
    pub(super) fn lose(&mut self, id: PublicationId, now: Instant) {
        let grace = self.context.settings().grace;
        let stays = !self.audience.is_empty() && !grace.is_zero();
        let Some(live) = self.publication(id) else {
            return;
        };
        if !stays {
            return self.end(Reason::Lost);
        }
        let figures = *live.figures();
        self.audience.flush_fragments(&self.key, now);
        self.report_end(Reason::Lost);
        self.state = PublishState::Lost {
            until: now + grace,
            figures,
        };
        self.audience.notify(Notice::Dry);
        self.count_memory();
    }

    /// The publisher of publication `id` has finished: viewers are told and leave.
    pub(super) fn finish(&mut self, id: PublicationId) {
        if self.publication(id).is_some() {
            self.end(Reason::Finished);
        }
    }

    /// Ends the stream for somebody else than the publisher, who is told as well.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotFound`] if there is nothing to end.
    pub(super) fn end_from_outside(&mut self) -> Result<(), Refusal> {
        if let Some(live) = self.live() {
            live.dismiss_publisher("was ended by the server.");
        }
        if self.is_vacant() {
            return Err(Refusal::NotFound);
        }
        self.end(Reason::EndedByServer);
        Ok(())
    }

    /// The stream is over. Players who only wait for it to begin go on waiting.
    fn end(&mut self, reason: Reason) {
        if self.is_vacant() {
            return;
        }
        self.report_end(reason);
        let last = std::mem::replace(&mut self.state, PublishState::Vacant);
        self.audience.flush_fragments(&self.key, awake::now());
        self.audience.end_started();
        self.announce_audience();
        self.context.observer.stream_ends(&self.key);
        self.count_memory();
        // Its role lasts until here: its connection may be one of the audience.
        drop(last);
    }

    /// Ends the stream for all viewers; the publisher is told by the server.
    pub(super) fn close(&mut self) {
        self.end(Reason::EndedByServer);
        self.audience.end_all();
    }

    /// Adds a viewer: it starts at once, or waits until `deadline` for the stream to begin.
    ///
    /// # Errors
    ///
    /// As [`Registry::subscribe`](super::Registry::subscribe).
    pub(super) fn subscribe(
        &mut self,
        (id, place): (SubscriptionId, Place),
        outbox: &Arc<Outbox>,
        recipient: Recipient,
        now: Instant,
    ) -> Result<(), Refusal> {
        let settings = self.context.settings();
        let is_missing = match recipient.kind {
            SubscriberKind::Player => !self.is_live() && settings.wait.is_zero(),
            SubscriberKind::Server => self.is_vacant(),
        };
        if is_missing {
            return Err(Refusal::NotFound);
        }
        if recipient.goes_to(self.via()) {
            return Err(Refusal::Loop);
        }
        let is_player = recipient.is_player();
        let deadline = now + settings.wait;
        outbox.note_source(Source::at(self));
        let viewer = Viewer::new((id, place), outbox.take_role(), recipient, deadline);
        let cache = match &mut self.state {
            PublishState::Live(live) => {
                if viewer.needs_presentation() {
                    live.cache_mut().present();
                }
                Some(live.cache())
            }
            _ => None,
        };
        self.audience.join(viewer, &self.key, cache, now)?;
        if is_player {
            self.context.counters.subscribers.add(1);
        }
        self.announce_audience();
        Ok(())
    }

    /// Removes a viewer, if it is still here.
    pub(super) fn unsubscribe(&mut self, id: SubscriptionId) {
        let Some(viewer) = self.audience.leave(id) else {
            return;
        };
        if viewer.is_player()
            && let Some(figures) = self.figures()
        {
            figures.bytes_departed += viewer.bytes_sent();
        }
        self.announce_audience();
    }

    /// The viewer of subscription `id`, if it is still here.
    pub(super) fn viewer(&mut self, id: SubscriptionId) -> Option<&mut Viewer> {
        self.audience.viewer(id)
    }

    /// What can be told of it; `None` if it is not published.
    pub(super) fn stats(&self) -> Option<StreamStats> {
        let figures = match &self.state {
            PublishState::Live(live) => live.figures(),
            PublishState::Lost { figures, .. } => figures,
            PublishState::Vacant | PublishState::Retired => return None,
        };
        let live = self.live();
        let cache = live.map(Live::cache);
        let (cached_messages, cached_bytes) = cache.map_or((0, 0), Cache::depth);
        let (video, audio) = cache.map_or((None, None), Cache::configs);
        let traffic = figures.traffic;
        Some(StreamStats {
            key: self.key.as_str().to_owned(),
            publication: figures.publication,
            publisher: live.map(|live| live.conn_id().to_owned()),
            uptime: figures.since.elapsed(),
            viewers: self.audience.player_count(),
            recording: live.is_some_and(Live::is_recorded),
            video_codec: traffic.video_codec,
            audio_codec: traffic.audio_codec,
            metadata: stats::metadata(cache.and_then(Cache::metadata)),
            video,
            audio,
            timestamp_ms: figures.time.0,
            audio_bytes: traffic.audio_bytes,
            video_bytes: traffic.video_bytes,
            audio_messages: traffic.audio,
            video_messages: traffic.video,
            bytes_in: traffic.bytes,
            bytes_out: figures.bytes_departed + self.audience.bytes_sent(),
            drops: traffic.dropped,
            cached_messages,
            cached_bytes,
            queue_depths: self.audience.queue_depths(),
            left_out: self.audience.left_out(),
        })
    }

    /// Does what is due by `now`: ends the grace, the waiting, and the patience with the slow; tells
    /// viewers what they had no room for. Whether nobody publishes or watches after that.
    #[must_use]
    pub(super) fn expire(&mut self, now: Instant) -> bool {
        if let PublishState::Lost { until, .. } = self.state
            && (until <= now || self.audience.is_empty())
        {
            self.end(Reason::Lost);
        }
        if self.audience.end_overdue(now) {
            self.announce_audience();
        }
        self.audience.check(now);
        self.audience.expire_muxers(now);
        self.count_memory();
        self.is_vacant() && self.audience.is_empty()
    }
}

/// Passes messages of a publication on to its consumers and the audience.
fn deliver(
    run: Vec<MediaMessage>,
    live: &mut Live,
    audience: &mut Audience,
    key: &StreamKey,
    now: Instant,
) {
    if run.is_empty() {
        return;
    }
    live.push_to_feeds(&run, now);
    let dropped = audience.deliver(&run, live.cache_mut(), now);
    let dropped = dropped + audience.deliver_fragments(&run, key, now);
    live.figures_mut().traffic.dropped += dropped;
}
