//! What watchers must have: started, waited for, and compared when all is over.

use super::action::{Item, Pulls, STREAMS, Shape};
use super::frame::{Frame, Kind, Medium};
use super::watcher::{How, Watcher};
use super::world::{World, name_of};
use super::{patience, recordings};
use std::rc::Rc;
use std::time::Instant;

impl World {
    /// Somebody watches a stream that is published.
    pub fn watch(&mut self, stream: usize, how: How) -> Option<()> {
        let always = self.settings.pulls == Pulls::Always;
        let how = match how {
            How::Pull if always => How::StandingPull,
            how => how,
        };
        self.reference.publisher(stream)?;
        let shape = self.publications[stream].as_ref()?.shape;
        let key = match how {
            How::Relay if !self.settings.relays => return None,
            How::Pull if !self.may_pull(stream) => return None,
            // Fragments of sound alone are cut where nobody can foretell it.
            How::Mp4 if shape.videos == 0 => return None,
            How::Relay | How::Pull | How::StandingPull => name_of(stream),
            _ => format!("live/{}", name_of(stream)),
        };
        self.beginning(stream);
        if how == How::Pull {
            self.wait_for_pulls();
        }
        if how == How::StandingPull && !self.has_pulled(stream) {
            return None;
        }
        let addr = match (how, &self.far, &self.edge) {
            (How::Relay, Some(far), _) => far.rtmp,
            (How::Pull | How::StandingPull, _, Some(edge)) => edge.program.rtmp,
            _ => self.program.media,
        };
        self.watchers.push(Watcher::start(how, stream, addr, key));
        match how {
            How::Relay | How::StandingPull => {}
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
        self.headers(stream, |_| true);
        let mut items = vec![Item::Send(Kind::Metadata, 0), Item::Send(Kind::Key, 0)];
        // Late joiners get all from the last keyframe of each track on: no more than there is room for.
        let publication = self.publications[stream].as_ref();
        if publication.is_some_and(|publication| publication.shape.videos > 1) {
            items.push(Item::Send(Kind::Key, 1));
        }
        self.media(stream, &items, 0);
        self.check();
    }

    /// The publisher sends its headers.
    fn headers(&mut self, stream: usize, wants: fn(&Item) -> bool) {
        let Some(publication) = &self.publications[stream] else {
            return;
        };
        let headers = [Medium::Video, Medium::Audio].into_iter();
        let headers = headers.flat_map(|medium| {
            let tracks = publication.tracks(medium);
            tracks.map(move |track| publication.header(medium, track))
        });
        let headers: Vec<Item> = headers.filter(wants).collect();
        for header in headers {
            self.media(stream, &[header], 0);
        }
    }

    /// More media, so much that everybody has begun; the last frame that all must have.
    fn round(&mut self, stream: usize) -> Option<Rc<Frame>> {
        let mut once = vec![Item::Ms(20)];
        once.extend(self.publications[stream].as_ref()?.entries());
        let items = [&once[..], &[Item::Ms(1100)], &once].concat();
        self.media(stream, &items, 0);
        self.check();
        self.last_entry(stream)
    }

    /// The last keyframe of the first track, or its last sound where there are no pictures.
    pub fn last_entry(&self, stream: usize) -> Option<Rc<Frame>> {
        let sent = &self.publications[stream].as_ref()?.sent;
        let last = |kind| {
            let mut frames = sent.iter().rev();
            frames.find(|frame| frame.kind == kind && frame.track == 0)
        };
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
            self.headers(stream, |item| matches!(item, Item::Send(..)));
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
            let counts = !matches!(how, How::Relay | How::StandingPull);
            let is_over = counts && self.reference.watchers(stream) == 0;
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

    /// Whether somebody watches several tracks by HLS: each has its own playlist, and they end where a track
    /// is missing behind a break.
    pub fn has_many_playlists(&self, stream: usize) -> bool {
        let is_it = |watcher: &Watcher| {
            watcher.how == How::Hls && watcher.stream == stream && !watcher.is_done
        };
        let published = self.publications[stream].as_ref();
        let has_many = published.is_some_and(|published| published.shape.has_many());
        has_many && self.watchers.iter().any(is_it)
    }

    /// Whether a publication of this shape would have other playlists for those who watch by HLS.
    pub fn has_other_playlists(&self, stream: usize, shape: Shape) -> bool {
        let is_it = |watcher: &Watcher| {
            watcher.how == How::Hls && watcher.stream == stream && !watcher.is_done
        };
        let is_watched = self.watchers.iter().any(is_it);
        self.has_many_playlists(stream) || shape.has_many() && is_watched
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
