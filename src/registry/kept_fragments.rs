//! The fragments of a live response since the last one that a player can begin with, for viewers who
//! come later.

use super::gop::{GOP_BYTES_MAX, GOP_MESSAGES_MAX, GOP_MS_MAX};
use crate::media::mp4::live::Entry;
use crate::queue::SharedBytes;
use std::sync::Arc;

/// Fragments in order, of which the first is one to begin with. The bounds are those of cached
/// messages, and beyond any of them all go until the next one to begin with.
#[derive(Debug, Default)]
pub(super) struct KeptFragments {
    fragments: Vec<Arc<SharedBytes>>,
    bytes: usize,
    /// When the first was due, in ms.
    since_ms: u64,
}

impl KeptFragments {
    /// What a viewer begins with; nothing if it has to wait.
    pub(super) fn all(&self) -> &[Arc<SharedBytes>] {
        &self.fragments
    }

    /// The memory that they take, in bytes.
    pub(super) fn cost(&self) -> usize {
        self.bytes
    }

    pub(super) fn clear(&mut self) {
        *self = KeptFragments::default();
    }

    /// Keeps a fragment that was due at `time_ms`, with what it is to a player.
    pub(super) fn push(&mut self, fragment: &Arc<SharedBytes>, entry: Entry, time_ms: u64) {
        if entry == Entry::Any {
            self.clear();
            self.since_ms = time_ms;
        } else if self.fragments.is_empty() {
            return;
        }
        self.bytes += fragment.cost();
        self.fragments.push(Arc::clone(fragment));
        let span = time_ms.saturating_sub(self.since_ms);
        let too_much = self.bytes > GOP_BYTES_MAX || self.fragments.len() > GOP_MESSAGES_MAX;
        if too_much || span > u64::from(GOP_MS_MAX.unsigned_abs()) {
            self.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many fragments are kept after each, of `len` bytes.
    fn kept(len: usize, fragments: &[(Entry, u64)]) -> Vec<usize> {
        let bytes = SharedBytes::new(len, |out| out.resize(out.len() + len, 0));
        let mut kept = KeptFragments::default();
        let push = |(entry, ms): &(Entry, u64)| {
            kept.push(&bytes, *entry, *ms);
            kept.all().len()
        };
        fragments.iter().map(push).collect()
    }

    #[test]
    fn what_a_viewer_begins_with_is_bounded() {
        use Entry::{Any, None, Sound};
        /// The length of each fragment, what it is and when, and how many are kept then.
        type Row = (usize, &'static [(Entry, u64)], &'static [usize]);
        #[rustfmt::skip]
        let rows: [Row; 4] = [
            (9, &[(Sound, 0), (None, 0), (Any, 0), (None, 40), (Sound, 50), (Any, 80), (None, 120)], &[0, 0, 1, 2, 3, 1, 2]),
            (9, &[(Any, 0), (None, 30_000), (None, 30_001), (None, 30_040), (Any, 31_000)], &[1, 2, 0, 0, 1]),
            (GOP_BYTES_MAX / 2, &[(Any, 0), (None, 1), (None, 2), (Any, 3)], &[1, 0, 0, 1]),
            (GOP_BYTES_MAX, &[(Any, 0), (Any, 1)], &[0, 0]),
        ];
        for (len, fragments, want) in rows {
            assert_eq!(kept(len, fragments), want, "{len}");
        }
        let many: Vec<_> = (0..=GOP_MESSAGES_MAX as u64)
            .map(|ms| (if ms == 0 { Any } else { None }, ms))
            .collect();
        assert_eq!(
            kept(9, &many)[GOP_MESSAGES_MAX - 1..],
            [GOP_MESSAGES_MAX, 0]
        );
    }
}
