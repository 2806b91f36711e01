//! How much the system keeps of what it has taken from us and cannot send yet.
//!
//! For a connection whose peer takes little, Linux would keep 4 MB, and more than that with what it needs
//! beside it. Here the rest waits in the queue of the connection, where pictures can still be left out, and
//! payloads are shared.

use crate::sys;
use std::io;
use std::net::TcpListener;

/// Bytes for each connection, at most and at least. What is on its way does not count, so this is no limit
/// for how fast a connection is.
const UNSENT_MAX: usize = 256 << 10;
const UNSENT_MIN: usize = 32 << 10;

/// As many connections as there may be have no more than this part of the memory of all holders.
const MEMORY_PART: usize = 2;

/// Bytes for each of so many connections.
pub(super) fn unsent_max(max_memory: usize, max_connections: usize) -> u32 {
    let part = max_memory / MEMORY_PART / max_connections.max(1);
    part.clamp(UNSENT_MIN, UNSENT_MAX) as u32
}

/// Limits what the system keeps to `bytes` for each connection that these sockets accept.
///
/// # Errors
///
/// When one cannot be set.
pub(super) fn limit<'a>(
    listeners: impl IntoIterator<Item = &'a TcpListener>,
    bytes: u32,
) -> io::Result<()> {
    let mut listeners = listeners.into_iter();
    listeners.try_for_each(|listener| sys::set_unsent_max(listener, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_its_part_within_bounds() {
        // MiB of memory, connections, KiB for each.
        let rows = [
            (0, 1, 32),
            (16, 4096, 32),
            (256, 4096, 32),
            (1024, 4096, 128),
            (6144, 4096, 256),
            (256, 100, 256),
            (64, 0, 256),
        ];
        for (memory, connections, want) in rows {
            let bytes = unsent_max(memory << 20, connections);
            assert_eq!(bytes >> 10, want, "{memory} MiB, {connections}");
        }
    }
}
