//! Samples of one track that follow each other in a fragment.

/// What boxes say of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RunEntry {
    pub duration: u32,
    pub composition: i32,
    pub is_sync: bool,
    pub size: u32,
}

/// The samples of one track in a fragment.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// Which of the tracks, counted from 0.
    pub index: usize,
    /// When the first is decoded.
    pub time: u64,
    pub entries: Vec<RunEntry>,
    /// Whether `moof` names it. The bytes of one that it does not name lie in `mdat` all the same.
    pub is_announced: bool,
}

impl Run {
    /// Adds the samples that follow. The last one before them lasts until they begin.
    pub(super) fn append(&mut self, next: &Run) {
        if let Some((last, before)) = self.entries.split_last_mut() {
            let durations = before.iter().map(|entry| u64::from(entry.duration));
            let last_time = self.time + durations.sum::<u64>();
            let duration = next.time.saturating_sub(last_time);
            last.duration = u32::try_from(duration).unwrap_or(u32::MAX);
        }
        self.entries.extend_from_slice(&next.entries);
    }

    /// The length of the samples' bytes.
    pub(super) fn len(&self) -> u64 {
        let sizes = self.entries.iter().map(|entry| u64::from(entry.size));
        sizes.sum()
    }
}
