//! The tracks of a stream: from messages to configured tracks and their samples.
//!
//! A track can be used once its [`Config`] is known: from its header, its first frame, or both. What
//! comes before is left out, for no player could do anything with it.

use super::colour::Colour;
use super::config::{CONFIG_LEN_MAX, Config, Details, SampleFormat, av1};
use super::sample::{MediaType, Part, TrackId, parts};
use super::{Codec, Content};
use crate::rtmp::MessageType;
use std::collections::BTreeMap;
use std::mem;
use std::ops::Range;

/// Most tracks of a stream, of sound and pictures together.
pub const TRACKS_MAX: usize = 32;

/// How long tracks are waited for, in ms: from the first frame that a decoder can begin with, or of a
/// track without a configuration from its own first frame.
pub(crate) const TRACKS_WAIT_MS: u64 = 1000;

/// A frame, ready for a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaSample {
    /// The track that the frame belongs to.
    pub track: TrackId,
    /// When it is decoded, in nanoseconds on the clock of the messages.
    pub time_ns: u64,
    /// How much later it is shown, in ms.
    pub composition_ms: i32,
    /// Whether a decoder can begin here.
    pub is_sync: bool,
    /// How long the sound is, in samples of the track's rate, a second at most; 0 of pictures, and where
    /// it is not known.
    pub len: u32,
    /// Where in the message's payload its bytes are.
    pub data: Range<usize>,
}

/// What a message says of a track.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrackEvent {
    /// The message holds a frame.
    Sample(MediaSample),
    /// The configuration is known from now on, and was not before; or a track that had ended begins
    /// again.
    Known(TrackId),
    /// The configuration is another one from now on.
    Changed(TrackId),
    /// The track is over; the same may begin again.
    Ended(TrackId),
    /// The codec of a track has no place in MP4. Said once.
    Unsupported(TrackId, Codec),
    /// The next message of the track has that codec as well, so the first was no stray. Said once.
    StaysUnsupported(TrackId, Codec),
    /// Frames of a track have come for `TRACKS_WAIT_MS`, and no configuration that can be read.
    /// Said once.
    Unreadable(TrackId, Codec),
}

/// The tracks of one publication.
#[derive(Debug, Default)]
pub struct StreamTracks {
    tracks: BTreeMap<TrackId, TrackReader>,
}

#[derive(Debug, Default)]
struct TrackReader {
    colour: Colour,
    state: ConfigState,
    /// The configuration and header of the codec before, for frames of it that go on.
    before: Option<(Config, Option<Box<[u8]>>)>,
    /// It has ended, and has not begun again.
    is_over: bool,
}

#[derive(Debug, Default)]
enum ConfigState {
    /// Nothing but details has come yet.
    #[default]
    New,
    /// MP4 has no place for it. `stays`: for more than one message.
    Unsupported { codec: Codec, stays: bool },
    /// Its frames or a header have come, and the configuration is not known yet.
    Waiting(Waiting),
    /// It can be used. The header is kept to see whether the next one is another.
    Known(Config, Option<Box<[u8]>>),
}

#[derive(Debug)]
struct Waiting {
    format: SampleFormat,
    /// The header, if there was one, says too little without a frame.
    header: Option<Box<[u8]>>,
    /// The frames that should have made the configuration known, if there were any.
    unread: Option<Unread>,
}

/// Frames that came without a configuration.
#[derive(Debug)]
struct Unread {
    codec: Codec,
    /// When the first of them was due, in ms.
    since_ms: u64,
    is_reported: bool,
}

impl StreamTracks {
    /// The configuration of a track, where it is known.
    pub fn config(&self, track: TrackId) -> Option<&Config> {
        self.tracks.get(&track)?.config()
    }

    /// The tracks whose configuration is known and that have not ended, pictures first.
    pub fn known(&self) -> impl Iterator<Item = (TrackId, &Config)> {
        let tracks = self.tracks.iter().filter(|(_, track)| !track.is_over);
        tracks.filter_map(|(id, track)| Some((*id, track.config()?)))
    }

    /// Whether a track has ended and not begun again.
    pub fn has_ended(&self) -> bool {
        self.tracks.values().any(|track| track.is_over)
    }

    /// Whether there is a track whose configuration is still to come.
    pub fn is_incomplete(&self) -> bool {
        let waits = |track: &TrackReader| matches!(track.state, ConfigState::Waiting(..));
        self.tracks.values().any(waits)
    }

    /// Whether the last message of a track is of a codec without a place in MP4, and none before it: it may be
    /// a stray.
    pub fn has_stray(&self) -> bool {
        let stray = |track: &TrackReader| {
            matches!(track.state, ConfigState::Unsupported { stays: false, .. })
        };
        self.tracks.values().any(stray)
    }

    /// The codec of a track that has had frames, and no configuration that can be read.
    pub fn unreadable(&self) -> Option<Codec> {
        let codec = |track: &TrackReader| match &track.state {
            ConfigState::Waiting(waiting) => Some(waiting.unread.as_ref()?.codec),
            _ => None,
        };
        self.tracks.values().find_map(codec)
    }

    /// Takes the next audio or video message, which is due at `time_ms`, and appends what it says.
    pub fn read(
        &mut self,
        kind: MessageType,
        time_ms: u64,
        payload: &[u8],
        out: &mut Vec<TrackEvent>,
    ) {
        for part in parts(kind, payload) {
            let full = self.tracks.len() >= TRACKS_MAX;
            if full && !self.tracks.contains_key(&part.track) {
                continue;
            }
            let track = self.tracks.entry(part.track).or_default();
            track.read(time_ms, part, payload, out);
        }
    }
}

impl TrackReader {
    fn config(&self) -> Option<&Config> {
        match &self.state {
            ConfigState::Known(config, _) => Some(config),
            _ => None,
        }
    }

    fn format(&self) -> Option<SampleFormat> {
        match &self.state {
            ConfigState::New | ConfigState::Unsupported { .. } => None,
            ConfigState::Waiting(waiting) => Some(waiting.format),
            ConfigState::Known(config, _) => Some(config.format),
        }
    }

    fn read(&mut self, time_ms: u64, part: Part, payload: &[u8], out: &mut Vec<TrackEvent>) {
        let bytes = payload.get(part.data.clone()).unwrap_or_default();
        match part.content {
            Content::Config => return self.read_details(part.track, bytes, out),
            Content::End => {
                self.is_over = true;
                return out.push(TrackEvent::Ended(part.track));
            }
            _ => {}
        }
        // No container has sound in a track of pictures.
        let format = SampleFormat::new(part.codec);
        let Some(format) = format.filter(|format| format.medium() == part.track.medium) else {
            return out.extend(self.read_unsupported(part.track, part.codec));
        };
        if part.content == Content::Header {
            self.read_header(format, part.track, bytes, out);
        } else {
            self.read_frame(format, time_ms, part, bytes, out);
        }
    }

    /// Takes note of a message of a codec that MP4 has no place for.
    fn read_unsupported(&mut self, track: TrackId, codec: Codec) -> Option<TrackEvent> {
        if let ConfigState::Unsupported {
            codec: known,
            stays,
        } = &mut self.state
            && *known == codec
        {
            let before = mem::replace(stays, true);
            return (!before).then_some(TrackEvent::StaysUnsupported(track, codec));
        }
        self.set_aside(None);
        self.state = ConfigState::Unsupported {
            codec,
            stays: false,
        };
        Some(TrackEvent::Unsupported(track, codec))
    }

    /// Colours; the layout of channels has no place in MP4 that players look at.
    fn read_details(&mut self, track: TrackId, bytes: &[u8], out: &mut Vec<TrackEvent>) {
        let Some(said) = Colour::read(bytes).filter(|_| track.medium == MediaType::Video) else {
            return;
        };
        self.colour = said;
        if let ConfigState::Known(config, _) = &mut self.state
            && let Details::Video { colour, .. } = &mut config.details
            && *colour != self.colour
        {
            colour.clone_from(&self.colour);
            out.push(TrackEvent::Changed(track));
        }
    }

    fn read_header(
        &mut self,
        format: SampleFormat,
        track: TrackId,
        bytes: &[u8],
        out: &mut Vec<TrackEvent>,
    ) {
        let kept = match &self.state {
            ConfigState::Waiting(waiting) => waiting.header.as_deref(),
            ConfigState::Known(_, header) => header.as_deref(),
            _ => None,
        };
        if bytes.len() > CONFIG_LEN_MAX {
            return;
        }
        if self.format() == Some(format) && kept == Some(bytes) {
            if self.config().is_some() {
                out.extend(self.begin_again(track));
            }
            return;
        }
        match Config::new(format, Some(bytes), None) {
            Some(config) => self.set_config(config, Some(bytes.into()), track, out),
            None if format.needs_frame() => {
                let mut waiting = self.take_waiting(format);
                self.forget_before(format);
                waiting.header = Some(bytes.into());
                self.state = ConfigState::Waiting(waiting);
            }
            // It says nothing, so what was said before is still true.
            None => {}
        }
    }

    fn read_frame(
        &mut self,
        format: SampleFormat,
        time_ms: u64,
        part: Part,
        bytes: &[u8],
        out: &mut Vec<TrackEvent>,
    ) {
        if self.config().is_none_or(|config| config.format != format)
            && !self.restore(format, &part, bytes, out)
        {
            self.read_first(format, time_ms, &part, bytes, out);
        }
        let ConfigState::Known(config, _) = &self.state else {
            return;
        };
        let sound = config.sound_frame(bytes);
        if let Some(sound) = sound
            && !config.has(sound)
            && let Some(config) = Config::new(format, None, Some(bytes))
        {
            self.set_config(config, None, part.track, out);
        }
        let skipped = match format {
            SampleFormat::Av1 => av1::delimiters_len(bytes),
            _ => 0,
        };
        if skipped == bytes.len() {
            return;
        }
        out.extend(self.begin_again(part.track));
        // What claims to be longer than a second is as long as the times of messages say, as pictures are.
        let second = self.config().map_or(0, Config::timescale);
        let len = sound.map(|sound| sound.len).filter(|len| *len <= second);
        out.push(TrackEvent::Sample(MediaSample {
            track: part.track,
            time_ns: time_ms
                .saturating_mul(1_000_000)
                .saturating_add(part.nanos.into()),
            composition_ms: part.composition_ms,
            is_sync: is_sync(&part),
            len: len.unwrap_or_default(),
            data: part.data.start + skipped..part.data.end,
        }));
    }

    /// Goes back to the codec before, if that is the one of this frame: what came in between was a
    /// stray message, or a change that is taken back.
    fn restore(
        &mut self,
        format: SampleFormat,
        part: &Part,
        bytes: &[u8],
        out: &mut Vec<TrackEvent>,
    ) -> bool {
        let before = self.before.take_if(|(config, _)| config.format == format);
        let Some((config, header)) = before else {
            return false;
        };
        let says_more = is_sync(part) && format.needs_frame();
        let renewed = says_more.then(|| Config::new(format, header.as_deref(), Some(bytes)));
        let config = renewed.flatten().unwrap_or(config);
        self.set_config(config, header, part.track, out);
        true
    }

    /// The track goes on if it has ended: its next header says so, or its next frame.
    fn begin_again(&mut self, track: TrackId) -> Option<TrackEvent> {
        mem::take(&mut self.is_over).then_some(TrackEvent::Known(track))
    }

    /// Keeps the configuration that is known, if it is not of this format.
    fn set_aside(&mut self, format: Option<SampleFormat>) {
        if self
            .config()
            .is_some_and(|config| Some(config.format) != format)
            && let ConfigState::Known(config, header) = mem::take(&mut self.state)
        {
            self.before = Some((config, header));
        }
    }

    /// What was kept of this format is not true any more.
    fn forget_before(&mut self, format: SampleFormat) {
        self.before.take_if(|(config, _)| config.format == format);
    }

    /// Takes out what waits for the configuration of a track of this format. What is known of another
    /// one is kept as what was before.
    fn take_waiting(&mut self, format: SampleFormat) -> Waiting {
        self.set_aside(Some(format));
        match mem::take(&mut self.state) {
            ConfigState::Waiting(waiting) if waiting.format == format => waiting,
            _ => Waiting {
                format,
                header: None,
                unread: None,
            },
        }
    }

    /// Reads a frame of a track whose configuration is not known yet.
    fn read_first(
        &mut self,
        format: SampleFormat,
        time_ms: u64,
        part: &Part,
        bytes: &[u8],
        out: &mut Vec<TrackEvent>,
    ) {
        let is_sync = is_sync(part);
        let mut waiting = self.take_waiting(format);
        let header = waiting.header.as_deref();
        let config = is_sync.then(|| Config::new(format, header, Some(bytes)));
        if let Some(config) = config.flatten() {
            return self.set_config(config, waiting.header, part.track, out);
        }
        // Some formats need a keyframe, which may still come.
        if is_sync || !format.needs_frame() {
            out.extend(waiting.miss(part.track, part.codec, time_ms));
        }
        self.state = ConfigState::Waiting(waiting);
    }

    fn set_config(
        &mut self,
        mut config: Config,
        header: Option<Box<[u8]>>,
        track: TrackId,
        out: &mut Vec<TrackEvent>,
    ) {
        if let Details::Video { colour, .. } = &mut config.details {
            colour.clone_from(&self.colour);
        }
        let again = self.begin_again(track);
        match &self.state {
            // The one that is there stays, so that it is the same in all files.
            ConfigState::Known(known, _) if known.is_same(&config) => {
                self.state = ConfigState::Known(known.clone(), header);
                return out.extend(again);
            }
            ConfigState::Known(..) => out.push(TrackEvent::Changed(track)),
            _ => out.push(TrackEvent::Known(track)),
        }
        self.set_aside(Some(config.format));
        self.forget_before(config.format);
        self.state = ConfigState::Known(config, header);
    }
}

/// Whether a decoder can begin with a frame.
fn is_sync(part: &Part) -> bool {
    part.track.medium == MediaType::Audio || part.content == Content::Keyframe
}

impl Waiting {
    /// Takes note of a frame that did not make the configuration known.
    fn miss(&mut self, track: TrackId, codec: Codec, time_ms: u64) -> Option<TrackEvent> {
        let unread = self.unread.get_or_insert(Unread {
            codec,
            since_ms: time_ms,
            is_reported: false,
        });
        // In every file the time begins at 0 again.
        unread.since_ms = unread.since_ms.min(time_ms);
        if unread.is_reported || time_ms - unread.since_ms < TRACKS_WAIT_MS {
            return None;
        }
        unread.is_reported = true;
        Some(TrackEvent::Unreadable(track, codec))
    }
}
