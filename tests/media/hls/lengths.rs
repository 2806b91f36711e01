//! No segment is longer than the target duration (RFC 8216 §4.3.3.1), whatever samples say of their length
//! and whenever they come. The listener refuses a playlist with one that is.

use super::stream::{avc_header, flac, flac_header, of_track, picture, steady};
use crate::support::readers::listener::Listener;
use crate::support::readers::playlist_reader::SECOND;
use rtmp_server::rtmp::{Message, MessageType};

/// The target duration, discontinuities, and how long all segments are, in seconds.
fn lengths(listener: &Listener) -> (u64, usize, f64) {
    let segments = listener.history.segments.values();
    let breaks = segments.clone().filter(|segment| segment.is_discontinuity);
    let all: u64 = segments.map(|segment| segment.duration).sum();
    let target = listener.history.last().target;
    (target, breaks.count(), all as f64 / SECOND as f64)
}

/// Sound that is longer or shorter than it says.
#[test]
fn sound_is_as_long_as_its_messages() {
    #[rustfmt::skip]
    let rows = [
        // Rate, samples of a frame, ms between messages; target, and how much longer in the end, in s.
        (48_000, 4096, 85, 3, 0.3),
        (8000, 4096, 512, 3, 0.1),
        (8000, 65_535, 8192, 13, 0.1),
        (1000, 4096, 4096, 7, 0.1),
        (1000, 1000, 1000, 3, 0.1),
        // Untrue: what a frame says is 4, 29, 50 or 410 times as long.
        (48_000, 4096, 21, 3, 1.5),
        (1000, 576, 20, 3, 5.0),
        (1000, 1000, 20, 3, 5.0),
        (8000, 65_535, 20, 3, 0.1),
    ];
    for (rate, len, step, target, late) in rows {
        let mut listener = Listener::new(None);
        listener.push(&[flac_header(rate)]);
        let count = 24_000_u32.div_ceil(step);
        for index in 0..count {
            listener.push(&[flac(index * step, len, index)]);
        }
        listener.end();
        let (found, breaks, all) = lengths(&listener);
        let sent = f64::from(count * step) / 1000.0;
        let what = format!("{rate} {len} {step}: {all} of {sent}");
        assert_eq!((found, breaks), (target, 0), "{what}");
        assert!((-0.1..late).contains(&(all - sent)), "{what}");
    }
}

/// A clock that is coarser than the times of messages could not say them.
#[test]
fn sound_of_less_than_a_thousand_samples_a_second_is_left_out() {
    for (rate, is_sound) in [(0, false), (1, false), (999, false), (1000, true)] {
        let mut listener = Listener::new(None);
        listener.push(&[flac_header(rate)]);
        listener.push(&(0..400).map(|n| flac(n * 20, 20, n)).collect::<Vec<_>>());
        assert_eq!(listener.packager.has_begun(), is_sound, "{rate}");
        assert_eq!(listener.packager.is_unplayable(), !is_sound, "{rate}");
    }
}

/// Pictures that come seldom are as long as they are shown, where that is not known beforehand either.
#[test]
fn seldom_pictures_are_segments() {
    #[rustfmt::skip]
    let rows = [
        // Between keyframes as it was known, between pictures, in ms; target, breaks, all of 8 in s.
        (None, 3500, 6, 0, 28.0),
        (None, 7000, 11, 0, 56.0),
        (None, 10_000, 15, 0, 80.0),
        (Some(9000), 9000, 14, 0, 72.0),
        // The target never changes.
        (Some(2000), 9000, 3, 7, 8.0 / 30.0),
    ];
    for (known, step, target, breaks, all) in rows {
        let mut listener = Listener::new(known);
        listener.push(&[avc_header(0)]);
        let pictures = (0..8).map(|index| picture(index * step, true, index));
        listener.push(&pictures.collect::<Vec<_>>());
        listener.end();
        let found = lengths(&listener);
        assert_eq!((found.0, found.1), (target, breaks), "{step}");
        assert!((found.2 - all).abs() < 0.001, "{step}: {}", found.2);
    }
}

/// Pictures a second apart, then closer, then a second apart again: parts do not end where they should.
#[test]
fn uneven_pictures_do_not_make_long_segments() {
    let mut seed = 12_345_u32;
    let mut random = |max: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % max
    };
    for number in 0..300 {
        let usual = [500, 1000][random(2) as usize];
        let (mut ms, mut media) = (0, vec![avc_header(0)]);
        for index in 0..60 {
            media.push(picture(ms, index == 0 || random(30) == 0, index));
            ms += match random(4) {
                _ if index < 4 => usual,
                0 => 10,
                1 => usual,
                2 => random(1090),
                _ => random(300),
            };
        }
        let mut listener = Listener::new((number % 2 == 0).then_some(2000));
        listener.push(&media);
        listener.end();
    }
}

/// A playlist whose media comes before that of the first one does not wait for its target duration.
#[test]
fn tracks_that_are_ahead_have_no_long_segments() {
    let is_sound = |message: &Message| message.kind == MessageType::AUDIO;
    let is_second = |message: &Message| !is_sound(message) && message.payload[6] == 1;
    for ahead_ms in [0, 500, 2000, 4500] {
        for name in ["video0", "video1", "audio0", "audio1"] {
            let media = steady(30, 60, 14);
            let mut both: Vec<Message> = media
                .iter()
                .flat_map(|message| [of_track(message, 0), of_track(message, 1)])
                .collect();
            both[4..].sort_by_key(|message| {
                let is_ahead = is_sound(message) || is_second(message) && ahead_ms <= 500;
                let ahead_ms = if is_ahead { ahead_ms } else { 0 };
                i64::from(message.timestamp.0) - ahead_ms
            });
            let mut listener = Listener::new(None);
            listener.name = name.to_owned();
            listener.push(&both);
            listener.end();
            let (target, breaks, all) = lengths(&listener);
            let what = format!("{name} {ahead_ms}: {target}, {breaks} breaks, {all} s");
            assert_eq!((target, breaks), (3, 0), "{what}");
            assert!((13.9..14.1).contains(&all), "{what}");
        }
    }
}
