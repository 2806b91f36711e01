//! Recordings: what is pushed into a feed against the files that come out, read by a reader of the
//! test's own and by other programs.

mod any;
mod captures;
mod damage;
mod days;
mod failures;
mod files;
mod mp4;

use crate::support::notation::Notation;
use crate::support::process::only;
use crate::support::readers::flv_file::{Flv, read};
use rtmp_server::queue::feed;
use rtmp_server::record::{
    FEED_LIMITS, FileFormat, FinishedFile, Pattern, RecordSettings, Recorder, RecordingObserver,
    Segments,
};
use rtmp_server::rtmp::stream_key::StreamKey;
use rtmp_server::rtmp::{Message, MessageType, Timestamp};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A directory that is not there yet, and is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = std::process::id();
        Folder(std::env::temp_dir().join(format!("rtmp-record-{id}-{number}")))
    }

    fn path(&self) -> &Path {
        &self.0
    }

    /// The paths below it of all files, in order.
    fn files(&self) -> Vec<String> {
        let (mut files, mut folders) = (Vec::new(), vec![self.0.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let below = path.strip_prefix(&self.0).unwrap();
                    files.push(below.to_str().unwrap().to_owned());
                }
            }
        }
        files.sort();
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Keeps what it is told.
#[derive(Default)]
struct FinishedFiles(Mutex<Vec<(String, FinishedFile)>>);

impl FinishedFiles {
    fn files(&self) -> Vec<FinishedFile> {
        let told = self.0.lock().unwrap();
        told.iter().map(|(_, file)| file.clone()).collect()
    }
}

impl RecordingObserver for FinishedFiles {
    fn recording_done(&self, key: &StreamKey, file: &FinishedFile) {
        let told = (key.to_string(), file.clone());
        self.0.lock().unwrap().push(told);
    }
}

fn key() -> StreamKey {
    StreamKey::new("live/cam").unwrap()
}

/// Settings for whole files.
fn whole(folder: &Folder) -> RecordSettings {
    RecordSettings {
        dir: folder.path().to_owned(),
        segments: None,
        format: FileFormat::Flv,
    }
}

/// Settings for segments of `seconds`, called by their numbers.
fn segments(folder: &Folder, seconds: f64) -> RecordSettings {
    RecordSettings {
        dir: folder.path().to_owned(),
        segments: Some(Segments {
            duration: Duration::from_secs_f64(seconds),
            pattern: Pattern::new("%03d").unwrap(),
        }),
        format: FileFormat::Flv,
    }
}

fn within(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

/// Records one publication; what the listener is told of its files.
fn record(settings: RecordSettings, messages: &[Message]) -> Vec<FinishedFile> {
    let told = Arc::new(FinishedFiles::default());
    let recorder = Recorder::new(settings, told.clone(), Arc::default());
    let (feed, intake) = feed(FEED_LIMITS);
    feed.push(messages, Instant::now());
    drop(recorder.start(&key(), intake));
    drop(feed);
    assert!(recorder.close(within(60)), "all files are closed");
    told.files()
}

/// Records one publication, which has to succeed; its files, complete and right in themselves.
fn recorded(settings: RecordSettings, messages: &[Message]) -> Vec<Flv> {
    let read = |file: &FinishedFile| {
        assert_eq!(file.error, None);
        let bytes = fs::read(&file.path).unwrap();
        assert_eq!(file.bytes, bytes.len() as u64);
        let flv = read(&bytes).unwrap_or_else(|error| panic!("{}: {error}", file.path));
        flv.check_complete(&bytes);
        assert_eq!(file.duration.as_millis(), u128::from(flv.duration_ms()));
        flv
    };
    record(settings, messages).iter().map(read).collect()
}

/// Messages in the notation of the vectors, with `;` between them: `audio @20 2f 01`.
fn messages(text: &str) -> Vec<Message> {
    let parts = text.split(';').filter(|part| !part.trim().is_empty());
    parts.map(|part| Notation::new(part).part()).collect()
}

/// What is the same in a message and in the tag it becomes, without time.
fn bodies<'a>(messages: impl IntoIterator<Item = &'a Message>) -> Vec<(u8, Vec<u8>)> {
    let messages = messages.into_iter();
    messages
        .map(|message| (message.kind.0, message.payload.to_vec()))
        .collect()
}

fn is_media(message: &Message) -> bool {
    matches!(message.kind, MessageType::AUDIO | MessageType::VIDEO)
}

fn at(message: Message, time: u32) -> Message {
    Message {
        timestamp: Timestamp(time),
        ..message
    }
}

/// Runs `case` of [`in_a_process_of_its_own`] in `folder` through these words of a shell, in which
/// `$TEST` is the program; its output.
fn in_a_process(case: &str, folder: &Folder, script: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let arguments = only(module_path!(), "in_a_process_of_its_own").join(" ");
    let mut command = Command::new("/bin/sh");
    command
        .args([
            "-c",
            &script.replace("$TEST", &format!("\"$0\" {arguments}")),
        ])
        .arg(program)
        .env("RECORD_CASE", case)
        .env("RECORD_FOLDER", folder.path())
        .stdin(Stdio::null());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{case}: {text}{errors}");
    text
}

/// What other tests run in a process of its own; nothing by itself.
#[test]
fn in_a_process_of_its_own() {
    let Ok(case) = std::env::var("RECORD_CASE") else {
        return;
    };
    let folder = PathBuf::from(std::env::var("RECORD_FOLDER").unwrap());
    match case.as_str() {
        "local time" => files::print_local_times(),
        "full" => failures::record_beyond_the_limit(&folder),
        "kill" => damage::record_without_end(&folder),
        "full mp4" => mp4::record_beyond_the_limit(&folder),
        "kill mp4" => mp4::record_without_end(&folder),
        other => panic!("no case {other}"),
    }
    let limit = Duration::from_secs(5);
    rtmp_server::log::flush(limit, Instant::now() + limit);
}
