//! MP4 that is played while it is made: messages of a stream in, an initialization and fragments
//! out, each as soon as it can be.
//!
//! A fragment has one picture and all sound since the last one; a response without pictures has one
//! for each 100 ms. Its last samples are as long as they seem to be, and
//! the next fragment says when it begins, so that nothing waits for the message behind it.
//!
//! Players cannot follow a stream whose tracks change: their responses end, and with the next message
//! new ones may begin. They can follow one whose publisher is lost and comes back with the same, and
//! one whose track ends and soon goes on.

mod choice;
mod end;
mod fragments;
mod pending;
mod time;

pub use choice::TrackChoice;
pub use end::LiveEnd;
pub use fragments::{Entry, LiveFragment};

use super::{Movie, Mp4Track, initialization, is_supported};
use crate::media::Packet;
use crate::media::flv;
use crate::media::sample::MediaType;
use crate::media::tracks::{StreamTracks, TRACKS_WAIT_MS, TrackEvent};
use crate::rtmp::{Message, MessageType};
use choice::are_same;
use fragments::{LiveFragments, WentBack};
use pending::{Held, Pending};
use std::sync::Arc;
use time::LongTime;

/// What becomes of a live response.
#[derive(Debug)]
pub enum LiveEvent {
    /// The tracks are known, and this is what responses begin with from now on.
    Begins(Beginning),
    /// This is what they go on with.
    Fragment(LiveFragment),
    /// A track of this codec is left out of all responses: MP4 has no place for it, or it cannot be
    /// read.
    LeftOut(String),
    /// Responses that have begun are over, or there is nothing for any to begin with. Others may
    /// begin later.
    Ends(LiveEnd),
}

/// What a live response begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    /// The bytes of `ftyp` and `moov`.
    pub initialization: Vec<u8>,
    /// `Content-Type`, with the codecs as browsers want them said.
    pub content_type: String,
}

/// Makes live responses of one choice of tracks of a stream.
#[derive(Debug)]
pub struct LiveMp4 {
    choice: TrackChoice,
    tracks: StreamTracks,
    time: LongTime,
    /// What has come of the publication at hand while its tracks are not known.
    pending: Option<Pending>,
    /// What has begun, also in the publication before.
    begun: Option<LiveFragments>,
    /// When the latest frame was due, in ms.
    frame_ms: u64,
    /// The same when a track was lost that may still come back.
    lost_ms: Option<u64>,
}

impl LiveMp4 {
    /// Responses with these tracks of a stream of which nothing has come yet.
    pub fn new(choice: TrackChoice) -> LiveMp4 {
        LiveMp4 {
            choice,
            tracks: StreamTracks::default(),
            time: LongTime::default(),
            pending: Some(Pending::default()),
            begun: None,
            frame_ms: 0,
            lost_ms: None,
        }
    }

    /// The stream has another publication from now on, whose times go on. Responses go on with its
    /// first keyframe if it has the same tracks.
    pub fn restart(&mut self) {
        self.tracks = StreamTracks::default();
        self.pending = Some(Pending::default());
        self.lost_ms = None;
        if let Some(begun) = &mut self.begun {
            begun.restart();
        }
    }

    /// What is left when no other message comes for now.
    pub fn flush(&mut self) -> Option<LiveFragment> {
        self.begun.as_mut()?.flush()
    }

    /// Bytes of what waits: for the tracks to be known, or for the next picture.
    pub fn held_len(&self) -> usize {
        let pending = self.pending.as_ref().map_or(0, Pending::held_len);
        pending + self.begun.as_ref().map_or(0, LiveFragments::held_len)
    }

    /// Whether a track has ended and not begun again.
    pub fn has_ended_track(&self) -> bool {
        self.tracks.has_ended()
    }

    /// Takes the next message of the stream, and appends what becomes of it.
    pub fn push(&mut self, message: &Message, out: &mut Vec<LiveEvent>) {
        let payload = &message.payload;
        if !matches!(message.kind, MessageType::AUDIO | MessageType::VIDEO) {
            let pending = self
                .pending
                .as_mut()
                .filter(|_| flv::is_metadata(message.kind, payload));
            if let (Some(pending), Some(properties)) =
                (pending, flv::properties(message.kind, payload))
            {
                pending.announce(&properties);
            }
            return;
        }
        let time_ms = self.time.of(message.timestamp);
        // Headers are dated as encoders like.
        if Packet::new(message.kind, payload).is_frame() {
            self.time.note(message.timestamp);
            self.frame_ms = time_ms;
            if let Some(pending) = &mut self.pending {
                pending.note_frame(time_ms);
            }
        }
        let mut events = Vec::new();
        self.tracks
            .read(message.kind, time_ms, payload, &mut events);
        if self.pending.is_none() {
            self.check_tracks(&events, out);
        }
        for event in events {
            out.extend(self.left_out(&event).map(LiveEvent::LeftOut));
            match (event, &mut self.pending) {
                (TrackEvent::Sample(sample), Some(pending)) => pending.hold(sample, payload),
                (TrackEvent::Sample(sample), None) => self.put((sample, Arc::clone(payload)), out),
                (TrackEvent::Changed(track), Some(pending)) => pending.forget(track),
                _ => {}
            }
        }
        self.begin_if_due(out);
    }

    /// The codec of the track that an event names, if there is no place for it.
    fn left_out(&self, event: &TrackEvent) -> Option<String> {
        match event {
            TrackEvent::Unsupported(_, codec) | TrackEvent::Unreadable(_, codec) => {
                Some(codec.to_string())
            }
            TrackEvent::Known(track) => {
                let format = self.tracks.config(*track)?.format;
                (!is_supported(format)).then(|| format!("{format:?}").to_uppercase())
            }
            _ => None,
        }
    }

    /// Ends the responses if they are of other tracks than those that are chosen after these events. A
    /// track that is lost has [`TRACKS_WAIT_MS`] to go on.
    fn check_tracks(&mut self, events: &[TrackEvent], out: &mut Vec<LiveEvent>) {
        let (mut adds, mut changes) = (false, false);
        for event in events {
            match event {
                TrackEvent::Known(_) => adds = true,
                TrackEvent::Changed(_) => changes = true,
                TrackEvent::Ended(_) | TrackEvent::Unsupported(..) | TrackEvent::Unreadable(..) => {
                    self.lost_ms.get_or_insert(self.frame_ms);
                }
                TrackEvent::Sample(_) | TrackEvent::StaysUnsupported(..) => {}
            }
        }
        let waited = |since| self.frame_ms.saturating_sub(since) >= TRACKS_WAIT_MS;
        let is_lost = self.lost_ms.is_some_and(waited);
        if !(adds || changes || is_lost) {
            return;
        }
        let chosen = self.choice.of(&self.tracks).unwrap_or_default();
        let goes_on = |begun: &LiveFragments| are_same(begun.tracks(), &chosen);
        if self.begun.as_ref().is_some_and(goes_on) {
            self.lost_ms = None;
        } else if changes || is_lost || self.lost_ms.is_none() {
            self.end(LiveEnd::TracksChanged, out);
        }
    }

    fn end(&mut self, end: LiveEnd, out: &mut Vec<LiveEvent>) {
        if let Some(mut begun) = self.begun.take() {
            out.extend(begun.flush().map(LiveEvent::Fragment));
        }
        out.push(LiveEvent::Ends(end));
        self.lost_ms = None;
        self.pending = Some(Pending::default());
    }

    /// Begins, or goes on after another publication, when its tracks are known.
    fn begin_if_due(&mut self, out: &mut Vec<LiveEvent>) {
        let (tracks, chosen) = (&self.tracks, self.choice.of(&self.tracks));
        let is_due = |pending: &mut Pending| {
            // A track that was asked for may be later than others.
            let lacks = chosen == Err(LiveEnd::NoSuchTrack) && !pending.has_waited();
            pending.is_over(tracks) && !lacks
        };
        let Some(pending) = self.pending.take_if(is_due) else {
            return;
        };
        let chosen = match chosen {
            Ok(chosen) => chosen,
            Err(end) => return self.end(end, out),
        };
        let goes_on = |begun: &LiveFragments| are_same(begun.tracks(), &chosen);
        if !self.begun.as_ref().is_some_and(goes_on) {
            if self.begun.is_some() {
                self.end(LiveEnd::TracksChanged, out);
                self.pending = None;
            }
            out.push(LiveEvent::Begins(beginning(&chosen)));
            self.begun = Some(LiveFragments::new(chosen));
        }
        for held in pending.into_held() {
            self.put(held, out);
        }
    }

    fn put(&mut self, (sample, payload): Held, out: &mut Vec<LiveEvent>) {
        if let Some(begun) = &mut self.begun {
            match begun.push(&sample, &payload) {
                Ok(fragment) => return out.extend(fragment.map(LiveEvent::Fragment)),
                Err(WentBack) => self.end(LiveEnd::TimesWentBack, out),
            }
        }
        if let Some(pending) = &mut self.pending {
            pending.hold(sample, &payload);
        }
    }
}

/// Whether a message holds a picture or a sound.
fn beginning(tracks: &[Mp4Track]) -> Beginning {
    let is_video = |track: &Mp4Track| track.medium() == MediaType::Video;
    let medium = if tracks.iter().any(is_video) {
        "video"
    } else {
        "audio"
    };
    let codecs: Vec<String> = tracks
        .iter()
        .map(|track| track.config.codec_string())
        .collect();
    Beginning {
        initialization: initialization(tracks, &Movie::default()),
        content_type: format!("{medium}/mp4; codecs=\"{}\"", codecs.join(",")),
    }
}
