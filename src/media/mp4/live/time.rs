//! Times that do not wrap.

use crate::rtmp::Timestamp;

/// What is added to the times of messages, in ms. Browsers leave out what is shown before 0, as
/// pictures with a negative composition time would be at the beginning.
pub(crate) const TIME_BASE_MS: u64 = 10_000;

/// The times of messages, whose 32 bits wrap after 49.7 days, in 64 bits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LongTime {
    last: Option<(Timestamp, u64)>,
}

impl LongTime {
    /// The time, in ms, of a message after those that were [`noted`](Self::note).
    pub(super) fn of(self, time: Timestamp) -> u64 {
        match self.last {
            None => u64::from(time.0) + TIME_BASE_MS,
            Some((last, last_ms)) => last_ms.saturating_add_signed(time.since(last).into()),
        }
    }

    /// Takes note of a message whose time is that of the publisher's clock.
    pub(super) fn note(&mut self, time: Timestamp) {
        self.last = Some((time, self.of(time)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_on_beyond_the_wrap() {
        let rows: [(&[u32], &[u64]); 4] = [
            (&[0, 40], &[10_000, 10_040]),
            (
                &[4_294_967_290, 5, 0],
                &[4_294_977_290, 4_294_977_301, 4_294_977_296],
            ),
            // Before the first one.
            (&[5, 4_294_967_290], &[10_005, 9994]),
            (
                &[0, 2_147_483_647, 4_294_967_294, 2],
                &[10_000, 2_147_493_647, 4_294_977_294, 4_294_977_298],
            ),
        ];
        for (times, want) in rows {
            let mut long = LongTime::default();
            let place = |time: &u32| {
                let ms = long.of(Timestamp(*time));
                long.note(Timestamp(*time));
                ms
            };
            let placed: Vec<u64> = times.iter().map(place).collect();
            assert_eq!(placed, want, "{times:?}");
        }
    }
}
