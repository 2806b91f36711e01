//! What a consumer must have of a publication: of each track a run, from a keyframe on everything in
//! order.

use super::frame::{Frame, Kind, Mark};
use std::collections::BTreeSet;
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
    /// Whether this may cost what lies in front of the next keyframe.
    fn is_change(self, frame: &Frame) -> bool {
        match frame.kind {
            Kind::Header(_) => self.changes,
            kind => self.ends && kind == Kind::End,
        }
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
    let between = &sent[from.mark.number as usize..to.mark.number as usize];
    let is_severed = missing.iter().all(|frame| frame.is_dependent());
    let has_changed = between.iter().any(|frame| leave.is_change(frame));
    has_changed && (!to.is_dependent() || is_severed)
}

/// Whether all these, of one track, were sent behind a change of configuration, and wait for a keyframe until
/// the end: sound for that of any pictures.
fn lack_keyframe(missing: &[&Rc<Frame>], sent: &[Rc<Frame>], leave: Leave) -> bool {
    let change = sent.iter().find(|frame| leave.is_change(frame));
    let Some(mut from) = change.map(|change| change.mark) else {
        return false;
    };
    loop {
        let is_waited_for = |key: &Frame| {
            let waits = |frame: &&Rc<Frame>| !frame.is_picture() || frame.track == key.track;
            key.kind == Kind::Key && missing.iter().any(waits)
        };
        let mut keys = sent.iter().filter(|frame| is_waited_for(frame));
        let key = keys.find(|key| key.mark > from);
        let first = |key: &Rc<Frame>| missing.iter().find(|frame| frame.mark >= key.mark);
        let Some((key, first)) = key.and_then(|key| Some((key, first(key)?))) else {
            return true;
        };
        // The pictures have begun without it, so that it waits for their next keyframe.
        let is_late = |frame: &Rc<Frame>| {
            let is_between = frame.mark >= key.mark && frame.mark < first.mark;
            is_between && frame.is_picture() && frame.elapsed_ms - key.elapsed_ms >= SOUND_WAIT_MS
        };
        if first.kind != Kind::Sound || !sent.iter().any(is_late) {
            return false;
        }
        from = first.mark;
    }
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
        let rest = &sent[last.mark.number as usize + 1..];
        let missing: Vec<&Rc<Frame>> = rest.iter().filter(timed).collect();
        let may_end = leave.ends_early || lack_keyframe(&missing, rest, leave);
        assert!(
            may_end || is_dropped(&missing, None, holes),
            "{what}: ends with {last}"
        );
    }
}
