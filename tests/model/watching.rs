//! What watchers must have: started, waited for, and compared when all is over.

use super::action::{Item, STREAMS};
use super::frame::{Frame, Kind, Medium};
use super::watcher::{How, Watcher};
use super::world::{World, name_of};
use super::{patience, recordings};
use std::rc::Rc;
use std::time::Instant;

impl World {
    /// Somebody watches a stream that is published.
    pub fn watch(&mut self, stream: usize, how: How) -> Option<()> {
        self.reference.publisher(stream)?;
        let shape = self.publications[stream].as_ref()?.shape;
        let key = match how {
            How::Relay if !self.settings.relays => return None,
            How::Pull if !self.may_pull(stream) => return None,
            // Fragments of sound alone are cut where nobody can foretell it.
            How::Mp4 if shape.videos == 0 => return None,
            // Of more tracks each has a playlist, which ends where one of them is missing.
            How::Hls if shape.videos > 1 || shape.audios > 1 => return None,
            How::Relay | How::Pull => name_of(stream),
            _ => format!("live/{}", name_of(stream)),
        };
        self.beginning(stream);
        if how == How::Pull {
            self.wait_for_pulls();
        }
        let addr = match (how, &self.far, &self.edge) {
            (How::Relay, Some(far), _) => far.rtmp,
            (How::Pull, _, Some(edge)) => edge.program.rtmp,
            _ => self.program.media,
        };
        self.watchers.push(Watcher::start(how, stream, addr, key));
        match how {
            How::Relay => {}
            How::Pull => self.pull(stream),
            How::Flv | How::Mp4 | How::Hls => {
                let watchers = self.reference.watchers(stream);
                self.reference.set_watchers(stream, watchers + 1);
            }
        }
        self.settle_watcher(self.watchers.len() - 1);
        Some(())
    }

    /// The publisher sends what viewers by HTTP begin with, if it has not.
    fn beginning(&mut self, stream: usize) {
        for medium in [Medium::Video, Medium::Audio] {
            let publication = self.publications[stream].as_ref();
            let item = match publication.is_some_and(|publication| publication.has_header(medium)) {
                true => Item::Repeat(medium, 0),
                false => Item::Send(Kind::Header(medium), 0),
            };
            self.media(stream, &[item], 0);
        }
        self.media(
            stream,
            &[Item::Send(Kind::Metadata, 0), Item::Send(Kind::Key, 0)],
            0,
        );
        self.check();
    }

    /// The publisher sends the headers that it has not sent.
    fn headers(&mut self, stream: usize) {
        for medium in [Medium::Video, Medium::Audio] {
            let publication = self.publications[stream].as_ref();
            if publication.is_some_and(|publication| !publication.has_header(medium)) {
                self.media(stream, &[Item::Send(Kind::Header(medium), 0)], 0);
            }
        }
    }

    /// More media, so much that everybody has begun; the last frame that all must have.
    fn round(&mut self, stream: usize) -> Option<Rc<Frame>> {
        let once = [
            Item::Ms(20),
            Item::Send(Kind::Key, 0),
            Item::Send(Kind::Sound, 0),
        ];
        let items = [&once[..], &[Item::Ms(1100)], &once].concat();
        self.media(stream, &items, 0);
        self.check();
        let sent = &self.publications[stream].as_ref()?.sent;
        let last = |kind| sent.iter().rev().find(|frame| frame.kind == kind);
        last(Kind::Key).or(last(Kind::Sound)).cloned()
    }

    /// Waits until a watcher has what its stream has.
    pub fn settle_watcher(&mut self, index: usize) {
        let Watcher {
            stream, held_since, ..
        } = self.watchers[index];
        if held_since.is_some() {
            return;
        }
        let end = Instant::now() + patience();
        // Nothing can be packaged without them.
        if self.watchers[index].how == How::Hls && !self.watchers[index].is_done {
            self.headers(stream);
        }
        let Some(last) = self.round(stream) else {
            return;
        };
        while self.reference.publisher(stream).is_some() {
            if self.watchers[index].waits_for(&last) {
                return;
            }
            let how = self.watchers[index].how;
            assert!(
                Instant::now() < end,
                "{how:?} of stream {stream} gets nothing of {last}"
            );
            self.round(stream);
        }
    }

    pub fn settle_watchers(&mut self) {
        (0..self.watchers.len()).for_each(|index| self.settle_watcher(index));
        self.check_watchers();
    }

    /// Those whose stream is over have been told so.
    pub fn check_watchers(&mut self) {
        for index in 0..self.watchers.len() {
            let Watcher { how, stream, .. } = self.watchers[index];
            let is_over = how != How::Relay && self.reference.watchers(stream) == 0;
            if is_over && !self.watchers[index].is_done {
                self.watchers[index].read_on();
                self.watchers[index].wait_for_end();
            }
        }
    }

    /// A response of MP4 ends where a configuration changes: those who watch by it go before.
    pub fn release(&mut self, stream: usize) {
        let is_it = |watcher: &&mut Watcher| {
            watcher.how == How::Mp4 && watcher.stream == stream && !watcher.is_done
        };
        let mut left = 0;
        for watcher in self.watchers.iter_mut().filter(is_it) {
            watcher.leave();
            left += 1;
        }
        self.count_left(stream, left);
    }

    /// So many have gone who watched a stream.
    pub fn count_left(&mut self, stream: usize, left: usize) {
        let watchers = self.reference.watchers(stream);
        if left > 0 && watchers > 0 {
            self.reference.set_watchers(stream, watchers - left);
            self.wait_for_watchers();
        }
    }

    /// Compares what was watched and recorded with what was sent.
    pub fn check_archive(&mut self) {
        for stream in 0..STREAMS {
            if let Some(last) = self.publications[stream].take() {
                self.archive.keep(stream, last);
            }
        }
        let archive = &self.archive;
        for watcher in &mut self.watchers {
            watcher.leave();
            watcher.check(&archive.sent, &archive.streams);
        }
        recordings::check(&self.records.0, archive);
    }
}
