//! Who is at work, so that the end of all of them can be waited for.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Counts those at work. Cloning shares the count.
#[derive(Clone, Default)]
pub struct Roll(Arc<(Mutex<Count>, Condvar)>);

#[derive(Default)]
struct Count {
    present: usize,
    closed: bool,
}

/// Counted for as long as it is held.
pub struct Present(Roll);

impl Roll {
    fn lock(&self) -> MutexGuard<'_, Count> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more; `None` when nobody is let in any more.
    pub fn enter(&self) -> Option<Present> {
        let mut count = self.lock();
        if count.closed {
            return None;
        }
        count.present += 1;
        Some(Present(self.clone()))
    }

    /// Lets nobody in any more.
    pub fn close(&self) {
        self.lock().closed = true;
    }

    /// Waits until nobody is left. `false`: not by `deadline`.
    pub fn wait_empty(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let some = |count: &mut Count| count.present > 0;
        let woken = self.0.1.wait_timeout_while(self.lock(), left, some);
        woken.unwrap_or_else(PoisonError::into_inner).0.present == 0
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.lock().present -= 1;
        self.0.0.1.notify_all();
    }
}
