//! What ffmpeg encodes, cut here: ffmpeg decodes the segments without a word.

use crate::support::readers::listener::Listener;
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};
use std::process::Command;

const CURRENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/interop/ffmpeg");

fn run(args: &[&str]) -> String {
    let output = Command::new(CURRENT)
        .args(["-hide_banner", "-nostdin", "-v", "error"])
        .args(args)
        .env("SVT_LOG", "0")
        .output();
    let output = output.unwrap_or_else(|error| {
        panic!("{CURRENT}: {error}: run `make tools`, which brings all programs")
    });
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{args:?}:\n{complaints}"
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn tags(file: &[u8]) -> Vec<Message> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| n << 8 | u32::from(*byte));
    let (mut at, mut messages) = (13, Vec::new());
    while at + 11 <= file.len() {
        let len = number(&file[at + 1..at + 4]) as usize;
        let ms = number(&file[at + 4..at + 7]) | number(&file[at + 7..at + 8]) << 24;
        let payload = file[at + 11..at + 11 + len].to_vec();
        messages.push(Message {
            timestamp: Timestamp(ms),
            ..Message::untimed(MessageType(file[at]), StreamId(1), payload)
        });
        at += 11 + len + 4;
    }
    messages
}

/// Encodes six seconds, cuts them, decodes them; no frame is missing.
fn check(name: &str, codecs: &str, pictures: u32) {
    let folder =
        std::env::temp_dir().join(format!("rtmp-server-hls-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let source = path("source.flv");
    let inputs = "-f lavfi -i testsrc2=size=320x180:rate=30 -f lavfi -i sine=r=48000";
    let words = format!("{inputs} {codecs} -t 6");
    let mut args: Vec<&str> = words.split_whitespace().collect();
    args.push(&source);
    run(&args);
    let mut listener = Listener::new(None);
    listener.push(&tags(&std::fs::read(&source).expect("a file")));
    listener.end();
    assert!(listener.history.segments.len() >= 2, "{name}");
    let files = listener.files();
    assert_eq!(files.len(), 1, "{name}");
    let made = path("made.mp4");
    std::fs::write(&made, &files[0].0).expect("a file");
    let frames = run(&["-i", &made, "-map", "0", "-f", "framemd5", "-"]);
    let shown = frames.lines().filter(|line| line.starts_with("0,")).count();
    std::fs::remove_dir_all(&folder).expect("a folder");
    assert_eq!(shown, pictures as usize, "{name}");
}

#[test]
fn ffmpeg_decodes_avc_and_aac() {
    check(
        "avc",
        "-c:v libx264 -preset ultrafast -g 45 -bf 2 -c:a aac",
        180,
    );
}

#[test]
fn ffmpeg_decodes_hevc_and_opus() {
    check(
        "hevc",
        "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=60:no-open-gop=1 -c:a libopus",
        180,
    );
}
