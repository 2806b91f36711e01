//! What this process may do to files, and opening them.

use super::c;
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Whether this process may make files in the directory at `path`. It makes none.
///
/// # Errors
///
/// Those of access(2): why it may not.
pub fn may_write_in(path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    c::access(&path, c::W_OK | c::X_OK)
}

/// Opens the file at `path` for reading, without waiting: to open a pipe may take until somebody writes
/// to it. To read from it does not wait either, unless it is a regular file.
///
/// # Errors
///
/// Those of open(2).
pub fn open_at_once(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(c::O_NONBLOCK).open(path)
}
