//! What a client gets that did not read for a while: of what it must get, less; but nothing twice, nothing
//! in another order, no picture that needs another that is missing, every header, and in the end what has
//! become of its publisher.

use super::client::{Client, is_media, show, show_message, stream_of};
use super::doing;
use super::frame::{Frame, Kind, Medium};
use super::reference::{Expected, Told, When, message_stream};
use crate::support::describe;
use rtmp_server::rtmp::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// On a message stream: the header, or metadata, of a medium and a track.
type Slot = (u32, Option<Medium>, u8);

/// What was read so far, and what should have been.
#[derive(Default)]
pub struct Progress {
    /// All headers and metadata that were due, and ends of tracks.
    headers: Vec<(u32, Rc<Frame>)>,
    /// The last headers and metadata that were due, and that came.
    due: BTreeMap<Slot, Rc<Frame>>,
    came: BTreeMap<Slot, Rc<Frame>>,
    /// Video tracks whose next picture must be a keyframe.
    broken: BTreeSet<(u32, u8)>,
    pub skipped: u64,
    /// What had not come when all was read, of publications of which nothing has: it may begin with that,
    /// by message stream.
    kept: BTreeMap<u32, Vec<Rc<Frame>>>,
    begun: BTreeSet<u32>,
    /// What it is told of its publishers, by message stream.
    notices: BTreeMap<u32, Notices>,
    /// The publication that goes on: 0 for none.
    publication: u32,
    /// Whether nothing may be left out any more.
    is_strict: bool,
}

/// Lines about a publisher that is lost or comes back: they may come late, and not for what is over by
/// then.
#[derive(Debug, Default)]
struct Notices {
    due: Vec<String>,
    came: Vec<String>,
}

impl Notices {
    fn is_one(line: &str) -> bool {
        line.starts_with("dry ") || line.starts_with("begin ")
    }

    /// Whether the client knows what is so. Where the last is what the first was, that alone may have
    /// been told; otherwise both, however often others lie between.
    fn are_told(&self) -> bool {
        let least = match self.due.first() == self.due.last() {
            true => self.due.len().min(1),
            false => 2,
        };
        self.due.last() == self.came.last() && self.came.len() >= least
    }

    fn come(&mut self, line: String) {
        assert!(self.came.last() != Some(&line), "{line} comes twice");
        self.came.push(line);
    }
}

fn slot(stream: u32, frame: &Frame) -> Slot {
    (stream, frame.medium(), frame.track)
}

impl Progress {
    /// `what` comes instead of this.
    fn pass(&mut self, next: &Expected, what: &str) {
        match next {
            Expected::Media(stream, frame, _) => self.skip(*stream, frame),
            Expected::Line(line) if Notices::is_one(line) => {
                let notices = self.notices.entry(message_stream(line)).or_default();
                notices.due.push(line.clone());
            }
            next => panic!("{what} comes instead of {}", show(next)),
        }
    }

    /// The client was not sent this.
    fn skip(&mut self, stream: u32, frame: &Rc<Frame>) {
        if frame.is_kept() {
            self.due.insert(slot(stream, frame), Rc::clone(frame));
            return;
        }
        // The end of a track may come later, as headers do.
        if frame.kind == Kind::End {
            return;
        }
        assert!(
            !self.is_strict,
            "{frame} is left out, although there is room"
        );
        // No picture needs one that is disposable.
        if frame.is_picture() && frame.kind != Kind::Disposable {
            self.broken.insert((stream, frame.track));
        }
        self.skipped += 1;
    }

    /// The client may begin with this frame later, as those do who come late.
    fn keep(&mut self, next: &Expected) {
        if let Expected::Media(stream, frame, _) = next
            && !frame.is_kept()
            && frame.kind != Kind::End
            && !self.begun.contains(&frame.mark.publication)
        {
            self.kept.entry(*stream).or_default().push(Rc::clone(frame));
        }
    }

    /// The frame in a message that the client begins with, and which had not come when all was read.
    fn begin_late(&mut self, stream: u32, message: &Message) -> Option<Rc<Frame>> {
        let kept = self.kept.get_mut(&stream)?;
        let at = kept.iter().position(|frame| frame.is_in(message))?;
        self.skipped = self.skipped.saturating_sub(1);
        kept.drain(..=at).next_back()
    }

    /// The client was sent this frame.
    fn take(&mut self, stream: u32, frame: &Rc<Frame>) {
        self.begun.insert(frame.mark.publication);
        if self.is_strict {
            self.publication = frame.mark.publication;
        }
        let track = (stream, frame.track);
        if frame.kind == Kind::Key {
            self.broken.remove(&track);
        }
        assert!(
            !frame.is_dependent() || !self.broken.contains(&track),
            "{frame} comes without the pictures that it needs"
        );
        let slot = slot(stream, frame);
        let due = self.due.get(&slot).map(|frame| frame.mark);
        // Those of a publication before it are of no use.
        if let Some(due) = due.filter(|due| due.publication == frame.mark.publication) {
            let came = self.came.get(&slot).map(|frame| frame.mark);
            assert!(
                !frame.is_timed() || came == Some(due),
                "{frame} comes behind {came:?} instead of {due:?}"
            );
        }
    }

    /// Whether there is something of its publishers that the client has yet to be told.
    pub fn owes_notices(&self) -> bool {
        !self.notices.values().all(Notices::are_told)
    }

    /// Nothing of its publishers is left to be told.
    pub fn check_all_told(&self) {
        assert!(!self.owes_notices(), "not told: {:?}", self.notices);
    }

    /// What comes on this message stream comes behind what is to be told.
    fn check_told(&self, stream: u32, what: &str) {
        let notices = self.notices.get(&stream);
        let are_told = notices.is_none_or(Notices::are_told);
        assert!(are_told, "{what} comes before it is told: {notices:?}");
    }

    /// Nothing more is to come: no header of the publication was left out.
    fn finish(&self) {
        let due = self
            .due
            .iter()
            .filter(|(_, frame)| frame.mark.publication == self.publication);
        for (slot, frame) in due {
            let came = self.came.get(slot).map(|frame| frame.mark);
            assert_eq!(came, Some(frame.mark), "{frame} is left out");
        }
    }
}

/// Reads up to this line, or to the end.
pub fn read(client: &mut Client, last: &str, read: &mut Vec<Option<Message>>) {
    loop {
        doing(|| format!("client {}, which did not read, waits for {last}", client.id));
        let message = client.next();
        let is_media = message.as_ref().is_some_and(is_media);
        let is_last = message
            .as_ref()
            .is_none_or(|message| !is_media && describe(message) == last);
        read.push(message);
        if is_last {
            return;
        }
    }
}

/// Compares what was read with what must have come. At a second time nothing may be left out.
pub fn compare(
    client: &mut Client,
    told: &mut Told,
    read: &[Option<Message>],
    progress: &mut Progress,
) {
    progress.headers.extend(headers(told));
    for message in read.iter().flatten() {
        let stream = stream_of(message);
        if !is_media(message) {
            read_line(told, stream, progress, describe(message));
            continue;
        }
        let is_it = |(on, frame): &&(u32, Rc<Frame>)| *on == stream && frame.is_in(message);
        match progress.headers.iter().find(is_it).cloned() {
            Some((_, frame)) if frame.kind == Kind::End => {}
            Some((_, frame)) => {
                progress.came.insert(slot(stream, &frame), frame);
            }
            None => {
                let text = show_message(Some(message));
                if let Some(frame) = progress.begin_late(stream, message) {
                    progress.check_told(stream, &text);
                    progress.take(stream, &frame);
                    client.check_media(stream, &frame, When::Own, message);
                    continue;
                }
                progress.kept.remove(&stream);
                let is_it = |next: &Expected| matches!(next, Expected::Media(_, frame, _) if frame.is_in(message));
                let next = skip_to(told, stream, progress, is_it, &text);
                progress.check_told(stream, &text);
                if let Expected::Media(stream, frame, _) = next {
                    progress.take(stream, &frame);
                    // Headers in front of it may have been left out, so it owes them no time.
                    client.check_media(stream, &frame, When::Own, message);
                }
            }
        }
    }
    for (_, left) in std::mem::take(&mut told.expected) {
        for next in &left {
            progress.pass(next, "nothing");
            progress.keep(next);
        }
    }
    if progress.is_strict {
        progress.finish();
    }
    progress.is_strict = true;
}

/// A line came: in its order, but for what may come late.
fn read_line(told: &mut Told, stream: u32, progress: &mut Progress, line: String) {
    let is_it = |next: &Expected| matches!(next, Expected::Line(want) if *want == line);
    if !Notices::is_one(&line) {
        skip_to(told, stream, progress, is_it, &line);
        return progress.check_told(stream, &line);
    }
    let notices = progress.notices.entry(stream).or_default();
    if notices.came.len() == notices.due.len() {
        let next = skip_to(told, stream, progress, is_it, &line);
        progress.pass(&next, &line);
    }
    progress.notices.entry(stream).or_default().come(line);
}

fn headers(told: &Told) -> Vec<(u32, Rc<Frame>)> {
    let expected = told.expected.values().flatten();
    let kept = expected.filter_map(|expected| match expected {
        Expected::Media(stream, frame, _) if frame.is_kept() || frame.kind == Kind::End => {
            Some((*stream, Rc::clone(frame)))
        }
        _ => None,
    });
    kept.collect()
}

/// Passes over what may be left out, up to what `is_it`.
fn skip_to(
    told: &mut Told,
    stream: u32,
    progress: &mut Progress,
    is_it: impl Fn(&Expected) -> bool,
    what: &str,
) -> Expected {
    loop {
        let next = told.next(stream);
        let next = next.unwrap_or_else(|| panic!("{what} comes, which is not to come"));
        if is_it(&next) {
            return next;
        }
        progress.pass(&next, what);
    }
}
