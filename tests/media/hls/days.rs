//! Streams that last longer than the times of messages count. `SOAK_DAYS` makes them longer.

use super::stream::{aac_header, avc_header, picture, sound};
use crate::support::readers::listener::Listener;
use rtmp_server::rtmp::Message;

const DAY_MS: u64 = 86_400_000;

/// Where the times of messages change sign, and where they wrap.
const EDGES_MS: [u64; 2] = [1 << 31, 1 << 32];

/// A group of pictures every second, each behind headers that say 0, as some encoders have it.
fn group(from_ms: u64) -> Vec<Message> {
    let mut messages = vec![avc_header(0), aac_header(0)];
    for index in 0..10 {
        let ms = (from_ms + index * 100) as u32;
        messages.push(picture(ms, index == 0, (from_ms / 100 + index) as u32));
        messages.push(sound(ms, index as u32));
    }
    messages
}

/// The distances between the first samples of a track, in ms, in what was packaged.
fn steps_ms(listener: &Listener, handler: &str) -> Vec<u64> {
    let movies = listener.movies();
    assert_eq!(movies.len(), 1, "one init serves all");
    let track = movies[0]
        .tracks
        .iter()
        .find(|track| track.handler == handler);
    let track = track.expect("a track");
    let times = track.samples.windows(2);
    let steps =
        times.map(|pair| (pair[1].decode - pair[0].decode) * 1000 / u64::from(track.timescale));
    steps.collect()
}

#[test]
fn headers_at_0_do_not_move_the_clock_over_an_edge() {
    for edge_ms in EDGES_MS {
        let mut listener = Listener::new(Some(1000));
        for second in 0..12 {
            listener.push(&group(edge_ms - 5950 + second * 1000));
        }
        listener.end();
        let segments = listener.history.segments.values();
        let breaks = segments.filter(|segment| segment.is_discontinuity);
        assert_eq!(breaks.count(), 0, "{edge_ms}");
        let steps = steps_ms(&listener, "vide");
        assert_eq!(steps, vec![100; 119], "{edge_ms}");
    }
}

/// One group of pictures every few hours, each for itself: time goes on, in the playlist as well.
#[test]
fn sixty_days_go_by() {
    let mut listener = Listener::new(Some(1000));
    let mut ms = 0;
    let mut groups = 0;
    while ms < 60 * DAY_MS {
        for second in 0..3 {
            listener.push(&group(ms + second * 1000));
        }
        groups += 1;
        ms += 3 * 3_600_000 + 37;
    }
    listener.end();
    let last = listener.history.last();
    let (first, end) = (
        listener.history.segments.values().next(),
        last.segments.last(),
    );
    let passed_ms = end.expect("a segment").program_ms - first.expect("a segment").program_ms;
    let days = passed_ms as u64 / DAY_MS;
    assert_eq!(days, 59, "{groups} groups, {passed_ms} ms");
    assert!(last.discontinuity_sequence + 8 >= groups, "{last:?}");
}
