//! What ends a recording early.

use std::path::PathBuf;
use std::{fmt, io};

/// Why a recording ended before its stream did.
#[derive(Debug)]
pub(super) enum RecordError {
    /// There can be no such file.
    Create(PathBuf, io::Error),
    /// It could not be written.
    Write(io::Error),
    /// More waited for the disk than [`FEED_LIMITS`](super::FEED_LIMITS) allow.
    Overflowed,
    /// What waited for the disk was lost to others, who need the memory.
    Starved,
    /// The times of the stream ask for ever new files.
    TooManyFiles,
    /// No thread could be had.
    Thread(io::Error),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            RecordError::Create(path, error) => {
                write!(f, "cannot create {}: {error}", path.display())
            }
            RecordError::Write(error) => write!(f, "cannot write: {error}"),
            RecordError::Overflowed => write!(f, "the disk is too slow for the stream"),
            RecordError::Starved => write!(f, "memory is short: see -max-memory"),
            RecordError::TooManyFiles => write!(f, "the times of the stream jump too often"),
            RecordError::Thread(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for RecordError {}

impl From<io::Error> for RecordError {
    fn from(error: io::Error) -> RecordError {
        RecordError::Write(error)
    }
}
