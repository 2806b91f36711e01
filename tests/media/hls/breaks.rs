//! What a stream does that is not steady.

use super::stream::{
    aac_header, avc_header, of_track, other_avc_header, picture, sound, sound_ms, steady,
};
use crate::support::readers::listener::{Listener, START_MS, ids};
use crate::support::readers::playlist_reader::SECOND;
use rtmp_server::media::hls::{MEMORY_MAX, Reload, Reply};
use rtmp_server::rtmp::{Message, MessageType, Timestamp};

fn later(messages: &[Message], ms: u32) -> Vec<Message> {
    let moved = messages.iter().map(|message| Message {
        timestamp: message.timestamp.plus(ms),
        ..message.clone()
    });
    moved.collect()
}

#[test]
fn a_steady_stream_has_equal_parts_and_segments() {
    for fps in [24, 25, 30, 50, 60] {
        let mut listener = Listener::new(None);
        listener.push(&steady(fps, 2 * fps, 24));
        listener.end();
        let segments: Vec<_> = listener.history.segments.values().collect();
        assert_eq!(segments.len(), 12, "{fps}");
        for segment in &segments {
            assert!(
                segment.duration.abs_diff(2 * SECOND) <= 5 * 100_000 / u64::from(fps),
                "{fps}"
            );
            assert!(segment.parts[0].is_independent);
            assert!((4..=5).contains(&segment.parts.len()), "{fps}: {segment:?}");
        }
        let movies = listener.movies();
        assert_eq!(ids(&movies, "vide"), (0..24 * fps).collect::<Vec<_>>());
        assert!(
            listener.drift("vide") <= 100,
            "{fps}: {}",
            listener.drift("vide")
        );
        // Eight segments are named.
        assert_eq!(listener.history.last().segments.len(), 8);
        assert_eq!(listener.history.last().media_sequence, 4);
    }
}

#[test]
fn a_publisher_that_returns_is_a_discontinuity() {
    let mut listener = Listener::new(Some(1000));
    let media = steady(30, 30, 5);
    for turn in 0..12 {
        listener.begin();
        listener.push(&later(&media, turn * 7000));
    }
    listener.end();
    let breaks = listener
        .history
        .segments
        .values()
        .filter(|segment| segment.is_discontinuity);
    assert_eq!(breaks.count(), 11);
    let last = listener.history.last();
    assert!(last.discontinuity_sequence > 5);
    let movies = listener.movies();
    assert_eq!(movies.len(), 12);
    assert_eq!(ids(&movies, "vide").len(), 12 * 150);
    assert!(movies.iter().all(|movie| movie.tracks.len() == 2));
}

#[test]
fn a_new_configuration_is_a_discontinuity_with_a_map() {
    let mut listener = Listener::new(None);
    let media = steady(30, 60, 6);
    listener.push(&media);
    let mut again = media.clone();
    again[0] = other_avc_header(0);
    listener.push(&later(&again, 6000));
    // The same configuration once more changes nothing.
    listener.push(&later(&again, 12_000));
    listener.end();
    let movies = listener.movies();
    assert_eq!(movies.len(), 2);
    assert_ne!(movies[0].tracks[0].entry, movies[1].tracks[0].entry);
    assert_eq!(ids(&movies, "vide").len(), 3 * 180);
}

/// Sound comes 4 s after the pictures: these begin without it.
#[test]
fn a_late_track_is_a_discontinuity() {
    let mut listener = Listener::new(Some(2000));
    let media = steady(30, 60, 10);
    let is_late =
        |message: &&Message| message.kind == MessageType::VIDEO || message.timestamp.0 > 4000;
    let media: Vec<Message> = media.iter().filter(is_late).cloned().collect();
    let mut late = media.clone();
    late.insert(121, aac_header(4000));
    listener.push(&late);
    listener.end();
    let movies = listener.movies();
    let tracks: Vec<usize> = movies.iter().map(|movie| movie.tracks.len()).collect();
    assert_eq!(tracks, [1, 2]);
}

/// Pictures stop, and parts go on with sound; after a while pictures are not promised any more. When
/// they come back, they are. No sound is lost, and every segment is as long as its sound.
#[test]
fn a_track_that_stops_is_not_waited_for() {
    // The time between keyframes, when pictures come back, and how many tracks there are by turns.
    let rows: [(u32, u32, &[usize]); 6] = [
        (1000, 11_000, &[2]),
        (1000, 12_000, &[2]),
        (1000, 14_010, &[2]),
        (1000, 15_500, &[2, 1, 2]),
        (1000, 20_000, &[2, 1, 2]),
        (4000, 15_500, &[2, 1, 2]),
    ];
    for (keyframes_ms, back, tracks) in rows {
        let mut listener = Listener::new(Some(keyframes_ms));
        let media = steady(30, 30 * keyframes_ms / 1000, 30);
        let is_there = |message: &&Message| {
            let gone = 10_010..back;
            message.kind == MessageType::AUDIO || !gone.contains(&message.timestamp.0)
        };
        let all: Vec<Message> = media.iter().filter(is_there).cloned().collect();
        listener.push(&all);
        listener.end();
        let movies = listener.movies();
        let found: Vec<usize> = movies.iter().map(|movie| movie.tracks.len()).collect();
        assert_eq!(found, tracks, "{back}");
        let sounds = ids(&movies, "soun");
        let gap = sounds.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(gap == Some(1) && sounds.is_sorted(), "{back}: {gap:?}");
        // Less than a sound and a bit.
        let drift = listener.drift("soun");
        assert!(drift < SECOND as i64 / 40, "{back}: {drift}");
        let segments = listener.history.segments.values();
        let shortest = segments.map(|segment| segment.duration).min();
        assert!(shortest > Some(SECOND * 9 / 10), "{back}: {shortest:?}");
        listener.check_independence();
    }
}

#[test]
fn long_groups_of_pictures_are_cut() {
    // Known beforehand: whole groups as long as they may be.
    for (keyframes_ms, gop, target) in [(Some(8000), 8, 12), (Some(20_000), 20, 30), (None, 30, 18)]
    {
        let mut listener = Listener::new(keyframes_ms);
        listener.push(&steady(30, 30 * gop, 90));
        assert_eq!(listener.history.last().target, target, "{gop}");
        let all = listener.history.segments.values();
        let independent = all
            .filter(|segment| segment.parts[0].is_independent)
            .count() as u32;
        assert_eq!(independent, 90 / gop, "{gop}");
        assert_eq!(listener.history.last().is_independent, gop <= 20, "{gop}");
    }
    // Longer than expected: cut without a keyframe, and nothing is promised any more.
    let mut listener = Listener::new(Some(2000));
    listener.push(&steady(30, 300, 30));
    assert_eq!(listener.history.last().target, 3);
    assert!(!listener.history.last().is_independent);
    listener.end();
    assert_eq!(
        ids(&listener.movies(), "vide"),
        (0..900).collect::<Vec<_>>()
    );
}

#[test]
fn times_that_jump_are_a_discontinuity_and_those_that_stand_still_are_none() {
    for (jump, files) in [(8000, 1), (12_000, 2), (36_000_000, 2)] {
        let mut listener = Listener::new(Some(1000));
        let media = steady(30, 30, 5);
        listener.push(&media);
        listener.push(&later(&media[2..], 5000 + jump));
        listener.end();
        assert_eq!(listener.movies().len(), files, "{jump}");
        assert_eq!(ids(&listener.movies(), "vide").len(), 300, "{jump}");
    }
    let mut listener = Listener::new(Some(1000));
    let media = steady(30, 30, 5);
    listener.push(&later(&media, 100_000));
    listener.push(&media[2..]);
    listener.end();
    assert_eq!(listener.movies().len(), 2);
}

/// What it is, pictures a second, the time of each picture in ms, and discontinuities.
type Row = (&'static str, u32, Box<dyn Fn(u32) -> u32>, usize);

/// Media of which a segment is longer than its parts may say, or which has a gap.
#[test]
fn segments_are_as_long_as_their_media() {
    let moved = |from: u32, by: u32| move |ms: u32| if ms > from { ms + by } else { ms };
    let rounded = |to: u32| move |ms: u32| ms / to * to;
    #[rustfmt::skip]
    let rows: [Row; 7] = [
        // What, pictures a second, times, breaks.
        ("steady", 30, Box::new(|ms| ms), 0),
        ("3 s forward", 30, Box::new(moved(6500, 3000)), 1),
        ("1 s forward", 30, Box::new(moved(6000, 900)), 0),
        ("8 s forward", 30, Box::new(moved(6500, 8000)), 1),
        ("whole seconds", 30, Box::new(rounded(1000)), 0),
        ("tenths", 30, Box::new(rounded(100)), 0),
        ("a picture a second", 1, Box::new(|ms| ms), 0),
    ];
    for (what, fps, time, breaks) in rows {
        let mut listener = Listener::new(Some(2000));
        let media = steady(fps, 2 * fps, 20);
        let timed = media.iter().map(|message| Message {
            timestamp: Timestamp(time(message.timestamp.0)),
            ..message.clone()
        });
        listener.push(&timed.collect::<Vec<_>>());
        listener.end();
        assert!(
            listener.drift("vide") <= 1,
            "{what}: {}",
            listener.drift("vide")
        );
        let segments = listener.history.segments.values();
        let found = segments.filter(|segment| segment.is_discontinuity).count();
        assert_eq!(found, breaks, "{what}");
        assert_eq!(
            ids(&listener.movies(), "vide").len() as u32,
            20 * fps,
            "{what}"
        );
    }
}

/// HLS that is asked for in the middle of a group has its beginning at once.
#[test]
fn what_was_cached_is_dated_by_its_media() {
    let mut listener = Listener::new(Some(2000));
    let media = steady(30, 60, 10);
    let cached = media.partition_point(|message| message.timestamp.0 < 1900);
    for message in &media[..cached] {
        listener
            .packager
            .push(std::slice::from_ref(message), START_MS + 1900);
    }
    listener.push(&media[cached..]);
    let first = &listener.history.segments[&0];
    assert!(
        first.program_ms.abs_diff(START_MS) <= 40,
        "{}",
        first.program_ms - START_MS
    );
}

/// What comes sooner than all before tells the time better, but no date that players have read may change.
#[test]
fn dates_stay_when_messages_come_sooner() {
    let mut listener = Listener::new(Some(1000));
    for message in steady(30, 30, 14) {
        listener.late_ms = 300 - i64::from(message.timestamp.0 / 50).min(300);
        listener.push(&[message]);
    }
    assert_eq!(listener.history.segments.len(), 6);
}

/// A publisher returns with another clock, and its sound comes before its picture.
#[test]
fn dates_before_a_break_stay() {
    let mut listener = Listener::new(Some(1000));
    listener.push(&steady(30, 30, 7));
    listener.begin();
    let mut again = later(&steady(30, 30, 7), 9000);
    let is_picture = |message: &Message| message.kind == MessageType::VIDEO;
    let first = again
        .iter()
        .skip(1)
        .position(is_picture)
        .expect("a picture")
        + 1;
    again[first..first + 8].sort_by_key(is_picture);
    listener.late_ms = 5000;
    listener.push(&again);
    let breaks = listener.history.segments.values();
    assert_eq!(breaks.filter(|segment| segment.is_discontinuity).count(), 1);
}

#[test]
fn the_wrap_of_times_is_no_break() {
    let mut listener = Listener::new(Some(1000));
    listener.push(&later(&steady(30, 30, 10), u32::MAX - 4000));
    listener.end();
    assert_eq!(listener.movies().len(), 1);
    assert_eq!(ids(&listener.movies(), "vide").len(), 300);
}

#[test]
fn memory_is_bounded() {
    let mut listener = Listener::new(Some(1000));
    let mut highest = 0;
    let media = steady(30, 30, 10);
    for message in &media {
        let mut message = message.clone();
        if message.kind == MessageType::VIDEO && message.payload[1] == 1 {
            let mut payload = message.payload.to_vec();
            payload.resize(600_000, 7);
            message.payload = payload.into();
        }
        let now_ms = START_MS + i64::from(message.timestamp.0);
        listener.packager.push(&[message], now_ms);
        highest = highest.max(listener.packager.memory());
    }
    assert!(
        highest > MEMORY_MAX / 2 && highest <= MEMORY_MAX,
        "{highest}"
    );
    assert!(listener.packager.has_begun());
}

#[test]
fn requests_wait_for_what_is_to_come() {
    let mut listener = Listener::new(Some(2000));
    // Two whole segments and three parts of the third.
    listener.push(&steady(30, 60, 6)[..2 + 166 + 239]);
    let last = listener.history.last();
    let (open, parts) = (
        last.open_sequence(),
        last.open.as_ref().map_or(0, |open| open.parts.len()),
    );
    assert_eq!((open, parts), (2, 3));
    #[rustfmt::skip]
    let rows = [
        (None, None, "now"), (None, Some(0), "never"),
        (Some(0), None, "now"), (Some(1), None, "now"), (Some(1), Some(3), "now"), (Some(1), Some(99), "now"),
        (Some(2), None, "later"), (Some(2), Some(0), "now"), (Some(2), Some(2), "now"),
        (Some(2), Some(3), "later"), (Some(2), Some(8), "later"), (Some(2), Some(9), "never"),
        (Some(3), None, "later"), (Some(3), Some(0), "later"), (Some(4), None, "never"), (Some(u64::MAX), Some(u64::MAX), "never"),
    ];
    let reply = |listener: &Listener, segment, part| match listener.packager.playlist(
        "stream",
        Reload { segment, part },
        "",
    ) {
        Reply::Playlist(_) => "now",
        Reply::Waits => "later",
        Reply::Impossible => "never",
        Reply::Unknown => "unknown",
    };
    for (segment, part, want) in rows {
        assert_eq!(
            reply(&listener, segment, part),
            want,
            "{segment:?} {part:?}"
        );
    }
    listener.end();
    for (segment, part, _) in rows {
        let want = if (segment, part) == (None, Some(0)) {
            "never"
        } else {
            "now"
        };
        assert_eq!(
            reply(&listener, segment, part),
            want,
            "{segment:?} {part:?}"
        );
    }
    assert_eq!(
        listener.packager.playlist("video0", Reload::default(), ""),
        Reply::Unknown
    );
    assert_eq!(listener.packager.resource("nothing"), None);
}

/// Of two pictures and two sounds each playlist is strict by itself.
#[test]
fn playlists_of_several_tracks_are_strict() {
    for name in ["video0", "video1", "audio0", "audio1"] {
        let mut listener = Listener::new(None);
        listener.name = name.to_owned();
        let media = steady(30, 45, 30);
        let both = media
            .iter()
            .flat_map(|message| [message.clone(), of_track(message, 1)]);
        listener.push(&both.collect::<Vec<_>>());
        listener.end();
        let movies = listener.movies();
        assert_eq!((movies.len(), movies[0].tracks.len()), (1, 1));
        let handler = if name.starts_with("video") {
            "vide"
        } else {
            "soun"
        };
        assert!(
            listener.drift(handler) <= 2500,
            "{name}: {}",
            listener.drift(handler)
        );
    }
}

/// One of two pictures is away for a while and comes back in the middle of a group. The break is in all
/// playlists, and in each of them at a place where its own media is cut.
#[test]
fn a_gap_of_one_track_is_a_break_of_all() {
    for name in ["video0", "video1", "audio0", "audio1"] {
        let mut listener = Listener::new(Some(1000));
        listener.name = name.to_owned();
        let is_away = |message: &Message| (4500..9900).contains(&message.timestamp.0);
        let second = |message: &Message| (!is_away(message)).then(|| of_track(message, 1));
        let media = steady(30, 30, 16);
        let both = media
            .iter()
            .flat_map(|message| std::iter::once(message.clone()).chain(second(message)));
        listener.push(&both.collect::<Vec<_>>());
        listener.end();
        let segments = listener.history.segments.values();
        let breaks = segments.filter(|segment| segment.is_discontinuity).count();
        assert_eq!(breaks, 1, "{name}");
        let (handler, count) = match name.starts_with("video") {
            true => ("vide", 480),
            false => ("soun", 690),
        };
        let drift = listener.drift(handler);
        assert!(drift < SECOND as i64 / 20, "{name}: {drift}");
        if name.ends_with('0') {
            assert_eq!(ids(&listener.movies(), handler).len(), count, "{name}");
        }
    }
}

#[test]
fn what_has_no_place_is_told() {
    let mut listener = Listener::new(None);
    let speex = |index: u32| Message {
        payload: vec![0xb2, 1, 2].into(),
        ..sound(sound_ms(index), index)
    };
    listener.push(&(0..100).map(speex).collect::<Vec<_>>());
    assert!(listener.packager.is_unplayable());
    assert_eq!(listener.packager.left_out().len(), 1);
    listener.push(&[avc_header(3000), picture(3000, true, 1)]);
    assert!(!listener.packager.is_unplayable());
}

/// Sound that stands still beside pictures, or is always ahead of them, and that small frames bring with
/// much around them.
#[test]
fn what_waits_for_a_part_is_bounded() {
    for step_ms in [0, 40] {
        let mut listener = Listener::new(Some(2000));
        listener.push(&steady(25, 50, 5));
        let mut highest = 0;
        for index in 0..200 {
            let mut long = sound(5000 + index * step_ms, index).payload.to_vec();
            long.resize(256 << 10, 7);
            let message = Message {
                payload: long.into(),
                ..sound(5000 + index * step_ms, index)
            };
            listener.packager.push(&[message], START_MS);
            highest = highest.max(listener.packager.held_len());
        }
        let before = listener.packager.memory();
        assert!(
            highest < before + (17 << 20),
            "{step_ms}: {highest} {before}"
        );
    }
}

/// Each step is as far as a time can go: in the end the clock is beyond what nanoseconds can count.
#[test]
fn times_that_only_jump_are_survived() {
    let mut listener = Listener::new(None);
    listener.push(&[avc_header(0), aac_header(0)]);
    for index in 0..12_000_u32 {
        let time = index.wrapping_mul(i32::MAX as u32);
        let messages = [picture(time, true, index), sound(time, index)];
        listener.packager.push(&messages, START_MS);
    }
    listener.packager.end();
    assert!(listener.packager.memory() <= MEMORY_MAX);
}
