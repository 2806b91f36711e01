//! One viewer, and what a publication has sent that later viewers need.

use super::{Expected, When};
use crate::model::frame::{Frame, Kind, Medium};
use crate::model::reference::ClientId;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// How long a viewer waits for a keyframe before it begins with sound.
const KEYFRAME_WAIT_MS: i32 = 3000;

/// The longest time from the first picture that is kept for late joiners to the last.
const KEPT_MS_MAX: i32 = 30_000;

#[derive(Default)]
pub struct Kept {
    pub metadata: Option<Rc<Frame>>,
    pub headers: Vec<Rc<Frame>>,
    /// From a keyframe on.
    pub frames: Vec<Rc<Frame>>,
    /// Tracks with a picture or a header.
    pub videos: BTreeSet<u8>,
}

pub struct Viewer {
    pub client: ClientId,
    pub message_stream: u32,
    pub all_tracks: bool,
    pub audio: bool,
    pub video: bool,
    pub paused: bool,
    pub phase: Phase,
    /// Video tracks of which it has a keyframe.
    pub started: BTreeSet<u8>,
    /// Headers and metadata that it must get before the next frame.
    pub missed: Vec<Rc<Frame>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It has been told nothing.
    Waiting,
    /// It plays, and has nothing of this publication. When it heard the first sound.
    Starting(Option<i32>),
    Playing,
}

impl Viewer {
    /// One that has been told nothing.
    pub fn new(client: ClientId, message_stream: u32, all_tracks: bool) -> Viewer {
        Viewer {
            client,
            message_stream,
            all_tracks,
            audio: true,
            video: true,
            paused: false,
            phase: Phase::Waiting,
            started: BTreeSet::new(),
            missed: Vec::new(),
        }
    }

    pub fn takes(&self, frame: &Frame) -> bool {
        self.all_tracks || frame.track == 0
    }

    pub fn wants(&self, frame: &Frame) -> bool {
        match frame.medium() {
            Some(Medium::Video) => self.video,
            Some(Medium::Audio) => self.audio,
            None => true,
        }
    }

    pub fn line(&self, line: &str) -> Expected {
        Expected::Line(line.replace('#', &self.message_stream.to_string()))
    }

    pub fn media(&self, frame: &Rc<Frame>, when: When) -> Expected {
        let when = if frame.kind == Kind::Metadata {
            When::Zero
        } else {
            when
        };
        Expected::Media(self.message_stream, Rc::clone(frame), when)
    }

    /// Keeps a header or metadata until it is due, in place of what it replaces.
    pub fn miss(&mut self, frame: &Rc<Frame>) {
        self.missed.retain(|missed| !frame.replaces(missed));
        self.missed.push(Rc::clone(frame));
    }

    /// A live message, which is in `kept` already.
    pub fn next(&mut self, frame: &Rc<Frame>, kept: &Kept, gop_cache: bool) -> Vec<Expected> {
        if !self.takes(frame) {
            return Vec::new();
        }
        match self.phase {
            Phase::Waiting => Vec::new(),
            Phase::Starting(first) => {
                let time = frame.elapsed_ms;
                let (mut first, mut heard) = (first, 0);
                if frame.kind == Kind::Sound {
                    heard = time - *first.get_or_insert(time);
                }
                self.phase = Phase::Starting(first);
                self.begin(Some(frame), kept, gop_cache, heard >= KEYFRAME_WAIT_MS)
            }
            Phase::Playing if self.paused || !self.wants(frame) => {
                if frame.is_kept() {
                    self.miss(frame);
                }
                Vec::new()
            }
            Phase::Playing if frame.is_dependent() && !self.started.contains(&frame.track) => {
                Vec::new()
            }
            // It has no time of its own, so it waits with what waits for one.
            Phase::Playing if frame.kind == Kind::Metadata && !self.missed.is_empty() => {
                self.miss(frame);
                Vec::new()
            }
            Phase::Playing => {
                let missed = std::mem::take(&mut self.missed);
                let (due, later): (Vec<_>, _) =
                    missed.into_iter().partition(|missed| self.wants(missed));
                self.missed = later;
                if frame.kind == Kind::Key {
                    self.started.insert(frame.track);
                }
                let due = due.iter().map(|missed| self.media(missed, When::Next));
                due.chain([self.media(frame, When::Own)]).collect()
            }
        }
    }

    /// Begins, if it can: with all that is kept, or with `current` where there are no pictures.
    pub fn begin(
        &mut self,
        current: Option<&Rc<Frame>>,
        kept: &Kept,
        gop_cache: bool,
        any_sound: bool,
    ) -> Vec<Expected> {
        if self.paused {
            return Vec::new();
        }
        let has_video = kept
            .videos
            .iter()
            .any(|track| self.all_tracks || *track == 0);
        let mut started = BTreeSet::new();
        let mut frames: Vec<Rc<Frame>> = Vec::new();
        if has_video && self.video {
            let current_key = current.filter(|frame| frame.kind == Kind::Key && !gop_cache);
            let kept = kept.frames.iter().filter(|_| gop_cache).chain(current_key);
            for frame in kept.filter(|frame| self.takes(frame)) {
                if frame.kind == Kind::Key {
                    started.insert(frame.track);
                }
                let severed = frame.is_dependent() && !started.contains(&frame.track);
                if !started.is_empty() && !severed && self.wants(frame) {
                    frames.push(Rc::clone(frame));
                }
            }
            if frames.is_empty() && !any_sound {
                return Vec::new();
            }
        }
        if frames.is_empty() {
            let begins = |frame: &&Rc<Frame>| {
                matches!(frame.kind, Kind::Sound | Kind::Text) && self.wants(frame)
            };
            match current.filter(begins) {
                Some(current) => frames.push(Rc::clone(current)),
                None => return Vec::new(),
            }
        }
        (self.phase, self.started) = (Phase::Playing, started);
        let headers = |medium| {
            let of_medium = move |header: &&Rc<Frame>| header.medium() == Some(medium);
            kept.headers
                .iter()
                .filter(of_medium)
                .filter(|header| self.takes(header))
        };
        let headers: Vec<_> = headers(Medium::Video)
            .chain(headers(Medium::Audio))
            .cloned()
            .collect();
        let (wanted, missed): (Vec<_>, _) =
            headers.into_iter().partition(|header| self.wants(header));
        self.missed = missed;
        let front = kept.metadata.iter().chain(&wanted);
        let front = front.map(|frame| self.media(frame, When::Next));
        front
            .chain(frames.iter().map(|frame| self.media(frame, When::Own)))
            .collect()
    }
}

impl Kept {
    pub fn note(&mut self, frame: &Rc<Frame>) {
        if frame.is_picture() || frame.kind == Kind::Header(Medium::Video) {
            self.videos.insert(frame.track);
        }
        match frame.kind {
            Kind::Empty(_) | Kind::End => {}
            Kind::Metadata => self.metadata = Some(Rc::clone(frame)),
            Kind::Header(_) => {
                let same = |kept: &Rc<Frame>| frame.replaces(kept) && kept.seen == frame.seen;
                if self.headers.iter().any(same) {
                    return;
                }
                let before = self.headers.len();
                self.headers.retain(|kept| !frame.replaces(kept));
                // What the track had for another header goes.
                if self.headers.len() < before {
                    let slot = |frame: &Frame| (frame.medium(), frame.track);
                    self.frames.retain(|kept| slot(kept) != slot(frame));
                    match self.frames.iter().any(|kept| kept.kind == Kind::Key) {
                        true => self.forget(),
                        false => self.frames.clear(),
                    }
                }
                self.headers.push(Rc::clone(frame));
            }
            Kind::Key => {
                self.frames.push(Rc::clone(frame));
                self.forget();
                self.bound();
            }
            _ if self.frames.is_empty() => {}
            _ => {
                self.frames.push(Rc::clone(frame));
                self.bound();
            }
        }
    }

    /// Forgets what lies before the last keyframe of every track.
    pub fn forget(&mut self) {
        let mut last = BTreeMap::new();
        let keys = self
            .frames
            .iter()
            .enumerate()
            .filter(|(_, frame)| frame.kind == Kind::Key);
        keys.for_each(|(index, frame)| {
            last.insert(frame.track, index);
        });
        let first = last.into_values().min().unwrap_or_default();
        self.frames.drain(..first);
    }

    pub fn bound(&mut self) {
        let time = |frame: &Rc<Frame>| frame.elapsed_ms;
        let (Some(first), Some(last)) =
            (self.frames.first().map(time), self.frames.last().map(time))
        else {
            return;
        };
        if last - first > KEPT_MS_MAX {
            self.frames.clear();
        }
    }
}
