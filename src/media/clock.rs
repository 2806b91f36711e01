//! Decode times on a track's own clock.
//!
//! Messages have whole milliseconds, and sound has samples: 1024 of them at 44.1 kHz are 23 ms in
//! one message and 24 in the next. So sound is counted by its samples, and the times of messages say
//! only where it begins and when it has drifted away. Pictures have no other clock than messages.

/// How far sound may be from the times of its messages, in ms, before these win.
pub(crate) const DRIFT_MAX_MS: u64 = 100;

const NANOS: u128 = 1_000_000_000;

/// The clock of a track.
#[derive(Clone, Copy, Debug)]
pub(super) struct TrackClock {
    timescale: u32,
    last: Option<Last>,
}

/// What the next time follows from.
#[derive(Clone, Copy, Debug)]
struct Last {
    time: u64,
    /// How long its sound is; 0: not known.
    len: u32,
}

impl TrackClock {
    /// A clock of `timescale` ticks a second.
    pub(super) fn new(timescale: u32) -> TrackClock {
        TrackClock {
            timescale,
            last: None,
        }
    }

    /// Nanoseconds in ticks, rounded to the nearest.
    pub(super) fn ticks(self, ns: u64) -> u64 {
        let ticks = u128::from(ns) * u128::from(self.timescale);
        u64::try_from((ticks + NANOS / 2) / NANOS).unwrap_or(u64::MAX)
    }

    /// Ticks in nanoseconds, rounded to the nearest.
    pub(super) fn nanos(self, ticks: u64) -> u64 {
        let timescale = u128::from(self.timescale).max(1);
        let nanos = (u128::from(ticks) * NANOS + timescale / 2) / timescale;
        u64::try_from(nanos).unwrap_or(u64::MAX)
    }

    /// The decode time of the next sample, whose message is due at `ns` and whose sound is `len`
    /// ticks long; 0 of pictures. Times never go back.
    ///
    /// Sound that is late by more than [`DRIFT_MAX_MS`] leaves a gap. Sound that is early by more
    /// than that is not thrown away: each sample takes half its time, until it is right again. With every
    /// second that it is earlier still, it takes half as long again, so that sound which always claims to
    /// be longer than it is does not run away.
    pub(super) fn next(&mut self, ns: u64, len: u32) -> u64 {
        let due = self.ticks(ns);
        let time = match self.last {
            None => due,
            Some(last) if len == 0 || last.len == 0 => due.max(last.time + 1),
            Some(last) => {
                let next = last.time + u64::from(last.len);
                let drift_max = u64::from(self.timescale) * DRIFT_MAX_MS / 1000;
                if due > next + drift_max {
                    due
                } else if due + drift_max < next {
                    let seconds = (next - due - drift_max) / u64::from(self.timescale).max(1);
                    let halves = u32::try_from(seconds + 1).unwrap_or(u32::MAX);
                    let len = last.len.checked_shr(halves).unwrap_or_default();
                    last.time + u64::from(len.max(1))
                } else {
                    next
                }
            }
        };
        self.last = Some(Last { time, len });
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When a message is due, in ms, and how long its sound is.
    type Due = (u64, u32);

    fn times(timescale: u32, samples: &[Due]) -> Vec<u64> {
        let mut clock = TrackClock::new(timescale);
        let next = |(ms, len): &Due| clock.next(ms * 1_000_000, *len);
        samples.iter().map(next).collect()
    }

    #[test]
    fn sound_is_counted_by_its_samples() {
        let messages: Vec<Due> = (0..1000).map(|n| (n * 1_024_000 / 44_100, 1024)).collect();
        let want: Vec<u64> = (0..1000).map(|n| n * 1024).collect();
        assert_eq!(times(44_100, &messages), want);
    }

    /// Sound whose messages jump back is not thrown away, and is right again as soon as half of it
    /// can make up for the jump.
    #[test]
    fn a_jump_back_is_made_up_for() {
        for jump in [0, 100, 101, 200, 400, 1000] {
            let due = |n: u64| n * 1_024_000 / 44_100 - if n < 100 { 0 } else { jump };
            let messages: Vec<Due> = (0..400).map(|n| (due(n), 1024)).collect();
            let times = times(44_100, &messages);
            let is_off = |(time, (ms, _)): (&u64, &Due)| time * 1000 / 44_100 > ms + DRIFT_MAX_MS;
            let off = times
                .iter()
                .zip(&messages)
                .filter(|row| is_off(*row))
                .count() as u64;
            let off_ms = off * 1_024_000 / 44_100;
            let excess = jump.saturating_sub(DRIFT_MAX_MS);
            assert!(
                off_ms <= 2 * excess,
                "a jump of {jump} ms is heard for {off_ms} ms"
            );
            assert!(times.is_sorted_by(|one, next| one < next));
            let halves = times.windows(2).filter(|pair| pair[1] - pair[0] < 1024);
            let halves = halves.count() as u64 * 1_024_000 / 44_100;
            assert!(halves.abs_diff(2 * excess) <= 50, "{jump}: {halves} ms");
        }
    }

    /// Sound that claims to be longer than the time to the next is late by seconds at most.
    #[test]
    fn sound_that_claims_too_much_does_not_run_away() {
        for (times_as_long, late_s) in [(1, 0), (2, 0), (3, 1), (8, 3), (50, 6), (1000, 10)] {
            let messages: Vec<Due> = (0..10_000).map(|n| (n, times_as_long)).collect();
            let times = times(1000, &messages);
            let late_ms = times.iter().zip(0..).map(|(time, due)| time.abs_diff(due));
            let late_ms = late_ms.max().unwrap_or_default();
            let most_ms = late_s * 1000 + DRIFT_MAX_MS;
            assert!(late_ms <= most_ms, "{times_as_long}: {late_ms} ms");
        }
    }

    #[test]
    fn messages_win_beyond_the_limit() {
        #[rustfmt::skip]
        let rows: [(&[Due], &[u64]); 5] = [
            // Late by the limit, and by one more.
            (&[(0, 1000), (120, 1000), (40, 1000)], &[0, 1000, 2000]),
            (&[(0, 1000), (121, 1000), (141, 1000)], &[0, 6050, 7050]),
            // Early by more than the limit: half the time each until it is not any more.
            (&[(0, 9600), (20, 960), (40, 960), (60, 960), (80, 960), (100, 960), (120, 960)],
             &[0, 4800, 5760, 6720, 7680, 8640, 9600]),
            (&[(0, 9600), (9, 9600), (18, 9600)], &[0, 4800, 9600]),
            // What is no sound has the times of its messages, and never goes back.
            (&[(0, 0), (33, 0), (33, 0), (20, 0), (66, 0)], &[0, 1650, 1651, 1652, 3300]),
        ];
        for (messages, want) in rows {
            let timescale = 50_000;
            assert_eq!(times(timescale, messages), want, "{messages:?}");
        }
    }
}
