//! Random streams: whatever they do, playlists are strict, and what was sent is in the segments, in
//! order, once, and at its time.

use super::stream::{aac_header, avc_header, other_avc_header, picture, sound, sound_ms};
use crate::support::readers::listener::{Listener, SETTINGS, START_MS, names};
use proptest::prelude::*;
use rtmp_server::media::hls::{Packager, Reload};
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};
use std::collections::BTreeMap;

/// What happens in a stream, beside media.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Another configuration of pictures, before the next keyframe.
    Configuration,
    /// The publisher comes back.
    Return,
    /// No sound for this long, in ms.
    Silence(u32),
    /// Nothing at all for this long, in ms.
    Stall(u32),
}

#[derive(Clone, Debug)]
struct Plan {
    fps: u32,
    jitter_ms: u32,
    gop_ms: u32,
    /// When sound begins, if it does, in ms.
    sound_from: Option<u32>,
    /// Behind the pictures by so much, in ms, on arrival.
    sound_lag_ms: u32,
    seconds: u32,
    events: Vec<(u32, Event)>,
    known_gop: bool,
    /// Times are multiples of this, in ms.
    step_ms: u32,
    seed: u32,
}

fn plan() -> impl Strategy<Value = Plan> {
    let event = prop_oneof![
        Just(Event::Configuration),
        Just(Event::Return),
        (200..9000_u32).prop_map(Event::Silence),
        (200..9000_u32).prop_map(Event::Stall),
    ];
    let events = proptest::collection::vec((500..40_000_u32, event), 0..4);
    let step = prop_oneof![4 => Just(1), 1 => Just(100), 1 => Just(1000)];
    let sound = prop_oneof![3 => Just(Some(0)), 1 => (0..6000_u32).prop_map(Some), 1 => Just(None)];
    (
        (1..61_u32, 0..12_u32, 300..20_000_u32, sound, 0..400_u32),
        (12..45_u32, events, any::<bool>(), step, any::<u32>()),
    )
        .prop_map(|(first, second)| Plan {
            fps: first.0,
            jitter_ms: first.1,
            gop_ms: first.2,
            sound_from: first.3,
            sound_lag_ms: first.4,
            seconds: second.0,
            events: second.1,
            known_gop: second.2,
            step_ms: second.3,
            seed: second.4,
        })
}

/// One step of a stream.
enum Step {
    Send(Message),
    Return,
}

/// What was sent: each picture's time, and whether a decoder can begin with it; each sound's time.
#[derive(Default)]
struct Sent {
    pictures: Vec<(u32, bool)>,
    /// The pictures before which media breaks.
    breaks: Vec<usize>,
    sounds: BTreeMap<u32, u32>,
}

fn steps(plan: &Plan) -> (Vec<Step>, Sent) {
    let mut sent = Sent::default();
    let mut seed = plan.seed;
    let mut random = move |max: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % (max + 1)
    };
    let mut events = plan.events.clone();
    events.sort_by_key(|(at, _)| *at);
    let mut out = vec![Step::Send(avc_header(0))];
    out.extend(
        plan.sound_from
            .filter(|from| *from == 0)
            .map(|_| Step::Send(aac_header(0))),
    );
    let (mut configuration, mut shift, mut last, mut silent_until) = (0, 0, 0, 0);
    let (mut key_at, mut sound_index) = (0, 0);
    let mut has_sound = plan.sound_from == Some(0);
    for index in 0..plan.fps * plan.seconds {
        let due = index * 1000 / plan.fps;
        while events.first().is_some_and(|(at, _)| *at <= due) {
            match events.remove(0).1 {
                Event::Configuration => {
                    configuration = 1 - configuration;
                    key_at = due;
                    sent.breaks.push(sent.pictures.len());
                    out.push(Step::Send(header(configuration, due + shift)));
                }
                Event::Return => {
                    key_at = due;
                    shift += 500;
                    sent.breaks.push(sent.pictures.len());
                    out.push(Step::Return);
                    out.push(Step::Send(header(configuration, due + shift)));
                    out.extend(has_sound.then(|| Step::Send(aac_header(due + shift))));
                }
                Event::Silence(ms) => silent_until = due + ms,
                Event::Stall(ms) => shift += ms,
            }
        }
        if plan
            .sound_from
            .is_some_and(|from| !has_sound && due >= from)
        {
            has_sound = true;
            out.push(Step::Send(aac_header(due + shift)));
        }
        let ms = (due + shift + random(plan.jitter_ms)).max(last);
        let ms = ms / plan.step_ms * plan.step_ms;
        last = ms;
        let is_key = due >= key_at;
        if is_key {
            key_at = due + plan.gop_ms;
        }
        out.push(Step::Send(picture(ms, is_key, sent.pictures.len() as u32)));
        sent.pictures.push((ms, is_key));
        while sound_ms(sound_index) + plan.sound_lag_ms <= due {
            let at = sound_ms(sound_index);
            if has_sound && at >= silent_until {
                out.push(Step::Send(sound(at + shift, sound_index)));
                sent.sounds.insert(sound_index, at + shift);
            }
            sound_index += 1;
        }
    }
    (out, sent)
}

fn header(configuration: u32, ms: u32) -> Message {
    match configuration {
        0 => avc_header(ms),
        _ => other_avc_header(ms),
    }
}

fn check(plan: &Plan) {
    let (steps, sent) = steps(plan);
    let mut listener = Listener::new(plan.known_gop.then_some(plan.gop_ms));
    for step in steps {
        match step {
            Step::Send(message) => listener.push(&[message]),
            Step::Return => listener.begin(),
        }
    }
    listener.end();
    assert!(listener.history.last().is_over);
    // A segment begins where those before it end, to the last digit.
    assert!(listener.drift("vide") <= 1, "{}", listener.drift("vide"));
    let movies = listener.movies();
    let tracks = || movies.iter().flat_map(|movie| &movie.tracks);
    let id = |data: &[u8]| u32::from_be_bytes(data.try_into().expect("an id"));
    // Every picture at its time, but for those before the first keyframe behind a break.
    let pictures = tracks().filter(|track| track.handler == "vide");
    let mut next = 0;
    for sample in pictures.flat_map(|track| &track.samples) {
        let found = id(&sample.data);
        for left_out in next..found {
            let (_, is_key) = sent.pictures[left_out as usize];
            // What was configured otherwise before it was known which tracks there are is left out: a
            // second has to pass, which only the next picture may tell, late by its jitter and the first's.
            let known_ms = 2000 + 2 * plan.jitter_ms;
            let is_early = |at: &usize| *at > left_out as usize && sent.pictures[*at].0 <= known_ms;
            let is_before_all = next == 0 && sent.breaks.iter().any(is_early);
            assert!(!is_key || is_before_all, "keyframe {left_out} is left out");
        }
        let (ms, is_key) = sent.pictures[found as usize];
        assert!(found == next || is_key, "{found} follows {next}");
        assert!(found >= next, "{found} again");
        assert_eq!(sample.is_sync, is_key);
        let shown = sample.decode as i64 + sample.composition;
        assert_eq!(shown, i64::from(ms + 10_000) * 90, "picture {found}");
        next = found + 1;
    }
    assert_eq!(next as usize, sent.pictures.len(), "pictures at the end");
    // Sound in order, near its time.
    let sounds = tracks().filter(|track| track.handler == "soun");
    let mut last = None;
    let mut count = 0;
    for sample in sounds.flat_map(|track| &track.samples) {
        let found = id(&sample.data);
        assert!(
            last.is_none_or(|last| last < found),
            "{found} behind {last:?}"
        );
        last = Some(found);
        let ms = (sample.decode * 1000 / 44_100) as i64 - 10_000;
        let due = i64::from(sent.sounds[&found]);
        assert!((ms - due).abs() <= 125, "sound {found} at {ms} for {due}");
        count += 1;
    }
    // Sound that begins, returns or changes waits for a keyframe.
    let missing = sent.sounds.len() - count;
    let waits = (plan.events.len() + 1) * (plan.gop_ms as usize / 23 + 60) + 20;
    assert!(missing <= waits, "{missing} sounds are missing");
}

/// Messages that no encoder would send, of which some begin like those of one.
fn noise() -> impl Strategy<Value = Message> {
    let fronts: Vec<Vec<u8>> = vec![
        avc_header(0).payload.to_vec(),
        other_avc_header(0).payload.to_vec(),
        aac_header(0).payload.to_vec(),
        vec![0x17, 1, 0, 0, 0],
        vec![0x27, 1, 0xff, 0xff, 0xff],
        vec![0xaf, 1],
        b"\x90hvc1".to_vec(),
        b"\x91av01".to_vec(),
        b"\x96\x01avc1\x01".to_vec(),
        b"\x95\x01mp4a\x01".to_vec(),
        vec![],
    ];
    let rest = proptest::collection::vec(any::<u8>(), 0..6);
    let time = prop_oneof![4 => 0..20_000_u32, 1 => any::<u32>()];
    let kind = prop_oneof![Just(8), Just(9), Just(18)];
    let parts = (proptest::sample::select(fronts), rest, time, kind);
    parts.prop_map(|(front, rest, time, kind)| Message {
        timestamp: Timestamp(time),
        ..Message::untimed(MessageType(kind), StreamId(1), [front, rest].concat())
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_is_too_strange(messages in proptest::collection::vec(noise(), 0..400)) {
        let mut packager = Packager::new(SETTINGS, None, names());
        packager.begin();
        for (now_ms, message) in (START_MS..).zip(messages) {
            packager.push(&[message], now_ms);
            let _ = packager.playlist("stream", Reload::default(), "");
            let _ = packager.multivariant("");
        }
        packager.end();
        let _ = packager.playlist("stream", Reload::default(), "");
    }

    #[test]
    fn whatever_a_stream_does_its_playlists_are_strict(plan in plan()) {
        check(&plan);
    }
}
