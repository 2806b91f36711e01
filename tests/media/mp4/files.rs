//! Recordings of many kinds, unfinished and finished: the same samples, at the times at which they
//! were published.

use super::messages::{Message, message, messages};
use super::recording::Recording;
use crate::media::mp4_reader::{self, Movie, Track};
use proptest::prelude::*;
use rtmp_server::media::mp4::{Hybrid, INDEX_LEN_MAX};
use rtmp_server::media::sample::{MediaType, TrackId};
use rtmp_server::media::tracks::MediaSample;
use rtmp_server::rtmp::MessageType;
use std::sync::Arc;

/// StreamTracks by name: what introduces each, and what stands in front of its frames.
#[rustfmt::skip]
pub const KINDS: [(&str, &str, &str); 10] = [
    ("avc", "v:1700000000014d400dffe10019674d400deca0a0cfcf8088000003000800000301e078a14cb001000468ce0fc8", "K701"),
    ("hevc", "v:90687663310101600000009000000000003cf000fcfdf8f800000f03200001001840010c01ffff01600000030090000003000003003c959409210001002b42010101600000030090000003000003003ca00a080c1f3e595952930bc05a020000030002000003003c1022000100064401c073c189", "E168766331"),
    ("av1", "v:906176303181000c000a0b0200000521e7f66017c002", "E161763031"),
    ("avc2", "v:960061766331010142c00bffe100186742c00bda0a37e4c044000003000400000300f03c50aa8001000468ce0fc8", "E6016176633101"),
    ("aac", "a:af00121056e500", "af01"),
    ("opus", "a:904f7075734f707573486561640102380180bb0000000000", "914f707573fc"),
    ("opus2", "a:95004f707573014f707573486561640101380180bb0000000000", "95014f70757301fc"),
    ("mp3", "", "2efffb50c4"),
    ("flac", "a:90664c6143040004000000000008150bb800f00000000000000000000000000000000000000000", "91664c6143fff8aa08"),
    ("ac3", "", "9161632d330b77fe95144043e106f46370"),
];

/// A frame of a kind: `at` ms, `offset` ms later shown, and `bytes` of its own.
pub fn frame(kind: &str, at: u64, offset: i32, key: bool, bytes: &[u8]) -> Message {
    let (_, _, front) = KINDS.iter().find(|known| known.0 == kind).expect("a kind");
    let (legacy, enhanced) = if key { ("1", "9") } else { ("2", "a") };
    let front = front.replace('K', legacy).replace('E', enhanced);
    let mut payload = super::messages::bytes(&front);
    let is_video = front.starts_with(['1', '2']) && !front.starts_with("2e") || kind.contains("v");
    let is_video = is_video && !matches!(kind, "mp3" | "aac");
    if is_video && kind != "av1" {
        payload.extend_from_slice(&offset.to_be_bytes()[1..]);
    }
    payload.extend_from_slice(bytes);
    let kind = if is_video {
        MessageType::VIDEO
    } else {
        MessageType::AUDIO
    };
    message(kind, at, &payload)
}

/// What introduces a kind.
pub fn header(kind: &str) -> Vec<Message> {
    let (_, header, _) = KINDS.iter().find(|known| known.0 == kind).expect("a kind");
    messages(header)
}

/// Messages by words: a kind, its time, `+` or `-` and the composition offset, `!` for a keyframe.
fn stream(words: &str) -> Vec<Message> {
    let mut known: Vec<&str> = Vec::new();
    let mut out = Vec::new();
    for (number, word) in (0_u32..).zip(words.split_whitespace()) {
        let (kind, rest) = word.split_once('@').expect("kind@time");
        if !known.contains(&kind) {
            known.push(kind);
            out.extend(header(kind));
        }
        let (rest, key) = match rest.strip_suffix('!') {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let split = rest.find(['+', '-']).unwrap_or(rest.len());
        let (at, offset) = rest.split_at(split);
        let offset = offset.parse().unwrap_or(0);
        let bytes = [&number.to_be_bytes()[..], word.as_bytes()].concat();
        out.push(frame(kind, at.parse().expect("ms"), offset, key, &bytes));
    }
    out
}

/// The samples of a track that were published.
fn published(recording: &Recording, id: TrackId) -> Vec<(&MediaSample, &[u8])> {
    let own = recording
        .samples
        .iter()
        .filter(|(sample, _)| sample.track == id);
    own.map(|(sample, payload)| (sample, &payload[sample.data.clone()]))
        .collect()
}

/// What has to hold of any recording.
fn check(recording: &Recording) -> (Movie, Movie) {
    let unfinished = mp4_reader::read(&recording.unfinished()).expect("an unfinished file");
    let finished = mp4_reader::read(&recording.finished()).expect("a finished file");
    assert_eq!(finished.top, ["ftyp", "mdat", "moov"]);
    assert_eq!(finished.created, 1_700_000_000 + 2_082_844_800);
    assert_eq!(finished.encoder.as_deref(), Some("enc 1.0"));
    let mut origin = None;
    for (number, track) in (1..).zip(&recording.tracks) {
        let want = published(recording, track.id);
        let found = |movie: &Movie| -> Option<Track> {
            movie
                .tracks
                .iter()
                .find(|track| track.number == number)
                .cloned()
        };
        let growing = found(&unfinished).expect("a track");
        check_samples(&growing, &want, track.id.medium);
        let Some(complete) = found(&finished) else {
            assert!(want.is_empty(), "a track is missing");
            continue;
        };
        assert_eq!(complete.entry, growing.entry);
        assert_eq!(complete.samples.len(), growing.samples.len());
        for (one, other) in complete.samples.iter().zip(&growing.samples) {
            assert_eq!((&one.data, one.is_sync), (&other.data, other.is_sync));
            assert_eq!(one.duration, other.duration);
            // The same distance for all samples of all tracks, but for what a millisecond rounds off.
            let shown = complete.shown(one, finished.timescale);
            let before = other.decode as i64 + other.composition;
            let moved = (before - shown) * 1_000_000 / i64::from(complete.timescale);
            let origin = *origin.get_or_insert(moved);
            assert!((moved - origin).abs() <= 1000, "{moved} for {origin}");
        }
    }
    // Something is shown at the very beginning, and nothing before.
    let first = finished.tracks.iter().flat_map(|track| {
        track
            .samples
            .iter()
            .map(|sample| track.shown(sample, finished.timescale))
    });
    assert!(first.min().is_none_or(|first| first == 0));
    (unfinished, finished)
}

fn check_samples(track: &Track, want: &[(&MediaSample, &[u8])], medium: MediaType) {
    assert_eq!(track.samples.len(), want.len());
    let mut next = None;
    for (sample, (published, data)) in track.samples.iter().zip(want) {
        assert_eq!(sample.data, *data);
        assert_eq!(sample.is_sync, published.is_sync);
        assert!(
            next.is_none_or(|next| next == sample.decode),
            "no holes in decode time"
        );
        next = Some(sample.decode + u64::from(sample.duration));
        let ticks =
            |ns: u64| (ns as i128 * i128::from(track.timescale) + 500_000_000) / 1_000_000_000;
        let due = ticks(published.time_ns);
        match medium {
            MediaType::Video => {
                let shown = due + i128::from(published.composition_ms) * 90;
                assert_eq!(
                    i128::from(sample.decode) + i128::from(sample.composition),
                    shown
                );
                assert!(i128::from(sample.decode) >= due);
            }
            MediaType::Audio => {
                assert_eq!(sample.composition, 0);
                let late = due - i128::from(sample.decode);
                assert!(
                    late <= i128::from(track.timescale / 10),
                    "sound is {late} late"
                );
            }
        }
    }
}

/// Each track of a finished file: number, edits, and of each sample decode time, when it is shown,
/// and duration.
fn shown(movie: &Movie) -> String {
    let track = |track: &Track| {
        let edits: Vec<String> = track
            .edits
            .iter()
            .map(|(duration, at)| format!("[{duration} {at}]"))
            .collect();
        let sample = |sample: &mp4_reader::Sample| {
            let shown = track.shown(sample, movie.timescale);
            format!("{}/{shown}+{}", sample.decode, sample.duration)
        };
        let samples: Vec<String> = track.samples.iter().map(sample).collect();
        format!("{}:{} {}", track.number, edits.concat(), samples.join(" "))
    };
    let tracks: Vec<String> = movie.tracks.iter().map(track).collect();
    tracks.join("; ")
}

#[test]
fn times_of_finished_files() {
    #[rustfmt::skip]
    let rows = [
        // Pictures alone, sound alone.
        ("avc@0! avc@33 avc@67", "1: 0/0+2970 2970/2970+3060 6030/6030+3060"),
        ("aac@0 aac@23 aac@46", "1: 0/0+1024 1024/1024+1024 2048/2048+1024"),
        ("mp3@5 mp3@31", "1: 0/0+1152 1152/1152+1152"),
        // B-frames: what is shown first is at 0.
        ("avc@0+67! avc@33+100 avc@67-1", "1:[101 5940] 0/90+2970 2970/6030+3060 6030/0+3060"),
        // Sound that begins later, and earlier; the sound's first 44 ms are not lost.
        ("avc@0+67! aac@44 avc@33+33 aac@67",
         "1:[22 -1][34 5940] 0/2070+2970 2970/1980+2970; 2: 0/0+1024 1024/1024+1024"),
        ("aac@0 avc@20! aac@23 avc@60",
         "1:[20 -1][80 0] 0/1800+3600 3600/5400+3600; 2: 0/0+1024 1024/1024+1024"),
        // A picture that is shown before it is decoded.
        ("avc@0-33! avc@40-33 avc@80-33", "1: 0/0+3600 3600/3600+3600 7200/7200+3600"),
        // A pause, and times that stand still and go back: what is shown stays where it was.
        ("avc@0! avc@9000 avc@9040", "1: 0/0+810000 810000/810000+3600 813600/813600+3600"),
        ("avc@0! avc@40 avc@40 avc@30 avc@80",
         "1: 0/0+3600 3600/3600+1 3601/3600+1 3602/2700+3598 7200/7200+3598"),
        ("aac@0 aac@23 aac@5000", "1: 0/0+1024 1024/1024+219476 220500/220500+1024"),
        // Many tracks.
        ("avc@0! avc2@0! aac@0 opus2@0 avc@40 avc2@40 aac@23 opus2@20",
         "1: 0/0+3600 3600/3600+3600; 2: 0/0+3600 3600/3600+3600; 3: 0/0+1024 1024/1024+1024; 4: 0/0+960 960/960+960"),
        // A track that begins late, and one that ends early.
        ("avc@0! avc@1000 avc@2000! aac@2010 avc@3000 aac@2033",
         "1: 0/0+90000 90000/90000+90000 180000/180000+90000 270000/270000+90000; 2:[2010 -1][47 0] 0/88641+1024 1024/89665+1024"),
    ];
    for (words, want) in rows {
        let (_, finished) = check(&Recording::new(&stream(words)));
        assert_eq!(shown(&finished), want, "{words}");
    }
}

#[test]
fn tracks_are_told_apart_by_players() {
    let words = "avc@0! avc2@0! aac@0 opus2@0 avc@40 avc2@40 aac@23 opus2@20";
    let (_, finished) = check(&Recording::new(&stream(words)));
    let tracks = finished.tracks.iter();
    let found: Vec<_> = tracks
        .map(|track| (&*track.handler, track.enabled, track.group))
        .collect();
    let want = [
        ("vide", true, 1),
        ("vide", false, 1),
        ("soun", true, 2),
        ("soun", false, 2),
    ];
    assert_eq!(found, want);
    let (_, finished) = check(&Recording::new(&stream("avc@0! aac@0")));
    assert!(
        finished
            .tracks
            .iter()
            .all(|track| track.enabled && track.group == 0)
    );
}

#[test]
fn decoders_of_sound_are_told_where_to_begin() {
    let rows = [
        ("avc@0! aac@0 aac@23", [None, Some(-1)]),
        // 20 ms a frame.
        ("avc@0! opus@0 opus@20", [None, Some(-4)]),
        ("avc@0! mp3@0 mp3@26", [None, None]),
    ];
    for (words, want) in rows {
        let (unfinished, finished) = check(&Recording::new(&stream(words)));
        let rolls = |movie: &Movie| -> Vec<Option<i16>> {
            movie.tracks.iter().map(|track| track.roll).collect()
        };
        assert_eq!(rolls(&finished), want, "{words}");
        assert_eq!(rolls(&unfinished), [None, None], "{words}");
    }
}

#[test]
fn a_track_that_is_added_is_in_the_finished_file() {
    let of = |words: &str| Recording::new(&stream(words));
    let whole =
        of("avc@0! avc@500 opus@600 aac@700 avc@1000! aac@1010 avc@1500 opus@1600 aac@1700");
    let is_late = |id: TrackId| id.medium == MediaType::Audio;
    let known = whole.tracks.iter().filter(|track| !is_late(track.id));
    let late = Recording::of_late(known.cloned().collect(), &whole);
    // A crash costs all of it, and nothing else.
    let unfinished = mp4_reader::read_with_gaps(&late.unfinished()).expect("an unfinished file");
    let counts = |movie: &Movie| -> Vec<usize> {
        movie
            .tracks
            .iter()
            .map(|track| track.samples.len())
            .collect()
    };
    assert_eq!(counts(&unfinished), [4]);
    let finished = mp4_reader::read(&late.finished()).expect("a finished file");
    assert_eq!(
        shown(&finished),
        shown(&mp4_reader::read(&whole.finished()).expect("a file"))
    );
    let data = |movie: &Movie| -> Vec<Vec<u8>> {
        let samples = movie.tracks.iter().flat_map(|track| &track.samples);
        samples.map(|sample| sample.data.clone()).collect()
    };
    let whole = mp4_reader::read(&whole.finished()).expect("a finished file");
    assert_eq!(data(&finished), data(&whole));
}

#[test]
fn a_track_without_a_sample_is_not_in_a_finished_file() {
    let messages = [header("avc"), header("aac"), stream("aac@0 aac@23")].concat();
    let (unfinished, finished) = check(&Recording::new(&messages));
    assert_eq!((unfinished.tracks.len(), finished.tracks.len()), (2, 1));
    assert_eq!(finished.tracks[0].number, 2);
    // Nothing at all is a file too.
    let recording = Recording::new(&header("avc"));
    assert_eq!(recording.writes.len(), 3);
    assert_eq!(check(&recording).1.tracks, []);
}

#[test]
fn fragments_begin_with_keyframes_and_are_short() {
    let every = |step: u64, key: u64| {
        let number = |number: u64| {
            let key = if number.is_multiple_of(key) { "!" } else { "" };
            format!("avc@{}{key} ", number * step)
        };
        (0..=8000 / step).map(number).collect::<String>()
    };
    #[rustfmt::skip]
    let rows = [
        (every(40, 25), 8 + 1, "a keyframe a second"),
        (every(40, 1), 28 + 1, "keyframes alone, of which one in 7 begins a fragment"),
        (every(40, 1000), 8 + 1, "one keyframe"),
        (every(2000, 1), 4 + 1, "a picture every two seconds"),
    ];
    for (words, want, why) in rows {
        let (unfinished, _) = check(&Recording::new(&stream(&words)));
        assert_eq!(unfinished.fragments, want, "{why}");
    }
}

/// A video sample of a file that is made without messages.
fn sample(number: u64, ms: u64, len: usize) -> MediaSample {
    MediaSample {
        track: TrackId {
            medium: MediaType::Video,
            id: 0,
        },
        time_ns: ms * 1_000_000,
        composition_ms: [67, 167, 67, 0, 33][number as usize % 5],
        is_sync: number.is_multiple_of(120),
        len: 0,
        data: 0..len,
    }
}

#[test]
fn a_file_of_more_than_4_gib_has_long_offsets() {
    // The bytes are not looked at, so they need not be there.
    let tracks = Recording::new(&stream("avc@0!")).tracks;
    let (mut hybrid, _) = Hybrid::new(tracks, Default::default());
    let payload: Arc<[u8]> = vec![7; 15 << 20].into();
    let mut number = 0;
    let mut heads = Vec::new();
    while hybrid.file_len() < (4 << 30) + (64 << 20) {
        let sample = sample(number, number * 500, payload.len());
        if let Some(fragment) = hybrid.push(&sample, &payload) {
            heads.push((hybrid.file_len(), fragment.size()));
            hybrid.written(&fragment);
        }
        number += 1;
    }
    let trailer = hybrid.trailer();
    let mut end = Vec::new();
    trailer
        .write(|piece| {
            end.extend_from_slice(piece);
            Ok::<(), ()>(())
        })
        .expect("no failure");
    let patch = trailer.patch();
    let want = [
        &b"\0\0\0\x01mdat"[..],
        &(hybrid.file_len() + 8 - 28).to_be_bytes(),
    ]
    .concat();
    assert_eq!((patch.at, &patch.bytes[..]), (28, &want[..]));
    let at = end
        .windows(4)
        .position(|four| four == b"co64")
        .expect("co64");
    let number = |at: usize, len: usize| {
        end[at..at + len]
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    assert_eq!(number(at + 8, 4) as usize, heads.len());
    for (row, (start, len)) in heads.iter().enumerate() {
        let offset = number(at + 12 + 8 * row, 8);
        assert!(
            (*start..start + *len as u64).contains(&offset),
            "chunk {row}"
        );
    }
    assert!(!end.windows(4).any(|four| four == b"stco"));
}

#[test]
fn the_memory_of_an_index_is_small() {
    // An hour of 60 pictures a second, with B-frames; times have whole milliseconds.
    let seconds = 3600;
    let tracks = Recording::new(&stream("avc@0!")).tracks;
    let (mut hybrid, _) = Hybrid::new(tracks, Default::default());
    let payload: Arc<[u8]> = vec![7; 60_000].into();
    for number in 0..60 * seconds {
        let len = 1000 + (number * 7919 % 20_000) as usize;
        if let Some(fragment) = hybrid.push(&sample(number, number * 1000 / 60, len), &payload) {
            hybrid.written(&fragment);
        }
    }
    let per_sample = hybrid.memory() as f64 / (60 * seconds) as f64;
    println!(
        "{per_sample:.2} bytes a sample, moov {}",
        hybrid.trailer().size()
    );
    assert!(per_sample < 4.5, "{per_sample} bytes a sample");
    assert!(!hybrid.is_full() && hybrid.memory() * 24 < INDEX_LEN_MAX);
}

/// Streams of a few tracks, in the order of their times with some disorder.
fn any_stream() -> impl Strategy<Value = Vec<Message>> {
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.0).collect();
    let conflicts = |kinds: &Vec<&str>| {
        let count = |of: &[&str]| kinds.iter().filter(|kind| of.contains(kind)).count();
        count(&["avc", "hevc", "av1"]) <= 1 && count(&["aac", "opus", "mp3", "flac", "ac3"]) <= 1
    };
    let kinds = prop::sample::subsequence(names, 1..=4).prop_filter("one codec a track", conflicts);
    kinds.prop_flat_map(|kinds| {
        let delta = prop_oneof![8 => 0_u64..50, 1 => 50_u64..9000];
        let offset = prop_oneof![3 => Just(0_i32), 2 => -200_i32..500];
        let bytes = prop::collection::vec(any::<u8>(), 1..40);
        let item = (
            0..kinds.len(),
            delta,
            0_u64..30,
            offset,
            any::<bool>(),
            bytes,
        );
        prop::collection::vec(item, 1..60).prop_map(move |items| {
            let mut messages: Vec<Message> = kinds.iter().flat_map(|kind| header(kind)).collect();
            let mut now = 100;
            for (kind, delta, back, offset, key, bytes) in items {
                now += delta;
                let is_first = !messages.iter().any(|message| message.ms > 0);
                messages.push(frame(
                    kinds[kind],
                    now - back,
                    offset,
                    key || is_first,
                    &bytes,
                ));
            }
            messages
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_stream_is_read_back(messages in any_stream()) {
        check(&Recording::new(&messages));
    }
}
