//! The one way to a peer. Any thread may send through it, and none is held up by it.

use super::batch::Batch;
use super::cause::Cause;
use super::egress::{Closing, Egress, MediaSource};
use super::framing::{Framing, MessageClass, Progress};
use super::held_messages::HeldMessages;
use super::item::{Encoding, Item, QueuedItem, Remaining, Weight};
use super::limits::{PIECE_LEN, QUEUE_BYTES_MAX, REPLIES_MAX, REPLY_WAIT};
use super::offer::{Offer, QueueFull};
use super::peer_kind::PeerKind;
use super::peer_memory::PeerMemory;
use super::shared_bytes::SharedBytes;
use super::shared_run::SharedRun;
use super::transport::Transport;
use crate::awake;
use crate::media::flv::Flags;
use crate::memory::{Budget, Owner, Source};
use crate::rtmp::{Message, StreamId};
use crate::stats::{Counter, Counters};
use crate::sync::{self, Mutex, MutexGuard, Rank};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Pause between two looks for room in one's own queue.
const REPLY_POLL: Duration = Duration::from_millis(2);

/// What has gone through an outbox.
#[derive(Debug, Default)]
struct Sent {
    /// Messages that were taken, to be sent at once or later.
    messages: Counter,
    /// Those of them that are audio, video and data of a stream.
    media: Counter,
    /// Bytes that the socket has taken.
    bytes: Counter,
    /// Messages that were left out, since there was no room for them.
    drops: Counter,
}

/// The one way to a peer. Everything that may send to the peer holds an `Arc` of it; when the last
/// is gone, the writer thread ends.
pub struct Outbox {
    egress: Mutex<Egress>,
    transport: Arc<dyn Transport>,
    queue: SyncSender<Box<QueuedItem>>,
    kind: PeerKind,
    sent: Sent,
    /// When the peer has to have taken everything, once nothing more comes.
    pub(super) drain_end: OnceLock<Instant>,
    /// The counters of the whole server.
    counters: Arc<Counters>,
    pub(super) memory: PeerMemory,
}

impl Outbox {
    /// An outbox in front of `transport`, and the other end of its queue.
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        kind: PeerKind,
        framing: Framing,
        counters: Arc<Counters>,
        budget: Arc<Budget>,
    ) -> (Arc<Outbox>, Receiver<Box<QueuedItem>>) {
        let (queue, items) = sync_channel(kind.queue_messages());
        let egress = Egress {
            framing,
            waiting: Weight::default(),
            due: None,
            roles: 0,
            media_source: MediaSource::None,
            closing: Closing::Open,
        };
        let outbox = Arc::new(Outbox {
            egress: Mutex::ranked(Rank::Outbox, egress),
            transport,
            queue,
            kind,
            sent: Sent::default(),
            drain_end: OnceLock::new(),
            counters,
            memory: PeerMemory::new(&budget),
        });
        let holder = Arc::downgrade(&outbox);
        budget.enter(holder);
        (outbox, items)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Egress> {
        self.egress.lock()
    }

    /// Offers live messages, as messages of `stream`. Never waits.
    pub(crate) fn offer(&self, stream: StreamId, batch: &Arc<Batch>) -> Offer {
        let offer = self.offer_batch(stream, batch);
        if matches!(offer, Offer::Sent | Offer::Queued) {
            self.count_messages(batch.messages().len());
            self.sent.media.add(batch.messages().len() as u64);
        }
        offer
    }

    fn offer_batch(&self, stream: StreamId, batch: &Arc<Batch>) -> Offer {
        let mut egress = self.lock();
        if !matches!(egress.closing, Closing::Open) {
            return Offer::Closed;
        }
        if egress.waiting.items > 0 {
            return match self.has_room(&egress) {
                true => {
                    self.enqueue_batch(&mut egress, batch, |batch| Item::Live { batch, stream })
                }
                false => Offer::Full,
            };
        }
        if let Some(bytes) = batch.take_common(&mut egress.framing, stream) {
            let framing = egress.framing.kind();
            return match self.send(&mut egress, bytes) {
                Ok(taken) if taken == bytes.len() => Offer::Sent,
                Ok(from) => self.enqueue_batch(&mut egress, batch, |batch| Item::CommonRest {
                    batch,
                    framing,
                    from,
                }),
                Err(closed) => closed,
            };
        }
        self.send_own_bytes(&mut egress, stream, batch)
    }

    /// Sends a batch to a peer for which the common bytes are not right.
    fn send_own_bytes(&self, egress: &mut Egress, stream: StreamId, batch: &Batch) -> Offer {
        let mut encoding = Encoding::new(MessageClass::Media(stream));
        let common_len = batch.common().of(egress.framing.kind()).len();
        loop {
            let mut piece = Vec::with_capacity(common_len.min(2 * PIECE_LEN));
            let progress =
                encoding.append_piece(&mut egress.framing, batch.messages(), PIECE_LEN, &mut piece);
            match self.send(egress, &piece) {
                Ok(taken) if taken == piece.len() => match progress {
                    Progress::Complete => return Offer::Sent,
                    Progress::More => {}
                },
                Ok(taken) => {
                    let unsent = piece.split_off(taken);
                    let messages = batch.messages().to_vec();
                    return self.enqueue_rest(egress, unsent, encoding, messages);
                }
                Err(closed) => return closed,
            }
        }
    }

    /// Offers bytes that other viewers get as well, as one item, behind a head that names their media
    /// type if that was not sent yet. Never waits. Only peers with a framing for it take anything.
    pub(crate) fn offer_shared(&self, content_type: &str, parts: &[Arc<SharedBytes>]) -> Offer {
        let mut egress = self.lock();
        let offer = self.send_or_enqueue_shared(&mut egress, content_type, parts);
        if matches!(offer, Offer::Sent | Offer::Queued) {
            if let Some(body) = egress.framing.as_body() {
                body.begin();
            }
            self.count_messages(parts.len());
            self.sent.media.add(parts.len() as u64);
        }
        offer
    }

    fn send_or_enqueue_shared(
        &self,
        egress: &mut Egress,
        content_type: &str,
        parts: &[Arc<SharedBytes>],
    ) -> Offer {
        let is_open = matches!(egress.closing, Closing::Open);
        let Some(body) = egress.framing.as_body().filter(|_| is_open) else {
            return Offer::Closed;
        };
        let mut run = SharedRun::new(body.head(content_type), parts, body.is_chunked());
        if egress.waiting.items > 0 && !self.has_room(egress) {
            return Offer::Full;
        }
        if egress.waiting.items == 0 {
            match run.send(|bytes| self.send(egress, bytes)) {
                Ok(true) => return Offer::Sent,
                Ok(false) => {}
                Err(closed) => return closed,
            }
        }
        let run = run.wait(self.memory.budget());
        self.enqueue(egress, Item::Shared(Box::new(run)))
    }

    /// Whether media may be queued behind what waits.
    fn has_room(&self, egress: &Egress) -> bool {
        let bytes = egress.waiting.bytes;
        bytes < QUEUE_BYTES_MAX && self.memory.budget().has_room_beside(bytes)
    }

    /// Offers audio, video and data that belong together as one item, as messages of `stream`.
    /// Never waits; what does not fit into the first piece is left to the writer thread.
    pub fn push_media(&self, stream: StreamId, messages: Vec<Message>) -> Offer {
        self.push(&mut self.lock(), MessageClass::Media(stream), messages)
    }

    /// Offers messages of our own as one item. Never waits, as [`Outbox::push_media`].
    pub fn push_reply(&self, messages: Vec<Message>) -> Offer {
        self.push(&mut self.lock(), MessageClass::Reply, messages)
    }

    pub(super) fn push(
        &self,
        egress: &mut Egress,
        class: MessageClass,
        messages: Vec<Message>,
    ) -> Offer {
        let count = messages.len();
        let offer = self.send_or_enqueue(egress, class, messages);
        if matches!(offer, Offer::Sent | Offer::Queued) {
            self.count_messages(count);
            if let MessageClass::Media(_) = class {
                self.sent.media.add(count as u64);
            }
        }
        offer
    }

    fn send_or_enqueue(
        &self,
        egress: &mut Egress,
        class: MessageClass,
        messages: Vec<Message>,
    ) -> Offer {
        if !matches!(egress.closing, Closing::Open) {
            return Offer::Closed;
        }
        let has_room = match class {
            MessageClass::Media(_) => self.has_room(egress),
            MessageClass::Reply => egress.waiting.replies < REPLIES_MAX,
        };
        if egress.waiting.items > 0 && !has_room {
            return Offer::Full;
        }
        let (mut encoding, mut unsent) = (Encoding::new(class), Vec::new());
        if egress.waiting.items == 0 {
            let mut piece = Vec::new();
            let progress =
                encoding.append_piece(&mut egress.framing, &messages, PIECE_LEN, &mut piece);
            match self.send(egress, &piece) {
                Ok(taken) if taken == piece.len() && progress == Progress::Complete => {
                    return Offer::Sent;
                }
                Ok(taken) => unsent = piece.split_off(taken),
                Err(closed) => return closed,
            }
        }
        self.enqueue_rest(egress, unsent, encoding, messages)
    }

    /// Sends replies of the connection itself, from its own thread, which may wait a little for
    /// room.
    ///
    /// # Errors
    ///
    /// [`QueueFull`] if there was no room for `REPLY_WAIT`; the peer is then to be hung up on.
    pub fn reply(&self, messages: Vec<Message>) -> Result<(), QueueFull> {
        let end = awake::now() + REPLY_WAIT;
        loop {
            match self.push_reply(messages.clone()) {
                Offer::Full if awake::now() < end => sync::sleep(REPLY_POLL),
                Offer::Full => return Err(QueueFull),
                Offer::Sent | Offer::Queued | Offer::Closed => return Ok(()),
            }
        }
    }

    /// Ends the connection at once, for this reason if it is the first.
    pub fn hang_up(&self, cause: Cause) {
        self.close_locked(&mut self.lock(), cause);
        self.transport.hang_up();
    }

    fn close_locked(&self, egress: &mut Egress, cause: Cause) {
        egress.close(cause);
        // When there is no room for it, the writer is about to see that its socket is closed.
        self.enqueue(egress, Item::Wake);
    }

    /// Sets the kinds of media that the peer is told of before the first message, if its framing
    /// tells of them.
    pub(crate) fn set_kinds(&self, kinds: Flags) {
        self.lock().framing.set_kinds(kinds);
    }

    /// Why this side ended the connection, if it did.
    pub fn cause(&self) -> Option<Cause> {
        match self.lock().closing {
            Closing::Closed(cause) => cause,
            Closing::Open | Closing::Draining(_) => None,
        }
    }

    /// Whether nothing more is taken: the peer is told the last, or was.
    pub(crate) fn is_closing(&self) -> bool {
        !matches!(self.lock().closing, Closing::Open)
    }

    /// Items that wait; 0 when the socket has taken everything.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.items
    }

    /// To whom the memory counts that its peer takes; `None`: the peer is a server.
    pub(crate) fn owner(&self) -> Option<Owner> {
        self.kind.owner()
    }

    /// Notes that the peer is sent what comes from `source`.
    pub(crate) fn note_source(&self, source: Source) {
        let mut egress = self.lock();
        egress.media_source = egress.media_source.and(source);
    }

    /// The memory that the waiting items take, in bytes.
    pub fn waiting_bytes(&self) -> usize {
        self.lock().waiting.bytes
    }

    /// Whether more than half of the queue is taken.
    pub fn is_half_full(&self) -> bool {
        self.waiting() > self.kind.queue_messages() / 2
    }

    /// Messages that were sent or wait.
    pub fn messages(&self) -> u64 {
        self.sent.messages.get()
    }

    /// Audio, video and data of a stream that were sent or wait.
    pub fn media(&self) -> u64 {
        self.sent.media.get()
    }

    /// Bytes that the socket has taken.
    pub fn bytes(&self) -> u64 {
        self.sent.bytes.get()
    }

    /// Messages that were left out, since there was no room for them.
    pub fn drops(&self) -> u64 {
        self.sent.drops.get()
    }

    /// Counts messages that were left out, since there was no room for them.
    pub fn count_drops(&self, messages: u64) {
        self.sent.drops.add(messages);
        match self.kind {
            PeerKind::Client(_) => self.counters.subscriber_drops.add(messages),
            PeerKind::Server => self.counters.relay_drops.add(messages),
        }
    }

    pub(super) fn count_messages(&self, messages: usize) {
        self.sent.messages.add(messages as u64);
        if self.kind == PeerKind::Server {
            self.counters.relay_messages.add(messages as u64);
        }
    }

    /// Counts bytes that the peer was sent on another way.
    pub(crate) fn count_bytes(&self, bytes: usize) {
        self.sent.bytes.add(bytes as u64);
        match self.kind {
            PeerKind::Client(_) => self.counters.bytes_out.add(bytes as u64),
            PeerKind::Server => self.counters.relay_bytes.add(bytes as u64),
        }
    }

    fn enqueue_batch(
        &self,
        egress: &mut Egress,
        batch: &Arc<Batch>,
        item: impl FnOnce(Arc<Batch>) -> Item,
    ) -> Offer {
        batch.hold(self.memory.budget());
        self.enqueue(egress, item(Arc::clone(batch)))
    }

    pub(super) fn enqueue_rest(
        &self,
        egress: &mut Egress,
        unsent: Vec<u8>,
        encoding: Encoding,
        messages: Vec<Message>,
    ) -> Offer {
        let own = Remaining::own_cost(&unsent);
        let remaining = Remaining {
            unsent,
            encoding,
            messages: HeldMessages::new(self.memory.budget(), messages, own),
        };
        self.enqueue(egress, Item::Messages(Box::new(remaining)))
    }

    pub(super) fn enqueue(&self, egress: &mut Egress, item: Item) -> Offer {
        let weight = item.weight();
        match self.queue.try_send(Box::new(QueuedItem { item, weight })) {
            Ok(()) => {
                egress.waiting += weight;
                Offer::Queued
            }
            Err(TrySendError::Full(_)) => Offer::Full,
            Err(TrySendError::Disconnected(_)) => Offer::Closed,
        }
    }

    /// Puts bytes into the socket, while nothing waits; how many it took. `Closed`: the connection
    /// is over.
    fn send(&self, egress: &mut Egress, bytes: &[u8]) -> Result<usize, Offer> {
        let taken = match self.transport.send_now(bytes) {
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(_) => {
                self.close_locked(egress, Cause::PeerGone);
                self.transport.hang_up();
                return Err(Offer::Closed);
            }
        };
        self.count_bytes(taken);
        Ok(taken)
    }
}
