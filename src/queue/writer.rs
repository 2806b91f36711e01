//! The writer thread of a connection: it sends what the socket did not take at once.

use super::cause::Cause;
use super::egress::{Closing, Egress};
use super::framing::{Framing, MessageClass, Progress};
use super::item::{Encoding, Item, QueuedItem, Weight};
use super::limits::{HELD_PIECE_LEN, PIECE_LEN};
use super::outbox::Outbox;
use super::peer_kind::PeerKind;
use super::transport::Transport;
use crate::memory::Budget;
use crate::stats::Counters;
use crate::sync;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How long a peer is given to close its side after we closed ours.
const LINGER: Duration = Duration::from_secs(2);

/// What finished items cost at most until they are taken off the count, but for the last.
const GIVEN_BACK_LEN: usize = 4 * PIECE_LEN;

/// The receiving end of an outbox.
pub struct Writer {
    outbox: Weak<Outbox>,
    transport: Arc<dyn Transport>,
    items: Receiver<Box<QueuedItem>>,
}

/// Why a writer has nothing more to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// Every holder of the outbox is gone.
    Abandoned,
    /// The closing messages were sent.
    Drained,
    /// Somebody ended the connection.
    HungUp,
}

/// An outbox in front of `transport`, through which messages are sent in `framing`, and the other end
/// of its queue for the writer thread. What goes through it is added to `counters`, what waits
/// counts against `budget`.
pub fn outbox(
    transport: Arc<dyn Transport>,
    kind: PeerKind,
    framing: Framing,
    counters: Arc<Counters>,
    budget: Arc<Budget>,
) -> (Arc<Outbox>, Writer) {
    let (outbox, items) = Outbox::new(Arc::clone(&transport), kind, framing, counters, budget);
    let writer = Writer {
        // Weakly: its hold on the queue would keep the queue, and thereby itself, alive.
        outbox: Arc::downgrade(&outbox),
        transport,
        items,
    };
    (outbox, writer)
}

impl Writer {
    /// Sends what is queued, as it comes, until nobody can queue anything or the connection closes.
    ///
    /// `socket` may block, and sets its own limit of time.
    ///
    /// # Errors
    ///
    /// That of the socket. The connection is over then: part of a message may be on the transport.
    pub fn run(&self, mut socket: impl Write) -> io::Result<Done> {
        let result = self.send_all(&mut socket);
        self.report(&result);
        result
    }

    /// As [`run`](Writer::run), on a thread that keeps the outbox alive: ends also when the
    /// connection was hung up on. It does not see that the peer is gone while nothing is sent.
    ///
    /// # Errors
    ///
    /// As [`run`](Writer::run).
    pub fn run_holding(&self, mut socket: impl Write) -> io::Result<Done> {
        let result = self.send_all_holding(&mut socket);
        self.report(&result);
        result
    }

    /// After a failure the connection is over for everyone.
    fn report(&self, result: &io::Result<Done>) {
        let Err(error) = result else { return };
        let cause = match error.kind() {
            // The socket's limit of time.
            io::ErrorKind::WouldBlock => Cause::TookNothing,
            _ => Cause::PeerGone,
        };
        if let Some(outbox) = self.outbox.upgrade() {
            outbox.lock().close(cause);
        }
        self.transport.hang_up();
    }

    /// Waits, after the sending direction was closed, until the connection's reader is done too,
    /// or until the peer has had long enough for it.
    pub fn linger(&self) {
        while !matches!(
            self.items.recv_timeout(LINGER),
            Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout)
        ) {}
        self.transport.hang_up();
    }

    fn send_all(&self, socket: &mut impl Write) -> io::Result<Done> {
        while let Ok(item) = self.items.recv() {
            if let Some(done) = self.send_waiting(item, socket)? {
                return Ok(done);
            }
        }
        Ok(Done::Abandoned)
    }

    fn send_all_holding(&self, socket: &mut impl Write) -> io::Result<Done> {
        while let Ok(item) = self.items.recv() {
            if let Some(done) = self.send_waiting(item, socket)? {
                return Ok(done);
            }
            let outbox = self.outbox.upgrade();
            if outbox.is_none_or(|outbox| outbox.cause().is_some()) {
                return Ok(Done::HungUp);
            }
        }
        Ok(Done::Abandoned)
    }

    /// Sends an item and all that is behind it. `Some`: the connection closes.
    fn send_waiting(
        &self,
        item: Box<QueuedItem>,
        socket: &mut impl Write,
    ) -> io::Result<Option<Done>> {
        // Given back when the queue runs dry: most viewers never need it again.
        let mut piece = Vec::new();
        let mut next = Some(item);
        while let Some(item) = next.take() {
            if let Some(closing_bytes) = self.send_some(item, &mut piece, socket)? {
                self.write(&closing_bytes, socket)?;
                return Ok(Some(Done::Drained));
            }
            next = self.items.try_recv().ok();
        }
        Ok(None)
    }

    /// Sends an item, and what is behind it as far as that fits into one piece. Returns the bytes
    /// of the closing messages, if it is their turn.
    fn send_some(
        &self,
        item: Box<QueuedItem>,
        piece: &mut Vec<u8>,
        socket: &mut impl Write,
    ) -> io::Result<Option<Vec<u8>>> {
        let mut finished = Weight::default();
        let mut next = Some(item);
        while let Some(queued) = next.take() {
            let QueuedItem { item, weight } = *queued;
            finished += weight;
            self.take(item, piece, socket)?;
            // Long items are sent already, and would count as long as others come behind them.
            let more = piece.len() < HELD_PIECE_LEN && finished.bytes < GIVEN_BACK_LEN;
            next = if more {
                self.items.try_recv().ok()
            } else {
                None
            };
        }
        self.flush(piece, socket)?;
        Ok(self.give_back(finished))
    }

    fn flush(&self, piece: &mut Vec<u8>, socket: &mut impl Write) -> io::Result<()> {
        self.write(piece, socket)?;
        piece.clear();
        Ok(())
    }

    fn write(&self, bytes: &[u8], socket: &mut impl Write) -> io::Result<()> {
        let mut unsent = bytes;
        while !unsent.is_empty() {
            let outbox = self.outbox.upgrade();
            let left = outbox.as_ref().map(|outbox| outbox.time_to_drain());
            let is_short = match left.transpose()?.flatten() {
                Some(left) => self.transport.limit_write(left)?,
                None => false,
            };
            drop(outbox);
            match self.write_some(unsent, socket) {
                // Its time may be over; that is looked at again.
                Err(error) if is_short && error.kind() == io::ErrorKind::WouldBlock => {}
                taken => unsent = &unsent[taken?..],
            }
        }
        Ok(())
    }

    /// Waits until the socket has taken some of `bytes`; how many that is.
    fn write_some(&self, bytes: &[u8], socket: &mut impl Write) -> io::Result<usize> {
        sync::about_to_wait();
        let taken = match socket.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            taken => taken?,
        };
        if let Some(outbox) = self.outbox.upgrade() {
            outbox.count_bytes(taken);
        }
        Ok(taken)
    }

    /// Makes an item ready in `piece`; a long one is sent piece by piece, all but its last.
    fn take(&self, item: Item, piece: &mut Vec<u8>, socket: &mut impl Write) -> io::Result<()> {
        match item {
            Item::CommonRest {
                batch,
                framing,
                from,
            } => self.take_bytes(&batch.common().of(framing)[from..], piece, socket),
            Item::Live { batch, stream } => {
                let Some(outbox) = self.outbox.upgrade() else {
                    return Ok(());
                };
                let mut egress = outbox.lock();
                if let Some(bytes) = batch.take_common(&mut egress.framing, stream) {
                    drop(egress);
                    return self.take_bytes(bytes, piece, socket);
                }
                let mut encoding = Encoding::new(MessageClass::Media(stream));
                let mut append = |egress: &mut Egress, piece: &mut Vec<u8>| {
                    let framing = &mut egress.framing;
                    encoding.append_piece(framing, batch.messages(), HELD_PIECE_LEN, piece)
                };
                while append(&mut egress, piece) == Progress::More {
                    drop(egress);
                    self.flush(piece, socket)?;
                    egress = outbox.lock();
                }
                Ok(())
            }
            Item::Messages(mut rest) => {
                let Some(outbox) = self.outbox.upgrade() else {
                    return Ok(());
                };
                while rest.append_piece(&mut outbox.lock().framing, piece) == Progress::More {
                    self.flush(piece, socket)?;
                }
                Ok(())
            }
            Item::Shared(run) => {
                let mut pieces = run.pieces();
                pieces.try_for_each(|bytes| self.take_bytes(bytes, piece, socket))
            }
            Item::Wake => Ok(()),
        }
    }

    /// Many bytes go to the socket from where they are: others wait for the same.
    fn take_bytes(
        &self,
        bytes: &[u8],
        piece: &mut Vec<u8>,
        socket: &mut impl Write,
    ) -> io::Result<()> {
        if piece.len() + bytes.len() <= 2 * HELD_PIECE_LEN {
            piece.extend_from_slice(bytes);
            return Ok(());
        }
        self.flush(piece, socket)?;
        let mut parts = bytes.chunks(PIECE_LEN);
        parts.try_for_each(|part| self.write(part, socket))
    }

    /// Takes finished items off the count: at none, others send directly again. Returns the bytes
    /// of the closing messages, if it is their turn.
    fn give_back(&self, finished: Weight) -> Option<Vec<u8>> {
        let outbox = self.outbox.upgrade()?;
        let mut egress = outbox.lock();
        egress.waiting -= finished;
        outbox.send_due(&mut egress);
        if egress.waiting.items > 0 {
            return None;
        }
        match std::mem::replace(&mut egress.closing, Closing::Closed(None)) {
            Closing::Draining(messages) => {
                let mut bytes = Vec::new();
                messages
                    .iter()
                    .for_each(|message| egress.framing.encode_reply(message, &mut bytes));
                egress.framing.end(&mut bytes);
                Some(bytes)
            }
            other => {
                egress.closing = other;
                None
            }
        }
    }
}
