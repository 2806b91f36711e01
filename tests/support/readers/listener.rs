//! A player that reads everything: every version of a playlist, and all that it names.

use crate::support::readers::mp4_reader::{self, Movie};
use crate::support::readers::playlist_reader::history::History;
use crate::support::readers::playlist_reader::{self, SECOND};
use rtmp_server::media::Packet;
use rtmp_server::media::hls::{HlsSettings, Names, Packager, Reload, Reply, Resource};
use rtmp_server::rtmp::{Message, Timestamp};
use std::collections::BTreeMap;

/// When the stream's clock was at 0, in ms since 1970.
pub const START_MS: i64 = 1_764_066_119_413;

pub const SETTINGS: HlsSettings = HlsSettings {
    segment_ms: 2000,
    part_ms: 500,
};

pub fn names() -> Names {
    let mut next = 0;
    Box::new(move || {
        next += 1;
        format!("n{next}")
    })
}

/// The ids of samples of a kind.
pub fn ids(movies: &[Movie], handler: &str) -> Vec<u32> {
    let tracks = movies.iter().flat_map(|movie| &movie.tracks);
    let tracks = tracks.filter(|track| track.handler == handler);
    let samples = tracks.flat_map(|track| &track.samples);
    samples
        .map(|sample| u32::from_be_bytes(sample.data[..].try_into().expect("an id")))
        .collect()
}

pub struct Listener {
    pub packager: Packager,
    pub name: String,
    pub history: History,
    /// How late messages come, in ms.
    pub late_ms: i64,
    /// The bytes of all parts and inits, by name.
    pub bytes: BTreeMap<String, Vec<u8>>,
    version: u64,
    /// The time of the last message, and what it is without the wrap.
    clock: (Timestamp, i64),
}

impl Listener {
    pub fn new(keyframes_ms: Option<u32>) -> Listener {
        let mut packager = Packager::new(SETTINGS, keyframes_ms, names());
        packager.begin();
        Listener {
            packager,
            name: "stream".to_owned(),
            history: History::default(),
            late_ms: 0,
            bytes: BTreeMap::new(),
            version: 0,
            clock: Default::default(),
        }
    }

    /// Passes messages on, one by one, and looks at the playlist after each.
    pub fn push(&mut self, messages: &[Message]) {
        for message in messages {
            let (last, ms) = self.clock;
            let ms = ms + i64::from(message.timestamp.since(last));
            // Headers come when they come, whatever they say.
            if Packet::new(message.kind, &message.payload).is_frame() {
                self.clock = (message.timestamp, ms);
            }
            let now_ms = START_MS + self.clock.1 + self.late_ms;
            self.packager.push(std::slice::from_ref(message), now_ms);
            self.look();
        }
    }

    pub fn begin(&mut self) {
        self.packager.begin();
        self.look();
    }

    pub fn end(&mut self) {
        self.packager.end();
        self.look();
    }

    pub fn text(&self) -> Option<String> {
        match self.packager.playlist(&self.name, Reload::default(), "") {
            Reply::Playlist(text) => Some(text),
            Reply::Waits | Reply::Unknown => None,
            Reply::Impossible => panic!("impossible"),
        }
    }

    /// Reads the playlist if it is another one, and all that is new in it.
    pub fn look(&mut self) {
        if std::mem::replace(&mut self.version, self.packager.version()) == self.version {
            return;
        }
        let Some(text) = self.text() else { return };
        let playlist = playlist_reader::read(&text).unwrap_or_else(|why| panic!("{why}:\n{text}"));
        for segment in playlist.all() {
            self.fetch(&segment.map);
            let parts: Vec<u8> = segment
                .parts
                .iter()
                .flat_map(|part| self.fetch(&part.uri))
                .collect();
            if !segment.uri.is_empty() && !self.bytes.contains_key(&segment.uri) {
                let whole = self.fetch(&segment.uri);
                assert!(
                    whole == parts || segment.parts.is_empty(),
                    "{}",
                    segment.uri
                );
            }
        }
        if let Some(hint) = &playlist.hint {
            let hint = hint.strip_suffix(".m4s").expect("an ending");
            assert_eq!(self.packager.resource(hint), Some(Resource::Hinted));
        }
        let added = self.history.add(playlist);
        added.unwrap_or_else(|why| panic!("{why}:\n{text}"));
    }

    fn fetch(&mut self, uri: &str) -> Vec<u8> {
        if let Some(known) = self.bytes.get(uri) {
            return known.clone();
        }
        let name = uri.strip_suffix(".m4s").expect("an ending");
        let Some(Resource::Whole(pieces)) = self.packager.resource(name) else {
            panic!("{uri} is not there:\n{:?}", self.text());
        };
        let bytes = pieces.concat();
        self.bytes.insert(uri.to_owned(), bytes.clone());
        bytes
    }

    /// All segments with one init as a file, and when each of them begins and ends by what the
    /// playlist says, counted from the first: one for each init, in order.
    pub fn files(&self) -> Vec<(Vec<u8>, Vec<u64>)> {
        let mut files: Vec<(String, Vec<u8>, Vec<u64>)> = Vec::new();
        for segment in self.history.segments.values() {
            if files.last().is_none_or(|(map, ..)| *map != segment.map) {
                let init = self.bytes[&segment.map].clone();
                files.push((segment.map.clone(), init, vec![0]));
            }
            let (_, file, times) = files.last_mut().expect("a file");
            file.extend_from_slice(&self.bytes[&segment.uri]);
            times.push(times.last().unwrap_or(&0) + segment.duration);
        }
        files
            .into_iter()
            .map(|(_, file, times)| (file, times))
            .collect()
    }

    pub fn movies(&self) -> Vec<Movie> {
        let movie = |(file, _): (Vec<u8>, _)| mp4_reader::read(&file).expect("a file");
        self.files().into_iter().map(movie).collect()
    }

    /// Checks that a part says that a decoder can begin with it if it begins with a keyframe, or with sound
    /// that is alone.
    pub fn check_independence(&self) {
        let mut files: BTreeMap<&str, (Vec<u8>, usize)> = BTreeMap::new();
        for segment in self.history.segments.values() {
            let init = || (self.bytes[&segment.map].clone(), 0);
            let (file, before) = files.entry(&segment.map).or_insert_with(init);
            for part in &segment.parts {
                file.extend_from_slice(&self.bytes[&part.uri]);
                let movie = mp4_reader::read(file).expect("parts");
                let mut tracks = movie.tracks.iter();
                let Some(pictures) = tracks.find(|track| track.handler == "vide") else {
                    assert!(part.is_independent, "{}", part.uri);
                    continue;
                };
                let first = pictures.samples.get(*before);
                *before = pictures.samples.len();
                let is_key = first.is_some_and(|first| first.is_sync);
                assert_eq!(part.is_independent, is_key, "{}", part.uri);
            }
        }
    }

    /// How far the beginnings of segments are from where the playlist puts them, at most, in ticks;
    /// of the track of this kind.
    pub fn drift(&self, handler: &str) -> i64 {
        self.drifts(handler).into_iter().max().unwrap_or_default()
    }

    /// The same of each segment that has samples of the track.
    fn drifts(&self, handler: &str) -> Vec<i64> {
        let mut all = Vec::new();
        let mut files: BTreeMap<&str, (Vec<u8>, usize, i64, i64)> = BTreeMap::new();
        for segment in self.history.segments.values() {
            let init = || (self.bytes[&segment.map].clone(), 0, -1, 0);
            let (file, before, start, played) = files.entry(&segment.map).or_insert_with(init);
            file.extend_from_slice(&self.bytes[&segment.uri]);
            let movie = mp4_reader::read(file).expect("a file");
            let mut tracks = movie.tracks.iter();
            let track = tracks
                .find(|track| track.handler == handler)
                .expect("a track");
            if let Some(first) = track.samples.get(*before) {
                let at = (first.decode * SECOND / u64::from(track.timescale)) as i64;
                if *start < 0 || segment.is_discontinuity {
                    (*start, *played) = (at, 0);
                }
                all.push((at - *start - *played).abs());
            }
            *before = track.samples.len();
            *played += segment.duration as i64;
        }
        all
    }
}
