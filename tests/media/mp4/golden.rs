//! The boxes in `testdata/mp4`: what its table says is what our code writes, and what the reader here
//! finds in them.

use super::live;
use super::messages::{Message, messages};
use crate::media::mp4_reader;
use rtmp_server::media::config::{Config, Details};
use rtmp_server::media::mp4::live::TrackChoice;
use rtmp_server::media::mp4::{Fragmenter, LastSample, Movie, Mp4Track, initialization};
use rtmp_server::media::tracks::{StreamTracks, TrackEvent};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

/// Id, meaning and messages of each row.
fn rows() -> Vec<(String, String, Vec<Message>)> {
    let text = std::fs::read_to_string(testdata().join("mp4.txt")).expect("the table");
    let rows = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let row = |line: &str| match line.split("  ").collect::<Vec<_>>()[..] {
        [id, meaning, words] => (id.to_owned(), meaning.to_owned(), messages(words)),
        _ => panic!("three fields: {line}"),
    };
    rows.map(row).collect()
}

/// The initialization segment and the one fragment that messages make, and what the first means.
fn made(messages: &[Message]) -> (Vec<u8>, Vec<u8>, String) {
    let mut tracks = StreamTracks::default();
    let mut items = Vec::new();
    for message in messages {
        let mut said = Vec::new();
        tracks.read(message.kind, message.ms, &message.payload, &mut said);
        items.extend(said.into_iter().map(|item| (item, message)));
    }
    let track = |(id, config): (_, &Config)| Mp4Track {
        id,
        config: config.clone(),
    };
    let tracks: Vec<Mp4Track> = tracks.known().map(track).collect();
    let mut fragmenter = Fragmenter::new(&tracks);
    for (item, message) in items {
        if let TrackEvent::Sample(sample) = item {
            assert!(fragmenter.push(&sample, &message.payload));
        }
    }
    let mut fragment = Vec::new();
    if let Some(made) = fragmenter.cut(LastSample::Guessed) {
        made.put(&mut fragment);
    }
    let meanings: Vec<String> = tracks.iter().map(|track| meaning(&track.config)).collect();
    let movie = Movie::default();
    (
        initialization(&tracks, &movie),
        fragment,
        meanings.join("; "),
    )
}

fn meaning(config: &Config) -> String {
    let string = config.codec_string();
    match &config.details {
        Details::Video {
            width,
            height,
            pixel_aspect,
            ..
        } => {
            let pixels = pixel_aspect.map_or(String::new(), |[x, y]| format!(" ({x}:{y})"));
            format!("{string} {width}x{height}{pixels}")
        }
        Details::Audio(audio) => {
            let (rate, channels, bits) = (audio.rate, audio.channels, audio.bits);
            format!("{string} {rate} Hz {channels} ch {bits} bit")
        }
    }
}

/// What the reader finds in a fragment.
fn samples(file: &[u8]) -> String {
    let movie = mp4_reader::read(file).expect("a file");
    assert_eq!(movie.fragments, 1);
    let sample = |sample: &mp4_reader::Sample| {
        let sync = if sample.is_sync { " sync" } else { "" };
        let (decode, composition) = (sample.decode, sample.composition);
        let (duration, len) = (sample.duration, sample.data.len());
        format!("{decode}+{composition} {duration}{sync} {len}")
    };
    let used = movie
        .tracks
        .iter()
        .filter(|track| !track.samples.is_empty());
    let tracks: Vec<String> = used
        .map(|track| {
            let samples: Vec<String> = track.samples.iter().map(sample).collect();
            format!("{}: {}", track.number, samples.join(", "))
        })
        .collect();
    tracks.join("; ")
}

#[test]
fn every_row_has_its_file_and_every_file_its_row() {
    let rows: BTreeSet<String> = rows().into_iter().map(|row| row.0).collect();
    let files = std::fs::read_dir(testdata().join("mp4")).expect("the files");
    let name = |file: std::io::Result<std::fs::DirEntry>| {
        let name = file.expect("a file").file_name().into_string();
        name.expect("UTF-8").trim_end_matches(".bin").to_owned()
    };
    assert_eq!(rows, files.map(name).collect());
}

/// The response that messages make, and what it means.
fn response(messages: &[Message]) -> (Vec<u8>, String) {
    let messages: Vec<Option<Message>> = messages.iter().cloned().map(Some).collect();
    match &live::responses(TrackChoice::default(), &messages)[..] {
        [response] => (response.from(0), live::told(response)),
        more => panic!("{} responses", more.len()),
    }
}

#[test]
fn every_row_is_written_as_it_was() {
    for (id, want, messages) in rows() {
        let path = testdata().join(format!("mp4/{id}.bin"));
        if id.starts_with('L') {
            let (bytes, meaning) = response(&messages);
            let golden = std::fs::read(&path).unwrap_or_default();
            assert!(golden == bytes, "{id}: other bytes:\n{}", hex(&bytes));
            assert_eq!(meaning, want, "{id}");
            continue;
        }
        let (init, fragment, meaning) = made(&messages);
        let is_init = id.starts_with('I');
        let bytes = if is_init { &init } else { &fragment };
        let golden = std::fs::read(&path).unwrap_or_default();
        assert!(golden == *bytes, "{id}: other bytes:\n{}", hex(bytes));
        if is_init {
            assert_eq!(meaning, want, "{id}");
            let movie = mp4_reader::read(&golden).expect("a file");
            assert_eq!(movie.top, ["ftyp", "moov"], "{id}");
        } else {
            assert_eq!(samples(&[init, golden].concat()), want, "{id}");
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
