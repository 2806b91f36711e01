//! The memory that the allocator keeps.

#[cfg(target_env = "gnu")]
use super::c;

/// Gives memory back to the system that the allocator keeps for later. It has a heap for every few
/// threads, and gives back nothing of most of them by itself. Takes some milliseconds.
pub fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: may be called at any time, from any thread.
    unsafe {
        c::malloc_trim(0);
    }
}
