//! Shared bytes that are sent one after the other, as far as a socket takes them.

use super::limits::PIECE_LEN;
use super::shared_bytes::{SharedBytes, WaitingBytes};
use crate::memory::Budget;
use std::sync::Arc;

/// What is left of bytes that belong together.
pub(super) struct SharedRun<'a> {
    /// Bytes of the peer's own, before all others.
    own: Vec<u8>,
    parts: &'a [Arc<SharedBytes>],
    /// The index of the next byte of the first part.
    from: usize,
    chunked: bool,
}

/// The same, as it waits for a peer.
pub(super) struct WaitingRun {
    pub(super) own: Vec<u8>,
    pub(super) parts: Vec<WaitingBytes>,
    /// The index of the next byte of the first part.
    pub(super) from: usize,
    pub(super) chunked: bool,
}

impl<'a> SharedRun<'a> {
    pub(super) fn new(own: Vec<u8>, parts: &'a [Arc<SharedBytes>], chunked: bool) -> Self {
        SharedRun {
            own,
            parts,
            from: 0,
            chunked,
        }
    }

    /// Calls `send` with piece after piece until it takes less than it is given. Whether all was
    /// taken.
    pub(super) fn send<E>(
        &mut self,
        mut send: impl FnMut(&[u8]) -> Result<usize, E>,
    ) -> Result<bool, E> {
        while let Some((first, more)) = self.parts.split_first() {
            let first = first.bytes(self.chunked).get(self.from..);
            let first = first.unwrap_or_default();
            // Many peers are sent the same single part: it goes from where it is.
            let alone = self.own.is_empty() && (more.is_empty() || first.len() >= PIECE_LEN);
            let (len, taken) = match alone {
                true => (first.len(), send(first)?),
                false => {
                    let piece = self.piece();
                    (piece.len(), send(&piece)?)
                }
            };
            self.advance(taken);
            if taken < len {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn piece(&self) -> Vec<u8> {
        let mut piece = self.own.clone();
        let mut from = self.from;
        for part in self.parts {
            let bytes = part.bytes(self.chunked).get(from..).unwrap_or_default();
            if piece.len() + bytes.len() > PIECE_LEN && !piece.is_empty() {
                break;
            }
            piece.extend_from_slice(bytes);
            from = 0;
        }
        piece
    }

    fn advance(&mut self, mut taken: usize) {
        let own = taken.min(self.own.len());
        self.own.drain(..own);
        taken -= own;
        while let Some((first, more)) = self.parts.split_first() {
            let left = first.bytes(self.chunked).len().saturating_sub(self.from);
            if taken < left {
                self.from += taken;
                return;
            }
            taken -= left;
            (self.parts, self.from) = (more, 0);
        }
    }

    /// What is left, to wait for its peer.
    pub(super) fn wait(self, budget: &Arc<Budget>) -> WaitingRun {
        let parts = self.parts.iter().map(|part| part.wait(budget));
        WaitingRun {
            own: self.own,
            parts: parts.collect(),
            from: self.from,
            chunked: self.chunked,
        }
    }
}

impl WaitingRun {
    /// The memory that it takes, in bytes.
    pub(super) fn cost(&self) -> usize {
        size_of::<WaitingRun>() + self.own.len() + self.shared_cost()
    }

    /// That of it which others may hold as well.
    pub(super) fn shared_cost(&self) -> usize {
        self.parts.iter().map(|part| part.get().cost()).sum()
    }

    /// All bytes that are left, in pieces.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = self.from;
        let parts = self.parts.iter().map(move |part| {
            let bytes = part.get().bytes(self.chunked).get(from..);
            from = 0;
            bytes.unwrap_or_default()
        });
        std::iter::once(&self.own[..]).chain(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_sent_once_however_little_is_taken() {
        let part = |byte: u8, len: usize| {
            SharedBytes::new(len, |out| out.extend(std::iter::repeat_n(byte, len)))
        };
        let parts = [
            part(b'a', 3),
            part(b'b', PIECE_LEN + 1),
            part(b'c', 5),
            part(b'd', 9),
        ];
        let budget = Arc::new(Budget::new(1 << 20));
        for chunked in [true, false] {
            let mut want = b"head".to_vec();
            parts
                .iter()
                .for_each(|part| want.extend_from_slice(part.bytes(chunked)));
            for room in [
                0,
                1,
                3,
                4,
                5,
                12,
                20,
                100,
                PIECE_LEN + 7,
                PIECE_LEN + 30,
                1 << 20,
            ] {
                let mut run = SharedRun::new(b"head".to_vec(), &parts, chunked);
                let mut out: Vec<u8> = Vec::new();
                let sent = run.send(|bytes| {
                    let taken = bytes.len().min(room - out.len());
                    out.extend_from_slice(&bytes[..taken]);
                    Ok::<_, ()>(taken)
                });
                assert_eq!(sent, Ok(room >= want.len()));
                assert_eq!(out.len(), room.min(want.len()));
                let rest = run.wait(&budget);
                rest.pieces().for_each(|piece| out.extend_from_slice(piece));
                assert!(out == want, "{chunked} {room}");
            }
        }
    }
}
