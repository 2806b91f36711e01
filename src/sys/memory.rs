//! The memory that the allocator keeps, and files in memory.

use super::c;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::num::NonZero;
use std::thread;

/// Heaps of the allocator for each processor. It would have eight, each of which keeps up to a tenth of a
/// megabyte for later.
const HEAPS_PER_CORE: usize = 2;

/// Has all threads share a few heaps of the allocator. To be called before there are many.
pub fn share_heaps() {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    c::limit_heaps(i32::try_from(HEAPS_PER_CORE * cores).unwrap_or(i32::MAX));
}

/// Buffers of this length on are given back to the system when they are freed: few pictures are so long.
const MAPPED_LEN: i32 = 128 << 10;

/// Bytes that a heap may keep at its end.
const KEPT_LEN: i32 = 1 << 20;

/// Has the allocator give long buffers back to the system as soon as they are freed. To be called before
/// there are any: what strangers make the server hold for a moment must not stay for good.
pub fn give_back_long_buffers() {
    c::limit_kept_memory(MAPPED_LEN, KEPT_LEN);
}

/// Gives memory back to the system that the allocator keeps for later. It gives back nothing of most
/// of its heaps by itself. Takes some milliseconds.
pub fn give_back_memory() {
    c::trim_memory();
}

/// Gives pages of this thread's stack back to the system that calls have used which are over. Not for
/// the main thread. Takes some microseconds.
pub fn give_back_stack() {
    c::release_stack();
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;

    const MIB: usize = 1 << 20;

    fn resident() -> usize {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
    }

    #[inline(never)]
    fn use_stack(mib: usize) -> u8 {
        let used = black_box([1_u8; MIB]);
        match mib {
            1 => used[0],
            more => use_stack(more - 1).wrapping_add(used[MIB - 1]),
        }
    }

    #[test]
    fn the_stack_below_is_given_back_and_can_be_used_again() {
        let thread = thread::Builder::new().stack_size(128 * MIB).spawn(|| {
            let mine = black_box([7_u8; 256]);
            assert_eq!(use_stack(16), 16);
            let before = resident();
            give_back_stack();
            let given_back = before.saturating_sub(resident());
            assert!(given_back > 8 * MIB, "{given_back} bytes of 16 MiB");
            assert_eq!(mine, [7; 256]);
            assert_eq!(use_stack(16), 16);
        });
        thread.unwrap().join().unwrap();
    }
}
