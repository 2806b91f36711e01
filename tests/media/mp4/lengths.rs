//! A recording lasts as long as what was sent, whatever samples say of their length.

use super::files::{frame, header};
use super::messages::{Message, message};
use super::recording::Recording;
use crate::media::mp4_reader;
use rtmp_server::rtmp::MessageType;

/// FLAC in mono of `rate`, whose frames say to have `len` samples and come every `step` ms.
fn flac(rate: u32, len: u32, step: u64) -> Vec<Message> {
    let mut info = [0; 34];
    info[10..14].copy_from_slice(&(rate << 12 | 15 << 4).to_be_bytes());
    let header = [&b"\x90fLaC"[..], &info].concat();
    let [.., high, low] = (len - 1).to_be_bytes();
    let frame = [&b"\x91fLaC\xff\xf8\x70\x08\0"[..], &[high, low, 1]].concat();
    let times = (0..24_000 / step).map(|number| number * step);
    let frames = times.map(|ms| message(MessageType::AUDIO, ms, &frame));
    let header = message(MessageType::AUDIO, 0, &header);
    std::iter::once(header).chain(frames).collect()
}

/// A picture a second, of which the sixth is the last for 10 s.
fn pictures() -> Vec<Message> {
    let times = (0..24)
        .map(|n| n * 1000)
        .filter(|ms| !(6000..15_000).contains(ms));
    let pictures = times.map(|ms| frame("avc", ms, 0, ms == 0, b"picture"));
    header("avc").into_iter().chain(pictures).collect()
}

#[test]
fn files_are_as_long_as_their_messages() {
    #[rustfmt::skip]
    let rows = [
        // What, the messages, and how much longer the file may be than them, in ms.
        ("FLAC", flac(48_000, 4800, 100), 100),
        ("FLAC of 2 s a frame", flac(8000, 16_000, 2000), 100),
        ("FLAC of 8 s a frame", flac(8000, 64_000, 8000), 100),
        ("FLAC that says 4 times as much", flac(48_000, 4096, 20), 2500),
        ("FLAC that says 29 times as much", flac(1000, 576, 20), 5000),
        ("FLAC that says 410 times as much", flac(8000, 65_535, 20), 100),
        ("pictures with a gap", pictures(), 100),
    ];
    for (what, messages, more) in rows {
        let recording = Recording::new(&messages);
        for file in [recording.unfinished(), recording.finished()] {
            let movie = mp4_reader::read(&file).expect("a file");
            let track = &movie.tracks[0];
            let ticks: u64 = track.samples.iter().map(|s| u64::from(s.duration)).sum();
            let ms = ticks * 1000 / u64::from(track.timescale);
            assert!((23_900..=24_000 + more).contains(&ms), "{what}: {ms} ms");
        }
    }
}
