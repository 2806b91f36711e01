//! Where one file ends and the next begins, and what time it is in them.

use crate::media::flv::TIME_MAX;
use crate::media::{Content, Packet, Tracks};
use crate::rtmp::{Message, MessageType, Timestamp};
use std::time::Duration;

/// Steps back that are longer begin a new file, in ms.
pub(crate) const BACK_MAX: i64 = 1000;

/// Steps forward that are longer begin a new file, in ms.
pub(crate) const FORWARD_MAX: i64 = 10_000;

/// A video track without a picture for this time is gone, or for the length of two segments if that
/// is less, in ms. The next higher track stands in for it.
const TRACK_GONE_MS: i64 = 10_000;

/// The longest time between two keyframes that counts as usual, in ms.
const KEYFRAME_GAP_MAX_MS: i64 = 30_000;

/// Assumed time between keyframes as long as only one has come, in ms.
const KEYFRAME_GAP_MS: i64 = 5000;

/// Where a message belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutPlace {
    /// In the file that is there, at this time in ms.
    Here(u32),
    /// In a new file, as the first that is no header, at 0.
    New,
}

/// Decides for each message of a publication, in order.
#[derive(Debug)]
pub(crate) struct Cutter {
    /// From this time on a file may end; `None`: never because of its length.
    segment_ms: Option<i64>,
    clock: Option<FileClock>,
    /// When the last audio and the last video were due.
    last: [Option<Timestamp>; 2],
    /// When the last picture of any track was due.
    last_picture: Option<Timestamp>,
    pictures: Option<Pictures>,
}

/// The pictures of the track that decides.
#[derive(Clone, Copy, Debug)]
struct Pictures {
    /// The lowest track that has any.
    track: u8,
    /// When its last picture was due.
    last: Timestamp,
    /// When its last keyframe was due; `None`: none has come, or not for so long that none is
    /// waited for any more.
    last_keyframe: Option<Timestamp>,
    /// The longest time between two of its keyframes, in ms, if there were two.
    gap_ms: Option<i64>,
}

impl Pictures {
    /// With one more picture of the track.
    fn with_next(mut self, time: Timestamp, keyframe: bool) -> Pictures {
        self.last = time;
        if keyframe && let Some(before) = self.last_keyframe.replace(time) {
            let gap_ms = ms_between(before, time).min(KEYFRAME_GAP_MAX_MS);
            self.gap_ms = self.gap_ms.max(Some(gap_ms));
        }
        self
    }
}

/// The latest time of a file: the publisher's, and in the file, in ms.
#[derive(Clone, Copy, Debug)]
struct FileClock {
    latest: Timestamp,
    latest_ms: i64,
}

impl FileClock {
    /// The time in the file, in ms; negative before its beginning.
    fn ms(self, time: Timestamp) -> i64 {
        self.latest_ms + i64::from(time.since(self.latest))
    }

    fn goes_on_at(self, time: Timestamp) -> bool {
        is_step(self.ms(time) - self.latest_ms)
    }
}

fn ms_between(before: Timestamp, after: Timestamp) -> i64 {
    i64::from(after.since(before))
}

/// Whether a clock that does this, in ms, is still the same clock.
fn is_step(ms: i64) -> bool {
    (-BACK_MAX..=FORWARD_MAX).contains(&ms)
}

impl Cutter {
    /// For segments of that length, or for files that end with the stream.
    pub(super) fn new(segment: Option<Duration>) -> Cutter {
        let ms = |length: Duration| i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        Cutter {
            segment_ms: segment.map(ms),
            clock: None,
            last: [None; 2],
            last_picture: None,
            pictures: None,
        }
    }

    /// Takes note of the pictures in any audio or video.
    pub(super) fn see(&mut self, message: &Message, packet: &Packet) {
        let picture = matches!(
            packet.content,
            Content::Keyframe | Content::Frame | Content::Disposable
        );
        let lowest = packet.tracks.iter().next();
        let (MessageType::VIDEO, true, Some(lowest)) = (message.kind, picture, lowest) else {
            return;
        };
        let time = message.timestamp;
        self.last_picture = Some(time);
        let gone_ms = self.segment_ms.map_or(TRACK_GONE_MS, |length| {
            length.saturating_mul(2).min(TRACK_GONE_MS)
        });
        let decides = self.pictures.filter(|pictures| {
            let silent = ms_between(pictures.last, time);
            pictures.track == lowest || pictures.track < lowest && silent <= gone_ms
        });
        let keyframe = packet.content == Content::Keyframe;
        match decides {
            Some(pictures) if pictures.track == lowest => {
                self.pictures = Some(pictures.with_next(time, keyframe));
            }
            Some(_) => {}
            None => {
                // One that stands in for another is expected to have keyframes as well.
                let expected = keyframe || self.pictures.is_some();
                self.pictures = Some(Pictures {
                    track: lowest,
                    last: time,
                    last_keyframe: expected.then_some(time),
                    gap_ms: None,
                });
            }
        }
    }

    /// The place of audio or video that is no header.
    pub(super) fn place(&mut self, message: &Message, packet: &Packet) -> CutPlace {
        let time = message.timestamp;
        let own = usize::from(message.kind == MessageType::VIDEO);
        let own_last = self.last[own].replace(time);
        let Some(clock) = &mut self.clock else {
            return self.begin(time);
        };
        // Sound and pictures may have clocks of their own. A jump is one against both.
        let own_goes_on = own_last.is_some_and(|last| is_step(i64::from(time.since(last))));
        let ms = clock.ms(time);
        let jump = !clock.goes_on_at(time) && !own_goes_on;
        if jump || ms > i64::from(TIME_MAX) {
            return self.begin(time);
        }
        let since_due_ms = self.segment_ms.map(|length| ms - length);
        if ms > clock.latest_ms {
            *clock = FileClock {
                latest: time,
                latest_ms: ms,
            };
        }
        if let Some(late_ms @ 0..) = since_due_ms
            && self.may_cut_at(message, packet, late_ms)
        {
            return self.begin(time);
        }
        CutPlace::Here(ms.max(0) as u32)
    }

    /// The time of a header or of data in the file, in ms. It has no part in what the latest time
    /// is, and where it is far from that, that is its time.
    pub(super) fn aside(&self, time: Timestamp) -> u32 {
        let Some(clock) = self.clock else { return 0 };
        let ms = match clock.goes_on_at(time) {
            true => clock.ms(time),
            false => clock.latest_ms,
        };
        ms.clamp(0, i64::from(TIME_MAX)) as u32
    }

    /// Whether this is a keyframe of the track that decides.
    pub(super) fn is_entry(&self, message: &Message, packet: &Packet) -> bool {
        let keyframe = message.kind == MessageType::VIDEO && packet.content == Content::Keyframe;
        let of_track = |pictures: Pictures| packet.tracks.contains(Tracks::one(pictures.track));
        keyframe && self.pictures.is_some_and(of_track)
    }

    /// Whether a file can begin with this at any time: a keyframe, or any sound if there are no
    /// pictures.
    pub(super) fn may_begin_at(&self, message: &Message, packet: &Packet) -> bool {
        let sound = message.kind == MessageType::AUDIO && self.pictures.is_none();
        sound || self.is_entry(message, packet)
    }

    /// Whether a file can begin with this, `late_ms` after the one before was due to end: a
    /// keyframe; any sound, if there are no pictures now or no keyframe can be waited for; and if
    /// there is no sound either, any picture.
    fn may_cut_at(&mut self, message: &Message, packet: &Packet, late_ms: i64) -> bool {
        if self.is_entry(message, packet) {
            return true;
        }
        let length = self.segment_ms.unwrap_or(i64::MAX);
        let time = message.timestamp;
        let is_over =
            |last: Option<Timestamp>| last.is_none_or(|at| ms_between(at, time) >= length);
        let waited = self.pictures.as_mut().is_none_or(|pictures| {
            let waited = pictures.last_keyframe.is_none_or(|_| {
                late_ms >= length.max(2 * pictures.gap_ms.unwrap_or(KEYFRAME_GAP_MS))
            });
            if waited {
                pictures.last_keyframe = None;
            }
            waited
        });
        match message.kind {
            MessageType::AUDIO => waited || is_over(self.last_picture),
            _ => waited && is_over(self.last[0]),
        }
    }

    /// Begins a file at this time.
    pub(super) fn begin(&mut self, time: Timestamp) -> CutPlace {
        self.clock = Some(FileClock {
            latest: time,
            latest_ms: 0,
        });
        CutPlace::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::StreamId;

    /// One message a word: a sound, k keyframe, p picture, h video header, d data, K and P of
    /// track 1 alone; and its time.
    fn message(word: &str) -> Message {
        let (letter, time) = word.split_at(1);
        let (kind, payload): (_, &[u8]) = match letter {
            "a" => (MessageType::AUDIO, &[0x2f, 1]),
            "k" => (MessageType::VIDEO, &[0x17, 1, 0, 0, 0, 1]),
            "p" => (MessageType::VIDEO, &[0x27, 1, 0, 0, 0, 1]),
            "h" => (MessageType::VIDEO, &[0x17, 0, 0, 0, 0, 1]),
            "K" => (MessageType::VIDEO, b"\x96\x01avc1\x01\0\0\0x"),
            "P" => (MessageType::VIDEO, b"\xa6\x01avc1\x01\0\0\0x"),
            _ => (MessageType::DATA, &[5]),
        };
        Message {
            timestamp: Timestamp(time.parse().unwrap()),
            ..Message::untimed(kind, StreamId(1), payload.to_vec())
        }
    }

    /// The times in the files, with a bar before each file.
    fn places(segment_ms: Option<u64>, words: &str) -> String {
        let mut cutter = Cutter::new(segment_ms.map(Duration::from_millis));
        let place = |word| {
            let message = message(word);
            let packet = Packet::new(message.kind, &message.payload);
            cutter.see(&message, &packet);
            if message.kind == MessageType::DATA || packet.content == Content::Header {
                return cutter.aside(message.timestamp).to_string();
            }
            match cutter.place(&message, &packet) {
                CutPlace::Here(ms) => ms.to_string(),
                CutPlace::New => "|".to_owned(),
            }
        };
        words
            .split_whitespace()
            .map(place)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn times_begin_at_0_and_jumps_begin_files() {
        #[rustfmt::skip]
        let rows = [
            ("k1000 a1010 p1040", "| 10 40"),
            ("h0 k1000 a990 p1040", "0 | 0 40"),
            ("k4294967290 p4 p20", "| 10 26"),
            ("k0 p10000 p20000 p30001", "| 10000 20000 |"),
            ("k0 p5000 p4000 p3999", "| 5000 4000 3999"),
            ("k0 p5000 p3999", "| 5000 |"),
            ("k0 p5000 p3999 p4010", "| 5000 | 11"),
            ("k0 a0 p40 k90000 a90010 p90040", "| 0 40 | 10 40"),
            ("k90000 a90000 k0 a0 a20", "| 0 | 0 20"),
            // A sound track that lags, and one with a clock of its own.
            ("k5000 a3500 p5040 a3520 p5080", "| | 1540 20 1580"),
            ("k0 a50000 p40 a50020 p80 a50040", "| | 0 20 0 40"),
            ("k100 d120 d0 d99999 h0 h50 p140 d130", "| 20 0 0 0 0 40 30"),
            ("k100 p2100 d0 h0 d1200 d1000", "| 2000 2000 2000 1100 2000"),
        ];
        for (words, want) in rows {
            assert_eq!(places(None, words), want, "{words}");
        }
    }

    #[test]
    fn a_file_ends_before_its_times_do() {
        let mut cutter = Cutter::new(None);
        let mut time = Timestamp(7);
        let step = FORWARD_MAX as u32;
        let steps = TIME_MAX / step;
        for index in 0..=steps + 1 {
            let message = Message {
                timestamp: time,
                ..message("a0")
            };
            let packet = Packet::new(message.kind, &message.payload);
            let want = match index {
                0 => CutPlace::New,
                index if index <= steps => CutPlace::Here(index * step),
                _ => CutPlace::New,
            };
            assert_eq!(cutter.place(&message, &packet), want);
            time = time.plus(step);
        }
    }

    #[test]
    fn segments_are_cut_where_they_can_be_played() {
        #[rustfmt::skip]
        let rows = [
            ("k0 p1000 k1999 p2000 k2001 p2040", "| 1000 1999 2000 | 39"),
            ("k0 k2000 k3999 k4000", "| | 1999 |"),
            ("k4294967000 k1000 k1704", "| 1296 |"),
            ("k0 a1990 k2000 a1995 a2010", "| 1990 | 0 10"),
            ("a0 a1999 a2000 a2020", "| 1999 | 20"),
            // A header alone does not make pictures.
            ("h0 a0 a1500 a2500 a4600 k4610", "0 | 1500 | | 10"),
            ("a0 a1000 k1500 a2500 k3000", "| 1000 1500 2500 |"),
            // The lowest track decides, from when it is seen.
            ("K0 K2000 k2100 K4200 k4300", "| | 100 2200 |"),
            ("k0 K10 K2010 p2020 k2030", "| 10 2010 2020 |"),
            // And when it has stopped, the next one.
            ("k0 K10 K2010 K4000 K4010 P5000 k5010 K6020 k6030", "| 10 2010 4000 | 990 1000 2010 |"),
            ("k0 P2100 a3900 K4010 a5900 P5950 a6020 K6030", "| 2100 3900 | 1890 1940 2010 |"),
            // The picture stops, the sound goes on.
            ("k0 p900 a1000 a2000 a2899 a2900 a4800 a4900 k5000", "| 900 1000 2000 2899 | 1900 | 100"),
            ("k0 a1000 a2000 k2100 a3000 a4100 a4200", "| 1000 | 100 1000 | 100"),
            // No keyframe comes any more: it is waited for once, and no longer than usual.
            ("k0 k500 p1900 a1910 p2500 a2510 p3990 a4000 p4010 a5990 a6010 p6020 k6100", "| 500 1900 1910 2500 2510 3990 | 10 1990 | 10 90"),
            ("k0 p500 a510 p2100 a2110 p11980 a11990 a12000 p12010 a13990 a14000", "| 500 510 2100 2110 11980 11990 | 10 1990 |"),
            // No keyframe has ever come, with sound and without.
            ("p0 a10 p1990 a2000 p2010 a4010", "| 10 1990 | 10 |"),
            ("p0 p1900 p2500 p3900 p4600", "| 1900 | 1400 |"),
            // Keyframes that come seldom are waited for once it is known.
            ("k0 p1500 k3000 p4500 p6000 a6100 p7500 k9000 p10500 p12000 a12500 p13500 a15100 k16000", "| 1500 | 1500 3000 3100 4500 | 1500 3000 3500 4500 6100 |"),
        ];
        for (words, want) in rows {
            assert_eq!(places(Some(2000), words), want, "{words}");
        }
    }
}
