//! The memory that the allocator keeps, and files in memory.

use super::c;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};

/// Gives memory back to the system that the allocator keeps for later. It has a heap for every few
/// threads, and gives back nothing of most of them by itself. Takes some milliseconds.
pub fn give_back_memory() {
    c::trim_memory();
}

/// A file of these bytes in memory, without a place in any directory. A process that has it open can
/// open it again under `/proc/self/fd`.
///
/// # Errors
///
/// When the system has no room.
pub fn memory_file(name: &CStr, bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(c::memory_file(name)?);
    file.write_all(bytes)?;
    Ok(file)
}
