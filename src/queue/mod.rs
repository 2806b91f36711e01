//! The way to a peer: one [`Outbox`] for each connection, which everybody may send through and
//! nobody can be held up by.
//!
//! While the socket takes everything, bytes go straight into it from the thread that has them.
//! What it does not take waits in a queue of [`QUEUE_MESSAGES`] for the connection's own writer
//! thread, and whatever comes then has to queue up behind, so that order is kept. Chunk headers
//! depend on what was sent before; they are made when their turn has come, never earlier.

mod batch;
mod feed;
mod writer;

pub use batch::Batch;
pub use feed::{Feed, FeedLimits, Intake, Taken, feed};
pub use writer::{Done, Writer};

use crate::rtmp::chunk::Encoder;
use crate::rtmp::{Message, StreamId};
use crate::stats::{Counter, Counters};
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Items that wait for a client: messages, or batches that belong together.
pub const QUEUE_MESSAGES: usize = 100;

/// Items that wait for a server that we send to: far away, and one for many.
pub const RELAY_QUEUE_MESSAGES: usize = 1000;

/// Bytes of payload that wait for a peer, beyond which the queue counts as full for media.
pub const QUEUE_BYTES_MAX: usize = 16 << 20;

/// Messages of our own that wait for a peer, beyond which the queue counts as full for those: they
/// are small, but a peer can ask for as many as it likes.
pub const REPLIES_MAX: usize = 1000;

/// How long a connection's own replies wait for room in its queue.
pub const REPLY_WAIT: Duration = Duration::from_millis(200);

/// Bytes that are made ready to be sent at a time.
const PIECE_LEN: usize = 64 << 10;

/// Pause between two looks for room in one's own queue.
const REPLY_POLL: Duration = Duration::from_millis(2);

/// A connection as the queue sees it.
pub trait Wire: Send + Sync {
    /// Sends what can be sent without waiting; returns how many bytes that was.
    ///
    /// # Errors
    ///
    /// `WouldBlock` when nothing can be sent now; any other means that the connection is over.
    fn send_now(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Ends the connection in both directions, which wakes its threads.
    fn hang_up(&self);
}

/// What became of something offered to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// All of it is on its way.
    Sent,
    /// It waits in the queue.
    Queued,
    /// There is no room for it; nothing of it was taken.
    Full,
    /// The connection is over, or about to be.
    Closed,
}

/// Something that waits for the writer thread.
enum Item {
    /// Bytes that the socket did not take.
    Rest(Box<[u8]>),
    /// Messages that belong together.
    Messages(Box<Remaining>),
    /// Live messages that other viewers get as well.
    Live(StreamId, Arc<Batch>),
    /// Nothing: look whether there is a farewell.
    Wake,
}

/// Messages from one index on; media of a stream is sent as the stream named.
struct Remaining {
    stream: Option<StreamId>,
    messages: Vec<Message>,
    from: usize,
}

/// The end of the line: whoever holds its lock decides what the peer sees next.
struct Egress {
    encoder: Encoder,
    /// Items in the queue or in the writer's hands. While there are any, only the writer sends.
    waiting: usize,
    /// Their payload, in bytes.
    waiting_bytes: usize,
    /// How many messages of our own are among them.
    waiting_replies: usize,
    /// Publications and subscriptions that the connection has.
    roles: usize,
    closing: Closing,
}

enum Closing {
    /// Not at all.
    Open,
    /// After everything that waits and these messages.
    Farewell(Vec<Message>),
    /// The connection is over; nothing is taken any more.
    Closed,
}

/// What kind of peer an outbox leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toward {
    /// A client of ours.
    Client,
    /// Another server, of which we are a client.
    Server,
}

impl Toward {
    fn queue_messages(self) -> usize {
        match self {
            Toward::Client => QUEUE_MESSAGES,
            Toward::Server => RELAY_QUEUE_MESSAGES,
        }
    }
}

/// What has gone through an outbox.
#[derive(Debug, Default)]
struct Sent {
    /// Messages that were taken, to be sent at once or later.
    messages: Counter,
    /// Bytes that the socket has taken.
    bytes: Counter,
    /// Messages that were left out, since there was no room for them.
    drops: Counter,
}

/// The one way to a peer. Everybody who may send to it holds an `Arc` of it; when the last is
/// gone, the writer thread ends.
pub struct Outbox {
    egress: Mutex<Egress>,
    wire: Arc<dyn Wire>,
    queue: SyncSender<Item>,
    toward: Toward,
    sent: Sent,
    /// Those of the whole server.
    counters: Arc<Counters>,
}

/// One publication or subscription of a connection, as long as it is held.
pub struct Role {
    outbox: Arc<Outbox>,
    /// Whether it is counted no more.
    ended: bool,
}

impl Role {
    /// The way to whoever has the role.
    pub fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// The stream that it was about is over: tells the peer, and takes leave of it if it has no
    /// other role.
    pub fn end(mut self, messages: Vec<Message>) {
        self.ended = true;
        self.outbox.end_role(messages);
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        if !self.ended {
            self.outbox.lock().roles -= 1;
        }
    }
}

/// An outbox in front of `wire`, and the other end of its queue for the writer thread. What goes
/// through it is added to `counters`.
pub fn outbox(
    wire: Arc<dyn Wire>,
    toward: Toward,
    counters: Arc<Counters>,
) -> (Arc<Outbox>, Writer) {
    let (queue, items) = sync_channel(toward.queue_messages());
    let egress = Egress {
        encoder: Encoder::default(),
        waiting: 0,
        waiting_bytes: 0,
        waiting_replies: 0,
        roles: 0,
        closing: Closing::Open,
    };
    let outbox = Outbox {
        egress: Mutex::new(egress),
        wire: Arc::clone(&wire),
        queue,
        toward,
        sent: Sent::default(),
        counters,
    };
    let outbox = Arc::new(outbox);
    // Weakly: its hold on the queue would keep the queue, and thereby itself, alive.
    let writer = Writer::new(Arc::downgrade(&outbox), wire, items);
    (outbox, writer)
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Egress> {
        self.egress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offers live messages, as messages of `stream`. Never waits.
    pub fn offer(&self, stream: StreamId, batch: &Arc<Batch>) -> Offer {
        let offer = self.offer_batch(stream, batch);
        if matches!(offer, Offer::Sent | Offer::Queued) {
            self.count_messages(batch.messages().len());
        }
        offer
    }

    fn offer_batch(&self, stream: StreamId, batch: &Arc<Batch>) -> Offer {
        let mut egress = self.lock();
        if !matches!(egress.closing, Closing::Open) {
            return Offer::Closed;
        }
        if egress.waiting > 0 {
            let room = egress.waiting_bytes < QUEUE_BYTES_MAX;
            let item = Item::Live(stream, Arc::clone(batch));
            return if room {
                self.enqueue(&mut egress, item)
            } else {
                Offer::Full
            };
        }
        if let Some(bytes) = batch.common_bytes(stream, &mut egress.encoder) {
            return self.send(&mut egress, bytes);
        }
        let mut bytes = Vec::with_capacity(batch.payload_len());
        batch.encode_as(stream, &mut egress.encoder, &mut bytes);
        self.send(&mut egress, &bytes)
    }

    /// Offers messages that belong together as one item: as messages of `stream`, or as they are.
    /// Never waits; what does not fit into the first piece is left to the writer thread.
    pub fn push(&self, stream: Option<StreamId>, messages: Vec<Message>) -> Offer {
        self.push_locked(&mut self.lock(), stream, messages)
    }

    fn push_locked(
        &self,
        egress: &mut Egress,
        stream: Option<StreamId>,
        messages: Vec<Message>,
    ) -> Offer {
        let count = messages.len();
        let offer = self.push_messages(egress, stream, messages);
        if matches!(offer, Offer::Sent | Offer::Queued) {
            self.count_messages(count);
        }
        offer
    }

    fn push_messages(
        &self,
        egress: &mut Egress,
        stream: Option<StreamId>,
        messages: Vec<Message>,
    ) -> Offer {
        if !matches!(egress.closing, Closing::Open) {
            return Offer::Closed;
        }
        let full = match stream {
            Some(_) => egress.waiting_bytes >= QUEUE_BYTES_MAX,
            None => egress.waiting_replies >= REPLIES_MAX,
        };
        if egress.waiting > 0 && full {
            return Offer::Full;
        }
        let mut from = 0;
        if egress.waiting == 0 {
            let mut bytes = Vec::new();
            from = encode_piece(&mut egress.encoder, stream, &messages, 0, &mut bytes);
            let sent = self.send(egress, &bytes);
            if from == messages.len() || sent == Offer::Closed {
                return sent;
            }
        }
        let remaining = Remaining {
            stream,
            messages,
            from,
        };
        self.enqueue(egress, Item::Messages(Box::new(remaining)))
    }

    /// Sends replies of the connection itself, from its own thread, which may wait a little for
    /// room. `false`: there was none; hang up.
    pub fn reply(&self, messages: Vec<Message>) -> bool {
        let end = Instant::now() + REPLY_WAIT;
        loop {
            match self.push(None, messages.clone()) {
                Offer::Full if Instant::now() < end => thread::sleep(REPLY_POLL),
                Offer::Full => return false,
                Offer::Sent | Offer::Queued | Offer::Closed => return true,
            }
        }
    }

    /// Takes leave: everything that waits is sent, then these messages, then the connection is
    /// closed. Nothing is taken after that. Never waits.
    pub fn finish(&self, messages: Vec<Message>) {
        self.finish_locked(&mut self.lock(), messages);
    }

    fn finish_locked(&self, egress: &mut Egress, messages: Vec<Message>) {
        match &mut egress.closing {
            Closing::Open => {
                egress.closing = Closing::Farewell(messages);
                // When there is no room for it, the writer has enough to do to look by itself.
                self.enqueue(egress, Item::Wake);
            }
            Closing::Farewell(farewell) => farewell.extend(messages),
            Closing::Closed => {}
        }
    }

    /// One step, so that of two roles that end at once exactly one is the last.
    fn end_role(&self, messages: Vec<Message>) {
        let mut egress = self.lock();
        egress.roles -= 1;
        let is_last = egress.roles == 0;
        if is_last || self.push_locked(&mut egress, None, messages.clone()) == Offer::Full {
            self.finish_locked(&mut egress, messages);
        }
    }

    /// Counts a publication or subscription of this connection for as long as it lasts.
    pub fn take_role(self: &Arc<Self>) -> Role {
        self.lock().roles += 1;
        let (outbox, ended) = (Arc::clone(self), false);
        Role { outbox, ended }
    }

    /// Ends the connection at once.
    pub fn hang_up(&self) {
        self.lock().closing = Closing::Closed;
        self.wire.hang_up();
    }

    /// Items that wait; 0 when the socket has taken everything.
    pub fn waiting(&self) -> usize {
        self.lock().waiting
    }

    /// Whether more than half of the queue is taken.
    pub fn is_half_full(&self) -> bool {
        self.waiting() > self.toward.queue_messages() / 2
    }

    /// Messages that were sent or wait.
    pub fn messages(&self) -> u64 {
        self.sent.messages.get()
    }

    /// Bytes that the socket has taken.
    pub fn bytes(&self) -> u64 {
        self.sent.bytes.get()
    }

    /// Messages that were left out.
    pub fn drops(&self) -> u64 {
        self.sent.drops.get()
    }

    /// Counts messages that were left out, since there was no room for them.
    pub fn count_drops(&self, messages: u64) {
        self.sent.drops.add(messages);
        match self.toward {
            Toward::Client => self.counters.subscriber_drops.add(messages),
            Toward::Server => self.counters.relay_drops.add(messages),
        }
    }

    fn count_messages(&self, messages: usize) {
        self.sent.messages.add(messages as u64);
        if self.toward == Toward::Server {
            self.counters.relay_messages.add(messages as u64);
        }
    }

    fn count_bytes(&self, bytes: usize) {
        self.sent.bytes.add(bytes as u64);
        match self.toward {
            Toward::Client => self.counters.bytes_out.add(bytes as u64),
            Toward::Server => self.counters.relay_bytes.add(bytes as u64),
        }
    }

    fn enqueue(&self, egress: &mut Egress, item: Item) -> Offer {
        let (len, replies) = (item.payload_len(), item.replies());
        match self.queue.try_send(item) {
            Ok(()) => {
                egress.waiting += 1;
                egress.waiting_bytes += len;
                egress.waiting_replies += replies;
                Offer::Queued
            }
            Err(TrySendError::Full(_)) => Offer::Full,
            Err(TrySendError::Disconnected(_)) => Offer::Closed,
        }
    }

    /// Puts bytes into the socket, while nothing waits; what it does not take is the first to.
    fn send(&self, egress: &mut Egress, bytes: &[u8]) -> Offer {
        let taken = match self.wire.send_now(bytes) {
            Ok(taken) => taken,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(_) => {
                egress.closing = Closing::Closed;
                self.wire.hang_up();
                return Offer::Closed;
            }
        };
        self.count_bytes(taken);
        if taken == bytes.len() {
            return Offer::Sent;
        }
        self.enqueue(egress, Item::Rest(bytes[taken..].into()))
    }
}

impl Item {
    /// How many messages of our own it holds.
    fn replies(&self) -> usize {
        match self {
            Item::Messages(rest) if rest.stream.is_none() => rest.messages.len() - rest.from,
            _ => 0,
        }
    }

    fn payload_len(&self) -> usize {
        match self {
            Item::Rest(bytes) => bytes.len(),
            Item::Messages(rest) => rest.messages[rest.from..]
                .iter()
                .map(|message| message.payload.len())
                .sum(),
            Item::Live(_, batch) => batch.payload_len(),
            Item::Wake => 0,
        }
    }
}

/// Encodes messages from index `from` on until a piece is full; returns the index behind the last.
fn encode_piece(
    encoder: &mut Encoder,
    stream: Option<StreamId>,
    messages: &[Message],
    mut from: usize,
    out: &mut Vec<u8>,
) -> usize {
    while let Some(message) = messages.get(from).filter(|_| out.len() < PIECE_LEN) {
        encoder.encode_as(stream.unwrap_or(message.stream), message, out);
        from += 1;
    }
    from
}

/// The receiving end of an outbox's queue.
type Items = Receiver<Item>;
