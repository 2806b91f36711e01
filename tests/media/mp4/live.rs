//! Live responses: which fragments there are, when they end, and that they can be played from every
//! one that says so.

use super::files::{frame, header};
use super::messages::{Message, messages};
use crate::media::mp4_reader::{self, Movie};
use proptest::prelude::*;
use rtmp_server::amf0::{self, Value};
use rtmp_server::media::mp4::live::{Entry, LiveEvent, LiveFragment, LiveMp4, TrackChoice};
use rtmp_server::rtmp::{self, MessageType, StreamId, Timestamp};

/// A message as the stream has it; times beyond 32 bits wrap.
pub fn timed(message: &Message) -> rtmp::Message {
    rtmp::Message {
        timestamp: Timestamp(message.ms as u32),
        kind: message.kind,
        stream: StreamId(1),
        payload: message.payload.clone(),
    }
}

/// Metadata that announces pictures and sound.
fn metadata() -> Message {
    let codecs = ["videocodecid", "audiocodecid"].map(|name| (name, Value::Number(7.0)));
    let payload = amf0::encode(&[Value::text("onMetaData"), Value::object(codecs)]);
    super::messages::message(MessageType::DATA, 0, &payload)
}

/// One response, from its beginning on.
#[derive(Default)]
pub struct Response {
    pub content_type: String,
    pub initialization: Vec<u8>,
    /// What can be done with each fragment, its bytes, and those of its sound.
    pub fragments: Vec<(Entry, Vec<u8>, Option<Vec<u8>>)>,
    pub end: Option<String>,
    /// All fragments as one.
    joined: Option<LiveFragment>,
}

impl Response {
    /// The bytes of a player that joins at the fragment with this index.
    pub fn from(&self, index: usize) -> Vec<u8> {
        let mut bytes = self.initialization.clone();
        let fragments = self.fragments.iter().skip(index);
        fragments.for_each(|(_, fragment, _)| bytes.extend_from_slice(fragment));
        bytes
    }

    fn read(&self, index: usize) -> Movie {
        mp4_reader::read_live(&self.from(index)).expect("a response")
    }
}

/// The responses that messages make; `None` among them is another publication.
pub fn responses(choice: TrackChoice, stream: &[Option<Message>]) -> Vec<Response> {
    let mut live = LiveMp4::new(choice);
    let mut responses = Vec::new();
    let mut events = Vec::new();
    for message in stream {
        match message {
            Some(message) => live.push(&timed(message), &mut events),
            None => {
                events.extend(live.flush().map(LiveEvent::Fragment));
                live.restart();
            }
        }
    }
    events.extend(live.flush().map(LiveEvent::Fragment));
    for event in events {
        match event {
            LiveEvent::Begins(beginning) => responses.push(Response {
                content_type: beginning.content_type,
                initialization: beginning.initialization,
                ..Response::default()
            }),
            LiveEvent::Fragment(fragment) => {
                let bytes = |fragment: &rtmp_server::media::mp4::Fragment| {
                    let mut bytes = Vec::new();
                    fragment.put(&mut bytes);
                    bytes
                };
                let response: &mut Response = responses.last_mut().expect("a beginning");
                assert_eq!(response.end, None, "a fragment behind the end");
                response.joined = Some(match &response.joined {
                    Some(before) => before.joined(&fragment),
                    None => fragment.clone(),
                });
                let (whole, sound) = (bytes(fragment.whole()), fragment.sound());
                let sound = sound.as_ref().map(bytes);
                response.fragments.push((fragment.entry(), whole, sound));
            }
            LiveEvent::LeftOut(_) => {}
            LiveEvent::Ends(end) => match responses.last_mut() {
                Some(response) if response.end.is_none() => response.end = Some(end.to_string()),
                _ => responses.push(Response {
                    end: Some(end.to_string()),
                    ..Response::default()
                }),
            },
        }
    }
    responses
}

/// A stream in words: those of `super::files`, `|` for another publication, `meta` for metadata that
/// announces pictures and sound, `KIND-header` for a header by itself, `v:` and `a:` for raw messages.
pub fn stream(words: &str) -> Vec<Option<Message>> {
    let mut known: Vec<&str> = Vec::new();
    let mut out = Vec::new();
    for (number, word) in words.split_whitespace().enumerate() {
        if word == "|" {
            known.clear();
            out.push(None);
        } else if word == "meta" {
            out.push(Some(metadata()));
        } else if let Some(kind) = word.strip_suffix("-header") {
            known.push(kind);
            out.extend(header(kind).into_iter().map(Some));
        } else if word.contains(':') {
            out.extend(messages(word).into_iter().map(Some));
        } else {
            let (kind, rest) = word.split_once('@').expect("kind@time");
            if !known.contains(&kind) {
                known.push(kind);
                out.extend(header(kind).into_iter().map(Some));
            }
            let (at, offset) = rest.split_once('+').unwrap_or((rest, "0"));
            let at = at.trim_end_matches('!').parse().expect("ms");
            let offset = offset.trim_end_matches('!').parse().expect("ms");
            out.push(Some(frame(
                kind,
                at,
                offset,
                rest.ends_with('!'),
                &[number as u8],
            )));
        }
    }
    out
}

/// A response in words: its type without the codecs, of each fragment what can be done with it and of
/// each track how many samples it has and when the first is shown, in ms; and the end.
pub fn told(response: &Response) -> String {
    let mut words = Vec::new();
    if let Some((medium, _)) = response.content_type.split_once('/') {
        words.push(medium.to_owned());
    }
    for (index, (entry, ..)) in response.fragments.iter().enumerate() {
        let mut bytes = response.initialization.clone();
        bytes.extend_from_slice(&response.fragments[index].1);
        let movie = mp4_reader::read_live(&bytes).expect("a fragment");
        let samples = |track: &mp4_reader::Track| {
            let first = track.samples.first()?;
            let shown = first.decode.saturating_add_signed(first.composition);
            let ms = (shown * 1000 + u64::from(track.timescale) / 2) / u64::from(track.timescale);
            let letter = &track.handler[..1];
            Some(format!("{letter}{}@{}", track.samples.len(), ms - 10_000))
        };
        let tracks: Vec<String> = movie.tracks.iter().filter_map(samples).collect();
        let mark = match entry {
            Entry::Any => "!",
            Entry::Sound => "~",
            Entry::None => "",
        };
        words.push(format!("{mark}[{}]", tracks.join(" ")));
    }
    words.extend(response.end.as_ref().map(|end| format!("({end})")));
    words.join(" ")
}

#[test]
fn responses_are_what_can_be_played() {
    let changed = "(the tracks of the stream have changed)";
    let back = "(the times of the stream went back)";
    let none = "(no track of the stream has a place in MP4)";
    #[rustfmt::skip]
    let rows: Vec<(&str, String, String)> = vec![
        ("a fragment for each picture, with the sound since the last",
         "meta avc@0! aac@5 aac@28 avc@40 avc@80 aac@51".into(),
         "video ![v1@0] [v1@40 s2@5] [v1@80] ~[s1@51]".into()),
        ("sound alone, in fragments of 100 ms",
         "aac@0 aac@23 aac@46 aac@70 aac@93 aac@116 aac@139".into(),
         "audio ![s5@0] ![s2@116]".into()),
        ("pictures alone", "avc@0! avc@40 avc@80!".into(), "video ![v1@0] [v1@40] ![v1@80]".into()),
        ("no picture before the first keyframe, and sound does not wait for it",
         "meta avc@0 aac@0 aac@23 aac@46 aac@70 aac@93 avc@100 aac@116 avc@140! avc@180".into(),
         "video ~[s5@0] ![v1@140 s1@116] [v1@180]".into()),
        ("pictures that pause: sound waits for half a second",
         format!("meta aac-header avc@0! {}", (0..25).map(|n| format!("aac@{}", n * 23)).collect::<Vec<_>>().join(" ")),
         "video ![v1@0] ~[s22@0] ~[s3@511]".into()),
        ("tracks that are announced are waited for, for a second",
         "meta avc@0! avc@500 avc@1000 aac@1010 avc@1040!".into(),
         format!("video ![v1@0] [v1@500] [v1@1000] {changed} | video ![v1@1040 s1@1010]")),
        ("another configuration",
         "avc@0! avc@40 v:170000000001f4000dffe1001a67f4000d919681519e3e2f0110000003001000000303c0f142aa01000568ce0f1920fff8f800 avc@80! avc@120".into(),
         format!("video ![v1@0] [v1@40] {changed} | video ![v1@80] [v1@120]")),
        ("the same header again", "avc@0! avc-header avc@40 avc-header avc@80".into(), "video ![v1@0] [v1@40] [v1@80]".into()),
        ("a second track of sound changes nothing",
         "meta opus@0 avc@0! opus2@10 avc@40 opus@20 opus2@20 avc@80".into(),
         "video ![v1@0 s1@0] [v1@40] [v1@80 s1@20]".into()),
        ("a publisher that comes back with the same",
         "meta avc@0! aac@5 avc@40 aac@28 | meta avc@90 aac@90 avc@130! aac@113".into(),
         "video ![v1@0] [v1@40 s1@5] ~[s1@28] ![v1@130 s1@51] ~[s1@75]".into()),
        ("a publisher that comes back with something else",
         "meta avc@0! aac@5 avc@40 | meta hevc@90! aac@90 hevc@130".into(),
         format!("video ![v1@0] [v1@40 s1@5] {changed} | video ![v1@90] [v1@130 s1@90]")),
        ("a publisher that comes back without sound",
         "meta avc@0! aac@5 avc@40 | avc@90! avc@130".into(),
         format!("video ![v1@0] [v1@40 s1@5] {changed} | video ![v1@90] [v1@130]")),
        ("times beyond 32 bits", "avc@4294967290! avc@4294967330 avc@4294967370!".into(),
         "video ![v1@4294967290] [v1@4294967330] ![v1@4294967370]".into()),
        ("times that go back a little", "avc@9000! avc@9040 avc@4040 avc@9080".into(),
         "video ![v1@9000] [v1@9040] [v1@4040] [v1@9080]".into()),
        ("times that go back far", "avc@9000! avc@9040 avc@4039! avc@4079 avc@4119".into(),
         format!("video ![v1@9000] [v1@9040] {back} | video ![v1@4039] [v1@4079] [v1@4119]")),
        ("a header that is dated 0", "avc@900000! avc-header avc@900040".into(), "video ![v1@900000] [v1@900040]".into()),
        ("a codec without a place beside one with", "avc@0! a@0:72aa avc@40 a@20:72aa".into(), "video ![v1@0] [v1@40]".into()),
        ("VP8 beside sound",
         "meta v:9076703038000b000202020000 v@0:91767030381002009d012a4001b400 aac@5 aac@1005 aac@1028".into(),
         "audio ![s2@5] ![s1@1028]".into()),
        ("only codecs without a place", "a@0:72aa a@999:72aa a@1000:72aa a@1020:72aa".into(), none.into()),
        ("H.266", "v:9076766331aa v@0:9176766331000000aa v@1000:a176766331000000aa".into(), none.into()),
    ];
    for (why, words, want) in rows {
        expect_told(&words, &want, why);
    }
}

/// What the responses with the usual choice of tracks are in words.
fn expect_told(words: &str, want: &str, why: &str) {
    let responses = responses(TrackChoice::default(), &stream(words));
    let told: Vec<String> = responses.iter().map(told).collect();
    assert_eq!(told.join(" | "), want, "{why}");
}

#[test]
fn a_track_that_is_lost_may_go_on() {
    let changed = "(the tracks of the stream have changed)";
    #[rustfmt::skip]
    let rows: Vec<(&str, String, String)> = vec![
        ("a track that ends",
         "meta avc@0! aac@5 avc@40 aac@28 v:1702000000 aac@51 aac@1027 aac@1028 aac@1051 aac@1074 aac@1097 aac@1120 aac@1143".into(),
         format!("video ![v1@0] [v1@40 s1@5] ~[s3@28] {changed} | audio ![s5@1028] ![s1@1144]")),
        ("a track that ends and goes on",
         "meta avc@0! aac@5 avc@40 aac@28 v:1702000000 aac@51 avc@80! avc@120 aac@74 avc@1120 avc@1160".into(),
         "video ![v1@0] [v1@40 s1@5] ![v1@80 s2@28] [v1@120] [v1@1120 s1@75] [v1@1160]".into()),
        ("both end and go on",
         "meta avc@0! opus@5 avc@40 opus@25 v:1702000000 a:924f707573 opus@45 avc@80! avc@120 opus@65 avc@160".into(),
         "video ![v1@0] [v1@40 s1@5] ![v1@80 s2@25] [v1@120] [v1@160 s1@65]".into()),
        ("a message of another codec",
         "meta avc@0! aac@5 v@20:13616263 avc@40 aac@28 avc@80 aac@51 avc@1080 avc@1120".into(),
         "video ![v1@0] [v1@40 s1@5] [v1@80 s1@28] [v1@1080 s1@51] [v1@1120]".into()),
        ("pictures of another codec from now on",
         "meta avc@0! aac@5 v@20:13616263 avc@40 v@80:13616263 aac@28 aac@1080 aac@1120".into(),
         format!("video ![v1@0] [v1@40 s1@5] ~[s1@28] {changed} | audio ![s2@1080]")),
    ];
    for (why, words, want) in rows {
        expect_told(&words, &want, why);
    }
}

#[test]
fn one_track_of_each_kind_is_chosen() {
    let words =
        "meta avc@0! avc2@0! opus@0 opus2@0 avc@40 avc2@40 opus@20 opus2@20 avc@1000 avc2@1000";
    #[rustfmt::skip]
    let rows = [
        (None, None, "avc1.4D400D,opus", "video ![v1@0] [v1@40 s1@0] [v1@1000 s1@20]"),
        (Some(1), Some(1), "avc1.42C00B,opus", "video ![v1@0] [v1@40 s1@0] [v1@1000 s1@20]"),
        (Some(1), None, "avc1.42C00B,opus", "video ![v1@0] [v1@40 s1@0] [v1@1000 s1@20]"),
        (Some(2), None, "", "(the stream has no such track)"),
        (None, Some(9), "", "(the stream has no such track)"),
    ];
    for (video, audio, codecs, want) in rows {
        let responses = responses(TrackChoice { video, audio }, &stream(words));
        let told: Vec<String> = responses.iter().map(told).collect();
        assert_eq!(told.join(" | "), want, "{video:?} {audio:?}");
        let medium = if codecs.is_empty() {
            String::new()
        } else {
            format!("video/mp4; codecs=\"{codecs}\"")
        };
        assert_eq!(responses[0].content_type, medium);
    }
}

/// What a response is called, for each pair of codecs.
#[test]
fn every_codec_has_its_place() {
    #[rustfmt::skip]
    let rows = [
        ("avc", "aac", "avc1.4D400D,mp4a.40.2"),
        ("hevc", "aac", "hvc1.1.6.L60.90,mp4a.40.2"),
        ("av1", "opus", "av01.0.00M.08,opus"),
        ("avc", "mp3", "avc1.4D400D,mp4a.6B"),
        ("avc", "flac", "avc1.4D400D,flac"),
        ("avc", "ac3", "avc1.4D400D,ac-3"),
    ];
    for (video, audio, codecs) in rows {
        let words =
            format!("meta {video}@0! {audio}@0 {video}@40 {audio}@20 {video}@80! {audio}@60");
        let responses = responses(TrackChoice::default(), &stream(&words));
        assert_eq!(responses.len(), 1, "{codecs}");
        assert_eq!(
            responses[0].content_type,
            format!("video/mp4; codecs=\"{codecs}\"")
        );
        let movie = responses[0].read(0);
        let counts: Vec<usize> = movie
            .tracks
            .iter()
            .map(|track| track.samples.len())
            .collect();
        assert_eq!(counts, [3, 3], "{codecs}");
    }
}

/// The sound of a fragment, for players that have not begun with pictures.
#[test]
fn sound_can_be_had_alone() {
    let responses = responses(
        TrackChoice::default(),
        &stream("meta avc@0! aac@5 aac@28 avc@40 avc@80"),
    );
    let response = &responses[0];
    let sounds: Vec<usize> = response
        .fragments
        .iter()
        .map(|(_, _, sound)| {
            let Some(sound) = sound else { return 0 };
            let movie = mp4_reader::read_live(&[&response.initialization[..], sound].concat())
                .expect("a fragment");
            assert!(movie.tracks[0].samples.is_empty());
            movie.tracks[1].samples.len()
        })
        .collect();
    assert_eq!(sounds, [0, 2, 0]);
}

/// Streams of some kinds, with keyframes, jumps of time, headers and publications anywhere.
fn any_stream() -> impl Strategy<Value = Vec<Option<Message>>> {
    let kinds = ["avc", "hevc", "av1", "aac", "opus", "flac"];
    let word = (
        0..6_usize,
        0..60_u64,
        -50..200_i32,
        0..8_u8,
        0..40_u8,
        1..30_usize,
    );
    prop::collection::vec(word, 1..120).prop_map(move |words| {
        let mut now = 0;
        let mut out = Vec::new();
        let mut known = Vec::new();
        // Mostly one kind of pictures and one of sound.
        let own = |kind: usize| {
            if kind < 3 {
                [kinds[0], kinds[1]][usize::from(kind == 2)]
            } else {
                kinds[3]
            }
        };
        for (kind, step, offset, key, turn, len) in words {
            now += step;
            if turn == 0 {
                known.clear();
                out.push(None);
            }
            let kind = if turn == 1 {
                kinds[kind]
            } else {
                own(kind.min(if turn < 4 { 5 } else { 1 } + 3))
            };
            if !known.contains(&kind) || turn == 2 {
                known.push(kind);
                out.extend(header(kind).into_iter().map(Some));
            }
            let bytes = vec![out.len() as u8; len];
            out.push(Some(frame(kind, now, offset, key == 0, &bytes)));
        }
        out
    })
}

/// A sample without how long it is: decode time, composition offset, whether it is a keyframe, bytes.
type Lengthless<'a> = (u64, i64, bool, &'a [u8]);

fn lengthless(sample: &mp4_reader::Sample) -> Lengthless<'_> {
    (
        sample.decode,
        sample.composition,
        sample.is_sync,
        &sample.data,
    )
}

fn samples(movie: &Movie) -> Vec<Vec<Lengthless<'_>>> {
    let tracks = movie.tracks.iter();
    tracks
        .map(|track| track.samples.iter().map(lengthless).collect())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Fragments that are made one have the same samples at the same times.
    #[test]
    fn joined_fragments_say_the_same(stream in any_stream()) {
        for response in responses(TrackChoice::default(), &stream) {
            let Some(joined) = &response.joined else { continue };
            let mut bytes = response.initialization.clone();
            joined.whole().put(&mut bytes);
            let one = mp4_reader::read_live(&bytes).expect("a fragment");
            let all = response.read(0);
            prop_assert_eq!(samples(&one), samples(&all));
            let present = all.tracks.iter().filter(|track| !track.samples.is_empty());
            prop_assert_eq!(joined.is_complete(), present.count() == all.tracks.len());
        }
    }

    /// From every fragment that a player may begin with the rest is readable, begins with a keyframe, and
    /// has times that never go back.
    #[test]
    fn every_response_is_played_from_every_entry(stream in any_stream()) {
        for response in responses(TrackChoice::default(), &stream) {
            let entries = response.fragments.iter().enumerate();
            let entries = entries.filter(|(_, (entry, ..))| *entry == Entry::Any);
            for (index, _) in entries {
                let movie = response.read(index);
                for track in &movie.tracks {
                    let decodes = || track.samples.iter().map(|sample| sample.decode);
                    prop_assert!(decodes().is_sorted_by(|one, next| one < next));
                    let first = track.samples.first();
                    prop_assert!(first.is_none_or(|sample| sample.is_sync));
                }
                let pictures = movie.tracks.iter().find(|track| track.handler == "vide");
                prop_assert!(pictures.is_none_or(|track| !track.samples.is_empty()));
            }
        }
    }
}

/// With pictures, sound waits for the next one. Where its times stand still, that may never end.
#[test]
fn sound_whose_time_stands_still_does_not_wait_for_ever() {
    let mut live = LiveMp4::new(TrackChoice::default());
    let mut events = Vec::new();
    let beginning = stream("avc@0! aac@0 avc@40");
    let beginning = beginning.iter().flatten();
    beginning.for_each(|message| live.push(&timed(message), &mut events));
    let sound = super::messages::message(
        MessageType::AUDIO,
        40,
        &[&[0xaf, 1][..], &[7; 256 << 10]].concat(),
    );
    let mut highest = 0;
    for _ in 0..200 {
        live.push(&timed(&sound), &mut events);
        highest = highest.max(live.held_len());
    }
    assert!((1 << 20..17 << 20).contains(&highest), "{highest}");
}
