//! What a consumer must have of a publication: of each track a run, from a keyframe on everything in
//! order.

use super::frame::{Frame, Kind};
use std::collections::BTreeSet;
use std::rc::Rc;

/// What a run may be without.
#[derive(Clone, Copy, Debug)]
pub struct Leave {
    /// Whether all tracks are there, or the first of each medium.
    pub all_tracks: bool,
    /// Whether it may begin with a picture that needs another.
    pub keyframe: bool,
    /// Whether a change of configuration may cost what lies in front of the next keyframe.
    pub changes: bool,
    /// Whether it may end early.
    pub ends_early: bool,
}

/// Whether what lies between these two may be left out: up to a keyframe, or as much sound, where a
/// configuration has changed.
fn may_lack(from: &Frame, to: &Frame, sent: &[Rc<Frame>]) -> bool {
    let between = &sent[from.mark.number as usize..to.mark.number as usize];
    let is_change = |frame: &Rc<Frame>| matches!(frame.kind, Kind::Header(_));
    from.mark < to.mark && between.iter().any(is_change) && !to.is_dependent()
}

/// Whether a configuration has changed, and no keyframe was sent since.
fn lacks_keyframe(sent: &[Rc<Frame>]) -> bool {
    let change = sent
        .iter()
        .position(|frame| matches!(frame.kind, Kind::Header(_)));
    change.is_some_and(|at| sent[at..].iter().all(|frame| frame.kind != Kind::Key))
}

/// Of each track a run without a gap, that begins with a keyframe.
pub fn check_run(what: &str, seen: &[&Rc<Frame>], sent: &[Rc<Frame>], leave: Leave) {
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
            let is_next = at(from).map(|at| at + 1) == at(to);
            let may_lack = leave.changes && may_lack(from, to, sent);
            assert!(is_next || may_lack, "{what}: {to} follows {from}");
        }
        let last = seen[seen.len() - 1];
        let rest = &sent[last.mark.number as usize + 1..];
        let may_end = leave.ends_early || leave.changes && lacks_keyframe(rest);
        assert!(
            may_end || run.last().is_some_and(|end| end.mark == last.mark),
            "{what}: ends with {last}"
        );
    }
}
