//! The recording of one publication: messages in, files out.

use super::cut::{CutPlace, Cutter};
use super::disk::{Closed, Disk};
use super::error::RecordError;
use super::format::{FileFormat, FlvFile, Lack, Mp4File, PendingFile, Recorded, Strays, Verdict};
use super::header::{FileHeader, HeaderItem};
use super::memory::RecordingMemory;
use super::observer::FinishedFile;
use super::settings::RecordSettings;
use super::shared::RecorderShared;
use crate::log;
use crate::media::Packet;
use crate::media::flv::Flags;
use crate::media::mp4::Movie;
use crate::media::tracks::StreamTracks;
use crate::pace::{Pace, Rate};
use crate::queue::{Intake, Taken};
use crate::rtmp::stream_key::StreamKey;
use crate::rtmp::{Message, MessageType};
use crate::stats::RecordingStats;
use crate::sync;
use crate::sys;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longest wait for a message; then the file is synced if that is due.
const IDLE: Duration = Duration::from_secs(1);

/// Pause after each write: the messages that come meanwhile are written together, and the publisher
/// wakes no thread for each.
const GATHER: Duration = Duration::from_millis(100);

/// Most names that are tried for a file.
const ATTEMPTS_MAX: u32 = 100_000;

/// How often a publication may begin a file: otherwise one whose times are nonsense could fill the
/// disk with beginnings.
const FILE_RATE: Rate = Rate {
    at_once: 256,
    period: Duration::from_millis(250),
};

/// Keyframes that an index has room for: of a file that may be long, and of one without video.
const ROOM_MAX: usize = 1024;
const ROOM_MIN: usize = 16;

/// The file that a recording is at.
enum Current {
    /// There is no file yet, or the last one could not be made.
    None,
    /// It begins when its tracks are known.
    Waiting(PendingFile),
    /// It is being written.
    Open(Box<dyn Recorded>),
}

/// The state of a recording.
pub(super) struct RecordingWriter<'a> {
    shared: &'a RecorderShared,
    settings: Arc<RecordSettings>,
    id: u64,
    publisher: &'a str,
    key: &'a StreamKey,
    beginning: FileHeader,
    cutter: Cutter,
    /// What files are written as; no longer MP4 once that has no place for the stream.
    format: FileFormat,
    /// Why it is not what was asked for.
    format_reason: Option<String>,
    /// What the files of before have left out.
    strays: Strays,
    file: Current,
    /// Number of files that have begun.
    number: u64,
    pace: Pace,
}

impl<'a> RecordingWriter<'a> {
    /// Before the first message.
    pub(super) fn new(
        shared: &'a RecorderShared,
        id: u64,
        publisher: &'a str,
        key: &'a StreamKey,
    ) -> RecordingWriter<'a> {
        let settings = shared.settings();
        let segments = settings.segments.as_ref();
        RecordingWriter {
            shared,
            id,
            publisher,
            key,
            beginning: FileHeader::default(),
            cutter: Cutter::new(segments.map(|segments| segments.duration)),
            format: settings.format,
            settings,
            format_reason: None,
            strays: Strays::default(),
            file: Current::None,
            number: 0,
            pace: Pace::new(Instant::now()),
        }
    }

    /// Records until nothing comes any more, or until it fails.
    pub(super) fn run(mut self, intake: &Intake) {
        let memory = RecordingMemory::new(intake);
        let failure = self.record(intake, &memory).err();
        let failure = failure.or(self.settle(true).err());
        if let Current::Open(_) = self.file {
            self.end_file(failure);
        } else if let Some(failure) = failure {
            self.fail(failure);
        }
        if let Strays {
            count: count @ 1..,
            codec: Some(codec),
        } = self.strays
        {
            log!(Warn, "stray messages left out of the recording"; stream_key = self.key, messages = count,
                codec = codec);
        }
    }

    /// Reports a failure while there is no file.
    pub(super) fn fail(&self, failure: RecordError) {
        let closed = Closed {
            path: None,
            bytes: 0,
            duration_ms: 0,
            error: None,
        };
        self.report(&closed, Some(failure));
    }

    fn record(&mut self, intake: &Intake, memory: &RecordingMemory) -> Result<(), RecordError> {
        loop {
            match intake.take(IDLE) {
                Taken::Messages(messages) => {
                    for message in &messages {
                        self.take(message)
                            .or_else(|failure| self.give_up(failure))?;
                    }
                    self.flush().or_else(|failure| self.give_up(failure))?;
                    self.count_memory(memory)
                        .or_else(|failure| self.give_up(failure))?;
                    if intake.is_open() {
                        sync::sleep(GATHER);
                    }
                }
                Taken::Nothing => self.flush().or_else(|failure| self.give_up(failure))?,
                Taken::Ended => return Ok(()),
                Taken::Overflowed => return Err(RecordError::Overflowed),
                Taken::Starved => return Err(RecordError::Starved),
            }
        }
    }

    /// Counts the memory that the file takes. Where others need it, the next file is to begin.
    fn count_memory(&mut self, memory: &RecordingMemory) -> Result<(), RecordError> {
        if memory.gives_way() {
            memory.gave_way();
            match &mut self.file {
                Current::None => {}
                Current::Waiting(_) => self.settle(true)?,
                Current::Open(file) => file.make_room(),
            }
        }
        memory.set(match &self.file {
            Current::None => 0,
            Current::Waiting(waiting) => waiting.held_len(),
            Current::Open(file) => file.held_len(),
        });
        Ok(())
    }

    /// Ends the file that could not be made or written. In segments that is all, and the next one
    /// is tried when it is due: the disk may have room again.
    ///
    /// # Errors
    ///
    /// That failure, if it ends the recording.
    fn give_up(&mut self, failure: RecordError) -> Result<(), RecordError> {
        let is_of_file = matches!(failure, RecordError::Create(..) | RecordError::Write(_));
        if self.settings.segments.is_none() || !is_of_file {
            return Err(failure);
        }
        match self.file {
            Current::Open(_) => self.end_file(Some(failure)),
            _ => self.fail(failure),
        }
        Ok(())
    }

    fn take(&mut self, message: &Message) -> Result<(), RecordError> {
        let aside = self.cutter.aside(message.timestamp);
        match HeaderItem::new(message) {
            HeaderItem::Nothing => Ok(()),
            HeaderItem::Metadata(properties) => {
                if !self.beginning.set_properties(properties) {
                    return Ok(());
                }
                let properties = self.beginning.properties();
                match &mut self.file {
                    Current::None => {}
                    Current::Waiting(waiting) => waiting.announce(properties),
                    Current::Open(file) => file.put_metadata(properties)?,
                }
                Ok(())
            }
            HeaderItem::Data => {
                if self.number == 0 {
                    self.beginning.hold(message);
                }
                self.put(message, aside, false)
            }
            // It begins no file, and its time says nothing of the stream's.
            HeaderItem::Empty => self.put(message, aside, false),
            // Encoders date it as they like.
            HeaderItem::End(packet) => match self.file {
                Current::None => self.take_media(message, &packet),
                _ => self.put(message, aside, false),
            },
            HeaderItem::Header(packet) => {
                self.beginning.note_header(message, packet);
                self.put(message, aside, false)
            }
            HeaderItem::Media(packet) => self.take_media(message, &packet),
        }
    }

    fn take_media(&mut self, message: &Message, packet: &Packet) -> Result<(), RecordError> {
        self.cutter.see(message, packet);
        let is_entry = self.cutter.is_entry(message, packet);
        let may_begin = self.cutter.may_begin_at(message, packet);
        let place = self.cutter.place(message, packet);
        let lacks = self.lack().is_some();
        let time_ms = match place {
            CutPlace::Here(time_ms) if !lacks || !may_begin => time_ms,
            _ => self.begin_at(message)?,
        };
        match &mut self.file {
            Current::Open(file) if !lacks && may_begin => {
                file.put_start(message, time_ms, is_entry)?;
            }
            _ => self.put(message, time_ms, is_entry)?,
        }
        let is_missing = !matches!(self.lack(), None | Some(Lack::Announcement));
        if !lacks && may_begin && is_missing {
            // It is what the file lacks, so it is not in there.
            let time_ms = self.begin_at(message)?;
            self.put(message, time_ms, is_entry)?;
        }
        Ok(())
    }

    /// What the file that is there has no place for.
    fn lack(&self) -> Option<&Lack> {
        match &self.file {
            Current::Open(file) => file.lacks(),
            _ => None,
        }
    }

    /// Adds a message to the file, if there is one.
    fn put(&mut self, message: &Message, time_ms: u32, is_entry: bool) -> Result<(), RecordError> {
        match &mut self.file {
            Current::None => Ok(()),
            Current::Waiting(waiting) => {
                waiting.put(message, time_ms, is_entry);
                self.settle(false)
            }
            Current::Open(file) => Ok(file.put(message, time_ms, is_entry)?),
        }
    }

    fn flush(&mut self) -> Result<(), RecordError> {
        if let Current::Open(file) = &mut self.file {
            file.flush()?;
            self.update_stats();
        }
        Ok(())
    }

    fn update_stats(&self) {
        let Current::Open(file) = &self.file else {
            return;
        };
        let stats = RecordingStats {
            stream_key: self.key.to_string(),
            path: file.disk().path().display().to_string(),
            bytes: file.disk().len(),
            duration: Duration::from_millis(file.duration_ms().into()),
        };
        self.shared.lock().files.insert(self.id, stats);
    }

    /// Begins a file with this message; its time in there.
    fn begin_at(&mut self, message: &Message) -> Result<u32, RecordError> {
        self.cutter.begin(message.timestamp);
        self.begin_file(message.kind)?;
        Ok(0)
    }

    /// Ends the file that is there, and begins one whose first media is of that kind.
    fn begin_file(&mut self, kind: MessageType) -> Result<(), RecordError> {
        // Before it is closed: a failure may end more than this file.
        self.settle(true).or_else(|failure| self.give_up(failure))?;
        self.flush().or_else(|failure| self.give_up(failure))?;
        if let Some(Lack::Track(reason)) = self.lack() {
            let reason = reason.clone();
            self.fall_back(reason);
        }
        let tracks = match &mut self.file {
            Current::Open(file) => file.take_tracks(),
            _ => StreamTracks::default(),
        };
        self.end_file(None);
        self.count_file(Instant::now())?;
        match self.format {
            FileFormat::Flv => {
                let mut flags = self.beginning.flags();
                flags.insert(kind);
                self.open_flv(flags)?;
            }
            FileFormat::Mp4 => {
                let waiting = PendingFile::new(self.beginning.properties(), tracks);
                self.file = Current::Waiting(waiting);
            }
        }
        for message in self.beginning.take() {
            self.put(&message, 0, false)?;
        }
        Ok(())
    }

    fn open_flv(&mut self, flags: Flags) -> Result<(), RecordError> {
        let disk = self.create()?;
        let room = room(&self.settings, flags.video);
        let properties = self.beginning.properties().clone();
        let file = FlvFile::new(disk, flags, properties, room);
        self.file = Current::Open(Box::new(file));
        self.update_stats();
        Ok(())
    }

    /// Begins the file whose messages wait, if enough is known of it. `is_over`: nothing else comes.
    fn settle(&mut self, is_over: bool) -> Result<(), RecordError> {
        let Current::Waiting(waiting) = &self.file else {
            return Ok(());
        };
        let verdict = waiting.verdict(is_over);
        if verdict == Verdict::Wait {
            return Ok(());
        }
        let Current::Waiting(waiting) = mem::replace(&mut self.file, Current::None) else {
            return Ok(());
        };
        if let Verdict::Flv(reason) = verdict {
            self.fall_back(reason);
            return self.open_flv_with(waiting);
        }
        let disk = self.create()?;
        let encoder = self.beginning.property("encoder");
        let movie = Movie {
            created: since_1970(),
            encoder: encoder.map(str::to_owned),
        };
        let (file, begun) = Mp4File::new(disk, waiting, movie);
        self.file = Current::Open(Box::new(file));
        self.update_stats();
        Ok(begun?)
    }

    fn open_flv_with(&mut self, waiting: PendingFile) -> Result<(), RecordError> {
        let held = waiting.into_start().held;
        let mut flags = Flags::default();
        held.iter().for_each(|held| flags.insert(held.message.kind));
        self.open_flv(flags)?;
        for held in held {
            self.put(&held.message, held.time_ms, held.is_entry)?;
        }
        Ok(())
    }

    /// Writes no more MP4.
    fn fall_back(&mut self, reason: String) {
        log!(Warn, "recording as FLV"; stream_key = self.key, reason = reason);
        self.format = FileFormat::Flv;
        self.format_reason = Some(reason);
    }

    /// Creates the file, and says so in the log.
    fn create(&self) -> Result<Disk, RecordError> {
        let (path, file) = create(&self.settings, self.key, self.number, self.format)?;
        log!(Info, "recording started"; stream_key = self.key, path = path.display());
        Ok(Disk::new(file, path))
    }

    /// Counts a file that begins now, if it may.
    fn count_file(&mut self, now: Instant) -> Result<(), RecordError> {
        if !self.pace.begin(FILE_RATE, now) {
            return Err(RecordError::TooManyFiles);
        }
        self.number += 1;
        Ok(())
    }

    fn end_file(&mut self, failure: Option<RecordError>) {
        let Current::Open(file) = mem::replace(&mut self.file, Current::None) else {
            return;
        };
        self.strays.add(file.strays());
        let mut closed = file.close();
        self.shared.lock().files.remove(&self.id);
        let failure = failure.or(closed.error.take().map(RecordError::Write));
        self.report(&closed, failure);
    }

    /// Tells everyone what became of a file.
    fn report(&self, closed: &Closed, failure: Option<RecordError>) {
        let path = closed.path.as_deref().map(Path::display);
        let finished = FinishedFile {
            publisher: self.publisher.to_owned(),
            path: path.map_or(String::new(), |path| path.to_string()),
            bytes: closed.bytes,
            duration: Duration::from_millis(closed.duration_ms.into()),
            format_reason: self.format_reason.clone(),
            error: failure.map(|failure| failure.to_string()),
        };
        // The nearest number to what the event says.
        let duration_sec = finished.duration.as_millis() as f64 / 1000.0;
        if let Some(error) = &finished.error {
            log!(Error, "recording failed"; stream_key = self.key, path = finished.path,
                bytes = finished.bytes, duration_sec = duration_sec, error = error);
        } else {
            log!(Info, "recording done"; stream_key = self.key, path = finished.path,
                bytes = finished.bytes, duration_sec = duration_sec);
        }
        self.shared.count(finished.error.is_some());
        self.shared.listener.recording_done(self.key, &finished);
    }
}

/// How many keyframes the index of a file has room for: of a segment one a second.
fn room(settings: &RecordSettings, has_video: bool) -> usize {
    let seconds = settings.segments.as_ref().map(|segments| {
        let seconds = segments.duration.as_secs().saturating_add(1);
        usize::try_from(seconds).unwrap_or(usize::MAX)
    });
    match has_video {
        true => seconds.unwrap_or(ROOM_MAX).clamp(ROOM_MIN, ROOM_MAX),
        false => ROOM_MIN,
    }
}

/// The time, in seconds since 1970.
fn since_1970() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// Creates a file under a name that nothing has, and the directories above it.
fn create(
    settings: &RecordSettings,
    key: &StreamKey,
    number: u64,
    format: FileFormat,
) -> Result<(PathBuf, File), RecordError> {
    let time = sys::local_time(since_1970());
    let mut attempt = 1;
    loop {
        let pattern = settings.pattern();
        let path = pattern.path(key, number, time, attempt, format.ending());
        let path = settings.dir.join(path);
        match create_new(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < ATTEMPTS_MAX => {
                attempt += 1;
            }
            Err(error) => return Err(RecordError::Create(path, error)),
        }
    }
}

fn create_new(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create_new(true);
    match (options.open(path), path.parent()) {
        (Err(error), Some(dir)) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(dir).map_err(|error| {
                // Not the name of the file is taken, but that of a directory.
                io::Error::other(format!("no directory {}: {error}", dir.display()))
            })?;
            options.open(path)
        }
        (result, _) => result,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Pattern, Segments};
    use super::*;

    #[test]
    fn the_index_is_as_long_as_the_file_may_be() {
        let segments = |seconds| {
            Some(Segments {
                duration: Duration::from_secs(seconds),
                pattern: Pattern::of_segments(),
            })
        };
        let rows = [
            (None, true, 1024),
            (None, false, 16),
            (segments(2), true, 16),
            (segments(60), true, 61),
            (segments(60), false, 16),
            (segments(u64::MAX), true, 1024),
        ];
        for (segments, has_video, want) in rows {
            let settings = RecordSettings {
                dir: PathBuf::new(),
                segments,
                format: FileFormat::Flv,
            };
            assert_eq!(room(&settings, has_video), want, "{settings:?}");
        }
    }
}
