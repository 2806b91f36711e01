//! One file of a recording, on the disk.
//!
//! Tags are gathered and written by one call, at the end of the file; nothing before is touched
//! until the file is complete. So at every moment it is a file that plays, perhaps with the
//! beginning of a tag at its end, which readers leave out.
//!
//! Every [`SYNC_PERIOD`] of recording, and at the end, the disk is told to keep what was written: a
//! power failure costs that much, a crash of this program only what was not written yet.

use crate::amf0::Pairs;
use crate::flv::{
    BODY_LEN_MAX, FLAGS_AT, Flags, HEADER_LEN, Keyframe, Script, TAG_HEADER_LEN, Totals,
    put_header, put_tag,
};
use crate::rtmp::MessageType;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often the disk is told to keep what was written (`fdatasync`).
pub const SYNC_PERIOD: Duration = Duration::from_secs(5);

/// So many gathered bytes are written without waiting for more.
const GATHERED_MAX: usize = 1 << 20;

/// A file that is being written.
#[derive(Debug)]
pub struct Recorded {
    file: File,
    path: PathBuf,
    script: Script,
    /// As they are in the file, and as what was written asks for.
    flags: (Flags, Flags),
    /// What is to be written next: tags, behind the header if that is not written yet.
    gathered: Vec<u8>,
    gathered_tags: Vec<Tag>,
    /// Length of the file: whole tags.
    len: u64,
    duration_ms: u32,
    index: Index,
    synced: Instant,
    name_synced: bool,
}

/// A tag that is gathered.
#[derive(Clone, Copy, Debug)]
struct Tag {
    /// Where it begins and ends among the gathered bytes.
    start: usize,
    end: usize,
    kind: MessageType,
    time_ms: u32,
    is_entry: bool,
}

/// What became of a file.
#[derive(Debug)]
pub struct Closed {
    /// The file; `None` if it is not there: there was not enough room for its beginning, and so it
    /// was removed, or somebody else has removed it or moved it away.
    pub path: Option<PathBuf>,
    /// Its length, in bytes.
    pub bytes: u64,
    /// The last time of audio and video in it, in ms.
    pub duration_ms: u32,
    /// What was wrong with the last writes.
    pub error: Option<io::Error>,
}

impl Recorded {
    /// Begins a file that is still empty, with the publisher's `properties`, and room for so many
    /// keyframes in the index.
    pub fn new(file: File, path: PathBuf, flags: Flags, properties: Pairs, room: usize) -> Self {
        let script = Script::new(properties, room);
        let mut gathered = Vec::new();
        put_header(flags, &mut gathered);
        let body = script.body(&Totals::default());
        put_tag(MessageType::DATA, 0, &body, &mut gathered);
        let beginning = Tag {
            start: 0,
            end: gathered.len(),
            kind: MessageType::DATA,
            time_ms: 0,
            is_entry: false,
        };
        Recorded {
            file,
            path,
            script,
            flags: (flags, flags),
            gathered,
            gathered_tags: vec![beginning],
            len: 0,
            duration_ms: 0,
            index: Index::new(room),
            synced: Instant::now(),
            name_synced: false,
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its length on the disk, in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// The last time of audio and video on the disk, in ms.
    pub fn duration_ms(&self) -> u32 {
        self.duration_ms
    }

    /// Adds a tag. `is_entry`: players may begin here.
    ///
    /// # Errors
    ///
    /// As [`flush`](Recorded::flush).
    pub fn put(
        &mut self,
        kind: MessageType,
        time_ms: u32,
        body: &[u8],
        is_entry: bool,
    ) -> io::Result<()> {
        if body.len() > BODY_LEN_MAX {
            return Ok(());
        }
        let start = self.gathered.len();
        put_tag(kind, time_ms, body, &mut self.gathered);
        self.gathered_tags.push(Tag {
            start,
            end: self.gathered.len(),
            kind,
            time_ms,
            is_entry,
        });
        if self.gathered.len() < GATHERED_MAX {
            return Ok(());
        }
        self.flush()
    }

    /// Writes what is gathered, and has the disk keep it if it is time for that.
    ///
    /// # Errors
    ///
    /// The file ends behind the last tag that could be written whole, or somebody else has removed
    /// it or cut it short. It is to be closed.
    pub fn flush(&mut self) -> io::Result<()> {
        let (written, result) = match self.check_whole() {
            Ok(()) => write_counted(&mut self.file, &self.gathered),
            Err(error) => (0, Err(error)),
        };
        self.note_written(written);
        self.gathered.clear();
        self.gathered_tags.clear();
        if let Err(error) = result {
            if written > 0 {
                // What is left of a tag does no harm if it cannot be cut off.
                let _ = self.file.set_len(self.len);
            }
            return Err(error);
        }
        self.patch_flags()?;
        if self.synced.elapsed() >= SYNC_PERIOD {
            self.sync()?;
        }
        Ok(())
    }

    /// Fails if the file does not hold any more what was written to it: what comes behind a gap is
    /// lost, and what nobody can open need not be written.
    fn check_whole(&self) -> io::Result<()> {
        let metadata = self.file.metadata()?;
        let what = match (metadata.nlink(), metadata.len()) {
            (0, _) => "was removed",
            (_, len) if len < self.len => "was cut short by somebody else",
            _ => return Ok(()),
        };
        let path = self.path.display();
        Err(io::Error::other(format!("{path} {what}")))
    }

    /// Fails if the file is not to be found where it was made.
    fn check_place(&self) -> io::Result<()> {
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        let own = self.file.metadata().map(identity)?;
        match self.path.metadata().map(identity) {
            Ok(there) if there == own => Ok(()),
            _ => {
                let path = self.path.display();
                let error = format!("{path} is not there any more: it was removed or moved");
                Err(io::Error::other(error))
            }
        }
    }

    /// Counts the gathered tags that are whole within the first `written` bytes.
    fn note_written(&mut self, written: usize) {
        let before = self.len;
        for tag in &self.gathered_tags {
            if tag.end > written {
                break;
            }
            self.len = before + tag.end as u64;
            self.flags.1.insert(tag.kind);
            if tag.kind != MessageType::DATA && tag.kind != MessageType::DATA_AMF3 {
                self.duration_ms = self.duration_ms.max(tag.time_ms);
            }
            if tag.is_entry {
                self.index.push(Keyframe {
                    time_ms: tag.time_ms,
                    position: before + tag.start as u64,
                });
            }
        }
    }

    fn patch_flags(&mut self) -> io::Result<()> {
        let (written, wanted) = self.flags;
        if written != wanted {
            self.file.write_all_at(&[wanted.byte()], FLAGS_AT)?;
            self.flags.0 = wanted;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.synced = Instant::now();
        if !self.name_synced {
            self.name_synced = true;
            // Not every file system can, and most have done so by now.
            if let Some(Ok(dir)) = self.path.parent().map(File::open) {
                let _ = dir.sync_all();
            }
        }
        Ok(())
    }

    /// Writes what is left, and what is known of the file only now, and has the disk keep it.
    pub fn close(mut self) -> Closed {
        let flushed = self.flush();
        let script_end = HEADER_LEN + TAG_HEADER_LEN;
        if self.len < script_end as u64 {
            if self.check_place().is_ok() {
                let _ = fs::remove_file(&self.path);
            }
            return Closed {
                path: None,
                bytes: 0,
                duration_ms: 0,
                error: flushed.err(),
            };
        }
        let patched = self.check_whole().and_then(|()| self.patch());
        let placed = self.check_place();
        let len = self.file.metadata().map_or(0, |metadata| metadata.len());
        Closed {
            bytes: if placed.is_ok() { len.min(self.len) } else { 0 },
            path: placed.is_ok().then_some(self.path),
            duration_ms: self.duration_ms,
            error: flushed.and(patched).and(placed).err(),
        }
    }

    /// Writes the first tag anew. If that is not done whole, its length is right all the same, and
    /// what is behind it stays within reach.
    fn patch(&mut self) -> io::Result<()> {
        let body = self.script.body(&Totals {
            duration_ms: self.duration_ms,
            filesize: self.len,
            keyframes: &self.index.keyframes,
        });
        let body_at = (HEADER_LEN + TAG_HEADER_LEN) as u64;
        self.file.write_all_at(&body, body_at)?;
        self.sync()
    }
}

/// Writes all it can; returns how much that was.
fn write_counted(file: &mut File, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write(&bytes[written..]) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(len) => written += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// Keyframes of a file, fewer than twice as many as there is room for in the end: when there are
/// more, every other one goes, and from then on only so many are taken.
#[derive(Debug)]
struct Index {
    keyframes: Vec<Keyframe>,
    room: usize,
    /// Of so many keyframes one is taken.
    step: u64,
    seen: u64,
}

impl Index {
    fn new(room: usize) -> Index {
        Index {
            keyframes: Vec::new(),
            room,
            step: 1,
            seen: 0,
        }
    }

    fn push(&mut self, keyframe: Keyframe) {
        if self.seen.is_multiple_of(self.step) {
            self.keyframes.push(keyframe);
        }
        self.seen += 1;
        if self.keyframes.len() > 2 * self.room {
            let mut number = 0;
            self.keyframes.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.step = self.step.saturating_mul(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_bounded_and_even() {
        let mut index = Index::new(8);
        for position in 0..1000 {
            index.push(Keyframe {
                time_ms: 0,
                position,
            });
            assert!(index.keyframes.len() <= 16);
            let step = index.step;
            let even = |(at, keyframe): (usize, &Keyframe)| keyframe.position == at as u64 * step;
            assert!(index.keyframes.iter().enumerate().all(even));
            assert!(index.keyframes.len() >= 8 || step == 1);
        }
    }
}
