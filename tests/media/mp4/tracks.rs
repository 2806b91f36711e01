//! What messages say of tracks: samples, configurations and their changes.

use super::files::{KINDS, header};
use super::messages::{bytes, messages};
use proptest::prelude::*;
use rtmp_server::amf0::Value;
use rtmp_server::media::opening::Opening;
use rtmp_server::media::sample::{MediaType, Part, parts};
use rtmp_server::media::tracks::{StreamTracks, TRACKS_MAX, TrackEvent};
use rtmp_server::rtmp::MessageType;

/// A part in one line: track, content, nanoseconds, composition offset, range.
fn line(part: &Part) -> String {
    let medium = if part.track.medium == MediaType::Video {
        "v"
    } else {
        "a"
    };
    let (id, content, codec) = (part.track.id, part.content, part.codec);
    let mut text = format!("{medium}{id} {codec} {content:?}");
    if part.nanos > 0 {
        text += &format!(" {}ns", part.nanos);
    }
    if part.composition_ms != 0 {
        text += &format!(" {:+}ms", part.composition_ms);
    }
    format!("{text} {}..{}", part.data.start, part.data.end)
}

#[test]
fn messages_fall_into_parts() {
    #[rustfmt::skip]
    let rows = [
        ("v", "1700000000014d4028", "v0 H264 Header 5..9"),
        ("v", "1701000021aabb", "v0 H264 Keyframe +33ms 5..7"),
        ("v", "2701ffffdfaa", "v0 H264 Frame -33ms 5..6"),
        ("v", "27018000 00aa", "v0 H264 Frame -8388608ms 5..6"),
        ("v", "1c01000000aa", "v0 H265 Keyframe 5..6"),
        ("v", "1702000000", "v0 H264 End 2..5"),
        ("v", "1702", "v0 H264 End 2..2"),
        ("v", "1701000000", ""),
        ("v", "170100", ""),
        ("v", "5700", ""),
        ("v", "22aabb", "v0 H263 Frame 1..3"),
        ("v", "", ""),
        ("a", "", ""),
        ("a", "af001210", "a0 AAC Header 2..4"),
        ("a", "af01aabb", "a0 AAC Frame 2..4"),
        ("a", "af01", ""),
        ("a", "2fffe3", "a0 MP3 Frame 1..3"),
        ("a", "72aa", "a0 G711A Frame 1..2"),
        ("v", "9068766331aa", "v0 H265 Header 5..6"),
        ("v", "9168766331000042aa", "v0 H265 Keyframe +66ms 8..9"),
        ("v", "a368766331aa", "v0 H265 Frame 5..6"),
        ("v", "9261763031", "v0 AV1 End 5..5"),
        ("v", "9161763031 1200aa", "v0 AV1 Keyframe 5..8"),
        ("v", "9561763031aa", ""),
        ("v", "d468766331aa", "v0 H265 Config 5..6"),
        ("v", "d1 01", ""),
        ("a", "904f707573", "a0 Opus Header 5..5"),
        ("a", "914f707573aa", "a0 Opus Frame 5..6"),
        ("a", "91664c6143", ""),
        ("a", "926f707573", "a0 unknown End 5..5"),
        // ModEx: a nanosecond offset, one that is none, another type, two of them.
        ("v", "970201e2400168766331000000aa", "v0 H265 Keyframe 123456ns 13..14"),
        ("v", "97020f42400168766331000000aa", "v0 H265 Keyframe 13..14"),
        ("v", "9702000001116876633100000 0aa", "v0 H265 Keyframe 13..14"),
        ("v", "970000070200000a0361763031aa", "v0 AV1 Keyframe 10ns 13..14"),
        ("v", "9702", ""),
        ("a", "970207a12001 6d703461aa", "a0 AAC Frame 500000ns 10..11"),
        // Multitrack: one track, tracks of one codec, of several.
        ("v", "96016876633101000042aa", "v1 H265 Keyframe +66ms 10..11"),
        ("a", "95016d70346103aabb", "a3 AAC Frame 7..9"),
        ("v", "a6136176633100000002aabb05000001cc", "v0 H264 Frame 10..12, v5 H264 Frame 16..17"),
        ("v", "9621 68766331 00 000004 000021aa 61763031 01 000001bb", "v0 H265 Keyframe +33ms 13..14, v1 AV1 Keyframe 22..23"),
        ("v", "a6136176633100000000 05000001cc", "v5 H264 Frame 14..15"),
        ("v", "a6136176633100000002aabb05000009cc", "v0 H264 Frame 10..12"),
        ("v", "a6116176633100000002aabb05000001cc", ""),
        ("v", "a6116176633100000002aabb05000004000000cc", "v5 H264 Frame 19..20"),
        ("v", "9630", ""),
        ("v", "9666", ""),
    ];
    for (medium, hex, want) in rows {
        let kind = if medium == "v" {
            MessageType::VIDEO
        } else {
            MessageType::AUDIO
        };
        let payload = bytes(&hex.replace(' ', ""));
        let found: Vec<String> = parts(kind, &payload).map(|part| line(&part)).collect();
        assert_eq!(found.join(", "), want, "{medium} {hex}");
    }
    assert_eq!(parts(MessageType::DATA, &[0x17, 1, 0, 0, 0, 9]).count(), 0);
}

const AVC: &str =
    "v:1700000000014d400dffe10019674d400deca0a0cfcf8088000003000800000301e078a14cb001000468ce0fc8";
const OTHER_AVC: &str = "v:170000000001f4000dffe1001a67f4000d919681519e3e2f0110000003001000000303c0f142aa01000568ce0f1920fff8f800";
const FLAC: &str =
    "a:90664c6143040004000000000008150bb800f00000000000000000000000000000000000000000";
const FLAC_END: &str =
    "a:90664c614304800480000110000f0008150bb800f0000123450102030405060708090a0b0c0d0e0f10";

/// What is said, in a letter each: K known, C changed, S sample, E end, U without a place, u
/// another without, R that cannot be read.
fn said(words: &str) -> String {
    let mut tracks = StreamTracks::default();
    let mut items = Vec::new();
    for message in messages(words) {
        tracks.read(message.kind, message.ms, &message.payload, &mut items);
    }
    let letter = |item: &TrackEvent| match item {
        TrackEvent::Known(_) => 'K',
        TrackEvent::Changed(_) => 'C',
        TrackEvent::Sample(_) => 'S',
        TrackEvent::Ended(_) => 'E',
        TrackEvent::Unsupported(..) => 'U',
        TrackEvent::StaysUnsupported(..) => 'u',
        TrackEvent::Unreadable(..) => 'R',
    };
    items.iter().map(letter).collect()
}

#[test]
fn configurations_come_and_change() {
    let vp9 = "v:9076703039000b820202020000";
    let frame = "v:2701000000aa";
    let mp3 = ["a:2efffb50c4", "a:2efffb50c4", "a:2efffb5004"].join(" ");
    #[rustfmt::skip]
    let rows = [
        (format!("{frame} {AVC} {frame}"), "KS", "frames before the header"),
        (format!("{AVC} {AVC} {frame}"), "KS", "a header again"),
        (format!("{AVC} {frame} {OTHER_AVC} {frame}"), "KSCS", "another header"),
        (format!("{AVC} v:1700000000 v:17000000000199 {frame}"), "KS", "headers that say nothing"),
        (["v:1700000000 v@5", "v@1004", "v@1005", "v@3000"].join(":2701000000aa ") + ":2701000000aa", "R", "no configuration for a second, said once"),
        (format!("v@9:2701000000aa v@0:2701000000aa v@999:2701000000aa {AVC} v@1000:2701000000aa"), "KS", "a header within a second"),
        (format!("{vp9} v@0:a176703039aa v@2000:a176703039aa v@2001:9176703039824983420013f00b3606"), "KS", "VP9 whose first keyframe is late"),
        (format!("{AVC} {frame} v:1702000000 {frame}"), "KSEKS", "an end, and more"),
        (format!("{AVC} {frame} v:1702000000 {AVC}"), "KSEK", "an end, and the header again"),
        (format!("{AVC} {frame} v:1702000000 v:1700000000 v:17000000000199"), "KSE", "an end, and headers that say nothing"),
        (format!("{AVC} {frame} v:1702000000 {OTHER_AVC} {frame}"), "KSECS", "an end, and another header"),
        (format!("{FLAC} a:91664c6143fff8aa08 {FLAC_END}"), "KS", "FLAC's header at its end"),
        (format!("{vp9} v:a176703039aa v:9176703039824983420013f00b3606 v:a176703039aa"), "KSS", "a size in the keyframe"),
        (mp3, "KSSCS", "stereo after mono"),
        ("v:22aabb v:22aabb v:22aabb a:72aa".to_owned(), "UuU", "codecs without a place, said once each"),
        ("v:906d7034611210 v:a16d703461aa a:906176633101 a:9161766331aa".to_owned(), "UuUu", "sound among pictures, and pictures among sounds"),
        (format!("{AVC} {frame} v:22aabb {frame} {AVC} {frame}"), "KSUKSS", "another codec in between"),
        (format!("{AVC} {frame} v:22aabb {OTHER_AVC} v:22aabb {frame}"), "KSUKUKS", "and another header"),
        (format!("{AVC} {frame} v:1c0100000042 v:2c0100000042 {frame}"), "KSKS", "frames of a codec without a header in between"),
        (format!("{AVC} {frame} {vp9} v:9176703039824983420013f00b3606 {frame}"), "KSKSCS", "another codec, and back"),
        (format!("{AVC} {frame} v:22aabb v:a176703039aa v@2000:a176703039aa {frame}"), "KSUKS", "and a third"),
        (format!("{AVC} v:946176633102 {frame}"), "KS", "metadata that is none"),
        ("a:904f707573 a:914f707573fc01".to_owned(), "KS", "an empty OpusHead"),
        ("a:914f707573fc01".to_owned(), "KS", "no OpusHead at all"),
    ];
    for (words, want, why) in rows {
        assert_eq!(said(&words), want, "{why}");
    }
}

#[test]
fn a_temporal_delimiter_is_left_out() {
    let av1 = "v:906176303181000c000a0b0200000521e7f66017c002";
    let mut tracks = StreamTracks::default();
    let mut items = Vec::new();
    for message in messages(&format!(
        "{av1} v:91617630311200320199 v:a161763031320199 v:a1617630311200"
    )) {
        tracks.read(message.kind, message.ms, &message.payload, &mut items);
    }
    let ranges = items.iter().filter_map(|item| match item {
        TrackEvent::Sample(sample) => Some(sample.data.clone()),
        _ => None,
    });
    assert_eq!(ranges.collect::<Vec<_>>(), [7..10, 5..8]);
}

#[test]
fn tracks_are_bounded() {
    let mut tracks = StreamTracks::default();
    let mut items = Vec::new();
    for id in 0..=255 {
        let opus = [&b"\x95\x01Opus"[..], &[id], b"\xfc\x01"].concat();
        tracks.read(MessageType::AUDIO, 0, &opus, &mut items);
    }
    assert_eq!(tracks.known().count(), TRACKS_MAX);
}

/// A body that begins as those of a codec do, with some bytes of it changed, or any bytes at all.
fn any_body() -> impl Strategy<Value = (MessageType, Vec<u8>)> {
    let known = KINDS.iter().flat_map(|(kind, _, front)| {
        let header = header(kind)
            .into_iter()
            .map(|message| (message.kind, message.payload.to_vec()));
        let (video, front) = (
            front.starts_with(['K', 'E']),
            front.replace('K', "1").replace('E', "9"),
        );
        let medium = if video {
            MessageType::VIDEO
        } else {
            MessageType::AUDIO
        };
        header.chain([(medium, bytes(&front))])
    });
    let known: Vec<(MessageType, Vec<u8>)> = known.collect();
    let noise = prop::collection::vec(any::<u8>(), 0..40);
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    (prop::sample::select(known), noise, changes, 0_u8..8).prop_map(
        |((kind, mut body), noise, changes, whole)| {
            if whole == 0 {
                body.clear();
            }
            body.extend(noise);
            for (at, byte) in changes {
                if !body.is_empty() {
                    let at = at.index(body.len());
                    body[at] = byte;
                }
            }
            (kind, body)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_body_is_too_strange(bodies in prop::collection::vec(any_body(), 1..8)) {
        let mut tracks = StreamTracks::default();
        for (kind, body) in bodies {
            let mut items = Vec::new();
            tracks.read(kind, u64::MAX, &body, &mut items);
            for item in items {
                if let TrackEvent::Sample(sample) = item {
                    prop_assert!(sample.data.end <= body.len() && !sample.data.is_empty());
                }
            }
        }
        tracks.known().for_each(|(_, config)| drop(config.codec_string()));
    }
}

/// After which message, counted from 1, the tracks are those to begin with; 0: after none.
fn opens_after(announced: &str, words: &str) -> usize {
    let mut opening = Opening::default();
    let property = |name: &str| (format!("{name}codecid").into_bytes(), Value::Number(7.0));
    opening.announce(&announced.split_whitespace().map(property).collect());
    let mut tracks = StreamTracks::default();
    let position = messages(words).iter().position(|message| {
        let mut items = Vec::new();
        tracks.read(message.kind, message.ms, &message.payload, &mut items);
        for item in items {
            if let TrackEvent::Sample(sample) = item {
                opening.see(&sample);
            }
        }
        opening.is_over(&tracks)
    });
    position.map_or(0, |position| position + 1)
}

#[test]
fn tracks_are_waited_for() {
    let key = "v@0:1701000000aa";
    let aac = "a:af00121056e500 a@5:af01aa";
    let vp9 = "v:9076703039000b820202020000";
    let vp9_key = "v@900:9176703039824983420013f00b3606";
    #[rustfmt::skip]
    let rows = [
        ("", format!("{AVC} {key} {aac}"), 2, "nothing else is announced"),
        ("video audio", format!("{AVC} {key} {aac}"), 3, "the header of the announced track"),
        ("video audio", format!("{AVC} {key} v@999:2701000000aa v@1000:2701000000aa"), 4, "a track that does not come"),
        ("video audio", format!("{aac} {AVC} {key}"), 4, "pictures behind sound"),
        ("audio", aac.to_owned(), 2, "sound alone"),
        ("", format!("{vp9} {aac} {vp9_key}"), 4, "a configuration that is complete with a frame"),
        ("", format!("{vp9} {aac} a@1004:af01aa a@1005:af01aa"), 5, "a keyframe that does not come"),
        ("video", format!("{AVC} v@0:2701000000aa v@5000:2701000000aa v@5040:1701000000aa"), 4, "no keyframe at first"),
        ("video", "v:22aa v:22aa".to_owned(), 0, "a codec without a place"),
    ];
    for (announced, words, want, why) in rows {
        assert_eq!(opens_after(announced, &words), want, "{why}");
    }
}
