//! One stream: its publisher, its audience, and what it keeps for late joiners.

use super::batches::Encoders;
use super::cache::{Cache, MediaMessage, Selection};
use super::ending::{AtEnd, Ended, Reason};
use super::last_heard::LastHeard;
use super::timeline::Timeline;
use super::viewer::{Recipient, Viewer};
use super::{RegistryShared, fan_out, stats};
use crate::media::Codec;
use crate::queue::{Feed, Outbox, Role};
use crate::rtmp::control::UserControl;
use crate::rtmp::data::Data;
use crate::rtmp::status::{self, StatusLevel, code};
use crate::rtmp::stream_key::StreamKey;
use crate::rtmp::{Message, MessageType, StreamId};
use crate::stats::StreamStats;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Who publishes.
#[derive(Clone)]
pub struct Publisher {
    /// The connection, for those who are told of it.
    pub conn_id: String,
    /// The way to its connection.
    pub outbox: Arc<Outbox>,
    /// When anything came from there.
    pub heard: Arc<LastHeard>,
    /// What it is to us.
    pub origin: Origin,
    /// The servers that the stream has come through, by what they call themselves.
    pub via: Vec<String>,
}

/// Where a publication comes from, and thereby what its peer is told when somebody else ends it.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A client that publishes.
    Client {
        /// The message stream on which it publishes.
        stream: StreamId,
        /// The name that it gave.
        name: String,
    },
    /// A server that we play from.
    Server {
        /// What it is to be told.
        end: Vec<Message>,
    },
}

impl Origin {
    /// Whether it is another server.
    pub fn is_server(&self) -> bool {
        matches!(self, Origin::Server { .. })
    }

    /// What the peer is told when its publication was ended; `how`, in words behind its name.
    fn closing_messages(&self, how: &str) -> Vec<Message> {
        match self {
            Origin::Client { stream, name } => {
                let text = format!("{name} {how}");
                vec![status::on_status(
                    *stream,
                    StatusLevel::Error,
                    code::BAD_NAME,
                    &text,
                )]
            }
            Origin::Server { end } => end.clone(),
        }
    }
}

/// Whether there is a publisher.
enum PublishState {
    /// There is none; whoever is here waits for one.
    Vacant,
    /// Somebody publishes; this is publication number `id`.
    Live {
        id: u64,
        conn_id: String,
        role: Role,
        heard: Arc<LastHeard>,
        origin: Origin,
        via: Vec<String>,
        at_end: Option<AtEnd>,
    },
    /// The publisher was lost; viewers stay until then.
    Lost(Instant),
}

/// What passed through a publication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Audio messages.
    pub audio: u64,
    /// Video messages.
    pub video: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Messages that were left out for slow viewers, counted for each of them.
    pub dropped: u64,
    /// The codec of the first audio.
    pub audio_codec: Option<Codec>,
    /// The codec of the first video.
    pub video_codec: Option<Codec>,
}

/// One stream. All of it is under one lock, so that joining is one step.
pub struct Stream {
    key: StreamKey,
    shared: Arc<RegistryShared>,
    /// The numbers of players that the observer was told last: those who play, and all.
    told: (usize, usize),
    life: PublishState,
    /// When the publication at hand began.
    since: Instant,
    viewers: Vec<Viewer>,
    /// Consumers of the publication at hand.
    feeds: Vec<Feed>,
    cache: Cache,
    timeline: Timeline,
    encoders: Encoders,
    traffic: Traffic,
    /// Bytes sent to players who have left since the publication began.
    bytes_departed: u64,
    /// Nobody may come in any more: the registry has let go of it.
    retired: bool,
}

impl Stream {
    /// A stream that nobody publishes or watches yet.
    pub fn new(key: StreamKey, shared: Arc<RegistryShared>) -> Stream {
        let settings = shared.settings;
        Stream {
            key,
            shared,
            told: (0, 0),
            life: PublishState::Vacant,
            since: Instant::now(),
            viewers: Vec::new(),
            feeds: Vec::new(),
            cache: Cache::new(settings.gop_cache),
            timeline: Timeline::default(),
            encoders: Encoders::new(settings.chunk_size),
            traffic: Traffic::default(),
            bytes_departed: 0,
            retired: false,
        }
    }

    /// Whether the registry has let go of it.
    pub fn is_retired(&self) -> bool {
        self.retired
    }

    /// Lets go of a stream that nobody publishes or watches. `false`: somebody does.
    pub fn retire(&mut self) -> bool {
        self.retired |= matches!(self.life, PublishState::Vacant) && self.viewers.is_empty();
        self.retired
    }

    /// Whether somebody publishes.
    pub fn is_live(&self) -> bool {
        matches!(self.life, PublishState::Live { .. })
    }

    /// For how long nothing has come from who publishes; none, if nobody does.
    pub fn silence(&self) -> Duration {
        match &self.life {
            PublishState::Live { heard, .. } => heard.silence(),
            PublishState::Vacant | PublishState::Lost(_) => Duration::ZERO,
        }
    }

    /// Whether nobody publishes, and nobody did a moment ago.
    pub fn is_vacant(&self) -> bool {
        matches!(self.life, PublishState::Vacant)
    }

    /// Whether a publication that has come through the servers `via` would come back to one that
    /// gets it from here already.
    pub fn would_loop(&self, via: &[String]) -> bool {
        !self.is_vacant() && self.viewers.iter().any(|viewer| viewer.goes_to(via))
    }

    /// The servers on the shortest way to one of the audience.
    pub fn shortest_way(&self) -> Option<Vec<String>> {
        let players = self.viewers.iter().filter(|viewer| viewer.is_player());
        let ways = players.map(Viewer::via);
        ways.min_by_key(|via| via.len()).map(<[String]>::to_vec)
    }

    /// The servers that the stream has come through.
    pub fn via(&self) -> Vec<String> {
        match &self.life {
            PublishState::Live { via, .. } => via.clone(),
            PublishState::Vacant | PublishState::Lost(_) => Vec::new(),
        }
    }

    /// Makes `publisher` the publisher, with publication number `id`. Whoever was it before is
    /// told and hung up on. Viewers who were there go on with the new headers and keyframe.
    pub fn publish(&mut self, id: u64, publisher: Publisher) {
        let Publisher {
            conn_id,
            outbox,
            heard,
            origin,
            via,
        } = publisher;
        let live = PublishState::Live {
            id,
            conn_id,
            role: outbox.take_role(),
            heard,
            origin,
            via,
            at_end: None,
        };
        self.tell_end(Reason::TakenOver);
        let last = std::mem::replace(&mut self.life, live);
        if let PublishState::Live { role, origin, .. } = &last {
            let how = "was taken over by another publisher.";
            role.outbox().finish(origin.closing_messages(how));
        }
        if let PublishState::Live { via, .. } = &self.life {
            // They wait for what they have themselves.
            let looped = |viewer: &mut Viewer| viewer.goes_to(via);
            for viewer in self.viewers.extract_if(.., looped) {
                viewer.end();
            }
        }
        self.shared.counters.publishers.add(1);
        self.since = Instant::now();
        self.feeds.clear();
        if matches!(last, PublishState::Vacant) {
            self.shared.observer.stream_begins(&self.key);
        }
        let stayed = self.viewers.iter().any(Viewer::has_started);
        self.timeline.begin(stayed);
        self.cache = Cache::new(self.shared.settings.gop_cache);
        self.traffic = Traffic::default();
        self.bytes_departed = 0;
        for viewer in &mut self.viewers {
            match viewer.has_started() {
                true => {
                    viewer.restart(self.since);
                    if matches!(last, PublishState::Lost(_)) {
                        viewer.tell(UserControl::StreamBegin(viewer.stream()).message());
                    }
                }
                false => viewer.start(&self.cache, self.since),
            }
        }
        self.tell_audience();
    }

    /// Tells the observer how many play, and how many want to, if that is news.
    fn tell_audience(&mut self) {
        let all = self.audience();
        let players = self.viewers.iter().filter(|viewer| viewer.is_player());
        let playing = players.filter(|viewer| viewer.has_started()).count();
        let (told_playing, told_all) = std::mem::replace(&mut self.told, (playing, all));
        if playing != told_playing {
            self.shared.observer.audience_changes(&self.key, playing);
        }
        if all != told_all {
            self.shared.observer.demand_changes(&self.key, all);
        }
    }

    /// Gives a consumer everything that publication `id` sends from now on; nothing, if that is
    /// over.
    pub fn attach(&mut self, id: u64, feed: Feed) {
        if self.is_publication(id) {
            self.feeds.push(feed);
        }
    }

    /// Calls `begin` if publication `id` is still the one; what that returns is called when the
    /// publication ends. `false`: it has ended already.
    pub fn begin(&mut self, id: u64, begin: impl FnOnce() -> AtEnd) -> bool {
        match &mut self.life {
            PublishState::Live {
                id: current,
                at_end,
                ..
            } if *current == id => {
                *at_end = Some(begin());
                true
            }
            _ => false,
        }
    }

    /// Tells that the publication at hand, if there is one, is over.
    fn tell_end(&mut self, reason: Reason) {
        let (viewers, traffic) = (self.audience(), self.traffic);
        if let PublishState::Live { at_end, .. } = &mut self.life
            && let Some(at_end) = at_end.take()
        {
            at_end(Ended {
                reason,
                viewers,
                traffic,
            });
        }
    }

    /// Whether publication `id` is still the one.
    pub fn is_publication(&self, id: u64) -> bool {
        matches!(self.life, PublishState::Live { id: current, .. } if current == id)
    }

    /// Sends messages of the publisher to everyone, and waits for no one.
    pub fn send(&mut self, messages: impl IntoIterator<Item = Message>, now: Instant) {
        let mut run = Vec::new();
        for message in messages {
            let Some(media) = self.admit(message) else {
                continue;
            };
            if self.shows_new_track(&media) {
                self.pass(std::mem::take(&mut run), now);
                let viewers = self.viewers.iter_mut();
                viewers.for_each(|viewer| viewer.tracks_appeared(&media, &self.cache));
            }
            run.push(media);
        }
        self.pass(run, now);
    }

    /// Looks at a message of the publisher; `None` if it goes no further.
    fn admit(&mut self, message: Message) -> Option<MediaMessage> {
        let counters = &self.shared.counters;
        match message.kind {
            MessageType::AUDIO => {
                self.traffic.audio += 1;
                counters.messages_audio.add(1);
            }
            MessageType::VIDEO => {
                self.traffic.video += 1;
                counters.messages_video.add(1);
            }
            _ => {}
        }
        self.traffic.bytes += message.payload.len() as u64;
        counters.bytes_in.add(message.payload.len() as u64);
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
        let media = media.at(self.timeline.place(timing, time)?);
        self.note_codec(&media);
        Some(media)
    }

    /// Tells the observer of a codec that was not known.
    fn note_codec(&mut self, media: &MediaMessage) {
        let known = match media.message.kind {
            MessageType::AUDIO => &mut self.traffic.audio_codec,
            MessageType::VIDEO => &mut self.traffic.video_codec,
            _ => return,
        };
        if let (None, Some(codec), PublishState::Live { conn_id, .. }) =
            (&known, media.packet.codec, &self.life)
        {
            *known = Some(codec);
            let kind = media.message.kind;
            self.shared
                .observer
                .codec_appears(&self.key, conn_id, kind, codec);
        }
    }

    fn shows_new_track(&self, media: &MediaMessage) -> bool {
        let known = self.cache.video_tracks(Selection::All);
        media.shows_video() && !known.contains(media.packet.tracks)
    }

    /// Passes messages on: one by one to viewers that need a look at each, as one to the others.
    fn pass(&mut self, run: Vec<MediaMessage>, now: Instant) {
        if run.is_empty() {
            return;
        }
        for feed in &self.feeds {
            feed.push(run.iter().map(|media| &media.message), now);
        }
        let Stream {
            viewers,
            cache,
            encoders,
            traffic,
            ..
        } = self;
        let straggles = |(index, viewer): (usize, &Viewer)| (!viewer.is_in_step()).then_some(index);
        let stragglers: Vec<usize> = viewers.iter().enumerate().filter_map(straggles).collect();
        for media in &run {
            cache.note(media);
            for index in &stragglers {
                traffic.dropped += viewers[*index].deliver_one(media, cache, now);
            }
        }
        if stragglers.len() == viewers.len() {
            return;
        }
        let has_first = || viewers.iter().any(Viewer::takes_first_tracks);
        let batches = encoders.batches(&run, has_first);
        traffic.dropped += fan_out::each(viewers, &stragglers, |viewer| {
            viewer.offer(&batches, &run, cache, now)
        });
    }

    /// The publisher of publication `id` is gone without a word. Viewers stay for a while.
    pub fn lose(&mut self, id: u64, now: Instant) {
        if !self.is_publication(id) {
            return;
        }
        let settings = self.shared.settings;
        self.feeds.clear();
        self.cache = Cache::new(settings.gop_cache);
        if self.viewers.is_empty() || settings.grace.is_zero() {
            return self.end(Reason::Lost);
        }
        self.tell_end(Reason::Lost);
        self.life = PublishState::Lost(now + settings.grace);
        for viewer in &self.viewers {
            viewer.tell(UserControl::StreamDry(viewer.stream()).message());
        }
    }

    /// The publisher of publication `id` has finished: viewers are told and leave.
    pub fn finish(&mut self, id: u64) {
        if self.is_publication(id) {
            self.end(Reason::Finished);
        }
    }

    /// Somebody else than the publisher ends the stream: the publisher is told as well. `false`:
    /// there is nothing to end.
    pub fn end_from_outside(&mut self) -> bool {
        if let PublishState::Live { role, origin, .. } = &self.life {
            role.outbox()
                .finish(origin.closing_messages("was ended by the server."));
        }
        let any = !self.is_vacant();
        self.end(Reason::EndedByServer);
        any
    }

    /// The stream is over. Players who only wait for it to begin go on waiting.
    fn end(&mut self, reason: Reason) {
        self.tell_end(reason);
        let last = std::mem::replace(&mut self.life, PublishState::Vacant);
        self.feeds.clear();
        self.cache = Cache::new(self.shared.settings.gop_cache);
        let leaves = |viewer: &mut Viewer| viewer.has_started() || !viewer.is_player();
        for viewer in self.viewers.extract_if(.., leaves) {
            viewer.end();
        }
        self.tell_audience();
        if !matches!(last, PublishState::Vacant) {
            self.shared.observer.stream_ends(&self.key);
        }
    }

    /// Takes leave of everyone, the publisher excepted, who is told by the server.
    pub fn close(&mut self) {
        self.end(Reason::EndedByServer);
        self.viewers.drain(..).for_each(|viewer| viewer.end());
    }

    /// Adds a viewer: it starts at once, or waits until `deadline` for the stream to begin.
    pub fn subscribe(
        &mut self,
        id: u64,
        outbox: &Arc<Outbox>,
        recipient: Recipient,
        deadline: Instant,
    ) {
        let mut viewer = Viewer::new(id, outbox.take_role(), recipient, deadline);
        if self.is_live() {
            viewer.start(&self.cache, Instant::now());
        }
        self.viewers.push(viewer);
        self.tell_audience();
    }

    /// Removes a viewer, if it is still here.
    pub fn unsubscribe(&mut self, id: u64) {
        if let Some(index) = self.viewers.iter().position(|viewer| viewer.id() == id) {
            let viewer = self.viewers.swap_remove(index);
            if viewer.is_player() {
                self.bytes_departed += viewer.bytes_sent();
            }
            self.tell_audience();
        }
    }

    /// The viewer with that number, if it is still here.
    pub fn viewer(&mut self, id: u64) -> Option<&mut Viewer> {
        self.viewers.iter_mut().find(|viewer| viewer.id() == id)
    }

    /// How many there are who play or wait.
    pub fn audience(&self) -> usize {
        let players = self.viewers.iter().filter(|viewer| viewer.is_player());
        players.count()
    }

    /// What can be told of it; `None` if nobody publishes it.
    pub fn stats(&self) -> Option<StreamStats> {
        let publisher = match &self.life {
            PublishState::Vacant => return None,
            PublishState::Live { conn_id, .. } => Some(conn_id.clone()),
            PublishState::Lost(_) => None,
        };
        let players = || self.viewers.iter().filter(|viewer| viewer.is_player());
        let bytes_present: u64 = players().map(Viewer::bytes_sent).sum();
        let (cached_messages, cached_bytes) = self.cache.depth();
        Some(StreamStats {
            key: self.key.as_str().to_owned(),
            publisher,
            uptime: self.since.elapsed(),
            viewers: players().count(),
            recording: self.feeds.iter().any(Feed::is_open),
            video_codec: self.traffic.video_codec,
            audio_codec: self.traffic.audio_codec,
            metadata: stats::metadata(self.cache.metadata()),
            audio_messages: self.traffic.audio,
            video_messages: self.traffic.video,
            bytes_in: self.traffic.bytes,
            bytes_out: self.bytes_departed + bytes_present,
            drops: self.traffic.dropped,
            cached_messages,
            cached_bytes,
            queue_depths: stats::depths(players().map(|viewer| viewer.outbox().waiting())),
        })
    }

    /// Does what is due by `now`: ends the grace, the waiting, and the patience with the slow.
    /// Whether nobody publishes or watches after that.
    pub fn expire(&mut self, now: Instant) -> bool {
        if matches!(self.life, PublishState::Lost(until) if until <= now || self.viewers.is_empty())
        {
            self.end(Reason::Lost);
        }
        let waited = self
            .viewers
            .extract_if(.., |viewer| viewer.has_waited_until(now));
        if waited.map(|viewer| viewer.end()).count() > 0 {
            self.tell_audience();
        }
        self.viewers
            .iter_mut()
            .for_each(|viewer| viewer.check_behind(now));
        matches!(self.life, PublishState::Vacant) && self.viewers.is_empty()
    }
}
