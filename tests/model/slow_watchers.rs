//! Those who watch by HTTP and do not read for a while: what they are not sent is counted, and they go on
//! at a keyframe.

use super::action::Item;
use super::frame::{Kind, Mark, Medium};
use super::hold::{KNOWN_MAX, LARGE_LEN, LARGE_MAX, LOOK_PAUSE, SMALL_COUNT};
use super::reference::Reference;
use super::watcher::{How, Watcher};
use super::world::{STALL_MAX, World};
use rtmp_server::json::JsonValue;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

/// How long somebody who reads again may take what waits.
const DRAIN_MAX: Duration = Duration::from_secs(2);

impl World {
    /// One who watches by HTTP reads no more, and its stream sends more than it has room for.
    pub fn stall_watcher(&mut self, watcher: usize) -> Option<()> {
        let watches = |watcher: &Watcher| !watcher.is_done;
        let may_stall = |index: &usize| {
            let Watcher { how, stream, .. } = self.watchers[*index];
            let on_stream = |watcher: &&Watcher| watches(watcher) && watcher.stream == stream;
            matches!(how, How::Flv | How::Mp4)
                && watches(&self.watchers[*index])
                && self.watchers[*index].held_since.is_none()
                && self.reference.publisher(stream).is_some()
                // Others that read in threads of their own might be slow as well.
                && self.watchers.iter().filter(on_stream).count() == 1
        };
        let able: Vec<usize> = (0..self.watchers.len()).filter(may_stall).collect();
        let index = *able.get(watcher % able.len().max(1))?;
        let Watcher { how, stream, .. } = self.watchers[index];
        self.settle_watcher(index);
        let addr = self.watchers[index].addr()?;
        let last = self.last_sent(stream)?;
        self.watchers[index].hold(last);
        for number in 0..LARGE_MAX {
            let kind = [Kind::Inter, Kind::Key][usize::from(number == 0)];
            self.media(stream, &[Item::Ms(20), Item::Send(kind, 0)], LARGE_LEN)?;
            self.check();
            if self.watcher_number(addr, "queue") > Some(0) {
                break;
            }
        }
        for number in 0..SMALL_COUNT {
            // Sound shares the fragments of pictures.
            let kind = match how {
                How::Mp4 => Kind::Inter,
                _ => [Kind::Inter, Kind::Sound, Kind::Sound][number % 3],
            };
            self.media(stream, &[Item::Ms(10), Item::Send(kind, 0)], 0)?;
            self.check();
        }
        if how == How::Flv {
            let needed = [Medium::Video, Medium::Audio].map(Kind::Header);
            self.media(stream, &needed.map(|kind| Item::Send(kind, 0)), 0)?;
        }
        let frames = [Kind::Key, Kind::Inter, Kind::Sound].map(|kind| Item::Send(kind, 0));
        self.media(stream, &frames, 0)?;
        Some(())
    }

    fn last_sent(&self, stream: usize) -> Option<Mark> {
        let sent = &self.publications[stream].as_ref()?.sent;
        sent.last().map(|frame| frame.mark)
    }

    /// A number that the server tells of the connection from this address, as of a moment ago.
    fn watcher_number(&self, addr: SocketAddr, what: &str) -> Option<i64> {
        let connections = self.program.list("connections");
        let addr = addr.to_string();
        let is_it =
            |item: &&JsonValue| item.get("addr").and_then(JsonValue::as_str) == Some(addr.as_str());
        match connections.iter().find(is_it)?.get(what) {
            Some(JsonValue::Int(number)) => Some(*number),
            other => panic!("{what} of {addr}: {other:?}"),
        }
    }

    /// Whether somebody has not read for so long that it must again.
    pub fn is_watcher_late(&self) -> bool {
        let mut held = self
            .watchers
            .iter()
            .filter_map(|watcher| watcher.held_since);
        held.any(|since| since.elapsed() > STALL_MAX)
    }

    /// All who watch by HTTP and do not read do so again.
    pub fn wake_watchers(&mut self) -> Option<()> {
        let is_held = |index: &usize| self.watchers[*index].held_since.is_some();
        let held: Vec<usize> = (0..self.watchers.len()).filter(is_held).collect();
        held.iter().for_each(|index| self.wake_watcher(*index));
        (!held.is_empty()).then_some(())
    }

    fn wake_watcher(&mut self, index: usize) {
        let Watcher {
            stream, held_since, ..
        } = self.watchers[index];
        if held_since.is_some_and(|since| since.elapsed() > KNOWN_MAX) {
            self.watchers[index].leave();
            return self.count_left(stream, 1);
        }
        self.watchers[index].read_on();
        let addr = self.watchers[index].addr();
        self.send_severed(index, addr);
        self.settle_watcher(index);
        // It may have ended meanwhile, and owe nothing.
        if let (Some(_), Some(last), Some(addr)) = (
            self.reference.publisher(stream),
            self.last_entry(stream),
            addr,
        ) {
            self.watchers[index].close_hole(last.mark);
            self.check_watcher_drops(index, addr);
        }
    }

    /// There is room again: the stream goes on with a picture that needs those that were left out.
    fn send_severed(&mut self, index: usize, addr: Option<SocketAddr>) {
        let stream = self.watchers[index].stream;
        let end = Instant::now() + DRAIN_MAX;
        let waits =
            |world: &World| addr.and_then(|addr| world.watcher_number(addr, "queue")) > Some(0);
        while waits(self) && Instant::now() < end {
            thread::sleep(LOOK_PAUSE);
        }
        let items = [Kind::Inter, Kind::Sound, Kind::Inter].map(|kind| Item::Send(kind, 0));
        self.media(stream, &items, 0);
        self.check();
    }

    /// What somebody was not sent was counted.
    fn check_watcher_drops(&mut self, index: usize, addr: SocketAddr) {
        let Watcher { how, stream, .. } = self.watchers[index];
        self.wait_for(|world| {
            let missed = world.missed_by(index);
            let dropped = world.watcher_number(addr, "drops").unwrap_or_default();
            // What goes out in fragments is counted by them, and another publication begins later.
            let least = match how {
                How::Flv if world.has_held_within(index) => missed as i64,
                _ => missed.min(1) as i64,
            };
            let is_told = dropped >= least;
            (!is_told).then(|| {
                format!(
                    "{how:?} of stream {stream} was not sent {missed}, and the server says {dropped}"
                )
            })
        });
        self.skipped += self.missed_by(index) as u64;
    }

    /// Whether the publication that somebody did not read last goes on.
    fn has_held_within(&self, index: usize) -> bool {
        let Watcher { stream, holes, .. } = &self.watchers[index];
        let (publication, hole) = (self.publications[*stream].as_ref(), holes.last());
        let both = publication.zip(hole);
        both.is_some_and(|(publication, hole)| publication.number == hole.from.publication)
    }

    /// How much somebody is without that was sent while it did not read last.
    fn missed_by(&self, index: usize) -> usize {
        let watcher = &self.watchers[index];
        let (marks, Some(hole)) = (watcher.marks(), watcher.holes.last()) else {
            return 0;
        };
        let Some(publication) = &self.publications[watcher.stream] else {
            return 0;
        };
        // What nobody gets of one that began meanwhile was not left out: pictures without a keyframe.
        let due = match publication.number == hole.from.publication {
            true => publication.sent.clone(),
            false => Reference::goes_to_all(&publication.sent),
        };
        let missed = due.iter().filter(|frame| {
            let is_due = frame.is_timed() && frame.track == 0 && hole.has(frame.mark);
            is_due && !marks.contains(&frame.mark)
        });
        missed.count()
    }
}
