//! A file that is being recorded, as the disk has it.
//!
//! Every [`SYNC_PERIOD`] of recording, and at the end, the disk is told to keep what was written: a
//! power failure costs that much, a crash of this program only what was not written yet.

use crate::sync;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often the disk is told to keep what was written (`fdatasync`).
pub(crate) const SYNC_PERIOD: Duration = Duration::from_secs(5);

/// What became of a file.
#[derive(Debug)]
pub(super) struct Closed {
    /// The file; `None` if it is not there: there was not enough room for its beginning, and so it
    /// was removed, by us or by another program, or moved away.
    pub path: Option<PathBuf>,
    /// Its length, in bytes.
    pub bytes: u64,
    /// The last time of audio and video in it, in ms.
    pub duration_ms: u32,
    /// What was wrong with the last writes.
    pub error: Option<io::Error>,
}

/// A file that grows.
#[derive(Debug)]
pub(crate) struct Disk {
    file: File,
    path: PathBuf,
    /// Length of the part that is whole, in bytes.
    len: u64,
    synced: Instant,
    name_synced: bool,
}

impl Disk {
    /// With a file that is still empty.
    pub(super) fn new(file: File, path: PathBuf) -> Disk {
        Disk {
            file,
            path,
            len: 0,
            synced: Instant::now(),
            name_synced: false,
        }
    }

    /// The path under which it was created.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the part that is whole, in bytes.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Writes at the end; returns how much that was. What of it is whole is to be [kept](Self::keep).
    pub(super) fn append(&mut self, bytes: &[u8]) -> (usize, io::Result<()>) {
        sync::about_to_wait();
        match self.check_whole() {
            Ok(()) => write_counted(&mut self.file, bytes),
            Err(error) => (0, Err(error)),
        }
    }

    /// Counts this many more bytes as whole.
    pub(super) fn keep(&mut self, bytes: u64) {
        self.len += bytes;
    }

    /// Removes what is not whole. It does no harm if it cannot be cut off.
    pub(super) fn cut(&mut self) {
        let _ = self.file.set_len(self.len);
        let _ = self.file.seek(SeekFrom::Start(self.len));
    }

    /// Writes over bytes that the file has.
    pub(super) fn patch(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, at)
    }

    /// Has the disk keep what was written, if it is time for that.
    pub(super) fn sync_if_due(&mut self) -> io::Result<()> {
        match self.synced.elapsed() >= SYNC_PERIOD {
            true => self.sync(),
            false => Ok(()),
        }
    }

    /// Has the disk keep what was written.
    pub(super) fn sync(&mut self) -> io::Result<()> {
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

    /// Fails if the file does not hold any more what was written to it: what comes behind a gap is
    /// lost, and what nobody can open need not be written.
    pub(super) fn check_whole(&self) -> io::Result<()> {
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

    /// Removes a file that has nothing in it that could be played.
    pub(super) fn remove(self, error: Option<io::Error>) -> Closed {
        if self.check_place().is_ok() {
            let _ = fs::remove_file(&self.path);
        }
        Closed {
            path: None,
            bytes: 0,
            duration_ms: 0,
            error,
        }
    }

    /// What there is of the file in the end; `result` is what became of the last writes.
    pub(super) fn close(self, duration_ms: u32, result: io::Result<()>) -> Closed {
        let placed = self.check_place();
        let len = self.file.metadata().map_or(0, |metadata| metadata.len());
        Closed {
            bytes: if placed.is_ok() { len.min(self.len) } else { 0 },
            path: placed.is_ok().then_some(self.path),
            duration_ms,
            error: result.and(placed).err(),
        }
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
