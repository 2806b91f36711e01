//! HLS against the strict readers: every version of a playlist, and all that it names.

use super::draw::Draw;
use super::stream::{FrameClock, Step, steps};
use crate::support::readers::listener::{Listener, SETTINGS, START_MS, names};
use crate::support::readers::mp4_reader;
use crate::support::readers::playlist_reader;
use crate::support::readers::playlist_reader::history::History;
use rtmp_server::media::hls::{MEMORY_MAX, Packager, Reload, Reply};
use rtmp_server::media::sample::MediaType;
use rtmp_server::media::tracks::{StreamTracks, TrackEvent};
use rtmp_server::rtmp::Message;
use std::collections::{BTreeMap, BTreeSet};

/// The pictures of a stream, each with its bytes and when it is to be shown, in ticks.
#[derive(Default)]
pub struct Pictures {
    pub clock: FrameClock,
    tracks: StreamTracks,
    shown: BTreeSet<(Vec<u8>, i64)>,
}

impl Pictures {
    pub fn see(&mut self, message: &Message) {
        let ms = self.clock.ms(message);
        let mut events = Vec::new();
        self.tracks
            .read(message.kind, ms, &message.payload, &mut events);
        for event in events {
            if let TrackEvent::Sample(sample) = event
                && sample.track.medium == MediaType::Video
            {
                let due = (sample.time_ns * 90 + 500_000) / 1_000_000;
                let shown = due.cast_signed() + i64::from(sample.composition_ms) * 90;
                self.shown
                    .insert((message.payload[sample.data].to_vec(), shown));
            }
        }
    }

    /// Another publication begins.
    pub fn restart(&mut self) {
        self.tracks = StreamTracks::default();
    }

    /// Every picture of a file was sent, and is shown when it is due.
    pub fn check(&self, movie: &mp4_reader::Movie) {
        let pictures = movie.tracks.iter().filter(|track| track.handler == "vide");
        for sample in pictures.flat_map(|track| &track.samples) {
            // What is decoded weeks before or after it is shown cannot say when that is.
            let is_far = sample.composition.unsigned_abs() >= i32::MAX.unsigned_abs().into();
            let shown = sample.decode.cast_signed() + sample.composition;
            let picture = (sample.data.clone(), shown);
            assert!(is_far || self.shown.contains(&picture), "{picture:?}");
        }
    }
}

/// Whatever a stream does, its playlists are strict and what they name can be read.
pub fn playlists(data: &[u8]) {
    let mut draw = Draw(data);
    let keyframes_ms = match draw.u8() {
        0 => None,
        quarters => Some(u32::from(quarters) * 250),
    };
    let mut listener = Listener::new(keyframes_ms);
    let mut pictures = Pictures::default();
    for step in steps(&mut draw) {
        match step {
            Step::Message(message) => {
                pictures.see(&message);
                listener.push(&[message]);
            }
            Step::Event(number) => match number & 3 {
                0 => {
                    pictures.restart();
                    listener.begin();
                }
                1 => {
                    listener.packager.interrupt();
                    listener.look();
                }
                2 => {
                    listener.late_ms = i64::from(number) * 90;
                    look_at(&listener);
                }
                _ => ask(&listener.packager, u64::from(number >> 2)),
            },
        }
        assert!(listener.packager.memory() <= MEMORY_MAX);
    }
    look_at(&listener);
    listener.end();
    assert!(listener.packager.is_over() && !listener.packager.is_live());
    for (file, _) in listener.files() {
        let movie = mp4_reader::read(&file).expect("all segments of an init");
        pictures.check(&movie);
    }
}

fn look_at(listener: &Listener) {
    let Some(text) = listener.packager.multivariant("?a=b") else {
        return;
    };
    assert!(text.starts_with("#EXTM3U\n"), "{text}");
    let uris = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    for uri in uris {
        let name = uri.strip_suffix(".m3u8?a=b").expect("an ending");
        let reply = listener.packager.playlist(name, Reload::default(), "");
        assert!(matches!(reply, Reply::Playlist(_)), "{name}: {reply:?}");
    }
}

/// Asks for segments and parts around those that there are.
fn ask(packager: &Packager, number: u64) {
    for part in [None, Some(number), Some(u64::MAX)] {
        for segment in [None, Some(number), Some(u64::MAX)] {
            let reload = Reload { segment, part };
            let _ = packager.playlist("stream", reload, "");
        }
    }
}

/// Streams of several tracks and messages in batches: every playlist, by all its readings, and the list of
/// them.
pub fn packager(data: &[u8]) {
    let mut draw = Draw(data);
    let mut packager = Packager::new(SETTINGS, None, names()).told_apart(FIRST, "-2");
    packager.begin();
    let mut readings = Readings::default();
    let mut batch: Vec<Message> = Vec::new();
    let mut now_ms = START_MS;
    for step in steps(&mut draw) {
        let event = match step {
            Step::Message(message) => {
                batch.push(message);
                None
            }
            Step::Event(number) => Some(number),
        };
        if event.is_none() && batch.len() < BATCH_LEN {
            continue;
        }
        now_ms += i64::from(event.unwrap_or(1)) * 100;
        packager.push(&std::mem::take(&mut batch), now_ms);
        readings.check(&packager);
        match event.map(|number| (number & 3, number)) {
            Some((1, _)) => packager.begin(),
            Some((2, _)) => packager.interrupt(),
            Some((3, number)) => {
                packager.shrink_to(usize::from(number) << 6);
                readings = Readings::default();
            }
            _ => {}
        }
    }
    packager.push(&batch, now_ms);
    readings.check(&packager);
    packager.end();
    readings.check(&packager);
    assert!(packager.is_over());
}

/// The number of the first segment.
const FIRST: u64 = 1 << 40;

/// Messages that are packaged at once, where nothing else happens in between.
const BATCH_LEN: usize = 8;

/// All playlists of a stream, as often as they were read.
#[derive(Default)]
struct Readings(BTreeMap<String, History>);

impl Readings {
    fn check(&mut self, packager: &Packager) {
        assert!(packager.memory() <= packager.held_len().min(MEMORY_MAX));
        let names = (0..3).flat_map(|n| [format!("video{n}-2"), format!("audio{n}-2")]);
        for name in names.chain(["stream-2".to_owned()]) {
            let reply = packager.playlist(&name, Reload::default(), "");
            let Reply::Playlist(text) = reply else {
                continue;
            };
            let playlist =
                playlist_reader::read(&text).unwrap_or_else(|why| panic!("{why}:\n{text}"));
            assert!(
                playlist.media_sequence >= FIRST,
                "{}",
                playlist.media_sequence
            );
            assert!(packager.next_number() > playlist.open_sequence());
            assert_eq!(Some(playlist.target), packager.target_s());
            let history = self.0.entry(name).or_default();
            let added = history.add(playlist);
            added.unwrap_or_else(|why| panic!("{why}:\n{text}"));
        }
        assert!(!packager.is_unplayable() || self.0.is_empty());
        if let Some(text) = packager.multivariant("") {
            check_list(packager, &text);
        }
    }
}

/// Each playlist that a list of them names is there.
fn check_list(packager: &Packager, text: &str) {
    assert!(text.starts_with("#EXTM3U\n"), "{text}");
    let of_sound = text.split("URI=\"").skip(1);
    let of_sound = of_sound.filter_map(|rest| Some(rest.split_once('"')?.0));
    let of_pictures = text.lines().filter(|line| !line.starts_with('#'));
    for uri in of_pictures.chain(of_sound).filter(|uri| !uri.is_empty()) {
        let name = uri.strip_suffix(".m3u8").expect("an ending");
        let reply = packager.playlist(name, Reload::default(), "");
        assert!(matches!(reply, Reply::Playlist(_)), "{name}: {reply:?}");
    }
}
