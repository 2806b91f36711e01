//! The time that viewers see, across publications of one stream.

use crate::rtmp::Timestamp;

/// What lies between the last message of one publication and the first of the next, in ms.
const GAP_MS: u32 = 40;

/// How far a new publication may reach back behind the last one's end, in ms; what does is left
/// out, so that no viewer sees time run backward. Farther back is a jump that the publisher made,
/// or a track that begins so much earlier than the other.
const OVERLAP_MS_MAX: i32 = 5000;

/// For how long the offset of a new publication may still grow, in ms from the last one's end: its
/// second kind of media may begin far before the first.
const SETTLING_MS: i32 = 5000;

/// How far the times that are compared may lie behind the latest, in ms; what does is moved up to it.
/// Of two times that are more than 24.8 days apart the earlier one would count as the later.
const BEHIND_MS_MAX: i32 = 1 << 30;

/// Whether a message's time is that of the publisher's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timing {
    /// It is: a sound.
    Sound,
    /// It is: a picture.
    Picture,
    /// Headers, data and commands are dated as encoders like, often 0. They say nothing of the
    /// clock, and are never left out.
    Aside,
}

/// Moves the times of a publication behind those of the ones before it, by one offset for all of
/// its tracks, modulo the wrap. The first publication is not touched.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Timeline {
    /// What the times of the publication at hand are moved by; `None` until its first picture or
    /// sound.
    offset: Option<u32>,
    sound: Track,
    picture: Track,
}

/// The sound or the pictures of all publications that viewers have seen.
#[derive(Clone, Copy, Debug, Default)]
struct Track {
    /// The latest time that viewers were sent.
    last: Option<Timestamp>,
    /// What that was when the publication at hand began.
    end: Option<Timestamp>,
    /// Whether it has begun in the publication at hand.
    has_begun: bool,
}

impl Timeline {
    /// A publication begins, and no viewer saw the ones before.
    pub(super) fn begin_first(&mut self) {
        *self = Timeline::default();
        self.begin_next();
    }

    /// A publication begins, for viewers who saw the ones before.
    pub(super) fn begin_next(&mut self) {
        for track in [&mut self.sound, &mut self.picture] {
            track.end = track.last;
            track.has_begun = false;
        }
        self.offset = self.end().is_none().then_some(0);
    }

    /// The time at which viewers see what the publisher dates `time`; `None` to leave it out.
    pub(super) fn place(&mut self, timing: Timing, time: Timestamp) -> Option<Timestamp> {
        self.forget_what_is_long_ago();
        let (end, latest_sent) = (self.end(), self.latest());
        let track = match timing {
            Timing::Sound => &mut self.sound,
            Timing::Picture => &mut self.picture,
            Timing::Aside => return Some(self.place_aside(time)),
        };
        let own_end = track.end.or(end);
        let behind = |placed: Timestamp| own_end.map_or(0, |end| end.since(placed));
        let mut offset = self.offset.unwrap_or_else(|| {
            let start = end.unwrap_or_default().plus(GAP_MS);
            start.since(time) as u32
        });
        let begins = !std::mem::replace(&mut track.has_begun, true);
        let passed = latest_sent.zip(end).map_or(0, |(now, end)| now.since(end));
        let reach = behind(time.plus(offset));
        if begins && passed <= SETTLING_MS && reach > OVERLAP_MS_MAX {
            offset = offset.wrapping_add(reach as u32).wrapping_add(GAP_MS);
        }
        self.offset = Some(offset);
        let placed = time.plus(offset);
        if (1..=OVERLAP_MS_MAX).contains(&behind(placed)) {
            return None;
        }
        track.last = later(track.last, Some(placed));
        Some(placed)
    }

    /// Keeps the times that are compared near each other, however long a publication lasts, or a kind
    /// of media is away.
    fn forget_what_is_long_ago(&mut self) {
        let Some(latest) = self.latest() else { return };
        let earliest = Timestamp(latest.0.wrapping_sub(BEHIND_MS_MAX as u32));
        for track in [&mut self.sound, &mut self.picture] {
            for time in [&mut track.last, &mut track.end].into_iter().flatten() {
                if earliest.since(*time) > 0 {
                    *time = earliest;
                }
            }
        }
    }

    /// Where its own time puts it, but never behind what viewers were sent before the publication.
    fn place_aside(&self, time: Timestamp) -> Timestamp {
        let Some(end) = self.end() else { return time };
        let Some(offset) = self.offset else {
            return end.plus(GAP_MS);
        };
        let placed = time.plus(offset);
        match end.since(placed) > 0 {
            true => self.latest().unwrap_or(end),
            false => placed,
        }
    }

    /// Where the publications before this one ended, if viewers saw any.
    fn end(&self) -> Option<Timestamp> {
        later(self.sound.end, self.picture.end)
    }

    /// The latest time that viewers were sent.
    fn latest(&self) -> Option<Timestamp> {
        later(self.sound.last, self.picture.last)
    }
}

/// The later of two times, of which any may be missing.
fn later(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) if b.since(a) > 0 => Some(b),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Publications with `|` between them, of which all but the first have viewers who saw the
    /// last one. One message a word: s sound, p picture, h header, and its time. Where they are
    /// placed, with a dash for what is left out.
    fn placed(publications: &str) -> String {
        let mut timeline = Timeline::default();
        let mut lines = Vec::new();
        for (index, words) in publications.split('|').enumerate() {
            match index {
                0 => timeline.begin_first(),
                _ => timeline.begin_next(),
            }
            let place = |word: &str| {
                let (letter, time) = word.split_at(1);
                let timing = match letter {
                    "s" => Timing::Sound,
                    "p" => Timing::Picture,
                    _ => Timing::Aside,
                };
                let placed = timeline.place(timing, Timestamp(time.parse().unwrap()));
                placed.map_or("-".to_owned(), |time| time.0.to_string())
            };
            let words: Vec<String> = words.split_whitespace().map(place).collect();
            lines.push(words.join(" "));
        }
        lines.join(" | ")
    }

    #[test]
    fn a_first_publication_is_not_touched() {
        let times = "p5000 s5040 h0 p0 s4294967295 p3";
        assert_eq!(placed(times), "5000 5040 0 0 4294967295 3");
    }

    #[test]
    fn a_later_one_goes_on_with_one_offset() {
        #[rustfmt::skip]
        let rows = [
            ("p1000 p2000 | p0 p10 p20", "1000 2000 | 2040 2050 2060"),
            ("p1000 p2000 | p700 p690 p640 p710", "1000 2000 | 2040 2030 - 2050"),
            ("p4294967295 | p0 p10", "4294967295 | 39 49"),
            ("p100 | p4294967295 p0 p1", "100 | 140 141 142"),
            // One without pictures or sound changes nothing.
            ("p100000 p100040 | | p0 p40", "100000 100040 |  | 100080 100120"),
            ("p100000 | h0 h7 | h0 p0", "100000 | 100040 100040 | 100040 100040"),
            // A header says nothing of the clock.
            ("p1000 | h0 h0 p36000000 s36000010", "1000 | 1040 1040 1040 1050"),
            ("p1000 | h500 p0 p40", "1000 | 1040 1040 1080"),
            // Nor is it left out where sound and pictures are.
            ("p1000 s1000 | s5000 p4990 h4000 h0 h5050 p5010", "1000 1000 | 1040 1030 1040 1040 1090 1050"),
            ("p1000 s1000 | s5000 h3000 p3000 p4000 p5000", "1000 1000 | 1040 1040 - - 1040"),
            // Sound that lags as it did before.
            ("p20000 s13000 | p10000 s3000 p10040 s3040", "20000 13000 | 20040 13040 20080 13080"),
            // Sound that lags as it did not: both are moved so that it goes on as well.
            ("p20000 s20000 | p10000 s3000 p10040 s3040", "20000 20000 | 20040 20040 27080 20080"),
            ("p20000 | p10000 s3000 p10040", "20000 | 20040 20040 27080"),
            ("s20000 p20000 | s10000 p3000 s10020", "20000 20000 | 20040 20040 27060"),
            // Not when the pictures have gone on for long.
            ("p20000 s20000 | p10000 p20000 s3000 p20040", "20000 20000 | 20040 30040 13040 30080"),
        ];
        for (publications, want) in rows {
            assert_eq!(placed(publications), want, "{publications}");
        }
    }

    /// Steps of 9 days, so that the times before are always known to be earlier.
    fn days(letter: char, from: u64, to: u64) -> String {
        let words = (from..=to).step_by(9).map(|day| {
            let ms = (day * 86_400_000) as u32;
            format!("{letter}{ms}")
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_publication_may_last_for_60_days_and_more() {
        let later_by = |words: &str, ms: u32| {
            let moved = words.split_whitespace().map(|word| {
                let time: u32 = word[1..].parse().unwrap();
                time.wrapping_add(ms).to_string()
            });
            moved.collect::<Vec<_>>().join(" ")
        };
        // One time around after the end of the publication before, nothing is left out.
        let pictures = days('p', 0, 45);
        let around = "p4294963000 p4294967290 p4";
        assert_eq!(
            placed(&format!("p1000 | {pictures} {around}")),
            format!("1000 | {} 4294964040 1034 1044", later_by(&pictures, 1040)),
        );
        // Nor are pictures moved that begin after 27 days, by what was when the sound began.
        let sounds = days('s', 0, 27);
        assert_eq!(
            placed(&format!("p1000 | {sounds} p2332800040 p2332800080")),
            format!("1000 | {} 2332801080 2332801120", later_by(&sounds, 1040)),
        );
        // Where there was sound alone for 27 days, the next publication follows the sound.
        assert_eq!(
            placed(&format!("p1000 {sounds} | s0 p40")),
            format!("1000 {} | 2332800040 2332800080", later_by(&sounds, 0)),
        );
    }

    #[test]
    fn what_nobody_saw_does_not_count() {
        let mut timeline = Timeline::default();
        timeline.begin_first();
        timeline.place(Timing::Picture, Timestamp(5000));
        timeline.begin_first();
        let placed = timeline.place(Timing::Picture, Timestamp(10));
        assert_eq!(placed, Some(Timestamp(10)));
    }

    #[test]
    fn a_publisher_that_jumps_far_back_is_followed() {
        let got = placed("p1000000 | p900000 p100000");
        assert_eq!(got, "1000000 | 1000040 200040");
    }
}
