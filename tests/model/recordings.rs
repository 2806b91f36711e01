//! What was recorded: every frame of every publication, in files that play each on its own.

use super::frame::{Frame, Kind, Mark, Medium};
use super::publication::Publication;
use crate::support::readers::flv_file;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Everything that publications have sent, by their number.
pub type Sent = BTreeMap<u32, Vec<Rc<Frame>>>;

/// What publications that are over have sent, and which stream they were of.
#[derive(Default)]
pub struct Archive {
    pub sent: Sent,
    pub streams: BTreeMap<u32, usize>,
}

impl Archive {
    pub fn keep(&mut self, stream: usize, publication: Publication) {
        self.streams.insert(publication.number, stream);
        self.sent.insert(publication.number, publication.sent);
    }
}

type Slot = (Option<Medium>, u8);

fn slot(frame: &Frame) -> Slot {
    (frame.medium(), frame.track)
}

/// A directory of its own for a server, which is removed in the end.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new() -> Dir {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rtmp-model-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        fs::create_dir_all(&dir).expect("a directory");
        Dir(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Checks all files in `dir`.
pub fn check(dir: &Path, sent: &Sent) {
    let mut files: BTreeMap<u32, Vec<Vec<Mark>>> = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let what = entry.path().display().to_string();
        let bytes = fs::read(entry.path()).expect("a file");
        let marks = check_file(&what, &bytes, sent);
        if let Some(first) = marks.first() {
            files.entry(first.publication).or_default().push(marks);
        }
    }
    for (publication, sent) in sent {
        let mut files = files.remove(publication).unwrap_or_default();
        files.sort();
        let slots: BTreeSet<Slot> = sent
            .iter()
            .filter(|frame| frame.is_timed())
            .map(|frame| slot(frame))
            .collect();
        for track in slots {
            let of_track = |mark: &&Mark| slot(&sent[mark.number as usize]) == track;
            let got: Vec<Mark> = files.iter().flatten().filter(of_track).copied().collect();
            let timed = sent
                .iter()
                .filter(|frame| frame.is_timed() && slot(frame) == track);
            let want = timed.map(|frame| frame.mark);
            let (want, count) = (want.collect::<Vec<_>>(), files.len());
            let at = want.iter().zip(&got).position(|(want, got)| want != got);
            let at = at.unwrap_or(want.len().min(got.len()));
            assert!(
                want == got,
                "publication {publication}, {track:?}: {count} files have {:?} instead of {:?} at {at}",
                got.get(at),
                want.get(at)
            );
        }
    }
}

/// Checks one file; returns the marks of its frames.
fn check_file(what: &str, bytes: &[u8], sent: &Sent) -> Vec<Mark> {
    let file = flv_file::read(bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    file.check_complete(bytes);
    let first = file.media().next().map_or(0, |tag| tag.time_ms);
    assert_eq!(first, 0, "{what}: the time at which it begins");
    let mut marks: Vec<Mark> = Vec::new();
    let mut headers: BTreeMap<Slot, Mark> = BTreeMap::new();
    let mut times: BTreeMap<Slot, u32> = BTreeMap::new();
    for tag in file.media() {
        for mark in Mark::find(&tag.body) {
            let sent = sent
                .get(&mark.publication)
                .unwrap_or_else(|| panic!("{what}: {mark:?}"));
            let frame = &sent[mark.number as usize];
            if let Kind::Header(_) = frame.kind {
                headers.insert(slot(frame), mark);
            }
            if !frame.is_timed() {
                continue;
            }
            let one = marks
                .last()
                .is_none_or(|last| last.publication == mark.publication);
            assert!(one, "{what}: {frame} of another publication");
            let due = sent[..mark.number as usize].iter().rev();
            let due = due.filter(|header| matches!(header.kind, Kind::Header(_)));
            let due = due
                .into_iter()
                .find(|header| slot(header) == slot(frame))
                .map(|header| header.mark);
            assert_eq!(
                headers.get(&slot(frame)).copied(),
                due,
                "{what}: the header of {frame}"
            );
            let last = times.insert(slot(frame), tag.time_ms).unwrap_or_default();
            assert!(
                last <= tag.time_ms,
                "{what}: {frame} at {} behind {last}",
                tag.time_ms
            );
            marks.push(mark);
        }
    }
    marks
}
