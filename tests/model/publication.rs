//! A publication that goes on: what it has sent, and where its clock stands.

use super::action::{Item, Records, Shape};
use super::frame::{self, Form, Frame, Kind, Mark, Medium};
use rtmp_server::rtmp::StreamId;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What follows the last picture or sound when a publisher begins its times anew.
const GAP_MS: i32 = 40;

pub struct Publication {
    pub number: u32,
    pub message_stream: u32,
    pub shape: Shape,
    /// How it is recorded, if it is: what, and whether as MP4.
    pub recorded: Option<(Records, bool)>,
    /// Everything that was sent.
    pub sent: Vec<Rc<Frame>>,
    time: u32,
    elapsed_ms: i32,
    clock: u32,
    /// Whether its times are those that viewers see.
    is_unmoved: bool,
    /// Where its last picture or sound was, if it has begun its times anew since.
    restarted_at: Option<i32>,
    headers: BTreeMap<(Medium, u8), Rc<Frame>>,
}

impl Publication {
    pub fn new(number: u32, message_stream: u32, shape: Shape, is_unmoved: bool) -> Publication {
        Publication {
            number,
            message_stream,
            shape,
            recorded: None,
            sent: Vec::new(),
            time: shape.start_ms,
            elapsed_ms: 0,
            clock: 0,
            is_unmoved,
            restarted_at: None,
            headers: BTreeMap::new(),
        }
    }

    /// Its tracks of a medium.
    pub fn tracks(&self, medium: Medium) -> std::ops::Range<u8> {
        match medium {
            Medium::Video => 0..self.shape.videos,
            Medium::Audio => 0..self.shape.audios,
        }
    }

    /// The header of a track once more, or the first.
    pub fn header(&self, medium: Medium, track: u8) -> Item {
        match self.headers.contains_key(&(medium, track)) {
            true => Item::Repeat(medium, track),
            false => Item::Send(Kind::Header(medium), track),
        }
    }

    /// A keyframe, and sound, of each track.
    pub fn entries(&self) -> Vec<Item> {
        let videos = self.tracks(Medium::Video);
        let videos = videos.map(|track| Item::Send(Kind::Key, track));
        let sounds = self.tracks(Medium::Audio);
        let sounds = sounds.map(|track| Item::Send(Kind::Sound, track));
        videos.chain(sounds).collect()
    }

    /// Its times begin anew.
    pub fn restart(&mut self) {
        let timed = self.sent.iter().rev().find(|frame| frame.is_timed());
        let Some(last) = timed.map(|frame| frame.elapsed_ms) else {
            return;
        };
        self.restarted_at = Some(last);
        self.is_unmoved = false;
        self.clock += 1;
        self.time = 0;
    }

    /// The next message, if the publication has anything of that kind.
    pub fn next(&mut self, item: Item, len: usize) -> Option<Rc<Frame>> {
        let (kind, track) = match item {
            Item::Ms(ms) => {
                self.time = self.time.wrapping_add(ms);
                self.elapsed_ms += ms as i32;
                return None;
            }
            Item::Send(kind, track) => (kind, track),
            Item::Repeat(medium, track) => {
                let track = self.track(medium, track)?;
                let last = Rc::clone(self.headers.get(&(medium, track))?);
                return Some(self.note(last.kind, track, last.mark, 0));
            }
        };
        let track = match kind {
            Kind::Metadata | Kind::Text => 0,
            Kind::Header(medium) | Kind::Empty(medium) => self.track(medium, track)?,
            Kind::Sound => self.track(Medium::Audio, track)?,
            _ => self.track(Medium::Video, track)?,
        };
        let mark = Mark {
            publication: self.number,
            number: self.sent.len() as u32,
        };
        Some(self.note(kind, track, mark, len))
    }

    fn track(&self, medium: Medium, track: u8) -> Option<u8> {
        let tracks = match medium {
            Medium::Video => self.shape.videos,
            Medium::Audio => self.shape.audios,
        };
        (tracks > 0).then(|| track % tracks)
    }

    fn note(&mut self, kind: Kind, track: u8, mark: Mark, len: usize) -> Rc<Frame> {
        // Of two tracks none is in the legacy form, so that the first has one codec throughout.
        let form = match self.shape.videos.max(self.shape.audios) {
            2 => Form::Enhanced,
            _ => self.shape.form,
        };
        let is_timed = matches!(
            kind,
            Kind::Key | Kind::Inter | Kind::Disposable | Kind::Sound
        );
        let time = match self.shape.dates_nothing && !is_timed {
            true => 0,
            false => self.time,
        };
        let (seen, mut sent) = frame::message(kind, track, form, mark, time, len);
        sent.stream = StreamId(self.message_stream);
        let mut frame = Frame {
            kind,
            track,
            mark,
            clock: self.clock,
            is_unmoved: self.is_unmoved,
            elapsed_ms: self.elapsed_ms,
            sent,
            seen,
        };
        if frame.is_timed()
            && let Some(last) = self.restarted_at.take()
        {
            self.elapsed_ms = last + GAP_MS;
            frame.elapsed_ms = self.elapsed_ms;
        }
        let frame = Rc::new(frame);
        if let Kind::Header(medium) = kind {
            self.headers.insert((medium, track), Rc::clone(&frame));
        }
        self.sent.push(Rc::clone(&frame));
        frame
    }
}
