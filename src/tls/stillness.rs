//! Whether a process has been stopped for long.

use crate::process::group::ProcessGroup;
use std::time::{Duration, Instant};

/// The time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A process that is stopped for so long does not go on by itself.
const STOPPED_MAX: Duration = Duration::from_secs(10);

/// When a process was last looked at, and since when it has been stopped.
#[derive(Debug)]
pub(super) struct Stillness {
    looked: Instant,
    since: Option<Instant>,
}

impl Stillness {
    /// Of a process that has just been started.
    pub(super) fn new() -> Stillness {
        Stillness {
            looked: Instant::now(),
            since: None,
        }
    }

    /// Looks at the process if it is time to. `Some`: it has been stopped for too long.
    pub(super) fn look(&mut self, process: &ProcessGroup) -> Option<String> {
        if self.looked.elapsed() < LOOK_EVERY {
            return None;
        }
        self.looked = Instant::now();
        if !process.is_stopped() {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(self.looked);
        let too_long = since.elapsed() >= STOPPED_MAX;
        too_long.then(|| format!("stopped for {} s", STOPPED_MAX.as_secs()))
    }
}
