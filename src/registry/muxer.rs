//! One choice of a stream's tracks as live MP4, made once for all viewers of it.

use super::cache::Cache;
use super::kept_fragments::KeptFragments;
use super::left_out::LeftOut;
use super::media_message::MediaMessage;
use crate::media::mp4::Fragment;
use crate::media::mp4::live::{
    Beginning, Entry, LiveEnd, LiveEvent, LiveFragment, LiveMp4, TrackChoice,
};
use crate::queue::SharedBytes;
use crate::rtmp::stream_key::StreamKey;
use std::sync::{Arc, OnceLock};

/// Makes the bytes of a choice of tracks, and keeps what a viewer begins with.
pub(super) struct Muxer {
    choice: TrackChoice,
    live: LiveMp4,
    beginning: Option<SharedBeginning>,
    kept: KeptFragments,
    first: Option<First>,
    /// Whether a header has ended the responses, while what it leaves of the cache can begin others.
    is_cut: bool,
}

/// How long sound is waited for behind a keyframe, in ms.
const FIRST_MS: u64 = 250;

/// The fragment that viewers begin with, as long as it does not have all tracks. VLC takes times from
/// the first fragment alone, and those of a track that is not in it for 0.
struct First {
    fragment: LiveFragment,
    since_ms: u64,
}

impl First {
    /// A first fragment, if it is not complete.
    fn new(fragment: &LiveFragment) -> Option<First> {
        (!fragment.is_complete()).then(|| First {
            fragment: fragment.clone(),
            since_ms: fragment.time_ms(),
        })
    }

    /// The same with the next fragment in it; whether it is complete, or has waited for long enough.
    fn join(&mut self, next: &LiveFragment) -> bool {
        self.fragment = self.fragment.joined(next);
        let waited = self.fragment.time_ms().saturating_sub(self.since_ms);
        self.fragment.is_complete() || waited >= FIRST_MS
    }
}

/// What each response begins with.
pub(super) struct SharedBeginning {
    pub(super) content_type: String,
    pub(super) initialization: Arc<SharedBytes>,
}

/// What viewers are sent next, or what becomes of them.
pub(super) enum MuxerEvent {
    Fragment(SharedFragment),
    Ends(LiveEnd),
}

/// A fragment for all viewers.
pub(super) struct SharedFragment {
    pub(super) entry: Entry,
    pub(super) whole: Arc<SharedBytes>,
    fragment: LiveFragment,
    /// Made when a viewer first needs it.
    sound: OnceLock<Option<Arc<SharedBytes>>>,
}

fn shared(fragment: &Fragment) -> Arc<SharedBytes> {
    SharedBytes::new(fragment.size(), |out| fragment.put(out))
}

impl SharedFragment {
    fn new(fragment: LiveFragment) -> SharedFragment {
        SharedFragment {
            entry: fragment.entry(),
            whole: shared(fragment.whole()),
            fragment,
            sound: OnceLock::new(),
        }
    }

    /// The fragment with its sound alone, if it has any.
    pub(super) fn sound(&self) -> Option<&Arc<SharedBytes>> {
        let make = || self.fragment.sound().as_ref().map(shared);
        self.sound.get_or_init(make).as_ref()
    }
}

impl Muxer {
    /// Of a stream that has this in its cache, if it is published.
    pub(super) fn new(
        choice: TrackChoice,
        cache: Option<&Cache>,
        left_out: &mut LeftOut,
        key: &StreamKey,
    ) -> Muxer {
        let mut muxer = Muxer {
            choice,
            live: LiveMp4::new(choice),
            beginning: None,
            kept: KeptFragments::default(),
            first: None,
            is_cut: false,
        };
        for media in cache.into_iter().flat_map(Cache::kept) {
            for event in muxer.push(media) {
                muxer.apply(event, left_out, key);
            }
        }
        muxer
    }

    pub(super) fn choice(&self) -> TrackChoice {
        self.choice
    }

    /// What a viewer begins with, once the tracks are known.
    pub(super) fn beginning(&self) -> Option<&SharedBeginning> {
        self.beginning.as_ref()
    }

    /// The fragments since the last one that a player can begin with; none if that is still to be
    /// completed.
    pub(super) fn kept(&self) -> &[Arc<SharedBytes>] {
        match self.first {
            Some(_) => &[],
            None => self.kept.all(),
        }
    }

    /// Whether one that is made anew of what the stream has in its cache begins earlier than this one.
    pub(super) fn is_behind(&self, cache: &Cache) -> bool {
        self.is_cut && self.kept().is_empty() && cache.has_pictures()
    }

    fn keep(&mut self, fragment: &SharedFragment) {
        let next = &fragment.fragment;
        if fragment.entry == Entry::Any {
            self.first = First::new(next);
        } else if let Some(mut first) = self.first.take() {
            let is_over = first.join(next);
            let whole = shared(first.fragment.whole());
            self.kept.push(&whole, Entry::Any, first.since_ms);
            self.first = Some(first).filter(|_| !is_over);
            return;
        }
        let time_ms = next.time_ms();
        self.kept.push(&fragment.whole, fragment.entry, time_ms);
    }

    /// The memory of what is kept, and of what waits, in bytes.
    pub(super) fn cost(&self) -> usize {
        let first = self.first.as_ref();
        let first = first.map_or(0, |first| first.fragment.whole().size());
        self.kept.cost() + first + self.live.held_len()
    }

    /// Forgets what viewers would begin with, until there is something else to begin with.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
        self.first = None;
    }

    /// Another publication begins. If the times go on, so can responses, with the same tracks.
    pub(super) fn restart(&mut self, goes_on: bool) {
        self.forget();
        self.is_cut = false;
        match goes_on {
            true => self.live.restart(),
            false => {
                self.live = LiveMp4::new(self.choice);
                self.beginning = None;
            }
        }
    }

    /// Takes the next message of the stream; what is returned is to be applied.
    pub(super) fn push(&mut self, media: &MediaMessage) -> Vec<LiveEvent> {
        let mut events = Vec::new();
        self.live.push(&media.message, &mut events);
        let ends = |event: &LiveEvent| matches!(event, LiveEvent::Ends(LiveEnd::TracksChanged));
        // The cache does not tell of tracks that are over.
        if media.is_header() && events.iter().any(ends) && !self.live.has_ended_track() {
            self.is_cut = true;
        }
        events
    }

    /// What is left of a publication that has ended, to be applied.
    pub(super) fn flush(&mut self) -> Option<LiveEvent> {
        self.live.flush().map(LiveEvent::Fragment)
    }

    /// Takes note of an event; returns what it is to viewers.
    pub(super) fn apply(
        &mut self,
        event: LiveEvent,
        left_out: &mut LeftOut,
        key: &StreamKey,
    ) -> Option<MuxerEvent> {
        match event {
            LiveEvent::Begins(beginning) => {
                let Beginning {
                    initialization,
                    content_type,
                } = beginning;
                let len = initialization.len();
                self.forget();
                self.beginning = Some(SharedBeginning {
                    content_type,
                    initialization: SharedBytes::new(len, |out| {
                        out.extend_from_slice(&initialization)
                    }),
                });
                None
            }
            LiveEvent::Fragment(fragment) => {
                let fragment = SharedFragment::new(fragment);
                self.keep(&fragment);
                Some(MuxerEvent::Fragment(fragment))
            }
            LiveEvent::LeftOut(codec) => {
                left_out.note(codec, key);
                None
            }
            LiveEvent::Ends(end) => {
                self.beginning = None;
                self.forget();
                Some(MuxerEvent::Ends(end))
            }
        }
    }
}
