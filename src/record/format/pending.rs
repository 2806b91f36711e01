//! Messages that wait until it is known which tracks their file has.

use super::{Lack, Strays};
use crate::amf0::Pairs;
use crate::media::Codec;
use crate::media::config::Config;
use crate::media::mp4::is_supported;
use crate::media::opening::Opening;
use crate::media::sample::{MediaType, TrackId};
use crate::media::tracks::{MediaSample, StreamTracks, TrackEvent};
use crate::rtmp::Message;
use std::collections::BTreeMap;

/// How many bytes of messages may wait before the file begins with the tracks that are known.
pub(crate) const WAITING_LEN_MAX: usize = 16 << 20;

/// The beginning of a file that is not there yet.
#[derive(Debug, Default)]
pub(crate) struct PendingFile {
    tracks: StreamTracks,
    /// The configurations that the file has: those of the frames that wait.
    configs: BTreeMap<TrackId, Config>,
    /// Tracks whose configuration is not that of the file any more.
    changed: Vec<TrackId>,
    opening: Opening,
    held: Vec<HeldBack>,
    held_len: usize,
    /// Why a track has no place in MP4.
    no_place: Option<String>,
    strays: Strays,
}

/// A message that waits.
#[derive(Debug)]
pub(crate) struct HeldBack {
    pub message: Message,
    pub time_ms: u32,
    pub is_entry: bool,
    /// The frames in it.
    pub samples: Vec<MediaSample>,
}

/// What a file begins with.
pub(crate) struct FileStart {
    /// The configurations of its tracks, pictures first.
    pub configs: BTreeMap<TrackId, Config>,
    /// Tracks whose configuration is another one by now.
    pub changed: Vec<TrackId>,
    /// The tracks of the stream, as they are now.
    pub tracks: StreamTracks,
    pub held: Vec<HeldBack>,
    /// Those of them that MP4 leaves out.
    pub strays: Strays,
}

/// Which format the messages that wait get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// They go on waiting.
    Wait,
    /// They have a place in MP4.
    Mp4,
    /// They have none, because of this.
    Flv(String),
}

impl PendingFile {
    /// A file of a stream with these properties and these known tracks.
    pub(crate) fn new(properties: &Pairs, tracks: StreamTracks) -> PendingFile {
        let known = tracks.known();
        let mut waiting = PendingFile {
            configs: known.map(|(id, config)| (id, config.clone())).collect(),
            tracks,
            ..PendingFile::default()
        };
        waiting.announce(properties);
        waiting
    }

    /// Takes note of the publisher's properties.
    pub(crate) fn announce(&mut self, properties: &Pairs) {
        self.opening.announce(properties);
    }

    /// Adds a message, and the frames that are in it.
    pub(crate) fn put(&mut self, message: &Message, time_ms: u32, is_entry: bool) {
        let mut events = Vec::new();
        let payload = &message.payload;
        self.tracks
            .read(message.kind, time_ms.into(), payload, &mut events);
        let mut samples = Vec::new();
        for event in events {
            self.strays.see(&event);
            let known = self.no_place.take();
            self.no_place = known.or_else(|| no_place(&event, &self.tracks));
            match event {
                TrackEvent::Sample(sample) if self.changed.contains(&sample.track) => {}
                TrackEvent::Sample(sample) => {
                    self.opening.see(&sample);
                    samples.push(sample);
                }
                TrackEvent::Known(track) => self.configure(track),
                // What waits needs the configuration that was, so the file has that.
                TrackEvent::Changed(track) if self.holds(track, &samples) => {
                    self.changed.push(track);
                }
                TrackEvent::Changed(track) => self.configure(track),
                TrackEvent::Ended(track) if !self.holds(track, &samples) => {
                    self.configs.remove(&track);
                }
                _ => {}
            }
        }
        self.held_len += size_of::<HeldBack>() + payload.len();
        self.held.push(HeldBack {
            message: message.clone(),
            time_ms,
            is_entry,
            samples,
        });
    }

    /// Has the file have a track as it is configured now.
    fn configure(&mut self, track: TrackId) {
        let config = self.tracks.config(track).cloned();
        self.configs.extend(config.map(|config| (track, config)));
    }

    /// Whether a frame of the track waits, or is among those of the message that comes.
    fn holds(&self, track: TrackId, coming: &[MediaSample]) -> bool {
        let held = self.held.iter().flat_map(|held| &held.samples);
        held.chain(coming).any(|sample| sample.track == track)
    }

    /// The memory of what waits, in bytes.
    pub(crate) fn held_len(&self) -> usize {
        self.held_len
    }

    /// Which format the file gets, if that is known. `is_over`: no other message comes.
    pub(crate) fn verdict(&self, is_over: bool) -> Verdict {
        if let Some(reason) = &self.no_place {
            return Verdict::Flv(reason.clone());
        }
        if !self.changed.is_empty() {
            return Verdict::Mp4;
        }
        let is_full = is_over || self.held_len >= WAITING_LEN_MAX;
        let may_be_stray = self.strays.count > 0 && self.tracks.has_stray();
        let is_over =
            self.opening.is_over(&self.tracks) && (!may_be_stray || self.opening.has_waited());
        if !is_full && !is_over {
            return Verdict::Wait;
        }
        if self.configs.is_empty() {
            return Verdict::Flv("no track has a configuration".to_owned());
        }
        if let Some(codec) = self.tracks.unreadable() {
            return Verdict::Flv(unreadable(codec));
        }
        match self.held.iter().all(|held| held.samples.is_empty()) {
            true => Verdict::Flv("no track has a frame".to_owned()),
            false => Verdict::Mp4,
        }
    }

    /// What the file begins with.
    pub(crate) fn into_start(self) -> FileStart {
        FileStart {
            configs: self.configs,
            changed: self.changed,
            tracks: self.tracks,
            held: self.held,
            strays: self.strays,
        }
    }
}

/// Why there is no place for a track of this codec whose configuration does not come.
fn unreadable(codec: Codec) -> String {
    format!("the configuration of {codec} cannot be read")
}

/// Why MP4 has no place for the track that an event names, if it has none.
fn no_place(event: &TrackEvent, tracks: &StreamTracks) -> Option<String> {
    match event {
        TrackEvent::StaysUnsupported(_, codec) => Some(format!("MP4 has no place for {codec}")),
        TrackEvent::Unreadable(_, codec) => Some(unreadable(*codec)),
        TrackEvent::Known(track) | TrackEvent::Changed(track) => {
            let format = tracks.config(*track)?.format;
            let name = format!("{format:?}").to_uppercase();
            (!is_supported(format)).then(|| format!("MP4 has no place for {name}"))
        }
        _ => None,
    }
}

/// What an event tells of that a file lacks which has begun; `has` tells the file's tracks.
pub(crate) fn lack(
    event: &TrackEvent,
    tracks: &StreamTracks,
    has: impl Fn(TrackId) -> bool,
) -> Option<Lack> {
    match (no_place(event, tracks), event) {
        (Some(reason), _) => Some(Lack::Track(reason)),
        (None, TrackEvent::Known(track)) if has(*track) => None,
        (None, TrackEvent::Known(track)) if track.medium == MediaType::Audio => {
            Some(Lack::Announcement)
        }
        (None, TrackEvent::Known(_) | TrackEvent::Changed(_)) => Some(Lack::Room),
        _ => None,
    }
}
