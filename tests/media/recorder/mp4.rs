//! Recordings in MP4: which files there are, and what is in them.

use super::{
    FinishedFiles, Folder, at, in_a_process, key, messages, record, segments, whole, within,
};
use crate::media::mp4_reader::{self, Movie};
use rtmp_server::queue::feed;
use rtmp_server::record::{FEED_LIMITS, FileFormat, FinishedFile, RecordSettings, Recorder};
use rtmp_server::rtmp::Message;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const AVC: &str = "video @0 17 00 00 00 00 01 4d 40 0d ff e1 00 19 67 4d 40 0d ec a0 a0 cf cf 80 88 00 00 03 00 08 00 00 03 01 e0 78 a1 4c b0 01 00 04 68 ce 0f c8; ";
const OTHER_AVC: &str = "video @0 17 00 00 00 00 01 42 c0 0d ff e1 00 17 67 42 c0 0d da 05 06 7e 7c 04 40 00 00 03 00 40 00 00 0f 03 c5 0a a8 01 00 04 68 ce 0f c8; ";
const AAC: &str = "audio @0 af 00 12 10 56 e5 00; ";

/// Messages by words: k keyframe, p picture, a AAC, m MP3, M MP3 in stereo, o Opus of track 1, g
/// G.711, s Sorenson, u a packet of a type that no specification has, and the time; H and h AVC headers, e one without parameter sets, w one with a wrong
/// length, A an AAC header, B another, n one without a configuration, D metadata that announces
/// sound and pictures, c colours, E the end of the pictures.
pub(super) fn sent(words: &str) -> Vec<Message> {
    let word = |word: &str| {
        let (letter, time) = word.split_at(1);
        let time: u32 = time.parse().unwrap_or_default();
        let text = match letter {
            "H" => AVC,
            "h" => OTHER_AVC,
            "A" => AAC,
            "B" => "audio @0 af 00 11 90",
            "D" => "data @0 \"onMetaData\", {videocodecid: 7, audiocodecid: 10}",
            "E" => "video @0 17 02 00 00 00",
            "k" => "video @0 17 01 00 00 00 00 00 00 01 65",
            "p" => "video @0 27 01 00 00 00 00 00 00 01 41",
            "e" => "video @0 17 00 00 00 00 01 4d 40 0d ff e0 00",
            "w" => "video @0 17 00 00 00 00 01 4d 40 0d ff e1 01 19 67 4d 40 0d",
            "n" => "audio @0 af 00",
            "a" => "audio @0 af 01 21 10",
            "m" => "audio @0 2e ff fb 50 c4 00",
            "M" => "audio @0 2e ff fb 50 04 00",
            "o" => "audio @0 95 01 4f 70 75 73 01 fc 01",
            "c" => {
                "video @0 94 61 76 63 31 02 00 09 63 6f 6c 6f 72 49 6e 66 6f 03 00 0b 63 6f 6c 6f 72 43 6f 6e 66 69 67 03 \
                 00 0e 63 6f 6c 6f 72 50 72 69 6d 61 72 69 65 73 00 3f f0 00 00 00 00 00 00 00 00 09 00 00 09"
            }
            "g" => "audio @0 72 01 02",
            "s" => "video @0 22 01 02",
            "u" => "video @0 aa 61 76 63 31 01",
            other => panic!("no word {other}"),
        };
        at(messages(text).remove(0), time)
    };
    words.split_whitespace().map(word).collect()
}

pub(super) fn mp4(settings: RecordSettings) -> RecordSettings {
    RecordSettings {
        format: FileFormat::Mp4,
        ..settings
    }
}

fn movie(path: &str) -> Movie {
    let movie = mp4_reader::read(&fs::read(path).unwrap());
    movie.unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// A file in one line: its format, and of each track how many samples it has.
fn line(file: &FinishedFile) -> String {
    assert_eq!(file.error, None);
    assert_eq!(file.bytes, fs::metadata(&file.path).unwrap().len());
    if file.path.ends_with(".flv") {
        let flv = super::read(&fs::read(&file.path).unwrap()).unwrap();
        let reason = file.format_reason.as_deref().unwrap_or("no reason");
        return format!("flv {} ({reason})", flv.media().count());
    }
    let movie = movie(&file.path);
    assert_eq!(movie.top, ["ftyp", "mdat", "moov"]);
    let track = |track: &mp4_reader::Track| {
        let (kind, samples) = (&track.handler[..1], track.samples.len());
        format!("{kind}{samples}")
    };
    let tracks: Vec<String> = movie.tracks.iter().map(track).collect();
    format!("mp4 {}", tracks.join(" "))
}

#[test]
fn every_stream_has_its_files() {
    #[rustfmt::skip]
    let rows = [
        ("H k0 m5 k40 m31 k80 m57 k120", 0.0, "mp4 v1 s1; mp4 v3 s2", "a track without a header"),
        ("H A k0 a5 p40 a28", 0.0, "mp4 v2 s2", "pictures and sound"),
        ("A a0 a23", 0.0, "mp4 s2", "sound alone"),
        ("m0 m26", 0.0, "mp4 s2", "sound without a header"),
        ("H k0", 0.0, "mp4 v1", "one picture"),
        ("H A", 0.0, "", "headers alone"),
        ("D H k0 p40 p80", 0.0, "mp4 v3", "sound that was announced and did not come"),
        ("D H k0 p40 A a45", 0.0, "mp4 v2 s1", "a header that was waited for"),
        ("D H k0 p500 p1000 p1040 A a1045 k1080 a1090", 0.0, "mp4 v4 s1; mp4 v1 s1", "a track that is late"),
        ("H k0 A a5 p40 k80 a85", 0.0, "mp4 v2 s1; mp4 v1 s1", "a track that nobody announced"),
        ("H A k0 a5 k900 a910 k1000 a1010 p1040", 1.0, "mp4 v2 s2; mp4 v2 s1", "segments"),
        ("D H A a0 c7 k7 a23 p47", 0.0, "mp4 v2 s2", "colours behind the first sound"),
        ("D H A c0 k0 a5 c40 k40 c80 k80", 0.0, "mp4 v3 s1", "the same colours again"),
        ("H A k0 a5 k90000 a90005", 0.0, "mp4 v1 s1; mp4 v1 s1", "a jump"),
        ("H A k0 a5 h k40 p80 a85", 0.0, "mp4 v1 s1; mp4 v2 s1", "another configuration"),
        ("D H k0 p20 h k40 p80 A a85", 0.0, "mp4 v2; mp4 v2 s1", "another configuration before the sound comes"),
        ("D H k0 h p40 A a45 k80 a85", 0.0, "mp4 v1 s1; mp4 v1 s1", "another configuration before the sound comes, and a picture without its keyframe"),
        ("D m0 M26 H k40 M52", 0.0, "mp4 s1; mp4 v1 s2", "another configuration of sound before the pictures come"),
        ("D H h k0 A a5", 0.0, "mp4 v1 s1", "another configuration before any picture"),
        ("D H k0 p40 E A a45 a68", 0.0, "mp4 v2 s2", "pictures that end before the sound comes"),
        ("H A k0 a5 B p40 a45 a68 k80 a85", 0.0, "mp4 v2 s1 s2; mp4 v1 s1", "another configuration of sound before the next keyframe"),
        ("H k0 m5 p40 M45 m68 k80 m85", 0.0, "mp4 v2 s1 s1 s1; mp4 v1 s1", "another configuration of sound twice, without a header"),
        ("H A k0 a5 k2000 a2010 E0 p2040 a2045 k2080", 0.0, "mp4 v4 s3", "an end that is dated 0"),
        ("H A k0 a5 A H k40 a45", 0.0, "mp4 v2 s2", "the same configuration"),
        ("m0 m26 M52 M78", 0.0, "mp4 s2; mp4 s2", "another configuration, without a header"),
        ("H A k0 a5 o6 p40 o26 k80 a85 o86", 0.0, "mp4 v2 s1 s2; mp4 v1 s1 s1", "a second sound that is late"),
        ("H k0 p40 A a45 a68", 0.0, "mp4 v2 s2", "sound that is late, and no keyframe behind it"),
        ("A a0 a23 o30 a46 o50 a69", 0.0, "mp4 s2 s1; mp4 s2 s1", "a second sound that is late, and no pictures"),
        ("A u0 u40", 0.0, "flv 3 (no track has a frame)", "nothing that MP4 has a place for"),
        ("s0 a5 s40", 0.0, "flv 3 (MP4 has no place for H263)", "a codec without a place"),
        ("H A k0 a5 g28 p40 a48 k80 a90", 0.0, "mp4 v3 s3", "a stray of a codec without a place"),
        ("H A k0 g5 a28 p40 k80", 0.0, "mp4 v3 s1", "a stray before the first sound"),
        ("g0 H A k0 a5 p40 k80", 0.0, "mp4 v3 s1", "a stray at the beginning"),
        ("g0 H k5 g20 k40", 0.0, "flv 5 (MP4 has no place for G711A)", "a codec without a place beside one with"),
        ("H A k0 a5 s6 k40 s46 s47 k80", 0.0, "mp4 v2 s1; flv 3 (MP4 has no place for H263)", "a stray, and then two in a row"),
        ("H A k0 a5 g28 g48 p50", 0.0, "mp4 v2 s1", "one that comes late, and no keyframe behind it"),
        ("H A k0 a5 g28 g48 p50 k80 g90 k120", 0.0, "mp4 v2 s1; flv 5 (MP4 has no place for G711A)", "one that comes late"),
        ("H A k0 a5 g28 g30 h p40 k80 g90 k120", 0.0, "mp4 v1 s1; flv 5 (MP4 has no place for G711A)", "one that comes late, before another configuration"),
        ("D e A k0 a5 p40 a28", 0.0, "flv 6 (the configuration of H264 cannot be read)", "parameter sets in the frames alone"),
        ("D w A k0 a5 k500 a505 a1005 k1010 a1015", 0.0, "flv 9 (the configuration of H264 cannot be read)", "a parameter set with a wrong length"),
        ("D H n k0 a5 p40 a28", 0.0, "flv 5 (the configuration of AAC cannot be read)", "an AAC header without a configuration"),
        ("D k0 A a5 p40 k80 a85", 0.0, "flv 6 (the configuration of H264 cannot be read)", "no AVC header at all"),
        ("H k0 n a5 k40 a1004 k1040 a1041 k1080 a1090", 0.0, "mp4 v3; flv 3 (the configuration of AAC cannot be read)", "one that is late and cannot be read"),
        ("A a0 e k5 k500 a990 k1005 a1010", 0.0, "mp4 s2; flv 4 (the configuration of H264 cannot be read)", "pictures that are late and cannot be read"),
        ("A a0 e k5 a990 k1004 H k1005 a1010", 0.0, "mp4 s2; mp4 v1 s1", "late pictures whose header comes a moment later"),
        ("D A a0 e k5 a500 H k900 a905", 0.0, "mp4 v1 s3", "a header a moment after the first frames"),
        ("H A k0 a5 e n p40 a45 k80 a1500 k1600", 0.0, "mp4 v4 s3", "headers without a configuration behind real ones"),
        ("e k0 k500 k999 k1000", 0.0, "flv 5 (the configuration of H264 cannot be read)", "nothing else, for a second"),
        ("p0 p40 a40", 0.0, "flv 3 (no track has a configuration)", "no configuration"),
    ];
    for (words, seconds, want, why) in rows {
        let folder = Folder::new();
        let settings = match seconds {
            0.0 => whole(&folder),
            seconds => segments(&folder, seconds),
        };
        let files = record(mp4(settings), &sent(words));
        let lines: Vec<String> = files.iter().map(line).collect();
        assert_eq!(lines.join("; "), want, "{why}");
        assert_eq!(folder.files().len(), files.len(), "{why}");
    }
}

#[test]
fn files_are_called_and_timed_as_those_of_flv() {
    let folder = Folder::new();
    let files = record(
        mp4(segments(&folder, 1.0)),
        &sent("H A k7000 a7005 k8000 a8005"),
    );
    assert_eq!(folder.files(), ["001.mp4", "002.mp4"]);
    let durations: Vec<u128> = files.iter().map(|file| file.duration.as_millis()).collect();
    assert_eq!(durations, [5, 5]);
    let first = &movie(&files[0].path).tracks[0].samples[0];
    assert_eq!((first.decode, first.is_sync), (0, true));
}

/// A minute of pictures and sound, in which no two frames are the same.
fn minute() -> Vec<Message> {
    let mut all = sent("H A");
    for number in 0..1500_u32 {
        let kind = if number.is_multiple_of(50) { "k" } else { "p" };
        for (word, at) in [(kind, number * 40), ("a", number * 40 + 3)] {
            let message = sent(&format!("{word}{at}")).remove(0);
            let len = 40 + number as usize % 300;
            let body = [&message.payload[..], &number.to_be_bytes(), &vec![7; len]].concat();
            all.push(Message {
                payload: body.into(),
                ..message
            });
        }
    }
    all
}

/// Every sample that is in the file is the next one that was sent.
fn check_prefix(movie: &Movie) -> usize {
    let all = minute();
    for (track, kind) in movie.tracks.iter().zip([9, 8]) {
        let own = all.iter().filter(|message| message.kind.0 == kind).skip(1);
        for (sample, message) in track.samples.iter().zip(own) {
            assert!(message.payload.ends_with(&sample.data));
        }
    }
    movie.tracks.iter().map(|track| track.samples.len()).sum()
}

/// Records in `folder` beyond the limit of files.
pub fn record_beyond_the_limit(folder: &Path) {
    let _signals = rtmp_server::sys::Signals::install().unwrap();
    let settings = RecordSettings {
        dir: folder.to_owned(),
        segments: None,
        format: FileFormat::Mp4,
    };
    let [file] = &record(settings, &minute())[..] else {
        panic!("one file")
    };
    let error = file.error.as_deref().expect("an error");
    assert!(error.starts_with("cannot write: "), "{error}");
}

#[test]
fn a_full_disk_leaves_whole_fragments() {
    for limit in [150_000, 150_777] {
        let folder = Folder::new();
        let script = format!("exec prlimit --fsize={limit} $TEST");
        in_a_process("full mp4", &folder, &script);
        let files = folder.files();
        let movie = movie(folder.path().join(&files[0]).to_str().unwrap());
        let count = check_prefix(&movie);
        // A second of the stream is 10 kB, and what is left of a fragment is cut off.
        assert!(count > 500, "{limit}: {count} samples");
    }
    // Not even a fragment, nor what a file begins with.
    for limit in [3000, 100] {
        let folder = Folder::new();
        let script = format!("exec prlimit --fsize={limit} $TEST");
        in_a_process("full mp4", &folder, &script);
        assert_eq!(folder.files(), Vec::<String>::new(), "{limit}");
    }
}

/// Records in `folder` and never ends.
pub fn record_without_end(folder: &Path) {
    let settings = RecordSettings {
        dir: folder.to_owned(),
        segments: None,
        format: FileFormat::Mp4,
    };
    let recorder = Recorder::new(settings, Arc::new(FinishedFiles::default()), Arc::default());
    let (feed, intake) = feed(FEED_LIMITS);
    drop(recorder.start(&key(), intake));
    for message in minute() {
        feed.push(&[message], Instant::now());
    }
    let end = within(30);
    while Instant::now() < end {
        let files = recorder.snapshot();
        if files
            .first()
            .is_some_and(|file| file.duration > Duration::from_secs(50))
        {
            // As kill -9 does.
            std::process::abort();
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_recorder_that_is_killed_leaves_a_file_that_plays() {
    let folder = Folder::new();
    in_a_process("kill mp4", &folder, "ulimit -c 0; $TEST; test $? -gt 128");
    let files = folder.files();
    let movie = movie(folder.path().join(&files[0]).to_str().unwrap());
    assert!(movie.fragments >= 25, "{} fragments", movie.fragments);
    assert!(check_prefix(&movie) > 2500);
}
