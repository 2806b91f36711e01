//! The writer thread of a connection: it sends what the socket did not take at once.

use super::{Closing, Item, Items, PIECE_LEN, Shared, encode_piece};
use crate::rtmp::{Message, StreamId};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// How long a peer is given to close its side after we closed ours.
const LINGER: Duration = Duration::from_secs(2);

/// The receiving end of an outbox.
pub struct Writer {
    shared: Arc<Shared>,
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
    pub(super) fn new(shared: Arc<Shared>, items: Items) -> Writer {
        Writer { shared, items }
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
            self.shared.lock().closing = Closing::Closed;
            self.shared.wire.hang_up();
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
        self.shared.wire.hang_up();
    }

    fn send_all(&self, socket: &mut impl Write) -> io::Result<Done> {
        let mut piece = Vec::new();
        while let Ok(item) = self.items.recv() {
            let mut finished = Finished::default();
            self.take(item, &mut piece, &mut finished, socket)?;
            while piece.len() < PIECE_LEN {
                let Ok(item) = self.items.try_recv() else {
                    break;
                };
                self.take(item, &mut piece, &mut finished, socket)?;
            }
            socket.write_all(&piece)?;
            piece.clear();
            piece.shrink_to(PIECE_LEN);
            if let Some(farewell) = self.give_back(finished) {
                self.encode(None, &farewell, 0, &mut piece);
                socket.write_all(&piece)?;
                return Ok(Done::Farewell);
            }
        }
        Ok(Done::Abandoned)
    }

    /// Makes an item ready in `piece`; a long one is sent piece by piece, all but its last.
    fn take(
        &self,
        item: Item,
        piece: &mut Vec<u8>,
        finished: &mut Finished,
        socket: &mut impl Write,
    ) -> io::Result<()> {
        finished.items += 1;
        finished.bytes += item.payload_len();
        match item {
            Item::Rest(bytes) if piece.is_empty() => *piece = bytes,
            Item::Rest(bytes) => piece.extend(bytes),
            Item::Live(stream, batch) => {
                let mut egress = self.shared.lock();
                match batch.common_bytes(stream, &mut egress.encoder) {
                    Some(bytes) => piece.extend_from_slice(bytes),
                    None => {
                        let encode = |message| egress.encoder.encode_as(stream, message, piece);
                        batch.messages().iter().for_each(encode);
                    }
                }
            }
            Item::Messages {
                stream,
                messages,
                mut from,
            } => loop {
                from = self.encode(stream, &messages, from, piece);
                if from == messages.len() {
                    break;
                }
                socket.write_all(piece)?;
                piece.clear();
            },
            Item::Wake => {}
        }
        Ok(())
    }

    fn encode(
        &self,
        stream: Option<StreamId>,
        messages: &[Message],
        from: usize,
        piece: &mut Vec<u8>,
    ) -> usize {
        encode_piece(
            &mut self.shared.lock().encoder,
            stream,
            messages,
            from,
            piece,
        )
    }

    /// Takes finished items off the count: at none, others send directly again. Returns the
    /// farewell, if it is its turn.
    fn give_back(&self, finished: Finished) -> Option<Vec<Message>> {
        self.shared
            .queued_bytes
            .fetch_sub(finished.bytes, Ordering::Relaxed);
        let mut egress = self.shared.lock();
        egress.waiting -= finished.items;
        if egress.waiting > 0 {
            return None;
        }
        match std::mem::replace(&mut egress.closing, Closing::Closed) {
            Closing::Farewell(messages) => Some(messages),
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
}
