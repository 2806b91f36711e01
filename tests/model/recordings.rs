//! What was recorded: every frame of every publication, in files that play each on its own.

use super::action::Records;
use super::frame::{Frame, Kind, Mark, Medium};
use super::publication::Publication;
use super::run::{Leave, check_run};
use crate::support::readers::{flv_file, mp4_reader};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The length of segments, in ms.
const SEGMENT_MS: i32 = 1000;

/// Everything that publications have sent, by their number.
pub type Sent = BTreeMap<u32, Vec<Rc<Frame>>>;

/// What publications that are over have sent, and which stream they were of.
#[derive(Default)]
pub struct Archive {
    pub sent: Sent,
    pub streams: BTreeMap<u32, usize>,
    /// How those are recorded that are: what, and whether as MP4.
    recorded: BTreeMap<u32, (Records, bool)>,
}

impl Archive {
    pub fn keep(&mut self, stream: usize, publication: Publication) {
        self.streams.insert(publication.number, stream);
        let recorded = publication.recorded;
        self.recorded
            .extend(recorded.map(|recorded| (publication.number, recorded)));
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
pub fn check(dir: &Path, archive: &Archive) {
    let Archive { sent, recorded, .. } = archive;
    let mut files: BTreeMap<u32, Vec<Vec<Mark>>> = BTreeMap::new();
    let mut as_flv: BTreeSet<u32> = BTreeSet::new();
    for entry in fs::read_dir(dir).expect("a directory").flatten() {
        let what = entry.path().display().to_string();
        let bytes = fs::read(entry.path()).expect("a file");
        let marks = match what.ends_with(".mp4") {
            true => check_movie(&what, &bytes, sent),
            false => check_file(&what, &bytes, sent),
        };
        if let Some(first) = marks.first() {
            if !what.ends_with(".mp4") {
                as_flv.insert(first.publication);
            }
            files.entry(first.publication).or_default().push(marks);
        }
    }
    for (publication, sent) in sent {
        let mut files = files.remove(publication).unwrap_or_default();
        files.sort();
        let Some((records, as_mp4)) = recorded.get(publication) else {
            assert!(files.is_empty(), "publication {publication} is recorded");
            continue;
        };
        if *as_mp4 {
            // One with frames that have no configuration goes on as FLV.
            if !as_flv.contains(publication) {
                check_movies(*publication, &files, sent);
            }
            continue;
        }
        if *records == Records::Segments {
            check_beginnings(&files, sent);
        }
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

/// A segment ends at the first keyframe after its time, if there is one. Files that a jump of the clock
/// may have begun, by something that has no time of its own, are left aside.
fn check_beginnings(files: &[Vec<Mark>], sent: &[Rc<Frame>]) {
    for pair in files.windows(2) {
        let [from, to] = [&pair[0], &pair[1]].map(|marks| marks[0].number as usize);
        let due_ms = sent[from].elapsed_ms + SEGMENT_MS;
        let is_late = |frame: &&Rc<Frame>| frame.elapsed_ms > due_ms && frame.kind == Kind::Key;
        let between = &sent[from..to];
        let may_jump = between
            .iter()
            .any(|frame| !frame.is_timed() || frame.track > 0);
        let passed = between.iter().find(is_late);
        assert!(
            may_jump || passed.is_none(),
            "a file begins with {}, and not with {passed:?}",
            sent[to]
        );
    }
}

/// MP4 has no place for what comes before a configuration: of each track there is a run from there on.
fn check_movies(publication: u32, files: &[Vec<Mark>], sent: &[Rc<Frame>]) {
    let marks = files.iter().flatten();
    let seen: Vec<&Rc<Frame>> = marks.map(|mark| &sent[mark.number as usize]).collect();
    let leave = Leave {
        all_tracks: true,
        keyframe: true,
        changes: false,
        ends: false,
        ends_early: false,
    };
    let is_sound = |frame: &&Rc<Frame>| frame.kind == Kind::Sound;
    let (sounds, pictures): (Vec<_>, Vec<_>) = seen.iter().copied().partition(is_sound);
    let what = format!("movies of publication {publication}");
    check_run(&what, &sounds, sent, leave, &[]);
    // Pictures behind a change need a keyframe, and so do those that come again behind their end.
    let leave = Leave {
        changes: true,
        ends: true,
        ..leave
    };
    check_run(&what, &pictures, sent, leave, &[]);
    let headers = sent
        .iter()
        .filter(|frame| matches!(frame.kind, Kind::Header(_)));
    for header in headers {
        let begins = |frame: &&Rc<Frame>| {
            let is_behind = frame.mark > header.mark && slot(frame) == slot(header);
            is_behind && matches!(frame.kind, Kind::Key | Kind::Sound)
        };
        let first = sent.iter().find(begins);
        let is_there = |first: &Rc<Frame>| seen.iter().any(|frame| slot(frame) == slot(first));
        assert!(
            first.is_none_or(is_there),
            "no file has {first:?} or what follows"
        );
    }
}

/// Checks one file of MP4; returns the marks of its frames.
fn check_movie(what: &str, bytes: &[u8], sent: &Sent) -> Vec<Mark> {
    let movie = mp4_reader::read(bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(movie.top, ["ftyp", "mdat", "moov"], "{what}");
    let mut marks: Vec<Mark> = Vec::new();
    for track in &movie.tracks {
        let mut of_track: Option<Slot> = None;
        for sample in &track.samples {
            let found = Mark::find(&sample.data);
            let [mark] = found[..] else {
                panic!("{what}: {found:?} in a sample");
            };
            let sent = &sent[&mark.publication];
            let frame = &sent[mark.number as usize];
            let slot_of_track = *of_track.get_or_insert(slot(frame));
            assert_eq!(slot_of_track, slot(frame), "{what}: the track of {frame}");
            assert_eq!(
                sample.is_sync,
                !frame.is_dependent(),
                "{what}: whether it can begin with {frame}"
            );
            let before = sent[..mark.number as usize].iter().rev();
            let mut headers = before.filter(|header| matches!(header.kind, Kind::Header(_)));
            let due = headers.find(|header| slot(header) == slot(frame));
            let due = due.unwrap_or_else(|| panic!("{what}: {frame} without a header"));
            let entry = Mark::find(&track.entry);
            assert_eq!(entry, [due.mark], "{what}: the configuration of {frame}");
            marks.push(mark);
        }
    }
    marks.sort();
    let publications: BTreeSet<u32> = marks.iter().map(|mark| mark.publication).collect();
    assert!(
        publications.len() <= 1,
        "{what}: {publications:?} in one file"
    );
    marks
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
