//! When the memory of many connections that have left is given back to the system.

/// The most connections since memory was last given back.
#[derive(Debug, Default)]
pub(super) struct ConnectionPeak {
    most: usize,
}

impl ConnectionPeak {
    /// Whether fewer than half of the most connections are left; `now` is then the most.
    pub(super) fn has_halved(&mut self, now: usize) -> bool {
        self.most = self.most.max(now);
        let has_halved = now < self.most.div_ceil(2);
        if has_halved {
            self.most = now;
        }
        has_halved
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys;

    #[test]
    fn each_peak_halves_once() {
        let rows = [
            (0, false),
            (1, false),
            (100, false),
            (50, false),
            (49, true),
            (49, false),
            (25, false),
            (60, false),
            (29, true),
            (1, true),
            (0, true),
            (0, false),
        ];
        let mut peak = ConnectionPeak::default();
        for (row, (now, want)) in rows.into_iter().enumerate() {
            assert_eq!(peak.has_halved(now), want, "row {row}");
        }
    }

    #[cfg(target_env = "gnu")]
    #[test]
    fn memory_is_given_back() {
        let resident_kb = || {
            let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
            pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
        };
        // The last block keeps the allocator from giving back those before it by itself.
        let thread = std::thread::spawn(|| {
            let mut blocks: Vec<_> = (0..4096).map(|_| vec![1_u8; 16 << 10]).collect();
            blocks.pop()
        });
        let _last = thread.join();
        let before = resident_kb();
        sys::give_back_memory();
        let given_back = before.saturating_sub(resident_kb());
        assert!(given_back > 32 << 10, "{given_back} kB of 64 MiB");
    }
}
