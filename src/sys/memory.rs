//! What the allocator keeps.

#[cfg(target_env = "gnu")]
use super::c;

/// Has the allocator give memory back to the system that it keeps for later: it has a heap for
/// every few threads, and of most of them it gives nothing back by itself. Takes milliseconds.
pub fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: may be called at any time, from any thread.
    unsafe {
        c::malloc_trim(0);
    }
}
