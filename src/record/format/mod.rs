//! The formats of recorded files.

mod flv;
mod mp4;
mod pending;
mod strays;

pub(super) use flv::FlvFile;
pub(super) use mp4::Mp4File;

pub(super) use pending::{PendingFile, Verdict};
pub(super) use strays::Strays;

use super::disk::{Closed, Disk};
use crate::amf0::Pairs;
use crate::media::tracks::StreamTracks;
use crate::rtmp::Message;
use std::io;

/// What recordings are written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileFormat {
    /// Messages as they came.
    #[default]
    Flv,
    /// What most programs play and edit. A publication with a codec that has no place in it, or
    /// a configuration that cannot be read, is recorded as FLV.
    Mp4,
}

impl FileFormat {
    /// What names of such files end in.
    pub(super) fn ending(self) -> &'static str {
        match self {
            FileFormat::Flv => ".flv",
            FileFormat::Mp4 => ".mp4",
        }
    }
}

/// A file that is being written. After an error it is to be closed.
pub(super) trait Recorded {
    /// What the disk has of it.
    fn disk(&self) -> &Disk;

    /// The last time of audio and video on the disk, in ms.
    fn duration_ms(&self) -> u32;

    /// Adds a message. `is_entry`: players may begin here.
    fn put(&mut self, message: &Message, time_ms: u32, is_entry: bool) -> io::Result<()>;

    /// As `put`, where the next file can begin with the message: what this file has no place for is
    /// not added.
    fn put_start(&mut self, message: &Message, time_ms: u32, is_entry: bool) -> io::Result<()> {
        self.put(message, time_ms, is_entry)
    }

    /// Takes note of metadata that has changed.
    fn put_metadata(&mut self, properties: &Pairs) -> io::Result<()>;

    /// Writes what has been put, as far as the format can, and has the disk keep it if it is time
    /// for that.
    fn flush(&mut self) -> io::Result<()>;

    /// The memory of what the file needs until its end, in bytes.
    fn held_len(&self) -> usize {
        0
    }

    /// Has the file lack room, so that the next one begins as soon as one can.
    fn make_room(&mut self) {}

    /// What the stream has that can have no place in this file: it should go on in another one, from
    /// the next message on that a file can begin with.
    fn lacks(&self) -> Option<&Lack> {
        None
    }

    /// What it has left out.
    fn strays(&self) -> Strays {
        Strays::default()
    }

    /// Takes the known tracks out, for the next file.
    fn take_tracks(&mut self) -> StreamTracks {
        StreamTracks::default()
    }

    /// Completes the file, and has the disk keep it.
    fn close(self: Box<Self>) -> Closed;
}

/// What a file has no place for: the more it says of the next file, the greater it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lack {
    /// A track of sound that was not known when it began. The file has it once it is finished; a
    /// crash would cost it.
    Announcement,
    /// A track of pictures, or a configuration of a track, that was not known when it began; or it
    /// is full.
    Room,
    /// A track that no file of this format has a place for, and why.
    Track(String),
}
