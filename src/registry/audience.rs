//! All who are sent a stream, or wait for it: joining, leaving, and the fan-out.

use super::batches::Encoders;
use super::cache::Cache;
use super::common_content::CommonContent;
use super::fan_out;
use super::left_out::LeftOut;
use super::media_message::MediaMessage;
use super::muxer::{Muxer, MuxerEvent};
use super::muxers::Muxers;
use super::observer::Observer;
use super::recipient::Notice;
use super::refusal::Refusal;
use super::send_threads::SendThreads;
use super::sharded::Sharded;
use super::stats;
use super::subscription_id::SubscriptionId;
use super::viewer::{Step, Viewer};
use super::wave::Wave;
use crate::media::mp4::live::LiveEvent;
use crate::memory::Owner;
use crate::rtmp::stream_key::StreamKey;
use crate::stats::QUEUE_DEPTHS;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

/// Owners of memory that play a stream are counted up to here.
const OWNERS_COUNTED: usize = 64;

/// The viewers of a stream. Servers that it is relayed to are among them, but only players count.
pub(super) struct Audience {
    viewers: Sharded<Viewer>,
    /// Makes what all viewers in step are sent, also across publications.
    encoders: Encoders,
    /// Makes what viewers of fragments are sent, also across publications.
    muxers: Muxers,
    /// Threads that send to viewers where there are many.
    send_threads: Arc<SendThreads>,
    /// What the observer was told last.
    announced: PlayerCount,
}

/// Has a muxer take note of an event, and its viewers sent what follows from it. Returns as
/// [`Audience::deliver`].
fn pass_on(
    event: LiveEvent,
    muxer: &mut Muxer,
    viewers: &mut Sharded<Viewer>,
    send_threads: &SendThreads,
    (left_out, key): (&mut LeftOut, &StreamKey),
    now: Instant,
) -> u64 {
    let Some(event) = muxer.apply(event, left_out, key) else {
        return 0;
    };
    let muxer = &*muxer;
    let look = |viewer: &mut Viewer| viewer.deliver_fragment(&event, muxer, now);
    let MuxerEvent::Fragment(fragment) = &event else {
        return viewers.iter_mut().map(look).sum();
    };
    let wave = Wave {
        content: CommonContent::Fragment(muxer.choice(), Arc::clone(&fragment.whole)),
        except: Vec::new(),
        now,
    };
    fan_out::send(wave, viewers, send_threads, look)
}

/// The number of players of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct PlayerCount {
    playing: usize,
    /// Those who play, and those who wait.
    all: usize,
}

impl Audience {
    /// No viewers yet; they will be sent chunks of `chunk_size` bytes.
    pub(super) fn new(chunk_size: u32, send_threads: &Arc<SendThreads>) -> Audience {
        Audience {
            viewers: Sharded::default(),
            encoders: Encoders::new(chunk_size),
            muxers: Muxers::default(),
            send_threads: Arc::clone(send_threads),
            announced: PlayerCount::default(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.viewers.is_empty()
    }

    fn players(&self) -> impl Iterator<Item = &Viewer> {
        self.viewers.iter().filter(|viewer| viewer.is_player())
    }

    /// Counts those who play or wait.
    pub(super) fn player_count(&self) -> usize {
        self.players().count()
    }

    /// Whether a viewer cannot begin before the tracks are known.
    pub(super) fn needs_presentation(&self) -> bool {
        self.viewers.iter().any(Viewer::needs_presentation)
    }

    /// Bytes that the present players were sent since the publication began, or since they joined.
    pub(super) fn bytes_sent(&self) -> u64 {
        self.players().map(Viewer::bytes_sent).sum()
    }

    /// Counts the players' queues by their depth; see [`QUEUE_DEPTHS`].
    pub(super) fn queue_depths(&self) -> [u64; QUEUE_DEPTHS.len() + 1] {
        stats::depths(self.players().map(|viewer| viewer.outbox().waiting()))
    }

    /// Codecs that viewers of fragments do not get.
    pub(super) fn left_out(&self) -> Vec<String> {
        self.muxers.left_out()
    }

    /// Whether a viewer was told that it plays.
    pub(super) fn has_started(&self) -> bool {
        self.viewers.iter().any(Viewer::has_started)
    }

    /// Whether what a viewer is sent goes to one of these servers.
    pub(super) fn goes_to(&self, servers: &[String]) -> bool {
        self.viewers.iter().any(|viewer| viewer.goes_to(servers))
    }

    /// The servers on the shortest way to one of the players.
    pub(super) fn shortest_way(&self) -> Option<Vec<String>> {
        let ways = self.players().map(Viewer::via);
        ways.min_by_key(|via| via.len()).map(<[String]>::to_vec)
    }

    pub(super) fn viewer(&mut self, id: SubscriptionId) -> Option<&mut Viewer> {
        self.viewers.iter_mut().find(|viewer| viewer.id() == id)
    }

    /// Adds a viewer, which begins if the stream can: that has `live` at `now`.
    ///
    /// # Errors
    ///
    /// [`Refusal::TooManyChoices`].
    pub(super) fn join(
        &mut self,
        mut viewer: Viewer,
        key: &StreamKey,
        live: Option<&Cache>,
        now: Instant,
    ) -> Result<(), Refusal> {
        if let Some(choice) = viewer.choice() {
            let viewers = &self.viewers;
            let is_watched = |choice| viewers.iter().any(|viewer| viewer.choice() == Some(choice));
            self.muxers.add(choice, live, key, is_watched)?;
        }
        if let Some(cache) = live {
            viewer.start(cache, &self.muxers, now);
        }
        self.viewers.push(viewer);
        Ok(())
    }

    /// Removes a viewer that leaves by itself, if it is still here.
    pub(super) fn leave(&mut self, id: SubscriptionId) -> Option<Viewer> {
        let index = self.viewers.iter().position(|viewer| viewer.id() == id)?;
        let mut viewer = self.viewers.swap_remove(index)?;
        viewer.leave();
        Some(viewer)
    }

    /// Ends the viewers whose streams would come back to one of these servers.
    pub(super) fn end_looping(&mut self, servers: &[String]) {
        self.end_where(|viewer| viewer.goes_to(servers));
    }

    /// Ends all for whom the stream is over: players who only wait for it to begin stay.
    pub(super) fn end_started(&mut self) {
        self.end_where(|viewer| viewer.has_started() || !viewer.is_player());
    }

    /// Ends the waiting of those whose time is up. Whether there were any.
    pub(super) fn end_overdue(&mut self, now: Instant) -> bool {
        let ended = self.end_where(|viewer| viewer.has_waited_until(now));
        ended > 0
    }

    pub(super) fn end_all(&mut self) {
        self.end_where(|_| true);
    }

    /// Ends those of whom `ends` is true; returns how many.
    fn end_where(&mut self, ends: impl Fn(&Viewer) -> bool) -> usize {
        let ended = self.viewers.extract(ends);
        ended.into_iter().map(Viewer::end).count()
    }

    /// A publication begins at `now`: viewers who play go on with it and are told `notice`, those
    /// who wait begin.
    pub(super) fn begin(&mut self, cache: &Cache, now: Instant, notice: Option<Notice>) {
        // If nobody has seen anything, times begin anew.
        let goes_on = self.has_started();
        self.muxers.restart(goes_on);
        for viewer in self.viewers.iter_mut() {
            if viewer.has_started() {
                viewer.restart(now);
                notice.into_iter().for_each(|notice| viewer.notify(notice));
            } else {
                viewer.start(cache, &self.muxers, now);
            }
        }
    }

    /// Sends what is made of messages to those who take fragments. Returns as
    /// [`deliver`](Self::deliver).
    pub(super) fn deliver_fragments(
        &mut self,
        run: &[MediaMessage],
        key: &StreamKey,
        now: Instant,
    ) -> u64 {
        let viewers = &mut self.viewers;
        let mut dropped = 0;
        let (muxers, left_out) = self.muxers.each();
        for muxer in muxers {
            for media in run {
                for event in muxer.push(media) {
                    let noted = (&mut *left_out, key);
                    dropped += pass_on(event, muxer, viewers, &self.send_threads, noted, now);
                }
            }
        }
        dropped
    }

    /// Sends what is left of a publication that has ended to those who take fragments.
    pub(super) fn flush_fragments(&mut self, key: &StreamKey, now: Instant) {
        let (muxers, left_out) = self.muxers.each();
        for muxer in muxers {
            if let Some(event) = muxer.flush() {
                pass_on(
                    event,
                    muxer,
                    &mut self.viewers,
                    &self.send_threads,
                    (&mut *left_out, key),
                    now,
                );
            }
        }
    }

    /// Ends the viewers who cannot be sent what the stream has now. Returns how many bytes they were
    /// sent, if there were any.
    pub(super) fn end_unplayable(&mut self) -> Option<u64> {
        let sent = |viewer: &Viewer| viewer.is_unplayable().then(|| viewer.bytes_sent());
        let bytes = self
            .viewers
            .iter()
            .filter_map(sent)
            .reduce(|sum, more| sum + more)?;
        self.end_where(Viewer::is_unplayable);
        Some(bytes)
    }

    /// Forgets choices of tracks that nobody has watched for a while.
    pub(super) fn expire_muxers(&mut self, now: Instant) {
        let viewers = &self.viewers;
        let is_watched = |choice| viewers.iter().any(|viewer| viewer.choice() == Some(choice));
        self.muxers.expire(now, is_watched);
    }

    /// How many owners of memory play beside `owner`, counted up to [`OWNERS_COUNTED`].
    pub(super) fn count_owners_beside(&self, owner: Option<Owner>) -> usize {
        let mut others = HashSet::new();
        for other in self
            .viewers
            .iter()
            .filter_map(|viewer| viewer.outbox().owner())
        {
            if others.len() >= OWNERS_COUNTED {
                break;
            }
            if Some(other) != owner {
                others.insert(other);
            }
        }
        others.len()
    }

    /// The memory of what is made for viewers of fragments, in bytes.
    pub(super) fn muxers_cost(&self) -> usize {
        self.muxers.cost()
    }

    /// Forgets what viewers of fragments would begin with.
    pub(super) fn forget_fragments(&mut self) {
        self.muxers.iter_mut().for_each(Muxer::forget);
    }

    /// Tells all viewers something, at once or when there is room.
    pub(super) fn notify(&mut self, notice: Notice) {
        let viewers = self.viewers.iter_mut();
        viewers.for_each(|viewer| viewer.notify(notice));
    }

    /// `media` has video tracks that are not in the cache yet.
    pub(super) fn note_new_tracks(&mut self, media: &MediaMessage, cache: &Cache) {
        let viewers = self.viewers.iter_mut();
        viewers.for_each(|viewer| viewer.note_new_tracks(media, cache));
    }

    /// Sends messages to all viewers, and waits for none: one by one to viewers that need a look at
    /// each, as one batch to the others. Notes them in the cache. Returns how many messages were
    /// left out for slow players, counted for each of them.
    pub(super) fn deliver(&mut self, run: &[MediaMessage], cache: &mut Cache, now: Instant) -> u64 {
        let Audience {
            viewers,
            encoders,
            send_threads,
            ..
        } = self;
        let mut stragglers = Vec::new();
        let mut takes_batches = false;
        for (index, viewer) in viewers.iter().enumerate() {
            match viewer.step() {
                Step::Batches => takes_batches = true,
                Step::Each => stragglers.push(index),
                Step::Nothing => {}
            }
        }
        let mut dropped = 0;
        for media in run {
            cache.note(media);
            for index in &stragglers {
                let viewer = viewers.get_mut(*index);
                dropped += viewer.map_or(0, |viewer| viewer.deliver_one(media, cache, now));
            }
        }
        if !takes_batches {
            return dropped;
        }
        let has_first = || viewers.iter().any(Viewer::takes_first_tracks);
        let wave = Wave {
            content: CommonContent::messages(encoders.batches(run, has_first), run),
            except: stragglers,
            now,
        };
        let look = |viewer: &mut Viewer| {
            let deliver = |media| viewer.deliver_one(media, cache, now);
            run.iter().map(deliver).sum()
        };
        dropped + fan_out::send(wave, viewers, send_threads, look)
    }

    /// Tells each viewer what is due, and looks whether it has been behind for too long.
    pub(super) fn check(&mut self, now: Instant) {
        let viewers = self.viewers.iter_mut();
        viewers.for_each(|viewer| viewer.check(now));
    }

    /// Tells the observer the numbers of players of the stream `key` that it does not know yet.
    pub(super) fn announce(&mut self, key: &StreamKey, observer: &dyn Observer) {
        let playing = self.players().filter(|viewer| viewer.has_started());
        let count = PlayerCount {
            playing: playing.count(),
            all: self.player_count(),
        };
        let told = std::mem::replace(&mut self.announced, count);
        if count.playing != told.playing {
            observer.audience_changes(key, count.playing);
        }
        if count.all != told.all {
            observer.demand_changes(key, count.all);
        }
    }
}
