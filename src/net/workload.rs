//! Whether the server has much to do.

use crate::sync::Mutex;
use std::collections::VecDeque;
#[cfg(test)]
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The part of one processor's time from which on the server is busy, in thousandths: far more than
/// ten viewers of a stream take, and less than sixty streams do.
const HIGH: u32 = 60;

/// The part below which it is busy no more. What is saved while it is busy is less than between the
/// two, so that it does not go back and forth.
const LOW: u32 = 20;

/// The time over which the part is taken.
const WINDOW: Duration = Duration::from_secs(1);

/// How busy the server is, by the processor time that it takes.
#[derive(Debug, Default)]
pub struct Workload {
    is_high: AtomicBool,
    samples: Mutex<VecDeque<Sample>>,
}

/// The processor time that was used up by `at`.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Duration,
    used: Duration,
}

impl Workload {
    /// Takes note that the process has used this much processor time by `at`, on a clock that only
    /// goes forward. To be called a few times in a second.
    pub fn note(&self, at: Duration, used: Duration) {
        let mut samples = self.samples.lock();
        let is_old = |sample: &&Sample| at.saturating_sub(sample.at) >= WINDOW;
        // The youngest of those that are old is kept: the window begins there.
        let old = samples.iter().take_while(is_old).count();
        samples.drain(..old.saturating_sub(1));
        samples.push_back(Sample { at, used });
        let Some(first) = samples.front() else { return };
        let time = at.saturating_sub(first.at);
        if time < WINDOW {
            return;
        }
        let used = used.saturating_sub(first.used).as_micros() * 1000 / time.as_micros().max(1);
        let limit = if self.is_high() { LOW } else { HIGH };
        self.is_high
            .store(used >= u128::from(limit), Ordering::Relaxed);
    }

    /// One that is busy.
    #[cfg(test)]
    pub(super) fn busy() -> Arc<Workload> {
        let workload = Workload::default();
        workload.note(Duration::ZERO, Duration::ZERO);
        workload.note(Duration::from_secs(1), Duration::from_secs(1));
        Arc::new(workload)
    }

    /// Whether it is busy.
    pub fn is_high(&self) -> bool {
        self.is_high.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thousandths of a processor, each for two seconds, and whether the server is busy then.
    #[test]
    fn it_is_busy_from_the_high_mark_to_the_low_one() {
        let rows = [
            (0, false),
            (50, false),
            (61, true),
            (30, true),
            (21, true),
            (19, false),
            (50, false),
            (1500, true),
            (0, false),
        ];
        let workload = Workload::default();
        let (mut at, mut used) = (Duration::ZERO, Duration::ZERO);
        workload.note(at, used);
        for (thousandths, want) in rows {
            for _ in 0..20 {
                at += Duration::from_millis(100);
                used += Duration::from_micros(thousandths * 100);
                workload.note(at, used);
            }
            assert_eq!(workload.is_high(), want, "{thousandths}");
        }
        assert!(workload.samples.lock().len() <= 12);
    }
}
