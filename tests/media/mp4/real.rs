//! What ffmpeg encodes, put into MP4 here, and read by ffmpeg again: the packets are the same, at the
//! same times, and decode without a word.

use super::messages::{Message, message};
use super::recording::Recording;
use crate::media::mp4_reader;
use rtmp_server::rtmp::MessageType;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const PICTURES: &str = "testsrc2=size=320x180:rate=30";

/// The system's ffmpeg, and a current one, which knows Enhanced RTMP.
const SYSTEM: &str = "ffmpeg";
const CURRENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/interop/ffmpeg");

/// Runs ffmpeg, which must not complain; returns its output.
fn ffmpeg(program: &str, args: &[&str]) -> String {
    let mut command = Command::new(program);
    command
        .args(["-hide_banner", "-nostdin", "-v", "error"])
        .args(args);
    let output = command.env("SVT_LOG", "0").output();
    let output = output.unwrap_or_else(|error| {
        panic!("{program}: {error}: run `make tools`, which brings all programs")
    });
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{args:?}:\n{complaints}"
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let name = format!("rtmp-server-mp4-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        Folder(folder)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_string_lossy().into_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The audio and video tags of an FLV file.
fn tags(path: &str) -> Vec<Message> {
    let file = std::fs::read(Path::new(path)).expect("a file");
    let number = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
    let (mut at, mut messages) = (13, Vec::new());
    while at + 11 <= file.len() {
        let len = number(&file[at + 1..at + 4]) as usize;
        let ms = number(&file[at + 4..at + 7]) | number(&file[at + 7..at + 8]) << 24;
        let kind = MessageType(file[at]);
        if kind != MessageType::DATA {
            messages.push(message(kind, ms, &file[at + 11..at + 11 + len]));
        }
        at += 11 + len + 4;
    }
    messages
}

/// Packets of each stream: when they are decoded and shown, in µs, and what they are.
type Packets = BTreeMap<u32, Vec<(i64, i64, String)>>;

fn packets(program: &str, path: &str, filter: &[&str]) -> Packets {
    let args = [
        &["-copyts", "-i", path, "-map", "0", "-c", "copy"],
        filter,
        &["-f", "framemd5", "-"],
    ];
    let text = ffmpeg(program, &args.concat());
    let mut bases = BTreeMap::new();
    let mut packets = Packets::new();
    for line in text.lines() {
        if let Some(base) = line.strip_prefix("#tb ") {
            let (stream, base) = base.split_once(": ").expect("a time base");
            let (_, base) = base.split_once('/').expect("a time base");
            bases.insert(
                stream.parse::<u32>().expect("a stream"),
                base.parse::<i64>().expect("a base"),
            );
        } else if !line.starts_with('#') {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let stream = fields[0].parse().expect("a stream");
            let us =
                |field: &str| field.parse::<i64>().expect("ticks") * 1_000_000 / bases[&stream];
            let packet = (
                us(fields[1]),
                us(fields[2]),
                format!("{} {}", fields[4], fields[5]),
            );
            packets.entry(stream).or_default().push(packet);
        }
    }
    packets
}

/// Compares packets of a file with those of another that may begin at another time.
fn same(name: &str, got: &Packets, want: &Packets, tolerance_us: i64) {
    let first = |packets: &Packets| {
        let all = packets.values().flatten();
        all.map(|packet| packet.1).min().expect("packets")
    };
    let (got_first, want_first) = (first(got), first(want));
    assert_eq!(got.len(), want.len(), "{name}: streams");
    for (stream, want) in want {
        let got = &got[stream];
        let hashes = |packets: &[(i64, i64, String)]| -> Vec<String> {
            packets.iter().map(|packet| packet.2.clone()).collect()
        };
        assert_eq!(hashes(got), hashes(want), "{name}: stream {stream}");
        let near =
            |got: i64, want: i64| (got - got_first - (want - want_first)).abs() <= tolerance_us;
        for (number, (got, want)) in got.iter().zip(want).enumerate() {
            assert!(
                near(got.0, want.0) && near(got.1, want.1),
                "{name}: stream {stream} packet {number}: {got:?} for {want:?}"
            );
        }
    }
}

/// Encodes, records, and compares; the system's ffmpeg knows MP4 of all codecs too.
fn check(name: &str, inputs: &[&str], codecs: &str) {
    let folder = Folder::new(name);
    let source = folder.path("source.flv");
    let inputs = inputs.iter().flat_map(|input| ["-f", "lavfi", "-i", input]);
    let codecs = codecs.split_whitespace();
    let args: Vec<&str> = inputs.chain(codecs).chain(["-t", "1", &source]).collect();
    let encoded = Command::new(CURRENT)
        .args(["-hide_banner", "-nostdin", "-v", "error"])
        .args(&args)
        .output();
    let encoded = encoded.unwrap_or_else(|error| {
        panic!("{CURRENT}: {error}: run `make tools`, which brings all programs")
    });
    assert!(
        encoded.status.success(),
        "{}",
        String::from_utf8_lossy(&encoded.stderr)
    );
    let messages = tags(&source);
    let recording = Recording::new(&messages);
    let finished = recording.finished();
    mp4_reader::read(&finished).unwrap_or_else(|why| panic!("{name}: {why}"));
    let (finished_path, unfinished_path) =
        (folder.path("finished.mp4"), folder.path("unfinished.mp4"));
    std::fs::write(&finished_path, &finished).expect("a file");
    std::fs::write(&unfinished_path, recording.unfinished()).expect("a file");
    // MP4 has no temporal delimiters, and FLV may have a last header as a packet of its own.
    let av1 = ["-bsf:v", "av1_metadata=td=remove"];
    let filter: &[&str] = if name.contains("av1") { &av1 } else { &[] };
    let mut want = packets(CURRENT, &source, filter);
    for packets in want.values_mut() {
        packets.retain(|packet| !packet.2.starts_with("0 "));
    }
    for program in [CURRENT, SYSTEM] {
        for path in [&finished_path, &unfinished_path] {
            // Milliseconds of FLV are up to one off the samples of sound.
            same(name, &packets(program, path, &[]), &want, 1100);
            ffmpeg(
                program,
                &["-xerror", "-i", path, "-map", "0", "-f", "null", "-"],
            );
        }
        let finished = packets(program, &finished_path, &[]);
        same(
            name,
            &finished,
            &packets(program, &unfinished_path, &[]),
            1000,
        );
    }
}

const TONE: &str = "sine=sample_rate=44100";
const TONE_48: &str = "sine=sample_rate=48000";

#[test]
fn h264_with_b_frames_and_aac() {
    let codecs = "-c:v libx264 -preset ultrafast -bf 3 -b_strategy 0 -g 30 -c:a aac";
    check("h264-aac", &[PICTURES, TONE], codecs);
}

#[test]
fn hevc_and_aac() {
    let codecs =
        "-c:v libx265 -preset ultrafast -x265-params log-level=none:bframes=3 -g 30 -c:a aac";
    check("hevc-aac", &[PICTURES, TONE_48], codecs);
}

#[test]
fn av1_and_opus() {
    let codecs = "-c:v libsvtav1 -preset 12 -g 30 -c:a libopus -ac 2";
    check("av1-opus", &[PICTURES, TONE_48], codecs);
}

#[test]
fn vp9_and_opus() {
    let codecs = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 30 -c:a libopus";
    check("vp9-opus", &[PICTURES, TONE_48], codecs);
}

#[test]
fn h264_and_mp3() {
    let codecs = "-c:v libx264 -preset ultrafast -g 30 -c:a libmp3lame";
    check("h264-mp3", &[PICTURES, TONE], codecs);
}

#[test]
fn sound_of_all_kinds_alone() {
    for codec in [
        "aac",
        "flac",
        "ac3",
        "eac3",
        "libopus -mapping_family 1 -ac 6",
        "ac3 -ac 6",
    ] {
        check("sound", &[TONE_48], &format!("-c:a {codec}"));
    }
}

#[test]
fn two_and_two_tracks() {
    let codecs = "-map 0 -map 1 -map 2 -map 3 -c:v libx264 -preset ultrafast -g 30 -c:a:0 aac -c:a:1 libopus";
    check(
        "two-and-two",
        &[PICTURES, PICTURES, TONE_48, TONE_48],
        codecs,
    );
}
