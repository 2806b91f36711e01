//! Which event may be delivered next: in order along each connection and each stream, and
//! otherwise as they come. Every step takes the same time, however many wait.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::mem;

/// A piece of work: one of the hooks of one event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Job<T> {
    /// The event's number, for [`Backlog::done`].
    pub id: u64,
    /// Which of its hooks, counted from 0.
    pub hook: usize,
    /// The event that the hook is run for.
    pub event: T,
}

/// Events that wait, and those that are being delivered. Events that share a lane are delivered
/// one after the other, in the order in which they came: one is done when all of its hooks are.
#[derive(Debug)]
pub(super) struct Backlog<L, T> {
    max: usize,
    next_id: u64,
    nodes: HashMap<u64, Node<L, T>>,
    /// The last event on each lane, if it is not done.
    tails: HashMap<L, u64>,
    /// What can begin at once: events, and how many of their hooks have begun.
    ready: VecDeque<(u64, usize)>,
    waiting: usize,
}

#[derive(Debug)]
struct Node<L, T> {
    event: T,
    lanes: Vec<L>,
    /// Lanes on which another comes first.
    blocked: usize,
    /// Events that come right after it on one of its lanes.
    followers: Vec<u64>,
    hooks: usize,
    /// Hooks that are not done.
    left: usize,
}

impl<L: Clone + Eq + Hash, T: Clone> Backlog<L, T> {
    /// An empty backlog where at most `max` events wait.
    pub(super) fn new(max: usize) -> Self {
        Backlog {
            max,
            next_id: 0,
            nodes: HashMap::new(),
            tails: HashMap::new(),
            ready: VecDeque::new(),
            waiting: 0,
        }
    }

    /// Adds an event with `hooks` hooks, behind all others on its lanes. `false`: there is no room
    /// for it.
    pub(super) fn push(&mut self, lanes: Vec<L>, hooks: usize, event: T) -> bool {
        if self.waiting >= self.max {
            return false;
        }
        if hooks == 0 {
            return true;
        }
        let id = self.next_id;
        self.next_id += 1;
        let mut blocked = 0;
        for lane in &lanes {
            let before = self.tails.insert(lane.clone(), id);
            if let Some(node) = before.and_then(|before| self.nodes.get_mut(&before)) {
                node.followers.push(id);
                blocked += 1;
            }
        }
        if blocked == 0 {
            self.ready.push_back((id, 0));
        }
        let node = Node {
            event,
            lanes,
            blocked,
            followers: Vec::new(),
            hooks,
            left: hooks,
        };
        self.nodes.insert(id, node);
        self.waiting += 1;
        true
    }

    /// The next job that may begin.
    pub(super) fn next(&mut self) -> Option<Job<T>> {
        let (id, hook) = self.ready.pop_front()?;
        let node = self.nodes.get(&id)?;
        if hook == 0 {
            self.waiting -= 1;
        }
        if hook + 1 < node.hooks {
            self.ready.push_front((id, hook + 1));
        }
        let event = node.event.clone();
        Some(Job { id, hook, event })
    }

    /// A job of event `id` is over.
    pub(super) fn done(&mut self, id: u64) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.left -= 1;
        if node.left > 0 {
            return;
        }
        let Some(node) = self.nodes.remove(&id) else {
            return;
        };
        for lane in &node.lanes {
            if self.tails.get(lane) == Some(&id) {
                self.tails.remove(lane);
            }
        }
        for follower in node.followers {
            if let Some(node) = self.nodes.get_mut(&follower) {
                node.blocked -= 1;
                if node.blocked == 0 {
                    self.ready.push_back((follower, 0));
                }
            }
        }
    }

    /// How many events wait of which no hook has begun.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether nothing waits and nothing is being delivered.
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether there is a job that may begin.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Forgets all that has not begun; returns how many events no hook was told of.
    pub(super) fn clear(&mut self) -> usize {
        let begun: HashMap<u64, usize> = self.ready.drain(..).collect();
        self.nodes.retain(|id, node| {
            // What is ready and half begun has some hooks at work.
            let begun = begun.get(id).copied().unwrap_or(node.hooks);
            node.left -= node.hooks - begun;
            node.blocked == 0 && node.left > 0
        });
        let nodes = &self.nodes;
        self.tails.retain(|_, id| nodes.contains_key(id));
        mem::take(&mut self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::iter;

    fn push(backlog: &mut Backlog<&'static str, u32>, lanes: &[&'static str], event: u32) -> bool {
        backlog.push(lanes.to_vec(), 1, event)
    }

    fn next(backlog: &mut Backlog<&'static str, u32>) -> Option<(u64, u32)> {
        backlog.next().map(|job| (job.id, job.event))
    }

    #[test]
    fn lanes_keep_their_order_and_do_not_wait_for_others() {
        let mut backlog = Backlog::new(10);
        for (event, lane) in (0..).zip(["a", "a", "b", "a", "c", "b"]) {
            assert!(push(&mut backlog, &[lane], event));
        }
        assert_eq!(next(&mut backlog), Some((0, 0)));
        assert_eq!(next(&mut backlog), Some((2, 2)));
        assert_eq!(next(&mut backlog), Some((4, 4)));
        assert_eq!(next(&mut backlog), None);
        assert_eq!(backlog.waiting(), 3);
        backlog.done(2);
        assert_eq!(next(&mut backlog), Some((5, 5)), "a is held up, b is not");
        backlog.done(0);
        assert_eq!(next(&mut backlog), Some((1, 1)));
        assert_eq!(next(&mut backlog), None, "the third of a");
        [1, 4, 5].into_iter().for_each(|id| backlog.done(id));
        assert_eq!(next(&mut backlog), Some((3, 3)));
        backlog.done(3);
        assert!(backlog.is_empty() && backlog.tails.is_empty());
    }

    #[test]
    fn an_event_waits_for_its_connection_and_its_stream() {
        let mut backlog = Backlog::new(10);
        push(&mut backlog, &["c1", "s1"], 0);
        push(&mut backlog, &["c2", "s2"], 1);
        push(&mut backlog, &["c1", "s2"], 2);
        push(&mut backlog, &["c1", "s1"], 3);
        assert_eq!(next(&mut backlog), Some((0, 0)));
        assert_eq!(next(&mut backlog), Some((1, 1)));
        backlog.done(0);
        assert_eq!(next(&mut backlog), None);
        backlog.done(1);
        assert_eq!(next(&mut backlog), Some((2, 2)));
        assert_eq!(next(&mut backlog), None);
        backlog.done(2);
        assert_eq!(next(&mut backlog), Some((3, 3)));
    }

    #[test]
    fn all_hooks_of_an_event_come_before_the_next() {
        let mut backlog = Backlog::new(10);
        backlog.push(vec!["a"], 2, 'x');
        backlog.push(vec!["a"], 1, 'y');
        let job = |id, hook, event| Some(Job { id, hook, event });
        assert_eq!(backlog.next(), job(0, 0, 'x'));
        assert_eq!(backlog.next(), job(0, 1, 'x'), "side by side");
        assert_eq!(backlog.next(), None);
        backlog.done(0);
        assert_eq!(backlog.next(), None, "one is not done");
        backlog.done(0);
        assert_eq!(backlog.next(), job(1, 0, 'y'));
    }

    #[test]
    fn only_so_many_wait() {
        let mut backlog = Backlog::new(2);
        assert!(push(&mut backlog, &["a"], 0));
        assert!(push(&mut backlog, &["a"], 1));
        assert!(!push(&mut backlog, &["b"], 2));
        assert_eq!(next(&mut backlog), Some((0, 0)));
        assert!(push(&mut backlog, &["b"], 3), "one has begun");
        assert_eq!(backlog.clear(), 2);
        assert!(!backlog.is_empty(), "one is being delivered");
        assert_eq!(next(&mut backlog), None);
        backlog.done(0);
        assert!(backlog.is_empty() && backlog.tails.is_empty());
    }

    #[test]
    fn what_has_half_begun_ends_when_its_begun_hooks_do() {
        let mut backlog = Backlog::new(2);
        backlog.push(vec!["a"], 3, 'x');
        backlog.push(vec!["a"], 1, 'y');
        assert!(backlog.next().is_some());
        assert_eq!(backlog.clear(), 1);
        assert_eq!(backlog.next(), None);
        backlog.done(0);
        assert!(backlog.is_empty());
    }

    /// Connection, stream and number of hooks of each event.
    type Events = Vec<(u8, u8, usize)>;

    /// Delivers all of `events`, three jobs at a time, ended in the order that `picks` says;
    /// returns which jobs began, by event. Events at work never share a lane.
    fn deliver(events: &Events, picks: Vec<usize>) -> Vec<usize> {
        let mut backlog = Backlog::new(1000);
        for (number, (conn, stream, hooks)) in events.iter().enumerate() {
            backlog.push(vec![(0, *conn), (1, *stream)], *hooks, number);
        }
        let mut running: Vec<Job<usize>> = Vec::new();
        let mut begun = Vec::new();
        let mut picks = picks.into_iter().chain(iter::repeat(0));
        loop {
            while running.len() < 3
                && let Some(job) = backlog.next()
            {
                let (conn, stream, _) = events[job.event];
                for other in running.iter().filter(|other| other.event != job.event) {
                    let (other_conn, other_stream, _) = events[other.event];
                    assert!(conn != other_conn && stream != other_stream);
                }
                begun.push(job.event);
                running.push(job);
            }
            if running.is_empty() {
                break;
            }
            let pick = picks.next().unwrap_or(0) % running.len();
            backlog.done(running.swap_remove(pick).id);
        }
        assert!(backlog.is_empty() && backlog.tails.is_empty() && backlog.waiting() == 0);
        begun
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_out_of_order(
            events in prop::collection::vec((0..3_u8, 0..3_u8, 1..3_usize), 0..40),
            picks in prop::collection::vec(0..4_usize, 0..400),
        ) {
            let begun = deliver(&events, picks);
            prop_assert_eq!(begun.len(), events.iter().map(|event| event.2).sum::<usize>());
            for lane in 0..3 {
                let on_conn = begun.iter().filter(|event| events[**event].0 == lane);
                prop_assert!(on_conn.is_sorted());
                let on_stream = begun.iter().filter(|event| events[**event].1 == lane);
                prop_assert!(on_stream.is_sorted());
            }
        }
    }
}
