//! What a consumer must have of a publication: of each track a run, from a keyframe on everything in
//! order.

use super::frame::{Frame, Kind, Mark};
use std::collections::BTreeSet;
use std::ops::Range;
use std::rc::Rc;

/// How long pictures wait behind a change for sound that begins with them.
const SOUND_WAIT_MS: i32 = 1000;

/// What a run may be without.
#[derive(Clone, Copy, Debug)]
pub struct Leave {
    /// Whether all tracks are there, or the first of each medium.
    pub all_tracks: bool,
    /// Whether it may begin with a picture that needs another.
    pub keyframe: bool,
    /// Whether a change of configuration may cost what lies in front of the next keyframe.
    pub changes: bool,
    /// Whether the end of a track may cost as much.
    pub ends: bool,
    /// Whether it may end early.
    pub ends_early: bool,
}

impl Leave {
    /// Whether one of these, of all that was sent, may cost what lies in front of the next keyframe. A header
    /// that is sent once more changes nothing.
    fn has_change(self, sent: &[Rc<Frame>], range: Range<usize>) -> bool {
        range.into_iter().any(|index| match sent[index].kind {
            Kind::Header(_) => self.changes && sent[index].mark.number as usize == index,
            kind => self.ends && kind == Kind::End,
        })
    }
}

/// What a consumer that did not read for a while may be without: what was sent behind the first of these,
/// up to the second, if it has read again.
#[derive(Clone, Copy, Debug)]
pub struct Hole {
    pub from: Mark,
    pub to: Option<Mark>,
}

impl Hole {
    pub fn has(&self, mark: Mark) -> bool {
        mark > self.from && self.to.is_none_or(|to| mark <= to)
    }
}

/// Whether all these may be missing in front of `to`, because they were sent while nothing was read.
fn is_dropped(missing: &[&Rc<Frame>], to: Option<&Frame>, holes: &[Hole]) -> bool {
    let is_in = |frame: &&Rc<Frame>| holes.iter().any(|hole| hole.has(frame.mark));
    let needs = |frame: &&Rc<Frame>| frame.kind != Kind::Disposable;
    let is_severed = to.is_some_and(Frame::is_dependent) && missing.iter().any(needs);
    missing.iter().all(is_in) && !is_severed
}

/// Whether what is missing between these two may be left out: up to a keyframe, or as much sound, where
/// a configuration has changed; or pictures that need one that was not sent.
fn may_lack(
    from: &Frame,
    to: &Frame,
    missing: &[&Rc<Frame>],
    sent: &[Rc<Frame>],
    leave: Leave,
) -> bool {
    let between = from.mark.number as usize..to.mark.number as usize;
    let is_severed = missing.iter().all(|frame| frame.is_dependent());
    leave.has_change(sent, between) && (!to.is_dependent() || is_severed)
}

/// Whether all these, of one track, were sent behind a change of configuration, and wait for a keyframe until
/// the end: sound for that of any pictures. The run is over in front of `sent[at]`.
fn lack_keyframe(missing: &[&Rc<Frame>], sent: &[Rc<Frame>], at: usize, leave: Leave) -> bool {
    let is_missing = |frame: &Rc<Frame>| missing.iter().any(|missing| missing.mark == frame.mark);
    let is_waited_for = |key: &Rc<Frame>| {
        let waits = |frame: &&Rc<Frame>| !frame.is_picture() || frame.track == key.track;
        key.kind == Kind::Key && missing.iter().any(waits)
    };
    let next = |from: usize, is_it: &dyn Fn(&Rc<Frame>) -> bool| {
        (from..sent.len()).find(|index| is_it(&sent[*index]))
    };
    // Where the run was over, or the keyframe that it may begin with again; and the first that is missing there.
    let mut begins = at;
    while let Some(first) = next(begins, &is_missing) {
        let before = begins..first;
        // The pictures have begun without it.
        let is_late = |picture: &Rc<Frame>| {
            let begun_ms = picture.elapsed_ms - sent[begins].elapsed_ms;
            begins > at && picture.is_picture() && begun_ms >= SOUND_WAIT_MS
        };
        let is_late = sent[first].kind == Kind::Sound && sent[before.clone()].iter().any(is_late);
        if !is_late && !leave.has_change(sent, before) {
            return false;
        }
        let Some(key) = next(first, &is_waited_for) else {
            return true;
        };
        begins = key;
    }
    true
}

/// Of each track a run without a gap, that begins with a keyframe.
pub fn check_run(
    what: &str,
    seen: &[&Rc<Frame>],
    sent: &[Rc<Frame>],
    leave: Leave,
    holes: &[Hole],
) {
    let slot = |frame: &Rc<Frame>| (frame.medium(), frame.track);
    let slots: BTreeSet<_> = seen.iter().map(|frame| slot(frame)).collect();
    for track in slots {
        assert!(track.1 == 0 || leave.all_tracks, "{what}: another track");
        let seen: Vec<&&Rc<Frame>> = seen.iter().filter(|frame| slot(frame) == track).collect();
        let timed = |frame: &&Rc<Frame>| frame.is_timed() && slot(frame) == track;
        let run: Vec<&Rc<Frame>> = sent.iter().filter(timed).collect();
        let begins = seen[0];
        assert!(
            leave.keyframe || !begins.is_dependent(),
            "{what}: begins with {begins}"
        );
        let at = |frame: &Frame| run.iter().position(|sent| sent.mark == frame.mark);
        for pair in seen.windows(2) {
            let [from, to] = [pair[0], pair[1]];
            let missing = at(from).zip(at(to));
            let missing = missing.and_then(|(from, to)| run.get(from + 1..to));
            let may_lack = missing.is_some_and(|missing| {
                missing.is_empty()
                    || may_lack(from, to, missing, sent, leave)
                    || is_dropped(missing, Some(to), holes)
            });
            assert!(may_lack, "{what}: {to} follows {from}");
        }
        let last = seen[seen.len() - 1];
        let rest = last.mark.number as usize + 1;
        let missing: Vec<&Rc<Frame>> = sent[rest..].iter().filter(timed).collect();
        let may_end = leave.ends_early || lack_keyframe(&missing, sent, rest, leave);
        assert!(
            may_end || is_dropped(&missing, None, holes),
            "{what}: ends with {last}"
        );
    }
}
