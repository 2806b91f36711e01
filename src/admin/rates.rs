//! Bit rates, made of what counters said a moment ago.

use crate::stats::{PublicationId, Snapshot, StreamStats};
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// The time that a rate is the mean of: longer than most groups of pictures last.
pub const WINDOW: Duration = Duration::from_secs(5);

/// In bits per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct BitRate {
    /// What publishers send, without headers.
    pub received: u64,
    /// What the server sends: in all, or to the viewers of one stream.
    pub sent: u64,
    /// What the publisher of one stream sends of audio.
    pub audio: u64,
    /// What the publisher of one stream sends of video.
    pub video: u64,
}

/// Counters at a moment.
#[derive(Clone, Copy, Debug)]
struct ByteCounts {
    at: Instant,
    received: u64,
    sent: u64,
    audio: u64,
    video: u64,
}

/// The counters of the last [`WINDOW`], oldest first.
#[derive(Debug, Default)]
struct History(VecDeque<ByteCounts>);

impl History {
    fn add(&mut self, sample: ByteCounts) {
        let fell = |last: &ByteCounts| sample.received < last.received || sample.sent < last.sent;
        if self.0.back().is_some_and(fell) {
            self.0.clear();
        }
        self.0.push_back(sample);
        // The oldest that is kept is the last that is as old as the window.
        while self
            .0
            .get(1)
            .is_some_and(|second| sample.at.saturating_duration_since(second.at) >= WINDOW)
        {
            self.0.pop_front();
        }
    }

    fn rate(&self) -> BitRate {
        let (Some(first), Some(last)) = (self.0.front(), self.0.back()) else {
            return BitRate::default();
        };
        let seconds = last.at.saturating_duration_since(first.at).as_secs_f64();
        if seconds <= 0.0 {
            return BitRate::default();
        }
        let per_second = |bytes: u64| (bytes as f64 * 8.0 / seconds).round() as u64;
        BitRate {
            received: per_second(last.received - first.received),
            sent: per_second(last.sent - first.sent),
            audio: per_second(last.audio.saturating_sub(first.audio)),
            video: per_second(last.video.saturating_sub(first.video)),
        }
    }
}

/// The rates of the whole server and of each stream.
#[derive(Debug, Default)]
pub(super) struct Rates {
    total: History,
    /// By key, with the publication that was counted.
    streams: HashMap<String, (PublicationId, History)>,
}

impl Rates {
    /// Takes in what the counters say at `now`. Streams that are not there any more are forgotten,
    /// and a new publication of a stream begins anew.
    pub(super) fn add(&mut self, now: Instant, snapshot: &Snapshot) {
        self.total.add(ByteCounts {
            at: now,
            received: snapshot.totals.bytes_in,
            sent: snapshot.totals.bytes_out,
            audio: 0,
            video: 0,
        });
        let mut before = std::mem::take(&mut self.streams);
        for stream in &snapshot.streams {
            let same = |(id, _): &(PublicationId, History)| *id == stream.publication;
            let kept = before.remove(&stream.key).filter(same);
            let mut history = kept.map(|(_, history)| history).unwrap_or_default();
            history.add(ByteCounts {
                at: now,
                received: stream.bytes_in,
                sent: stream.bytes_out,
                audio: stream.audio_bytes,
                video: stream.video_bytes,
            });
            self.streams
                .insert(stream.key.clone(), (stream.publication, history));
        }
    }

    /// The rates of all streams together; what is sent is counted with all headers.
    pub(super) fn total(&self) -> BitRate {
        self.total.rate()
    }

    /// The rates of a stream; 0 until it was seen twice.
    pub(super) fn of(&self, stream: &StreamStats) -> BitRate {
        let history = self.streams.get(&stream.key);
        history
            .map(|(_, history)| history.rate())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::sample;

    /// A publication that has received this number of bytes; sent is twice that.
    fn snapshot(publication: u64, bytes: u64) -> Snapshot {
        let mut stream = sample::stream("live/a");
        stream.publication = PublicationId(publication);
        (stream.bytes_in, stream.bytes_out) = (bytes, 2 * bytes);
        let mut snapshot = Snapshot {
            streams: vec![stream],
            ..Snapshot::default()
        };
        snapshot.totals.bytes_in = 10 * bytes;
        snapshot
    }

    #[test]
    fn rates_are_means_of_the_window() {
        let start = Instant::now();
        let mut rates = Rates::default();
        // Second, bytes so far, rate in bits: 1000 bytes a second, then 3000, then a new
        // publication, then silence.
        let rows = [
            (0, 0, 0),
            (1, 1000, 8000),
            (2, 2000, 8000),
            (5, 5000, 8000),
            (6, 8000, 11_200),
            (10, 20_000, 24_000),
            (11, 23_000, 24_000),
        ];
        for (second, bytes, want) in rows {
            let snapshot = snapshot(1, bytes);
            rates.add(start + Duration::from_secs(second), &snapshot);
            let rate = rates.of(&snapshot.streams[0]);
            assert_eq!((rate.received, rate.sent), (want, 2 * want), "{second}");
            assert_eq!(rates.total().received, 10 * want, "{second}");
        }
        for (at, publication, bytes, want) in [
            (12, 2, 30_000, 0),
            (13, 3, 30_100, 0),
            (14, 3, 31_100, 8000),
            (30, 3, 31_100, 0),
            (31, 3, 31_100, 0),
        ] {
            let snapshot = snapshot(publication, bytes);
            rates.add(start + Duration::from_secs(at), &snapshot);
            let rate = rates.of(&snapshot.streams[0]);
            assert_eq!(rate.received, want, "{at}");
        }
        rates.add(start + Duration::from_secs(32), &Snapshot::default());
        assert!(rates.streams.is_empty());
    }
}
