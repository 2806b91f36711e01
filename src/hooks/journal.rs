//! What hooks and children write, in the log.

use super::event::Fired;
use crate::log;
use crate::text;
use std::time::{Duration, Instant};

/// How many lines of one run are logged in a second; the others are counted.
const LINES_PER_SECOND: u32 = 1000;

/// Logs the lines of one run.
#[derive(Debug)]
pub(super) struct Journal {
    hook: String,
    conn_id: String,
    stream_key: String,
    second: Instant,
    lines: u32,
    suppressed: u64,
}

impl Journal {
    /// For what `hook` writes about `fired`.
    pub(super) fn new(hook: &str, fired: &Fired) -> Journal {
        Journal {
            hook: hook.to_owned(),
            conn_id: fired.event.conn_id.clone(),
            stream_key: fired.event.stream_key.clone(),
            second: Instant::now(),
            lines: 0,
            suppressed: 0,
        }
    }

    /// Logs a line, unless there were too many, or the log takes them too slowly: then there is still
    /// room for our own.
    pub(super) fn line(&mut self, line: &str) {
        if self.second.elapsed() >= Duration::from_secs(1) {
            self.settle();
            self.second = Instant::now();
            self.lines = 0;
        }
        if self.lines == LINES_PER_SECOND || log::is_congested() {
            self.suppressed += 1;
            return;
        }
        self.lines += 1;
        // Programs put the URLs that they fail with into their errors.
        let line = text::without_secrets(line, &[]);
        log!(Info, "hook output"; hook = self.hook, conn_id = self.conn_id,
            stream_key = self.stream_key, line = line);
    }

    fn settle(&mut self) {
        if self.suppressed > 0 {
            log!(Warn, "hook output suppressed"; hook = self.hook, stream_key = self.stream_key,
                lines = self.suppressed);
            self.suppressed = 0;
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.settle();
    }
}
