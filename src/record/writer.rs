//! The recording of one publication: messages in, files out.

use super::beginning::{Beginning, Item};
use super::cut::{Cutter, Place};
use super::file::{Closed, Recorded};
use super::{Failure, Finished, Settings, Shared};
use crate::backoff::Pace;
use crate::flv;
use crate::log;
use crate::media::Packet;
use crate::queue::{Intake, Taken};
use crate::rtmp::key::Key;
use crate::rtmp::{Message, MessageType};
use crate::stats::RecordingStats;
use crate::sys;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long to wait for the next message before looking whether the disk is to be told something.
const IDLE: Duration = Duration::from_secs(1);

/// After each write the next messages are left alone for so long: they are written together, and
/// the publisher need not wake anyone.
const GATHER: Duration = Duration::from_millis(100);

/// So many names are tried for a file.
const ATTEMPTS_MAX: u32 = 100_000;

/// A publication may begin so many files at once, and then one in each period: otherwise one whose
/// times are nonsense could fill the disk with beginnings.
const FILES_AT_ONCE: u32 = 256;
const FILE_PERIOD: Duration = Duration::from_millis(250);

/// Keyframes that an index has room for: of a file that may be long, and of one without video.
const ROOM_MAX: usize = 1024;
const ROOM_MIN: usize = 16;

/// The state of a recording.
pub(super) struct Writer<'a> {
    shared: &'a Shared,
    id: u64,
    key: &'a Key,
    beginning: Beginning,
    cutter: Cutter,
    file: Option<Recorded>,
    /// Files so far.
    number: u64,
    pace: Pace,
}

impl<'a> Writer<'a> {
    /// Before the first message.
    pub fn new(shared: &'a Shared, id: u64, key: &'a Key) -> Writer<'a> {
        let segments = shared.settings.segments.as_ref();
        Writer {
            shared,
            id,
            key,
            beginning: Beginning::default(),
            cutter: Cutter::new(segments.map(|segments| segments.duration)),
            file: None,
            number: 0,
            pace: Pace::new(FILES_AT_ONCE, FILE_PERIOD, Instant::now()),
        }
    }

    /// Records until nothing comes any more, or until it fails.
    pub fn run(mut self, intake: &Intake) {
        let failure = self.record(intake).err();
        if self.file.is_some() {
            self.end_file(failure);
        } else if let Some(failure) = failure {
            self.fail(failure);
        }
    }

    /// Reports a failure while there is no file.
    pub fn fail(&self, failure: Failure) {
        let closed = Closed {
            path: None,
            bytes: 0,
            duration_ms: 0,
            error: None,
        };
        self.report(&closed, Some(failure));
    }

    fn record(&mut self, intake: &Intake) -> Result<(), Failure> {
        loop {
            match intake.take(IDLE) {
                Taken::Messages(messages) => {
                    for message in &messages {
                        self.take(message)
                            .or_else(|failure| self.give_up(failure))?;
                    }
                    self.flush().or_else(|failure| self.give_up(failure))?;
                    thread::sleep(GATHER);
                }
                Taken::Nothing => self.flush().or_else(|failure| self.give_up(failure))?,
                Taken::Ended => return Ok(()),
                Taken::Overflowed => return Err(Failure::Overflowed),
            }
        }
    }

    /// Ends the file that could not be made or written. In segments that is all, and the next one
    /// is tried when it is due: the disk may have room again.
    ///
    /// # Errors
    ///
    /// That failure, if it ends the recording.
    fn give_up(&mut self, failure: Failure) -> Result<(), Failure> {
        let is_of_file = matches!(failure, Failure::Create(..) | Failure::Write(_));
        if self.shared.settings.segments.is_none() || !is_of_file {
            return Err(failure);
        }
        match self.file.is_some() {
            true => self.end_file(Some(failure)),
            false => self.fail(failure),
        }
        Ok(())
    }

    fn take(&mut self, message: &Message) -> Result<(), Failure> {
        let Message {
            kind,
            timestamp,
            payload,
            ..
        } = message;
        let aside = self.cutter.aside(*timestamp);
        match Item::new(message) {
            Item::Nothing => Ok(()),
            Item::Metadata(properties) => {
                let body = flv::changed_metadata(&properties);
                if self.beginning.set_properties(properties) {
                    // It belongs to the stream, not to a moment: at any other time than 0, players
                    // take it for a track of its own.
                    self.put(MessageType::DATA, 0, &body, false)?;
                }
                Ok(())
            }
            Item::Data => {
                if self.number == 0 {
                    self.beginning.hold(message);
                }
                self.put(*kind, aside, payload, false)
            }
            // It begins no file, and its time says nothing of the stream's.
            Item::Empty => self.put(*kind, aside, payload, false),
            Item::Header(packet) => {
                self.beginning.note_header(message, packet);
                self.put(*kind, aside, payload, false)
            }
            Item::Media(packet) => self.take_media(message, &packet),
        }
    }

    fn take_media(&mut self, message: &Message, packet: &Packet) -> Result<(), Failure> {
        self.cutter.see(message, packet);
        let is_entry = self.cutter.is_entry(message, packet);
        let time_ms = match self.cutter.place(message, packet) {
            Place::Here(time_ms) => time_ms,
            Place::New => {
                self.begin_file(message.kind)?;
                0
            }
        };
        self.put(message.kind, time_ms, &message.payload, is_entry)
    }

    /// Adds a tag to the file, if there is one.
    fn put(
        &mut self,
        kind: MessageType,
        time_ms: u32,
        body: &[u8],
        is_entry: bool,
    ) -> Result<(), Failure> {
        let put = |file: &mut Recorded| file.put(kind, time_ms, body, is_entry);
        self.file.as_mut().map_or(Ok(()), put)?;
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.flush()?;
        let stats = self.stats();
        self.shared.lock().files.insert(self.id, stats);
        Ok(())
    }

    fn stats(&self) -> RecordingStats {
        let file = self.file.as_ref();
        RecordingStats {
            stream_key: self.key.to_string(),
            path: file.map_or(String::new(), |file| file.path().display().to_string()),
            bytes: file.map_or(0, Recorded::len),
            duration: Duration::from_millis(file.map_or(0, |file| file.duration_ms().into())),
        }
    }

    /// Ends the file that is there, and begins one whose first media is of that kind.
    fn begin_file(&mut self, kind: MessageType) -> Result<(), Failure> {
        // Before it is closed: a failure may end more than this file.
        self.flush().or_else(|failure| self.give_up(failure))?;
        self.end_file(None);
        self.count_file(Instant::now())?;
        let mut flags = self.beginning.flags();
        flags.insert(kind);
        let (path, file) = create(&self.shared.settings, self.key, self.number)?;
        log!(Info, "recording started"; stream_key = self.key, path = path.display());
        let room = room(&self.shared.settings, flags.video);
        let properties = self.beginning.properties().clone();
        self.file = Some(Recorded::new(file, path, flags, properties, room));
        let stats = self.stats();
        self.shared.lock().files.insert(self.id, stats);
        for message in self.beginning.take() {
            self.put(message.kind, 0, &message.payload, false)?;
        }
        Ok(())
    }

    /// Counts a file that begins now, if it may.
    fn count_file(&mut self, now: Instant) -> Result<(), Failure> {
        if !self.pace.begin(now) {
            return Err(Failure::TooManyFiles);
        }
        self.number += 1;
        Ok(())
    }

    fn end_file(&mut self, failure: Option<Failure>) {
        let Some(file) = self.file.take() else { return };
        let mut closed = file.close();
        self.shared.lock().files.remove(&self.id);
        let failure = failure.or(closed.error.take().map(Failure::Write));
        self.report(&closed, failure);
    }

    /// Tells everyone what became of a file.
    fn report(&self, closed: &Closed, failure: Option<Failure>) {
        let path = closed.path.as_deref().map(Path::display);
        let finished = Finished {
            path: path.map_or(String::new(), |path| path.to_string()),
            bytes: closed.bytes,
            duration: Duration::from_millis(closed.duration_ms.into()),
            error: failure.map(|failure| failure.to_string()),
        };
        let duration_sec = finished.duration.as_secs_f64();
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
fn room(settings: &Settings, has_video: bool) -> usize {
    let seconds = settings.segments.as_ref().map(|segments| {
        let seconds = segments.duration.as_secs().saturating_add(1);
        usize::try_from(seconds).unwrap_or(usize::MAX)
    });
    match has_video {
        true => seconds.unwrap_or(ROOM_MAX).clamp(ROOM_MIN, ROOM_MAX),
        false => ROOM_MIN,
    }
}

/// Creates a file under a name that nothing has, and the directories above it.
fn create(settings: &Settings, key: &Key, number: u64) -> Result<(PathBuf, File), Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let time = sys::local_time(now.unwrap_or_default().as_secs());
    let mut attempt = 1;
    loop {
        let path = settings.pattern().path(key, number, time, attempt);
        let path = settings.dir.join(path);
        match create_new(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < ATTEMPTS_MAX => {
                attempt += 1;
            }
            Err(error) => return Err(Failure::Create(path, error)),
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
            let settings = Settings {
                dir: PathBuf::new(),
                segments,
            };
            assert_eq!(room(&settings, has_video), want, "{settings:?}");
        }
    }
}
