//! Bytes that many peers are sent as they are.

use super::framing::{CHUNK_END, put_chunk_len};
use crate::memory::{Budget, Held};
use crate::sync::Mutex;
use std::ops::Range;
use std::sync::Arc;

/// Part of a response that many peers are sent, as one chunk of it.
#[derive(Debug)]
pub(crate) struct SharedBytes {
    chunk: Vec<u8>,
    /// Where the bytes themselves are in the chunk.
    body: Range<usize>,
    waits: Mutex<Waits>,
}

/// How often bytes wait for a peer, and their part of the budget while they do.
#[derive(Debug, Default)]
struct Waits {
    count: usize,
    held: Option<Held>,
}

/// Bytes that wait for a peer. They count against the budget once, however many peers they wait
/// for.
#[derive(Debug)]
pub(super) struct WaitingBytes(Arc<SharedBytes>);

impl SharedBytes {
    /// The `len` bytes that `put` appends.
    pub(crate) fn new(len: usize, put: impl FnOnce(&mut Vec<u8>)) -> Arc<SharedBytes> {
        let mut chunk = Vec::new();
        chunk.reserve_exact(len + 20);
        put_chunk_len(len, &mut chunk);
        let start = chunk.len();
        put(&mut chunk);
        let body = start..chunk.len();
        chunk.extend_from_slice(CHUNK_END);
        Arc::new(SharedBytes {
            chunk,
            body,
            waits: Mutex::default(),
        })
    }

    /// The bytes, as a chunk or as they are.
    pub(super) fn bytes(&self, chunked: bool) -> &[u8] {
        match chunked {
            true => &self.chunk,
            false => self.chunk.get(self.body.clone()).unwrap_or_default(),
        }
    }

    /// The memory that they take.
    pub(crate) fn cost(&self) -> usize {
        size_of::<SharedBytes>() + self.chunk.capacity()
    }

    /// The same, as long as they wait for a peer.
    pub(super) fn wait(self: &Arc<Self>, budget: &Arc<Budget>) -> WaitingBytes {
        let mut waits = self.waits.lock();
        waits.count += 1;
        waits
            .held
            .get_or_insert_with(|| Held::new(budget, self.cost()));
        WaitingBytes(Arc::clone(self))
    }
}

impl WaitingBytes {
    pub(super) fn get(&self) -> &SharedBytes {
        &self.0
    }
}

impl Drop for WaitingBytes {
    fn drop(&mut self) {
        let mut waits = self.0.waits.lock();
        waits.count -= 1;
        if waits.count == 0 {
            waits.held = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_a_chunk_and_count_once_while_they_wait() {
        let bytes = SharedBytes::new(20, |out| out.extend_from_slice(&[b'x'; 20]));
        let body = "x".repeat(20);
        assert_eq!(bytes.bytes(false), body.as_bytes());
        assert_eq!(bytes.bytes(true), format!("14\r\n{body}\r\n").as_bytes());
        let budget = Arc::new(Budget::new(1 << 20));
        for _ in 0..2 {
            let waiting = [(); 3].map(|()| bytes.wait(&budget));
            assert_eq!(budget.held(), bytes.cost());
            drop(waiting);
            assert_eq!(budget.held(), 0);
        }
    }
}
