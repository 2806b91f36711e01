//! Recordings as the server makes them, on a disk: FLV and MP4, in one file and in segments.

use super::draw::Draw;
use super::stream::messages;
use crate::support::readers::flv_file::{self, is_frame};
use crate::support::readers::mp4_reader;
use rtmp_server::log::{self, Level, LogFormat};
use rtmp_server::media::{Content, Packet};
use rtmp_server::queue::feed;
use rtmp_server::record::{
    FEED_LIMITS, FileFormat, FinishedFile, Pattern, RecordSettings, Recorder, RecordingObserver,
    Segments,
};
use rtmp_server::rtmp::stream_key::StreamKey;
use rtmp_server::rtmp::{Message, MessageType, Timestamp};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};

/// A directory for one recording, in memory where there is such a place.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let memory = Path::new("/dev/shm");
        let parent = match memory.is_dir() {
            true => memory.to_owned(),
            false => std::env::temp_dir(),
        };
        Folder(parent.join(format!("rtmp-fuzz-{}-{number}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Default)]
struct Finished(Mutex<Vec<FinishedFile>>);

impl RecordingObserver for Finished {
    fn recording_done(&self, _: &StreamKey, file: &FinishedFile) {
        self.0.lock().expect("not poisoned").push(file.clone());
    }
}

/// Every message with a frame is in a file once, in order, and every file is right in itself.
pub fn flv(data: &[u8]) {
    let mut draw = Draw(data);
    let segment_ms = u64::from(draw.u8()) * 40;
    let sent = messages(&mut draw);
    let folder = Folder::new();
    let frames = sent
        .iter()
        .filter(|sent| is_frame(sent.kind.0, &sent.payload));
    let mut frames_sent = frames.map(|sent| (sent.timestamp, is_end(sent.kind, &sent.payload)));
    let mut got = Vec::new();
    for (file, bytes) in record(&folder, FileFormat::Flv, segment_ms, &sent) {
        let flv = flv_file::read(&bytes).expect("an FLV file");
        flv.check_complete(&bytes);
        assert_eq!(file.duration.as_millis(), u128::from(flv.duration_ms()));
        let frames = flv.tags.iter().filter(|tag| is_frame(tag.kind, &tag.body));
        let frames: Vec<_> = frames.cloned().collect();
        assert_eq!(frames.first().map(|tag| tag.time_ms), Some(0));
        let due = due_times(frames_sent.by_ref().take(frames.len()));
        for (tag, due) in frames.iter().zip(due) {
            assert!(due.is_none_or(|due| due == tag.time_ms), "{due:?} {tag:?}");
        }
        got.extend(frames.into_iter().map(|tag| (tag.kind, tag.body)));
    }
    let sent = sent.iter().map(|sent| (sent.kind.0, sent.payload.to_vec()));
    let sent: Vec<_> = sent.filter(|(kind, body)| is_frame(*kind, body)).collect();
    assert_eq!(got, sent);
}

/// Whether it says that a track is over.
fn is_end(kind: MessageType, payload: &[u8]) -> bool {
    Packet::new(kind, payload).content == Content::End
}

/// The times in a file of messages with these times: counted from the first, none before it. Encoders date
/// the end of a track as they like: it moves nothing, and `None` stands for its own time.
fn due_times(sent: impl Iterator<Item = (Timestamp, bool)>) -> Vec<Option<u32>> {
    let mut latest: Option<(Timestamp, i64)> = None;
    let due = sent.map(|(time, is_end)| {
        if is_end && latest.is_some() {
            return None;
        }
        let ms = latest.map_or(0, |(last, ms)| ms + i64::from(time.since(last)));
        if latest.is_none_or(|(_, last_ms)| ms > last_ms) {
            latest = Some((time, ms));
        }
        Some(ms.max(0) as u32)
    });
    due.collect()
}

/// Every file is a whole MP4 file, or FLV where the stream has something that MP4 has no place for.
pub fn mp4(data: &[u8]) {
    let mut draw = Draw(data);
    let segment_ms = u64::from(draw.u8()) * 40;
    let sent = messages(&mut draw);
    let folder = Folder::new();
    for (file, bytes) in record(&folder, FileFormat::Mp4, segment_ms, &sent) {
        if file.path.ends_with(".flv") {
            let flv = flv_file::read(&bytes).expect("an FLV file");
            flv.check_complete(&bytes);
            continue;
        }
        let movie = mp4_reader::read(&bytes).expect("an MP4 file");
        assert_eq!(movie.top, ["ftyp", "mdat", "moov"]);
        assert!(!movie.tracks.is_empty());
    }
}

/// Records one publication; its files, in order, with what is in them.
fn record(
    folder: &Folder,
    format: FileFormat,
    segment_ms: u64,
    messages: &[Message],
) -> Vec<(FinishedFile, Vec<u8>)> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| log::init(Level::Error, LogFormat::Text));
    let segments = (segment_ms > 0).then(|| Segments {
        duration: Duration::from_millis(segment_ms),
        pattern: Pattern::new("%09d").expect("a pattern"),
    });
    let settings = RecordSettings {
        dir: folder.0.clone(),
        segments,
        format,
    };
    let finished = Arc::new(Finished::default());
    let recorder = Recorder::new(settings, finished.clone(), Arc::default());
    let (feed, intake) = feed(FEED_LIMITS);
    let key = StreamKey::new("live/cam").expect("a key");
    feed.push(messages, Instant::now());
    drop(feed);
    drop(recorder.start(&key, intake));
    assert!(recorder.close(Instant::now() + Duration::from_secs(60)));
    let files = finished.0.lock().expect("not poisoned").clone();
    let read = |file: FinishedFile| {
        assert_eq!(file.error, None);
        let bytes = fs::read(&file.path).expect("the file");
        assert_eq!(file.bytes, bytes.len() as u64);
        (file, bytes)
    };
    files.into_iter().map(read).collect()
}
