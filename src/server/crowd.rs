//! When a crowd has left, so that the memory it took can be given back.

/// How many connections there were at most, since many of them left.
#[derive(Debug, Default)]
pub struct Crowd {
    most: usize,
}

impl Crowd {
    /// There are `now` connections. Whether more than half of them have left since the last time
    /// that this was so.
    pub fn has_left(&mut self, now: usize) -> bool {
        self.most = self.most.max(now);
        let has_left = now < self.most.div_ceil(2);
        if has_left {
            self.most = now;
        }
        has_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys;

    #[test]
    fn a_crowd_leaves_once() {
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
        let mut crowd = Crowd::default();
        for (row, (now, want)) in rows.into_iter().enumerate() {
            assert_eq!(crowd.has_left(now), want, "row {row}");
        }
    }
    #[cfg(target_env = "gnu")]
    #[test]
    fn what_a_crowd_leaves_is_given_back() {
        let resident_kb = || {
            let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
            pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4
        };
        // The last block keeps the allocator from giving back those before it by itself.
        let crowd = std::thread::spawn(|| {
            let mut blocks: Vec<_> = (0..4096).map(|_| vec![1_u8; 16 << 10]).collect();
            blocks.pop()
        });
        let _last = crowd.join();
        let before = resident_kb();
        sys::give_back_memory();
        let given_back = before.saturating_sub(resident_kb());
        assert!(given_back > 32 << 10, "{given_back} kB of 64 MiB");
    }
}
