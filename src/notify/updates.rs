//! The calls of on_update, which are made again and again as long as a client publishes or plays.

use crate::sync::{self, Condvar, Mutex};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// What is due again and again.
pub(super) trait Repeat: Send + Sync {
    /// It is due. Must not wait.
    fn is_due(&self);
}

/// Everything that repeats, and the thread that looks at the time, once there is anything.
#[derive(Default)]
pub(super) struct Updates(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// By time; the number tells those of the same time apart.
    due: BTreeMap<(Instant, u64), Entry>,
    next_number: u64,
    is_running: bool,
    is_closed: bool,
}

struct Entry {
    every: Duration,
    repeat: Weak<dyn Repeat>,
}

impl Updates {
    /// Has `repeat` called `every` so often, for as long as it lives.
    ///
    /// # Errors
    ///
    /// No thread is left.
    pub(super) fn add(&self, repeat: &Arc<dyn Repeat>, every: Duration) -> io::Result<()> {
        let mut state = self.0.state.lock();
        state.add(Entry {
            every,
            repeat: Arc::downgrade(repeat),
        });
        self.0.changed.notify_one();
        if state.is_running || state.is_closed {
            return Ok(());
        }
        let shared = Arc::clone(&self.0);
        sync::spawn("notify-update", sync::SHALLOW_STACK_LEN, move || {
            shared.run()
        })?;
        state.is_running = true;
        Ok(())
    }

    /// Ends the thread that looks at the time.
    pub(super) fn close(&self) {
        let mut state = self.0.state.lock();
        state.is_closed = true;
        state.due.clear();
        self.0.changed.notify_one();
    }
}

impl State {
    fn add(&mut self, entry: Entry) {
        let number = self.next_number;
        self.next_number += 1;
        let due = Instant::now() + entry.every;
        self.due.insert((due, number), entry);
    }

    /// How long nothing is due.
    fn pause(&self) -> Option<Duration> {
        let ((due, _), _) = self.due.first_key_value()?;
        Some(due.saturating_duration_since(Instant::now()))
    }
}

/// A wait that is ended by a change.
const LONG: Duration = Duration::from_secs(3600);

impl Shared {
    fn run(&self) {
        while let Some(repeat) = self.wait() {
            if let Some(repeat) = repeat {
                repeat.is_due();
            }
        }
    }

    /// Waits for the next that is due; it may be gone. `None`: everything is over.
    fn wait(&self) -> Option<Option<Arc<dyn Repeat>>> {
        let mut state = self.state.lock();
        loop {
            if state.is_closed {
                return None;
            }
            let pause = state.pause().unwrap_or(LONG);
            if pause.is_zero() {
                break;
            }
            let count = state.next_number;
            let waits = |state: &mut State| !state.is_closed && state.next_number == count;
            state = self.changed.wait_timeout_while(state, pause, waits);
        }
        let (_, entry) = state.due.pop_first()?;
        let repeat = entry.repeat.upgrade();
        if repeat.is_some() {
            state.add(entry);
        }
        Some(repeat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    struct Tick(Mutex<mpsc::Sender<()>>);

    impl Repeat for Tick {
        fn is_due(&self) {
            let _ = self.0.lock().send(());
        }
    }

    #[test]
    fn what_lives_is_called_again_and_again() {
        let updates = Updates::default();
        let (sender, ticks) = mpsc::channel();
        let tick: Arc<dyn Repeat> = Arc::new(Tick(Mutex::new(sender)));
        let start = Instant::now();
        updates.add(&tick, Duration::from_millis(20)).unwrap();
        for _ in 0..3 {
            ticks.recv_timeout(Duration::from_secs(10)).unwrap();
        }
        assert!(start.elapsed() >= Duration::from_millis(60));
        drop(tick);
        // The sender is gone with it.
        assert!(ticks.recv_timeout(Duration::from_secs(10)).is_err());
        updates.close();
        let end = Instant::now() + Duration::from_secs(10);
        while Arc::strong_count(&updates.0) > 1 {
            assert!(Instant::now() < end, "the thread is still there");
            std::thread::yield_now();
        }
    }
}
