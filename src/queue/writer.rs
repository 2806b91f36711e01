//! The writer thread of a connection: it sends what the socket did not take at once.

use super::{Closing, Item, Items, Outbox, PIECE_LEN, Remaining, Wire, encode_piece};
use std::io::{self, Write};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long a peer is given to close its side after we closed ours.
const LINGER: Duration = Duration::from_secs(2);

/// The receiving end of an outbox.
pub struct Writer {
    outbox: Weak<Outbox>,
    wire: Arc<dyn Wire>,
    items: Items,
}

/// Why a writer has nothing more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Nobody is left who could send anything.
    Abandoned,
    /// The farewell was sent.
    Farewell,
}

impl Writer {
    pub(super) fn new(outbox: Weak<Outbox>, wire: Arc<dyn Wire>, items: Items) -> Writer {
        Writer {
            outbox,
            wire,
            items,
        }
    }

    /// Sends what is queued, as it comes, until nobody can queue anything or leave was taken.
    ///
    /// `socket` may block; how long is its own business.
    ///
    /// # Errors
    ///
    /// That of the socket. The connection is over then: part of a message may be on the wire.
    pub fn run(&self, mut socket: impl Write) -> io::Result<Done> {
        let result = self.send_all(&mut socket);
        if result.is_err() {
            if let Some(outbox) = self.outbox.upgrade() {
                outbox.lock().closing = Closing::Closed;
            }
            self.wire.hang_up();
        }
        result
    }

    /// Waits, after the sending direction was closed, until the connection's reader is done too,
    /// or until the peer has had long enough for it.
    pub fn linger(&self) {
        while !matches!(
            self.items.recv_timeout(LINGER),
            Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout)
        ) {}
        self.wire.hang_up();
    }

    fn send_all(&self, socket: &mut impl Write) -> io::Result<Done> {
        while let Ok(item) = self.items.recv() {
            // Given back when the queue runs dry: most viewers never need it again.
            let mut piece = Vec::new();
            let mut next = Some(item);
            while let Some(item) = next.take() {
                if let Some(farewell) = self.send_some(item, &mut piece, socket)? {
                    self.write(&farewell, socket)?;
                    return Ok(Done::Farewell);
                }
                next = self.items.try_recv().ok();
            }
        }
        Ok(Done::Abandoned)
    }

    /// Sends an item, and what is behind it as far as that fits into one piece. Returns the bytes
    /// of the farewell, if it is its turn.
    fn send_some(
        &self,
        item: Item,
        piece: &mut Vec<u8>,
        socket: &mut impl Write,
    ) -> io::Result<Option<Vec<u8>>> {
        let mut finished = Finished::default();
        let mut next = Some(item);
        while let Some(item) = next.take() {
            finished.items += 1;
            finished.bytes += item.payload_len();
            finished.replies += item.replies();
            self.take(item, piece, socket)?;
            let more = piece.len() < PIECE_LEN;
            next = if more {
                self.items.try_recv().ok()
            } else {
                None
            };
        }
        self.write(piece, socket)?;
        piece.clear();
        Ok(self.give_back(finished))
    }

    fn write(&self, bytes: &[u8], socket: &mut impl Write) -> io::Result<()> {
        socket.write_all(bytes)?;
        if let Some(outbox) = self.outbox.upgrade() {
            outbox.count_bytes(bytes.len());
        }
        Ok(())
    }

    /// Makes an item ready in `piece`; a long one is sent piece by piece, all but its last.
    fn take(&self, item: Item, piece: &mut Vec<u8>, socket: &mut impl Write) -> io::Result<()> {
        match item {
            Item::Rest(bytes) if piece.is_empty() => *piece = bytes.into(),
            Item::Rest(bytes) => piece.extend(bytes),
            Item::Live(stream, batch) => {
                let Some(outbox) = self.outbox.upgrade() else {
                    return Ok(());
                };
                let mut egress = outbox.lock();
                match batch.common_bytes(stream, &mut egress.encoder) {
                    Some(bytes) => piece.extend_from_slice(bytes),
                    None => batch.encode_as(stream, &mut egress.encoder, piece),
                }
            }
            Item::Messages(rest) => {
                let Remaining {
                    stream,
                    messages,
                    mut from,
                } = *rest;
                loop {
                    let Some(outbox) = self.outbox.upgrade() else {
                        return Ok(());
                    };
                    from = encode_piece(&mut outbox.lock().encoder, stream, &messages, from, piece);
                    drop(outbox);
                    if from == messages.len() {
                        break;
                    }
                    self.write(piece, socket)?;
                    piece.clear();
                }
            }
            Item::Wake => {}
        }
        Ok(())
    }

    /// Takes finished items off the count: at none, others send directly again. Returns the bytes
    /// of the farewell, if it is its turn.
    fn give_back(&self, finished: Finished) -> Option<Vec<u8>> {
        let outbox = self.outbox.upgrade()?;
        let mut egress = outbox.lock();
        egress.waiting -= finished.items;
        egress.waiting_bytes -= finished.bytes;
        egress.waiting_replies -= finished.replies;
        if egress.waiting > 0 {
            return None;
        }
        match std::mem::replace(&mut egress.closing, Closing::Closed) {
            Closing::Farewell(messages) => {
                let mut bytes = Vec::new();
                messages
                    .iter()
                    .for_each(|message| egress.encoder.encode(message, &mut bytes));
                Some(bytes)
            }
            other => {
                egress.closing = other;
                None
            }
        }
    }
}

/// Items that have been sent since the last time the count was taken down.
#[derive(Default)]
struct Finished {
    items: usize,
    bytes: usize,
    replies: usize,
}
