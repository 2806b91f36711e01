//! The time that viewers see, across publications of one stream.

use crate::rtmp::Timestamp;

/// What lies between the last message of one publication and the first of the next, in ms.
const GAP_MS: u32 = 40;

/// How far a new publication may reach back behind the last one's end, in ms; what does is left
/// out, so that no viewer sees time run backward. Farther back is a jump that the publisher made.
const OVERLAP_MS_MAX: i32 = 5000;

/// Moves the times of a publication behind those of the one before it, by one offset for all of
/// its tracks, modulo the wrap. The first publication is not touched.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeline {
    offset: u32,
    /// The latest time that viewers were sent.
    last: Option<Timestamp>,
    /// For the publication at hand: where the one before it ended, if viewers saw it.
    resumes_at: Option<Timestamp>,
    /// Whether the offset of the publication at hand is known.
    settled: bool,
}

impl Timeline {
    /// A publication begins. `continues`: there are viewers who saw the last one.
    pub fn begin(&mut self, continues: bool) {
        let resumes_at = self.last.filter(|_| continues);
        *self = Timeline {
            resumes_at,
            settled: resumes_at.is_none(),
            ..Timeline::default()
        };
    }

    /// The time at which viewers see what the publisher dates `time`; `None` to leave it out.
    pub fn place(&mut self, time: Timestamp) -> Option<Timestamp> {
        if let (false, Some(end)) = (self.settled, self.resumes_at) {
            self.offset = end.plus(GAP_MS).since(time) as u32;
            self.settled = true;
        }
        let placed = time.plus(self.offset);
        let behind = self.resumes_at.map_or(0, |end| end.since(placed));
        if (1..=OVERLAP_MS_MAX).contains(&behind) {
            return None;
        }
        if self.last.is_none_or(|last| placed.since(last) > 0) {
            self.last = Some(placed);
        }
        Some(placed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(timeline: &mut Timeline, times: &[u32]) -> Vec<Option<u32>> {
        times
            .iter()
            .map(|time| timeline.place(Timestamp(*time)).map(|time| time.0))
            .collect()
    }

    #[test]
    fn a_first_publication_is_not_touched() {
        let mut timeline = Timeline::default();
        timeline.begin(true);
        let times = [5000, 5040, 0, u32::MAX, 3];
        assert_eq!(placed(&mut timeline, &times), times.map(Some));
    }

    #[test]
    fn a_later_one_goes_on_with_one_offset() {
        type Row = (&'static [u32], bool, &'static [u32], &'static [Option<u32>]);
        let rows: [Row; 5] = [
            (
                &[1000, 2000],
                true,
                &[0, 10, 20],
                &[Some(2040), Some(2050), Some(2060)],
            ),
            (
                &[1000, 2000],
                true,
                &[700, 690, 640, 710],
                &[Some(2040), Some(2030), None, Some(2050)],
            ),
            (&[1000, 2000], false, &[0, 10], &[Some(0), Some(10)]),
            (&[u32::MAX], true, &[0, 10], &[Some(39), Some(49)]),
            (
                &[100],
                true,
                &[u32::MAX, 0, 1],
                &[Some(140), Some(141), Some(142)],
            ),
        ];
        for (first, continues, second, want) in rows {
            let mut timeline = Timeline::default();
            timeline.begin(false);
            placed(&mut timeline, first);
            timeline.begin(continues);
            assert_eq!(placed(&mut timeline, second), want, "{first:?} {second:?}");
        }
    }

    #[test]
    fn a_publisher_that_jumps_far_back_is_followed() {
        let mut timeline = Timeline::default();
        timeline.begin(false);
        placed(&mut timeline, &[1_000_000]);
        timeline.begin(true);
        let got = placed(&mut timeline, &[900_000, 100_000]);
        assert_eq!(got, [Some(1_000_040), Some(200_040)]);
    }
}
