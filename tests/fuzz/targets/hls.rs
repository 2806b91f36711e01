//! HLS against the strict readers: every version of a playlist, and all that it names.

use super::draw::Draw;
use super::stream::{FrameClock, Step, steps};
use crate::support::readers::listener::{Listener, SETTINGS, START_MS, names};
use crate::support::readers::mp4_reader;
use rtmp_server::media::hls::{MEMORY_MAX, Packager, Reload, Reply};
use rtmp_server::media::sample::MediaType;
use rtmp_server::media::tracks::{StreamTracks, TrackEvent};
use rtmp_server::rtmp::Message;
use std::collections::BTreeSet;

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

/// The same with streams of several tracks and messages in batches, of which only the memory is looked at and
/// that playlists of all names can be read.
pub fn packager(data: &[u8]) {
    let mut draw = Draw(data);
    let mut packager = Packager::new(SETTINGS, None, names());
    packager.begin();
    let mut batch: Vec<Message> = Vec::new();
    let mut now_ms = START_MS;
    for step in steps(&mut draw) {
        match step {
            Step::Message(message) => batch.push(message),
            Step::Event(number) => {
                now_ms += i64::from(number) * 100;
                packager.push(&std::mem::take(&mut batch), now_ms);
                check_all(&packager);
                match number & 3 {
                    1 => packager.begin(),
                    2 => packager.interrupt(),
                    _ => {}
                }
            }
        }
    }
    packager.push(&batch, now_ms);
    check_all(&packager);
    packager.end();
    check_all(&packager);
}

fn check_all(packager: &Packager) {
    use crate::support::readers::playlist_reader;
    assert!(packager.memory() <= MEMORY_MAX);
    let names = (0..3).flat_map(|n| [format!("video{n}"), format!("audio{n}")]);
    for name in names.chain(["stream".to_owned()]) {
        if let Reply::Playlist(text) = packager.playlist(&name, Reload::default(), "") {
            playlist_reader::read(&text).unwrap_or_else(|why| panic!("{why}:\n{text}"));
        }
    }
}
