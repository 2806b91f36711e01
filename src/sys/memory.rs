//! The memory that the allocator keeps.

use super::c;

/// Gives memory back to the system that the allocator keeps for later. It has a heap for every few
/// threads, and gives back nothing of most of them by itself. Takes some milliseconds.
pub fn give_back_memory() {
    c::trim_memory();
}
