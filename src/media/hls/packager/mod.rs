//! A stream's messages in, playlists and their segments out.

mod answers;

pub use answers::Reply;

use super::grid::{PartGrid, TICKS_A_MS};
use super::live::{Live, Place};
use super::preroll::Preroll;
use super::rendition::{Cut, Names, Rendition};
use super::rules::{Rules, target_s};
use super::stream_clock::StreamClock;
use crate::media::Codec;
use crate::media::flv;
use crate::media::mp4::{Mp4Track, is_supported};
use crate::media::sample::{MediaType, TrackId};
use crate::media::tracks::{MediaSample, StreamTracks, TRACKS_WAIT_MS, TrackEvent};
use crate::rtmp::{Message, MessageType};
use std::sync::Arc;

/// Most memory for the segments of a stream, in bytes. Beyond it the oldest go, whatever the
/// playlist should name.
pub const MEMORY_MAX: usize = 64 << 20;

const MS: u64 = 1_000_000;

/// How a stream is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HlsSettings {
    /// The shortest segment, in ms: the next keyframe ends it.
    pub segment_ms: u32,
    /// The usual part, in ms.
    pub part_ms: u32,
}

/// Makes HLS of the publications of one stream, one after the other.
pub struct Packager {
    settings: HlsSettings,
    names: Names,
    /// What the names of playlists end with.
    suffix: String,
    /// The number of the first segment.
    first: u64,
    tracks: StreamTracks,
    state: State,
    clock: StreamClock,
    renditions: Vec<Rendition>,
    /// Known from the beginning of the first playlist on.
    rules: Option<Rules>,
    /// The time between keyframes, in ms, if it was known beforehand.
    keyframes_ms: Option<u32>,
    /// How much later than the stream's clock that of the world is, in ms.
    anchor_ms: Option<i64>,
    /// The same by the last sample alone.
    last_anchor_ms: i64,
    left_out: Vec<(TrackId, Codec)>,
    /// When the first message of a codec that is left out was due, in ms.
    left_out_since: Option<u64>,
    version: u64,
}

enum State {
    /// Nobody publishes the stream.
    Idle,
    /// The tracks that begin are not known yet.
    Preroll(Preroll),
    /// Media is packaged, of these tracks.
    Live(Live),
    /// The playlists have ended.
    Over,
}

impl Packager {
    /// Nothing yet. `keyframes_ms` is the time between keyframes, if it is known; `names` are used
    /// for all that playlists name.
    pub fn new(settings: HlsSettings, keyframes_ms: Option<u32>, names: Names) -> Packager {
        Packager {
            settings,
            names,
            suffix: String::new(),
            first: 0,
            tracks: StreamTracks::default(),
            state: State::Idle,
            clock: StreamClock::default(),
            renditions: Vec::new(),
            rules: None,
            keyframes_ms,
            anchor_ms: None,
            last_anchor_ms: 0,
            left_out: Vec::new(),
            left_out_since: None,
            version: 0,
        }
    }

    /// The same, with segments counted from `first` on, and `suffix` at the end of the names of playlists:
    /// players may know those of another packager of the stream.
    pub fn told_apart(self, first: u64, suffix: &str) -> Packager {
        Packager {
            first,
            suffix: suffix.to_owned(),
            ..self
        }
    }

    /// A publication begins: what it has follows a break.
    pub fn begin(&mut self) {
        if self.is_over() {
            return;
        }
        self.interrupt();
        self.tracks = StreamTracks::default();
        self.state = State::Preroll(Preroll::default());
    }

    /// The publication is over: what there is of it can be played.
    pub fn interrupt(&mut self) {
        self.end_period();
        if !self.is_over() {
            self.state = State::Idle;
        }
    }

    /// The stream is over: so are its playlists.
    pub fn end(&mut self) {
        self.end_period();
        self.state = State::Over;
        self.version += 1;
    }

    /// Takes the next messages, which have come by `now_ms` since 1970.
    pub fn push(&mut self, messages: &[Message], now_ms: i64) {
        let mut events = Vec::new();
        for message in messages {
            if let State::Preroll(preroll) = &mut self.state
                && flv::is_metadata(message.kind, &message.payload)
                && let Some(properties) = flv::properties(message.kind, &message.payload)
            {
                preroll.announce(&properties);
            }
            if !matches!(message.kind, MessageType::AUDIO | MessageType::VIDEO) {
                continue;
            }
            let ms = self.clock.ms(message);
            self.tracks
                .read(message.kind, ms, &message.payload, &mut events);
            for event in events.drain(..) {
                self.take(event, ms, &message.payload, now_ms);
            }
        }
        self.limit_memory();
    }

    fn take(&mut self, event: TrackEvent, ms: u64, payload: &Arc<[u8]>, now_ms: i64) {
        match event {
            TrackEvent::Sample(sample) => {
                // The earliest arrival is the nearest to the truth. No time lies in the future.
                let anchor = now_ms - (sample.time_ns / MS).cast_signed();
                self.anchor_ms = Some(self.anchor_ms.map_or(anchor, |known| known.min(anchor)));
                self.last_anchor_ms = anchor;
                self.take_sample(sample, payload);
            }
            TrackEvent::Changed(track) => self.change(track),
            TrackEvent::Known(track) => {
                let format = self.tracks.config(track).map(|config| config.format);
                let is_unsupported = format.is_some_and(|format| !is_supported(format));
                if is_unsupported {
                    self.leave_out(track, Codec::FourCc(*b"vp08"), ms);
                }
            }
            TrackEvent::Unsupported(track, codec) | TrackEvent::Unreadable(track, codec) => {
                self.leave_out(track, codec, ms);
            }
            // It is left out since the first message.
            TrackEvent::StaysUnsupported(..) => {}
            TrackEvent::Ended(track) => {
                if let State::Live(live) = &mut self.state
                    && let Place::Behind(preroll) = live.end(track)
                {
                    self.break_off(preroll);
                }
            }
        }
    }

    /// The configuration of a track is another one from now on.
    fn change(&mut self, track: TrackId) {
        if let State::Preroll(preroll) = &mut self.state
            && preroll.holds(track)
        {
            match self.renditions.len() == 1 && preroll.leads(track) {
                // The playlist goes on with what waits.
                true => self.open_early(),
                // Each needs its track, or it is not known yet which playlists there will be.
                false => preroll.forget(track),
            }
        }
        if self.plays(track)
            && let State::Live(live) = &mut self.state
            && let Place::Behind(preroll) = live.break_for(track, Preroll::default())
        {
            self.break_off(preroll);
        }
    }

    fn leave_out(&mut self, track: TrackId, codec: Codec, ms: u64) {
        self.left_out_since.get_or_insert(ms);
        if !self.left_out.iter().any(|(known, _)| *known == track) {
            self.left_out.push((track, codec));
        }
    }

    fn take_sample(&mut self, sample: MediaSample, payload: &Arc<[u8]>) {
        match self.place(&sample) {
            Place::Here => {}
            Place::Behind(preroll) => self.break_off(preroll),
            Place::Nowhere => return,
        }
        match &mut self.state {
            State::Live(_) => self.feed(&sample, payload),
            State::Preroll(preroll) => {
                preroll.push(&sample, payload, &self.tracks);
                let probe_ms = if self.rules.is_some() {
                    0
                } else {
                    TRACKS_WAIT_MS
                };
                if preroll.is_over(&self.tracks, probe_ms) {
                    self.open();
                }
            }
            State::Idle | State::Over => {}
        }
    }

    /// Whether a track is among those that are packaged.
    fn plays(&self, track: TrackId) -> bool {
        self.renditions.iter().any(|rendition| rendition.has(track))
    }

    /// The place of the next sample.
    fn place(&mut self, sample: &MediaSample) -> Place {
        let config = self.tracks.config(sample.track);
        let is_supported = config.is_some_and(|config| is_supported(config.format));
        let State::Live(live) = &mut self.state else {
            return Place::Here;
        };
        live.place(sample, is_supported)
    }

    fn break_off(&mut self, preroll: Preroll) {
        self.end_period();
        if !self.is_over() {
            self.state = State::Preroll(preroll);
        }
    }

    fn end_period(&mut self) {
        // What came of a stream too short to be opened is not lost.
        if let State::Preroll(_) = &self.state {
            self.open_early();
        }
        self.anchor_ms = None;
        let Some(rules) = &mut self.rules else { return };
        for rendition in &mut self.renditions {
            rendition.end_period(rules, &mut self.names);
        }
        self.version += 1;
    }

    /// Begins with what there is, before it is time to. A playlist that tracks share has the first of
    /// each medium: another stands for it only after it was waited for.
    fn open_early(&mut self) {
        if let (State::Preroll(preroll), [_]) = (&mut self.state, &self.renditions[..]) {
            preroll.forget_others(&self.tracks);
        }
        self.open();
    }

    /// Begins with the tracks that are known by now.
    fn open(&mut self) {
        let State::Preroll(preroll) = std::mem::replace(&mut self.state, State::Idle) else {
            return;
        };
        let tracks = preroll.tracks();
        if tracks.is_empty() {
            self.state = State::Preroll(preroll);
            return;
        }
        if self.rules.is_none() {
            self.set_rules(&preroll, &tracks);
        }
        let Some(chosen) = self.assign(tracks) else {
            // A playlist is left without its track, which players would wait for.
            return self.end();
        };
        self.state = State::Live(Live::new(&chosen, self.renditions.len() == 1));
        for (sample, payload) in preroll.take(&chosen) {
            self.feed(&sample, &payload);
        }
    }

    /// Fixes what holds as long as the playlists live.
    fn set_rules(&mut self, preroll: &Preroll, tracks: &[Mp4Track]) {
        let segment = i64::from(self.settings.segment_ms) * TICKS_A_MS;
        let part = i64::from(self.settings.part_ms) * TICKS_A_MS;
        let has_pictures = tracks
            .iter()
            .any(|track| track.id.medium == MediaType::Video);
        let keyframes = self.keyframes_ms.filter(|ms| *ms > 0);
        let frame = preroll.frame(tracks);
        let natural = match keyframes.map(|ms| i64::from(ms) * TICKS_A_MS) {
            _ if !has_pictures => Some(segment.max(frame.unwrap_or_default())),
            Some(interval) => Some((segment.max(1) + interval - 1) / interval * interval),
            None => None,
        };
        self.rules = Some(Rules {
            grid: PartGrid::new(part, frame),
            segment,
            target_s: natural.map(target_s),
            anchor_ms: 0,
        });
    }

    /// Gives each playlist its tracks, and returns those; the first time it makes the playlists. One
    /// picture and one sound share a playlist, more have one each. `None`: one is left without.
    fn assign(&mut self, tracks: Vec<Mp4Track>) -> Option<Vec<Mp4Track>> {
        let of = |medium| tracks.iter().filter(move |track| track.id.medium == medium);
        let (pictures, sounds) = (of(MediaType::Video), of(MediaType::Audio));
        if self.renditions.is_empty() {
            let is_one = pictures.clone().count() <= 1 && sounds.clone().count() <= 1;
            let own = tracks
                .iter()
                .map(|track| playlist_name(track.id, &self.suffix));
            let playlists = match is_one {
                true => vec![format!("stream{}", self.suffix)],
                false => own.collect(),
            };
            let (names, first) = (&mut self.names, self.first);
            let renditions = playlists.into_iter();
            self.renditions = renditions
                .map(|name| Rendition::new(name, first, names))
                .collect();
        }
        if let [only] = &mut self.renditions[..] {
            let mut pictures = pictures;
            let mut sounds = sounds;
            let chosen: Vec<Mp4Track> = [pictures.next(), sounds.next()]
                .into_iter()
                .flatten()
                .cloned()
                .collect();
            only.begin(chosen.clone(), &mut self.names);
            return Some(chosen);
        }
        let mut chosen = Vec::new();
        let suffix = &self.suffix;
        for rendition in &mut self.renditions {
            let mut tracks = tracks.iter();
            let track = tracks.find(|track| playlist_name(track.id, suffix) == rendition.name)?;
            rendition.begin(vec![track.clone()], &mut self.names);
            chosen.push(track.clone());
        }
        Some(chosen)
    }

    fn feed(&mut self, sample: &MediaSample, payload: &Arc<[u8]>) {
        let (State::Live(live), Some(rules)) = (&mut self.state, &mut self.rules) else {
            return;
        };
        live.note(sample);
        let mut renditions = self.renditions.iter();
        if let Some(from_ns) = renditions.find_map(|own| own.gap_before(sample, rules)) {
            // The playlists of a stream have the same breaks.
            for rendition in &mut self.renditions {
                rendition.skip(from_ns, rules, &mut self.names);
            }
            self.anchor_ms = Some(self.last_anchor_ms);
            self.version += 1;
        }
        // Dates that players may have read stay, and those of all playlists are of one clock.
        if !self.renditions.iter().any(Rendition::is_dated) {
            rules.anchor_ms = self.anchor_ms.unwrap_or_default();
        }
        let first = self.renditions.first().map(|first| first.name.clone());
        for rendition in &mut self.renditions {
            if !rendition.has(sample.track) {
                continue;
            }
            // The first playlist says how long segments are; the others wait for it.
            let is_first = first.as_ref() == Some(&rendition.name);
            let cut = rendition.push(sample, payload, rules, is_first, &mut self.names);
            if cut != Cut::Nothing {
                self.version += 1;
            }
        }
    }

    fn limit_memory(&mut self) {
        self.shrink_to(MEMORY_MAX);
    }

    /// Forgets the oldest segments until all of them take no more than `max` bytes, but for the last one
    /// of each playlist.
    pub fn shrink_to(&mut self, max: usize) {
        while self.memory() > max {
            let largest = self
                .renditions
                .iter_mut()
                .max_by_key(|rendition| rendition.window.len());
            if !largest.is_some_and(|largest| largest.window.shrink()) {
                break;
            }
        }
    }

    /// The memory of all segments, and of what is in none yet, in bytes.
    pub fn held_len(&self) -> usize {
        let waiting = match &self.state {
            State::Preroll(preroll) => preroll.held_len(),
            State::Idle | State::Live(_) | State::Over => 0,
        };
        let renditions = self.renditions.iter().map(Rendition::held_len);
        waiting + renditions.sum::<usize>()
    }

    /// The memory of all segments, in bytes.
    pub fn memory(&self) -> usize {
        let windows = self.renditions.iter().map(|rendition| &rendition.window);
        windows.map(super::window::Window::len).sum()
    }

    /// Whether the playlists have ended.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Whether somebody publishes the stream.
    pub fn is_live(&self) -> bool {
        matches!(self.state, State::Live(_) | State::Preroll(_))
    }

    /// Whether there is something to play.
    pub fn has_begun(&self) -> bool {
        let mut windows = self.renditions.iter().map(|rendition| &rendition.window);
        !self.renditions.is_empty()
            && windows
                .all(|window| window.has_begun() || self.is_over() && !window.segments.is_empty())
    }

    /// Whether nothing of the stream can be played: what has come is of codecs without a place here.
    pub fn is_unplayable(&self) -> bool {
        let now_ms = self.clock.now_ms();
        let waited = self
            .left_out_since
            .is_some_and(|since| now_ms.saturating_sub(since) >= TRACKS_WAIT_MS);
        let mut known = self.tracks.known();
        waited
            && self.renditions.is_empty()
            && !known.any(|(_, config)| is_supported(config.format))
    }

    /// Tracks whose codec has no place here, each once.
    pub fn left_out(&self) -> &[(TrackId, Codec)] {
        &self.left_out
    }

    /// Another number each time that a playlist has changed.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// A number that no segment has had yet.
    pub fn next_number(&self) -> u64 {
        let windows = self.renditions.iter().map(|rendition| &rendition.window);
        let numbers = windows.map(|window| window.open_sequence() + 1);
        numbers.max().unwrap_or(self.first)
    }

    /// The target duration, in seconds, once it is known.
    pub fn target_s(&self) -> Option<u64> {
        self.rules.as_ref()?.target_s
    }

    /// `PART-TARGET`, in ms, once it is known.
    pub fn part_target_ms(&self) -> Option<u64> {
        let rules = self.rules.as_ref()?;
        Some((rules.grid.longest / TICKS_A_MS).unsigned_abs())
    }
}

/// The name of the playlist of a track that has one of its own.
fn playlist_name(track: TrackId, suffix: &str) -> String {
    let kind = match track.medium {
        MediaType::Video => "video",
        MediaType::Audio => "audio",
    };
    format!("{kind}{}{suffix}", track.id)
}
