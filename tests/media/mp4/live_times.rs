//! Times of live responses, as browsers need them.

use super::live::{Response, responses, stream};
use crate::media::mp4_reader;
use rtmp_server::media::mp4::live::TrackChoice;
use std::ops::Range;

/// Pictures with this step, in ms.
fn every(step: usize, count: usize) -> Vec<String> {
    let word = |n| format!("avc@{}{}", n * step, if n == 0 { "!" } else { "" });
    (0..count).map(word).collect()
}

/// Pictures with a step of 40 ms, without some.
fn without(hole: Range<usize>) -> Vec<String> {
    let mut words = every(40, 200);
    words.drain(hole);
    words
}

fn b_frames_without(missing: usize) -> Vec<String> {
    let offset = |n: usize| match n % 3 {
        0 => 40,
        1 => 120,
        _ => 0,
    };
    let key = |n| if n == 0 { "!" } else { "" };
    let numbers = (0..60).filter(|n| *n != missing);
    numbers
        .map(|n| format!("avc@{}+{}{}", n * 40, offset(n), key(n)))
        .collect()
}

/// Pictures, and sound that is missing for some of them.
fn sound_without(hole: Range<usize>) -> Vec<String> {
    let mut words = vec!["meta".to_owned()];
    for (n, word) in every(40, 100).into_iter().enumerate() {
        words.push(word);
        if !hole.contains(&n) {
            words.extend([0, 20].map(|ms| format!("aac@{}", n * 40 + ms)));
        }
    }
    words
}

/// Two pictures at each time.
fn pairs() -> Vec<String> {
    let mut words = every(40, 450);
    let again = words.split_off(1);
    words.extend(again.into_iter().flat_map(|word| [word.clone(), word]));
    words
}

/// When samples of this kind are to be shown, in ms.
fn due(words: &[String], kind: &str) -> Vec<u64> {
    let of_kind = words.iter().filter_map(|word| word.strip_prefix(kind));
    let numbers = |rest: &str| {
        let numbers = rest.trim_end_matches('!').split('+');
        numbers.map(|text| text.parse::<u64>().expect("ms")).sum()
    };
    of_kind.map(numbers).collect()
}

/// When the samples of each track are shown, in ms. Fails if decode times step too far.
fn shown(what: &str, response: &Response) -> [Vec<u64>; 2] {
    // Of each track: when the last sample is decoded, and how long it was told to be.
    let mut last = [None::<(u64, u64)>; 2];
    let mut shown = [Vec::new(), Vec::new()];
    for (_, fragment, _) in &response.fragments {
        let bytes = [&response.initialization[..], fragment].concat();
        let movie = mp4_reader::read_live(&bytes).expect("a fragment");
        for (index, track) in movie.tracks.iter().enumerate() {
            let scale = u64::from(track.timescale);
            for sample in &track.samples {
                if let Some((decode, duration)) = last[index] {
                    let step = sample.decode - decode;
                    let is_near = step > 0 && step < 2 * duration.max(2);
                    assert!(is_near, "{what}: {step} after {duration}");
                }
                last[index] = Some((sample.decode, u64::from(sample.duration)));
                let ticks = sample.decode.saturating_add_signed(sample.composition);
                shown[index].push((ticks * 1000 + scale / 2) / scale - 10_000);
            }
        }
    }
    shown
}

/// Browsers leave out everything until the next keyframe if decode times step by more than twice the
/// duration of the last sample. The samples are shown when they are due all the same.
#[test]
fn decode_times_follow_the_durations_that_were_told() {
    let rows = [
        ("30 a second", every(33, 50)),
        ("10 a second", every(100, 50)),
        ("5 a second", every(200, 50)),
        ("1 a second", every(1000, 20)),
        ("one is missing", without(50..51)),
        ("four are missing", without(50..54)),
        ("3 s are missing", without(50..125)),
        ("one with B-frames is missing", b_frames_without(30)),
        ("two at each time", pairs()),
        ("sound is missing", sound_without(40..50)),
    ];
    for (what, words) in rows {
        let responses = responses(TrackChoice::default(), &stream(&words.join(" ")));
        let [response] = &responses[..] else {
            panic!("{what}: {} responses", responses.len());
        };
        let [pictures, sound] = shown(what, response);
        assert_eq!(pictures, due(&words, "avc@"), "{what}");
        // Sound counts its samples, so it may be off by a little.
        let near = |(shown, due): (&u64, &u64)| shown.abs_diff(*due) <= 100;
        let due = due(&words, "aac@");
        assert_eq!(sound.len(), due.len(), "{what}");
        assert!(sound.iter().zip(&due).all(near), "{what}: {sound:?}");
    }
}
