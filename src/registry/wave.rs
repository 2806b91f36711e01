//! Something on its way to all viewers of a stream.

use super::common_content::{CommonContent, Outcome};
use super::sharded::SHARD_LEN;
use super::viewer::Viewer;
use std::time::Instant;

/// Something for all viewers, and all that is to be known to send it to most of them.
pub(super) struct Wave {
    pub(super) content: CommonContent,
    /// Indices of viewers that it is not for, sorted.
    pub(super) except: Vec<usize>,
    pub(super) now: Instant,
}

impl Wave {
    /// Sends it to the viewers of a shard.
    pub(super) fn send(&self, number: usize, shard: &mut [Viewer]) -> Looks {
        let mut looks = Looks::default();
        for (index, viewer) in (number * SHARD_LEN..).zip(shard) {
            if !self.except.is_empty() && self.except.binary_search(&index).is_ok() {
                continue;
            }
            match viewer.take(&self.content, self.now) {
                Outcome::Done { dropped } => looks.dropped += dropped,
                Outcome::Look => looks.viewers.push(index),
            }
        }
        looks
    }
}

/// What is left when all others were sent a wave.
#[derive(Default)]
pub(super) struct Looks {
    /// Indices of viewers that need a look of their own.
    pub(super) viewers: Vec<usize>,
    /// How many messages or fragments players were not sent.
    pub(super) dropped: u64,
}

impl Looks {
    /// The same of more viewers.
    pub(super) fn extend(&mut self, more: Looks) {
        self.viewers.extend(more.viewers);
        self.dropped += more.dropped;
    }
}
