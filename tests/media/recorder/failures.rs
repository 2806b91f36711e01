//! Disks that are full, slow or not there: the recording ends, and what is in the file is whole.

use super::{
    FinishedFiles, Folder, at, in_a_process, key, messages, record, segments, whole, within,
};
use crate::support::readers::flv_file::read;
use rtmp_server::queue::{FeedLimits, feed, message_cost};
use rtmp_server::record::{
    FEED_LIMITS, FileFormat, FinishedFile, Pattern, RecordSettings, Recorder, Segments,
};
use rtmp_server::rtmp::Message;
use rtmp_server::stats::Counters;
use rtmp_server::sys::Signals;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest file, in bytes, that the system lets a test write.
const LIMIT: usize = 200_000;

/// Sound of a minute, ever a little longer.
fn sound() -> Vec<Message> {
    let body = |number: usize| {
        let mut body = vec![0x2f];
        body.extend((0..=number % 700).map(|byte| byte as u8));
        body
    };
    let message = |number: usize| {
        let message = messages("audio @0 2f").remove(0);
        let payload = body(number).into();
        at(Message { payload, ..message }, number as u32 * 20)
    };
    (0..3000).map(message).collect()
}

/// Records in `folder`, in one, in pieces and in segments, while the length of files is limited.
pub fn record_beyond_the_limit(folder: &Path) {
    // As the server does: then a write that is too long fails and does not end the process.
    let _signals = Signals::install().unwrap();
    let segments = Segments {
        duration: Duration::from_secs(30),
        pattern: Pattern::of_whole(),
    };
    let cases = [
        ("one", 3000, None, 1),
        ("pieces", 100, None, 1),
        ("segments", 3000, Some(segments), 2),
    ];
    for (name, piece, segments, failures) in cases {
        let dir = folder.join(name);
        let format = FileFormat::Flv;
        let settings = RecordSettings {
            dir,
            segments,
            format,
        };
        let told = Arc::new(FinishedFiles::default());
        let counters: Arc<Counters> = Arc::default();
        let recorder = Recorder::new(settings, told.clone(), Arc::clone(&counters));
        let (feed, intake) = feed(FEED_LIMITS);
        drop(recorder.start(&key(), intake));
        for piece in sound().chunks(piece) {
            feed.push(piece, Instant::now());
            // The stream goes on whether the recording does or not.
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(feed);
        assert!(recorder.close(within(30)));
        let totals = counters.totals();
        assert_eq!((totals.recording_errors, totals.recordings), (failures, 0));
        assert!(recorder.snapshot().is_empty());
        let files = told.files();
        assert_eq!(files.len() as u64, failures, "told once of each");
        for file in files {
            let error = file.error.expect("an error");
            assert!(error.starts_with("cannot write: "), "{error}");
        }
    }
}

/// Every message that fits, of those from `first` on, is in a file that is complete.
fn check_full(path: &Path, first: usize, limit: usize) {
    let bytes = fs::read(path).unwrap();
    let flv = read(&bytes).unwrap();
    flv.check_complete(&bytes);
    let sent = &sound()[first..];
    let got: Vec<&[u8]> = flv.media().map(|tag| &tag.body[..]).collect();
    let want: Vec<&[u8]> = sent.iter().map(|message| &message.payload[..]).collect();
    assert_eq!(got, want[..got.len()]);
    let next = want[got.len()].len() + 15;
    assert!(
        bytes.len() <= limit && bytes.len() + next > limit,
        "all that fits is there"
    );
}

#[test]
fn a_full_disk_ends_the_file_behind_a_whole_message() {
    let folder = Folder::new();
    let script = format!("exec prlimit --fsize={LIMIT} $TEST");
    let text = in_a_process("full", &folder, &script);
    let lines = |part: &str| text.lines().filter(|line| line.contains(part)).count();
    assert_eq!(lines("ERROR"), 4, "one line for each: {text}");
    assert_eq!(lines("recording failed"), 4, "{text}");
    let files = folder.files();
    assert_eq!(files.len(), 4, "each segment is tried");
    for (name, first) in files.iter().zip([0, 0, 0, 1500]) {
        check_full(&folder.path().join(name), first, LIMIT);
    }
}

#[test]
fn a_file_that_cannot_even_begin_is_removed() {
    let folder = Folder::new();
    in_a_process("full", &folder, "exec prlimit --fsize=100 $TEST");
    assert_eq!(folder.files(), Vec::<String>::new());
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error() {
    let folder = Folder::new();
    fs::create_dir_all(folder.path()).unwrap();
    fs::write(folder.path().join("file"), "x").unwrap();
    for below in ["file", "file/a/b"] {
        let settings = RecordSettings {
            dir: folder.path().join(below),
            segments: None,
            format: FileFormat::Flv,
        };
        let told = record(settings, &messages("audio @0 2f 01; audio @20 2f 02"));
        let [file] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!((file.path.as_str(), file.bytes), ("", 0));
        let error = file.error.as_deref().unwrap_or_default();
        assert!(error.starts_with("cannot create /"), "{error}");
    }
}

#[test]
fn a_segment_that_cannot_be_written_does_not_end_the_next_ones() {
    let folder = Folder::new();
    let pattern = Pattern::new("%d/x").unwrap();
    let duration = Duration::from_secs(1);
    let settings = RecordSettings {
        dir: folder.path().to_owned(),
        segments: Some(Segments { duration, pattern }),
        format: FileFormat::Flv,
    };
    fs::create_dir_all(folder.path()).unwrap();
    fs::write(folder.path().join("2"), "not a directory").unwrap();
    let sent: Vec<Message> = (0..40)
        .map(|number| at(messages("audio @0 2f 01").remove(0), number * 100))
        .collect();
    let told = record(settings, &sent);
    let failed: Vec<bool> = told.iter().map(|file| file.error.is_some()).collect();
    assert_eq!(failed, [false, true, false, false], "{told:?}");
    assert_eq!(folder.files(), ["1/x.flv", "2", "3/x.flv", "4/x.flv"]);
}

/// The path of the file that is being recorded, once there is something in it.
fn written(recorder: &Recorder) -> String {
    let end = within(10);
    loop {
        let files = recorder.snapshot();
        if let Some(file) = files.first().filter(|file| file.bytes > 0) {
            return file.path.clone();
        }
        assert!(Instant::now() < end, "nothing is written");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_file_that_somebody_has_spoiled_is_not_reported_as_done() {
    type Spoil = fn(&Path);
    #[rustfmt::skip]
    let rows: [(&str, Spoil, &str); 5] = [
        ("removed", |file| fs::remove_file(file).unwrap(), "was removed"),
        ("directory", |file| fs::remove_dir_all(file.parent().unwrap()).unwrap(), "was removed"),
        ("cut", |file| fs::write(file, "x").unwrap(), "was cut short by somebody else"),
        ("moved", |file| fs::rename(file, file.with_extension("old")).unwrap(), "is not there any more: it was removed or moved"),
        ("replaced", |file| {
            fs::rename(file, file.with_extension("old")).unwrap();
            fs::write(file, "x").unwrap();
        }, "is not there any more: it was removed or moved"),
    ];
    for (name, spoil, want) in rows {
        let folder = Folder::new();
        let told = Arc::new(FinishedFiles::default());
        let recorder = Recorder::new(whole(&folder), told.clone(), Arc::default());
        let (feed, intake) = feed(FEED_LIMITS);
        let recording = recorder.start(&key(), intake);
        feed.push(&messages("audio @0 2f 01; audio @20 2f 02"), Instant::now());
        let path = written(&recorder);
        spoil(Path::new(&path));
        feed.push(&messages("audio @40 2f 03"), Instant::now());
        drop((feed, recording));
        assert!(recorder.close(within(10)), "{name}");
        let files = told.files();
        let error = files[0].error.as_deref().unwrap_or_default();
        assert_eq!(error, format!("cannot write: {path} {want}"), "{name}");
        let there = Path::new(&files[0].path).is_file();
        assert_eq!((files.len(), there), (1, name == "cut"), "{name}");
    }
}

#[test]
fn a_disk_that_is_too_slow_ends_the_file() {
    let folder = Folder::new();
    let told = Arc::new(FinishedFiles::default());
    let counters: Arc<Counters> = Arc::default();
    let recorder = Recorder::new(whole(&folder), told.clone(), Arc::clone(&counters));
    let sent = sound();
    // Each is kept with when it came.
    let cost = |message: &Message| message_cost(message) + size_of::<Instant>();
    let fits: usize = sent[..50].iter().map(cost).sum();
    let (feed, intake) = feed(FeedLimits {
        bytes: fits,
        age: Duration::from_secs(20),
    });
    // Nobody takes anything before there is too much.
    feed.push(&sent, Instant::now());
    drop(recorder.start(&key(), intake));
    assert!(recorder.close(within(10)));
    feed.push(&sent, Instant::now());
    let files: Vec<FinishedFile> = told.files();
    assert_eq!(files.len(), 1);
    assert_eq!(
        files[0].error.as_deref(),
        Some("the disk is too slow for the stream")
    );
    let bytes = fs::read(&files[0].path).unwrap();
    let flv = read(&bytes).unwrap();
    flv.check_complete(&bytes);
    assert_eq!(flv.media().count(), 50);
    assert_eq!(counters.recording_errors.get(), 1);
}

#[test]
fn a_clock_that_jumps_all_the_time_fills_no_disk() {
    let folder = Folder::new();
    let jumps: Vec<Message> = (0..2000)
        .map(|number| at(messages("audio @0 2f 01").remove(0), number % 2 * 50_000))
        .collect();
    let files = record(whole(&folder), &jumps);
    let made = folder.files().len();
    assert!((256..300).contains(&made), "{made} files");
    let failed: Vec<_> = files.iter().filter(|file| file.error.is_some()).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(files.len(), made + 1, "all but the last are complete");
}

#[test]
fn a_recorder_that_is_closed_records_nothing_more() {
    let folder = Folder::new();
    let told = Arc::new(FinishedFiles::default());
    let recorder = Recorder::new(segments(&folder, 1.0), told.clone(), Arc::default());
    let (open, intake) = feed(FEED_LIMITS);
    drop(recorder.start(&key(), intake));
    open.push(&messages("audio @0 2f 01"), Instant::now());
    let moment = Instant::now() + Duration::from_millis(300);
    assert!(!recorder.close(moment), "a feed is open");
    let (late, intake) = feed(FEED_LIMITS);
    assert!(!recorder.start(&key(), intake).is_active());
    late.push(&messages("audio @0 2f 02"), Instant::now());
    drop((open, late));
    assert!(recorder.close(within(10)));
    assert_eq!(folder.files(), ["001.flv"]);
    assert_eq!(told.files().len(), 1);
}
