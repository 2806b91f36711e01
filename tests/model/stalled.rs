//! What a client gets that did not read for a while: of what it must get, less; but nothing twice, nothing
//! in another order, no picture that needs another that is missing, and every header.

use super::client::{Client, is_media, show, show_message, stream_of};
use super::doing;
use super::frame::{Frame, Kind, Medium};
use super::reference::{Expected, Told, When};
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
    /// The publication that goes on: 0 for none.
    publication: u32,
    /// Whether nothing may be left out any more.
    is_strict: bool,
}

fn slot(stream: u32, frame: &Frame) -> Slot {
    (stream, frame.medium(), frame.track)
}

impl Progress {
    /// `what` comes instead of this.
    fn pass(&mut self, next: &Expected, what: &str) {
        match next {
            Expected::Media(stream, frame, _) => self.skip(*stream, frame),
            // Nothing depends on them.
            Expected::Line(line) if line.starts_with("dry ") || line.starts_with("begin ") => {}
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

    /// The client was sent this frame.
    fn take(&mut self, stream: u32, frame: &Rc<Frame>) {
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
            let line = describe(message);
            let is_it = |next: &Expected| matches!(next, Expected::Line(want) if *want == line);
            skip_to(told, stream, progress, is_it, &line);
            continue;
        }
        let is_it = |(on, frame): &&(u32, Rc<Frame>)| *on == stream && frame.is_in(message);
        match progress.headers.iter().find(is_it).cloned() {
            Some((_, frame)) if frame.kind == Kind::End => {}
            Some((_, frame)) => {
                progress.came.insert(slot(stream, &frame), frame);
            }
            None => {
                let is_it = |next: &Expected| matches!(next, Expected::Media(_, frame, _) if frame.is_in(message));
                let text = show_message(Some(message));
                let next = skip_to(told, stream, progress, is_it, &text);
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
        }
    }
    if progress.is_strict {
        progress.finish();
    }
    progress.is_strict = true;
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
