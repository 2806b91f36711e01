//! The way to a consumer on this machine, such as a recording: a queue that is bounded in bytes and
//! in time, from which nothing is ever left out. When the consumer cannot keep up, the queue ends.

use super::limits::message_cost;
use crate::memory::{Account, Budget, GaveWay, Holder, Holding, Owner};
use crate::rtmp::Message;
use crate::sync::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// Of a time in which nothing came, this much counts as time that others have waited: the process,
/// or the whole machine, may have been stopped, and the consumer with it.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// How much may wait for a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedLimits {
    /// Bytes of memory, with what each message costs beside its payload.
    pub bytes: usize,
    /// How long the oldest message may have been waiting while others came.
    pub age: Duration,
}

/// The end of a feed that a stream pushes into. Dropping it ends the feed: the consumer is still
/// given what waits.
#[derive(Debug)]
pub struct Feed(Arc<FeedShared>);

/// The end of a feed that the consumer takes from. Dropping it ends the feed: nothing waits any
/// more, and what is pushed is forgotten.
#[derive(Debug)]
pub struct Intake(Arc<FeedShared>);

/// What a consumer finds in its feed.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// Messages, in order, without a gap to those before.
    Messages(Vec<Message>),
    /// Nothing came within the time given.
    Nothing,
    /// The stream is over for this consumer, and everything was taken.
    Ended,
    /// The consumer was too slow: there was more, which did not fit. Everything before that was
    /// taken.
    Overflowed,
    /// Memory is short, so that what waited was lost.
    Starved,
}

#[derive(Debug)]
struct FeedShared {
    limits: FeedLimits,
    /// What waits, and what the consumer has taken last.
    memory: Account,
    buffer: Mutex<FeedBuffer>,
    /// Something is there, or nothing will be any more.
    changed: Condvar,
}

#[derive(Debug)]
struct FeedBuffer {
    /// Messages, and what the clock was when they came.
    waiting: VecDeque<(Duration, Message)>,
    /// The time since the first message, without what is too long of each silence.
    clock: Duration,
    /// When the last messages came.
    pushed: Option<Instant>,
    bytes: usize,
    /// Bytes that the consumer has taken and still works on.
    taken: usize,
    /// To whom the memory counts.
    owner: Option<Owner>,
    state: FeedState,
}

impl FeedBuffer {
    /// Sets the clock to `now`, at which messages come; returns what it then is.
    fn advance(&mut self, now: Instant) -> Duration {
        let silence = self.pushed.map_or(Duration::ZERO, |pushed| {
            now.saturating_duration_since(pushed)
        });
        self.pushed = Some(now);
        self.clock += silence.min(SILENCE_MAX);
        self.clock
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FeedState {
    Open,
    Ended,
    Overflowed,
    Starved,
}

/// An empty feed: the end to push into, and the end to take from. It counts against no budget.
pub fn feed(limits: FeedLimits) -> (Feed, Intake) {
    feed_within(limits, &Arc::new(Budget::new(usize::MAX)))
}

/// The same, whose messages count against `budget`: what waits, and what the consumer has taken until it
/// takes more.
pub fn feed_within(limits: FeedLimits, budget: &Arc<Budget>) -> (Feed, Intake) {
    let buffer = FeedBuffer {
        waiting: VecDeque::new(),
        clock: Duration::ZERO,
        pushed: None,
        bytes: 0,
        taken: 0,
        owner: None,
        state: FeedState::Open,
    };
    let shared = Arc::new(FeedShared {
        limits,
        memory: Account::new(budget),
        buffer: Mutex::new(buffer),
        changed: Condvar::new(),
    });
    let holder: Weak<FeedShared> = Arc::downgrade(&shared);
    budget.enter(holder);
    (Feed(Arc::clone(&shared)), Intake(shared))
}

/// The memory that a message takes while it waits, in bytes.
fn cost(message: &Message) -> usize {
    message_cost(message) + size_of::<Instant>()
}

impl FeedShared {
    fn lock(&self) -> MutexGuard<'_, FeedBuffer> {
        self.buffer.lock()
    }

    fn count(&self, buffer: &FeedBuffer) {
        self.memory.set(buffer.bytes + buffer.taken);
    }
}

impl Holder for FeedShared {
    fn held_bytes(&self) -> usize {
        self.lock().bytes
    }

    fn holding(&self) -> Holding {
        let buffer = self.lock();
        Holding::own(buffer.owner, buffer.bytes)
    }

    /// What waits is lost: the consumer is too slow for the memory that there is.
    fn give_way(&self) -> Option<GaveWay> {
        let mut buffer = self.lock();
        if buffer.state == FeedState::Open {
            buffer.state = FeedState::Starved;
        }
        buffer.bytes = 0;
        let waiting = std::mem::take(&mut buffer.waiting);
        self.count(&buffer);
        drop(buffer);
        drop(waiting);
        self.changed.notify_one();
        Some(GaveWay::Feed)
    }
}

impl Feed {
    /// Adds messages that come at `now`. Never waits: the first that does not fit ends the feed.
    pub fn push<'a>(&self, messages: impl IntoIterator<Item = &'a Message>, now: Instant) {
        let FeedLimits { bytes, age } = self.0.limits;
        let mut buffer = self.0.lock();
        let clock = buffer.advance(now);
        for message in messages {
            if buffer.state != FeedState::Open {
                break;
            }
            let oldest = buffer.waiting.front().map(|(since, _)| *since);
            let late = oldest.is_some_and(|since| clock - since > age);
            let len = cost(message);
            let is_scarce = !self.0.memory.budget().tolerates(buffer.bytes);
            if late || buffer.bytes.saturating_add(len) > bytes {
                buffer.state = FeedState::Overflowed;
            } else if is_scarce {
                buffer.state = FeedState::Starved;
            } else {
                buffer.bytes += len;
                buffer.waiting.push_back((clock, message.clone()));
            }
        }
        self.0.count(&buffer);
        drop(buffer);
        self.0.changed.notify_one();
    }

    /// Has what waits count to `owner`.
    pub(crate) fn set_owner(&self, owner: Option<Owner>) {
        self.0.lock().owner = owner;
    }

    /// Whether there is a consumer that can keep up.
    pub fn is_open(&self) -> bool {
        self.0.lock().state == FeedState::Open
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let mut buffer = self.0.lock();
        if buffer.state == FeedState::Open {
            buffer.state = FeedState::Ended;
        }
        drop(buffer);
        self.0.changed.notify_one();
    }
}

impl Intake {
    /// Takes all that waits; if nothing does, waits for it, for `limit` at most.
    pub fn take(&self, limit: Duration) -> Taken {
        let idle =
            |buffer: &mut FeedBuffer| buffer.waiting.is_empty() && buffer.state == FeedState::Open;
        let mut buffer = self.0.lock();
        buffer.taken = 0;
        self.0.count(&buffer);
        let woken = self.0.changed.wait_timeout_while(buffer, limit, idle);
        let mut buffer = woken;
        if buffer.waiting.is_empty() {
            return match buffer.state {
                FeedState::Open => Taken::Nothing,
                FeedState::Ended => Taken::Ended,
                FeedState::Overflowed => Taken::Overflowed,
                FeedState::Starved => Taken::Starved,
            };
        }
        buffer.taken = std::mem::take(&mut buffer.bytes);
        let waiting = std::mem::take(&mut buffer.waiting);
        drop(buffer);
        Taken::Messages(waiting.into_iter().map(|(_, message)| message).collect())
    }

    /// The budget that its messages count against.
    pub fn budget(&self) -> &Arc<Budget> {
        self.0.memory.budget()
    }

    /// To whom what waits counts.
    pub(crate) fn owner(&self) -> Option<Owner> {
        self.0.lock().owner
    }

    /// Whether more may come than what waits.
    pub fn is_open(&self) -> bool {
        self.0.lock().state == FeedState::Open
    }

    /// The memory that what waits takes, in bytes.
    pub fn waiting_bytes(&self) -> usize {
        self.0.lock().bytes
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        let mut buffer = self.0.lock();
        buffer.state = FeedState::Ended;
        (buffer.bytes, buffer.taken) = (0, 0);
        self.0.count(&buffer);
        buffer.waiting = VecDeque::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::{MessageType, StreamId};

    const LIMITS: FeedLimits = FeedLimits {
        bytes: 1000,
        age: Duration::from_secs(5),
    };

    fn message(len: usize) -> Message {
        Message::untimed(MessageType::VIDEO, StreamId(1), vec![7; len])
    }

    fn lens(taken: Taken) -> Vec<usize> {
        let Taken::Messages(messages) = taken else {
            panic!("{taken:?}")
        };
        messages
            .iter()
            .map(|message| message.payload.len())
            .collect()
    }

    #[test]
    fn everything_is_taken_in_order_and_then_it_ends() {
        let (feed, intake) = feed(LIMITS);
        let now = Instant::now();
        feed.push(&[message(1), message(2)], now);
        assert_eq!(intake.waiting_bytes(), 3 + 2 * cost(&message(0)));
        assert_eq!(lens(intake.take(Duration::ZERO)), [1, 2]);
        assert_eq!(intake.take(Duration::ZERO), Taken::Nothing);
        feed.push(&[message(10)], now);
        drop(feed);
        assert_eq!(lens(intake.take(Duration::ZERO)), [10]);
        assert_eq!(intake.take(Duration::ZERO), Taken::Ended);
    }

    #[test]
    fn what_does_not_fit_ends_it_behind_what_did() {
        let now = Instant::now();
        let fits = 1000 / cost(&message(0));
        let rows: [(&[usize], u64, &[usize]); 4] = [
            (&[400, 400, 1], 0, &[400, 400]),
            (&[1000, 1], 0, &[]),
            // What is empty has its cost as well.
            (&[0; 1000], 0, &[0; 1000][..fits]),
            (&[4, 0, 0, 0, 0, 0, 1], 1, &[4, 0, 0, 0, 0, 0]),
        ];
        for (pushed, pause, want) in rows {
            let (feed, intake) = feed(LIMITS);
            for (index, len) in pushed.iter().enumerate() {
                let later = Duration::from_secs(pause * index as u64);
                feed.push(&[message(*len)], now + later);
            }
            if !want.is_empty() {
                assert_eq!(lens(intake.take(Duration::ZERO)), want);
            }
            assert_eq!(intake.take(Duration::ZERO), Taken::Overflowed);
            feed.push(&[message(1)], now);
            drop(feed);
            assert_eq!(intake.take(Duration::ZERO), Taken::Overflowed, "{pushed:?}");
        }
    }

    #[test]
    fn others_give_way_before_it_ends() {
        let budget = Arc::new(Budget::new(1 << 20));
        let limits = FeedLimits {
            bytes: 1 << 20,
            ..LIMITS
        };
        let (feed, intake) = feed_within(limits, &budget);
        let (greedy, unread) = feed_within(limits, &budget);
        let push = |feed: &Feed, kib: usize| feed.push(&[message(kib << 10)], Instant::now());
        push(&feed, 100);
        push(&greedy, 1000);
        assert!(budget.is_full());
        push(&feed, 100);
        assert_eq!(budget.relieve(), [GaveWay::Feed]);
        push(&feed, 100);
        assert_eq!((feed.is_open(), greedy.is_open()), (true, false));
        assert_eq!(unread.take(Duration::ZERO), Taken::Starved);
        // Where nobody has anything to give, it ends.
        let other = Account::new(&budget);
        other.set(1 << 20);
        drop(intake.take(Duration::ZERO));
        push(&feed, 60);
        assert!(budget.relieve().is_empty());
        push(&feed, 60);
        push(&feed, 1);
        assert!(!feed.is_open());
        assert_eq!(lens(intake.take(Duration::ZERO)).len(), 2);
        assert_eq!(intake.take(Duration::ZERO), Taken::Starved);
    }

    #[test]
    fn time_in_which_everything_stood_still_makes_nobody_late() {
        let (feed, intake) = feed(LIMITS);
        let now = Instant::now();
        for (len, seconds) in [(1, 0), (2, 22), (3, 25), (4, 60)] {
            feed.push(&[message(len)], now + Duration::from_secs(seconds));
        }
        assert_eq!(lens(intake.take(Duration::ZERO)), [1, 2, 3, 4]);
        assert_eq!(intake.take(Duration::ZERO), Taken::Nothing);
    }

    #[test]
    fn nothing_waits_for_a_consumer_that_is_gone() {
        let (feed, intake) = feed(LIMITS);
        feed.push(&[message(5)], Instant::now());
        drop(intake);
        let late = message(5);
        feed.push([&late], Instant::now());
        assert!(feed.0.lock().waiting.is_empty());
        assert_eq!(Arc::strong_count(&late.payload), 1);
    }

    #[test]
    fn a_consumer_that_waits_is_woken() {
        let (feed, intake) = feed(LIMITS);
        let pusher = std::thread::spawn(move || {
            feed.push(&[message(3)], Instant::now());
            feed
        });
        assert_eq!(lens(intake.take(Duration::from_secs(10))), [3]);
        drop(pusher.join());
        assert_eq!(intake.take(Duration::from_secs(10)), Taken::Ended);
    }
}
