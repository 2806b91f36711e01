//! What the multivariant playlist says of a playlist: its bits and pictures a second.

use super::grid::TICKS_A_SECOND;

/// How many bits a second a playlist has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rates {
    /// Of its greatest segment.
    pub peak: u64,
    bytes: u64,
    ticks: u64,
    /// Pictures, and for how long, in ticks.
    pub frames: (u64, u64),
}

impl Rates {
    /// Counts a segment of this length, in ticks and in bytes.
    pub(super) fn add(&mut self, (ticks, bytes): (i64, usize)) {
        let (ticks, bytes) = (ticks.unsigned_abs().max(1), bytes as u64);
        self.bytes += bytes;
        self.ticks += ticks;
        self.peak = self.peak.max(bits_a_second(bytes, ticks));
    }

    /// That of all segments together.
    pub(super) fn average(&self) -> u64 {
        bits_a_second(self.bytes, self.ticks.max(1))
    }

    /// Pictures in 1000 seconds; `None` as long as they are too few.
    pub(super) fn frame_rate(&self) -> Option<u64> {
        let (frames, ticks) = self.frames;
        let second = TICKS_A_SECOND.unsigned_abs();
        let rate = (ticks >= second / 2).then(|| (frames * 1000 * second + ticks / 2) / ticks)?;
        // Times in whole milliseconds are no more exact than this.
        let whole = (rate + 500) / 1000 * 1000;
        Some(if rate.abs_diff(whole) < 20 {
            whole
        } else {
            rate
        })
    }
}

fn bits_a_second(bytes: u64, ticks: u64) -> u64 {
    bytes * 8 * TICKS_A_SECOND.unsigned_abs() / ticks
}
