//! When the memory of much that is gone is given back to the system.

/// What counts as one, of the bytes that the budget holds: less is not worth the look.
const HELD_UNIT: usize = 16 << 20;

/// The most there was since memory was last given back.
#[derive(Debug, Default)]
struct Peak {
    most: usize,
}

/// The most connections, and the most bytes: playlists last for minutes after their viewers.
#[derive(Debug, Default)]
pub(super) struct Peaks {
    connections: Peak,
    held: Peak,
}

impl Peaks {
    /// Whether fewer than half of the most `connections`, or of the bytes `held`, are left; they are
    /// then the most.
    pub(super) fn have_halved(&mut self, connections: usize, held: usize) -> bool {
        let fewer = self.connections.has_halved(connections);
        self.held.has_halved(held / HELD_UNIT) || fewer
    }
}

impl Peak {
    /// Whether less than half of the most is left; `now` is then the most.
    fn has_halved(&mut self, now: usize) -> bool {
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
        let mut peak = Peak::default();
        for (row, (now, want)) in rows.into_iter().enumerate() {
            assert_eq!(peak.has_halved(now), want, "row {row}");
        }
    }

    #[test]
    fn connections_count_and_so_do_bytes() {
        let rows = [
            (10, 40 << 20, false),
            // The viewers leave before what is kept for them.
            (4, 40 << 20, true),
            (4, 40 << 20, false),
            (4, 15 << 20, true),
            (4, 15 << 20, false),
            (1, 0, true),
            (1, 0, false),
        ];
        let mut peaks = Peaks::default();
        for (row, (connections, held, want)) in rows.into_iter().enumerate() {
            assert_eq!(peaks.have_halved(connections, held), want, "row {row}");
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
