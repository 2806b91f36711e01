//! What this process may do to files.

use super::c;
use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
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
