//! What real publishers sent, recorded: nothing missing, nothing twice, and other programs play it.

use super::{Folder, bodies, is_media, recorded, segments, whole};
use crate::support::readers::flv_file::{Flv, Tag};
use rtmp_server::media::{Content, Packet};
use rtmp_server::record::RecordSettings;
use rtmp_server::rtmp::chunk::Decoder;
use rtmp_server::rtmp::data::Data;
use rtmp_server::rtmp::{Message, MessageType, handshake};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Capture, and its streams as a current ffmpeg has them.
const CAPTURES: [(&str, &str); 8] = [
    ("obs29_publish", "video h264, audio aac"),
    ("ffmpeg_publish", "video h264, audio aac"),
    ("gst_rtmp2sink_publish", "video h264, audio aac"),
    ("librtmp_publish_with_ack", "video h264, audio aac"),
    ("ffmpeg8_hevc_aac_publish", "video hevc, audio aac"),
    ("ffmpeg8_av1_opus_publish", "video av1, audio opus"),
    ("ffmpeg8_vp9_flac_publish", "video vp9, audio flac"),
    (
        "ffmpeg8_multitrack_publish",
        "video h264, video hevc, audio aac, audio opus",
    ),
];

/// A current ffmpeg, which knows Enhanced RTMP.
pub fn ffmpeg() -> Command {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("target/interop/ffmpeg"));
    command.args(["-nostdin", "-hide_banner"]);
    command
}

/// The messages of a publication, as the registry pushes them.
pub fn capture(name: &str) -> Vec<Message> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join(format!("testdata/captures/{name}.c2s.bin"));
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut input = &bytes[1 + 2 * handshake::PACKET_LEN..];
    let mut decoder = Decoder::default();
    let mut messages = Vec::new();
    while let Some(message) = decoder.decode(&mut input).unwrap() {
        let kept = match Data::new(message) {
            Data::Retain { message, .. } => message,
            Data::Pass(message) => message,
            Data::Clear(_) => continue,
        };
        if is_media(&kept) || kept.kind == MessageType::DATA {
            messages.push(kept);
        }
    }
    messages
}

/// The part of a capture that is audio or video and not empty.
fn media(name: &str) -> Vec<Message> {
    let messages = capture(name).into_iter();
    messages
        .filter(|message| is_media(message) && !message.payload.is_empty())
        .collect()
}

fn is_header(kind: u8, body: &[u8]) -> bool {
    let content = Packet::new(MessageType(kind), body).content;
    matches!(content, Content::Header | Content::Config)
}

fn frames<'a>(files: impl IntoIterator<Item = &'a Flv>) -> Vec<(u8, Vec<u8>)> {
    let frame = |tag: &&Tag| !is_header(tag.kind, &tag.body);
    let tags = files
        .into_iter()
        .flat_map(|file| file.media().filter(frame));
    tags.map(|tag| (tag.kind, tag.body.clone())).collect()
}

#[test]
fn every_message_is_in_the_file_once() {
    for (name, _) in CAPTURES {
        let folder = Folder::new();
        let sent = media(name);
        let files = recorded(whole(&folder), &capture(name));
        assert_eq!(files.len(), 1, "{name}");
        // Headers go first, all else is in its order.
        let frame = |message: &&Message| !is_header(message.kind.0, &message.payload);
        let first = sent.iter().find(frame).unwrap().timestamp;
        let want = sent.iter().filter(frame).map(|message| {
            let ms = message.timestamp.since(first).max(0);
            (message.kind.0, ms as u32, &message.payload[..])
        });
        let got = files[0]
            .media()
            .filter(|tag| !is_header(tag.kind, &tag.body));
        let got = got.map(|tag| (tag.kind, tag.time_ms, &tag.body[..]));
        assert_eq!(got.collect::<Vec<_>>(), want.collect::<Vec<_>>(), "{name}");
        let mut want = bodies(&sent);
        let tags = files[0].media();
        let mut got: Vec<_> = tags.map(|tag| (tag.kind, tag.body.clone())).collect();
        want.sort();
        got.sort();
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn audio_alone_is_recorded() {
    let folder = Folder::new();
    let mut messages = capture("ffmpeg_publish");
    messages.retain(|message| message.kind != MessageType::VIDEO);
    let files = recorded(whole(&folder), &messages);
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].flags, 4);
    let sent: Vec<Message> = messages.into_iter().filter(is_media).collect();
    let sent = bodies(sent.iter().filter(|message| !message.payload.is_empty()));
    let tags = files[0].media();
    let got: Vec<_> = tags.map(|tag| (tag.kind, tag.body.clone())).collect();
    assert_eq!(got, sent);
    assert_eq!(streams(&path(&folder, 0)), "audio aac");
}

#[test]
fn segments_hold_everything_once_between_them() {
    for (name, want) in CAPTURES {
        let folder = Folder::new();
        let sent = capture(name);
        let files = recorded(segments(&folder, 0.5), &sent);
        // OBS' has one keyframe.
        assert!(files.len() > 1 || name == "obs29_publish", "{name}");
        let one = Folder::new();
        let whole = recorded(whole(&one), &sent);
        assert_eq!(frames(&files), frames(&whole), "{name}");
        for (number, file) in files.iter().enumerate() {
            let first = file.media().find(|tag| !is_header(tag.kind, &tag.body));
            let first = first.expect("a frame");
            let content = Packet::new(MessageType(first.kind), &first.body).content;
            assert!(number == 0 || content == Content::Keyframe, "{name}");
            assert_eq!(streams(&path(&folder, number)), want, "{name} {number}");
        }
    }
}

fn path(folder: &Folder, number: usize) -> PathBuf {
    folder.path().join(&folder.files()[number])
}

/// The streams in a file, in the words of ffmpeg, which has to read and decode it all without a
/// complaint.
fn streams(path: &Path) -> String {
    let output = ffmpeg()
        .args(["-v", "info", "-xerror", "-i"])
        .arg(path)
        .args(["-map", "0", "-f", "null", "-"])
        .output()
        .expect("run `make tools`, which brings ffmpeg");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {text}", path.display());
    let (input, _) = text.split_once("Stream mapping").expect("a mapping");
    let streams = input.lines().filter_map(|line| {
        let (_, stream) = line.trim().strip_prefix("Stream #0:")?.split_once(": ")?;
        let (medium, codec) = stream.split_once(": ")?;
        let codec = codec.split([' ', ',']).next()?;
        Some(format!("{} {codec}", medium.to_lowercase()))
    });
    let streams = streams.collect::<Vec<_>>().join(", ");
    let quiet = ffmpeg()
        .args(["-v", "warning", "-i"])
        .arg(path)
        .args(["-map", "0", "-c", "copy", "-f", "null", "-"])
        .output()
        .expect("ffmpeg");
    let complaints = String::from_utf8_lossy(&quiet.stderr).into_owned();
    assert_eq!(complaints, "", "{}", path.display());
    streams
}

/// What the system's ffprobe, which may be old, says of a file; its complaints are failures.
pub fn probe(path: &Path, entries: &str) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "warning", "-of", "csv=p=0", "-show_entries", entries])
        .arg(path)
        .output()
        .expect("run `make tools`, which brings ffprobe");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert_eq!(complaints, "", "{}", path.display());
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn other_programs_play_what_is_recorded() {
    for (name, want) in CAPTURES {
        let folder = Folder::new();
        recorded(whole(&folder), &capture(name));
        assert_eq!(streams(&path(&folder, 0)), want, "{name}");
    }
}

#[test]
fn the_duration_can_be_read() {
    for name in ["ffmpeg_publish", "obs29_publish", "gst_rtmp2sink_publish"] {
        let folder = Folder::new();
        let files = recorded(whole(&folder), &capture(name));
        let seconds = f64::from(files[0].duration_ms()) / 1000.0;
        let got = probe(&path(&folder, 0), "format=duration");
        assert_eq!(got, format!("{seconds:.6}"), "{name}");
    }
}

#[test]
fn players_seek_by_the_index() {
    // Two groups of pictures from one.
    let folder = Folder::new();
    let mut messages = capture("ffmpeg_publish");
    let last = messages.last().unwrap().timestamp;
    let again: Vec<Message> = messages
        .iter()
        .filter(|message| is_media(message) && !is_header(message.kind.0, &message.payload))
        .map(|message| super::at(message.clone(), message.timestamp.plus(last.0 + 40).0))
        .collect();
    messages.extend(again);
    let files = recorded(whole(&folder), &messages);
    let index = files[0].index();
    let keyframes = files[0].media().filter(|tag| {
        let packet = Packet::new(MessageType(tag.kind), &tag.body);
        tag.kind == 9 && packet.content == Content::Keyframe
    });
    let want: Vec<_> = keyframes.map(|tag| (tag.position, tag.time_ms)).collect();
    assert_eq!(index, want);
    assert!(index.len() >= 2);
    let (_, second) = index[index.len() - 1];
    let output = ffmpeg()
        .args([
            "-v",
            "warning",
            "-ss",
            &format!("{}", f64::from(second) / 1000.0),
            "-i",
        ])
        .arg(path(&folder, 0))
        .args(["-map", "0:v", "-c", "copy", "-f", "framecrc", "-"])
        .output()
        .expect("ffmpeg");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let got = lines.lines().filter(|line| !line.starts_with('#')).count();
    let want = files[0].media().filter(|tag| {
        let content = Packet::new(MessageType(tag.kind), &tag.body).content;
        let picture = matches!(content, Content::Keyframe | Content::Frame);
        tag.kind == 9 && picture && tag.time_ms >= second
    });
    assert_eq!(got, want.count());
}

#[test]
fn the_publishers_metadata_is_kept() {
    for name in ["ffmpeg_publish", "obs29_publish", "gst_rtmp2sink_publish"] {
        let folder = Folder::new();
        let messages = capture(name);
        let settings: RecordSettings = whole(&folder);
        let files = recorded(settings, &messages);
        let sent = messages
            .iter()
            .find_map(|message| rtmp_server::media::flv::properties(message.kind, &message.payload))
            .expect("metadata");
        assert!(!sent.is_empty());
        let metadata = files[0].metadata();
        let names: Vec<_> = sent.iter().map(|(name, _)| name).collect();
        let kept = metadata
            .pairs()
            .iter()
            .filter(|(name, _)| names.contains(&name));
        assert_eq!(kept.cloned().collect::<Vec<_>>(), sent, "{name}");
    }
}
