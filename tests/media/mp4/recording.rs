//! A recording without a disk: every write in the order in which a recorder would do it.

use super::messages::Message;
use rtmp_server::media::mp4::{Fragment, Hybrid, Movie, Mp4Track};
use rtmp_server::media::tracks::{MediaSample, StreamTracks, TrackEvent};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    Append(Vec<u8>),
    Patch(u64, Vec<u8>),
}

#[derive(Default)]
pub struct Recording {
    pub tracks: Vec<Mp4Track>,
    /// All samples, with their messages.
    pub samples: Vec<(MediaSample, Arc<[u8]>)>,
    pub writes: Vec<Write>,
    /// How many of the writes there were before the end.
    pub before_end: usize,
}

impl Recording {
    /// Of all the messages, in one file; its tracks are all that the messages have.
    pub fn new(messages: &[Message]) -> Recording {
        let mut tracks = StreamTracks::default();
        let mut known = BTreeMap::new();
        let mut samples = Vec::new();
        for message in messages {
            let mut items = Vec::new();
            tracks.read(message.kind, message.ms, &message.payload, &mut items);
            samples.extend(items.into_iter().filter_map(|item| match item {
                TrackEvent::Sample(sample) => Some((sample, Arc::clone(&message.payload))),
                _ => None,
            }));
            known.extend(tracks.known().map(|(id, config)| (id, config.clone())));
        }
        let track = |(id, config)| Mp4Track { id, config };
        Recording::of(known.into_iter().map(track).collect(), samples)
    }

    /// Of the same samples, in a file that began with `tracks`; the others are added when they come.
    pub fn of_late(tracks: Vec<Mp4Track>, whole: &Recording) -> Recording {
        Recording::write(tracks, whole.tracks.clone(), whole.samples.clone())
    }

    pub fn of(tracks: Vec<Mp4Track>, samples: Vec<(MediaSample, Arc<[u8]>)>) -> Recording {
        Recording::write(tracks.clone(), tracks, samples)
    }

    fn write(
        known: Vec<Mp4Track>,
        tracks: Vec<Mp4Track>,
        samples: Vec<(MediaSample, Arc<[u8]>)>,
    ) -> Recording {
        let movie = Movie {
            created: 1_700_000_000,
            encoder: Some("enc 1.0".to_owned()),
        };
        let (mut hybrid, beginning) = Hybrid::new(known, movie);
        let mut writes = vec![Write::Append(beginning)];
        for (sample, payload) in &samples {
            if !hybrid.has(sample.track) {
                let track = tracks.iter().find(|track| track.id == sample.track);
                hybrid.add(track.expect("a track").clone());
            }
            if let Some(fragment) = hybrid.push(sample, payload) {
                write(&mut hybrid, &fragment, &mut writes);
            }
        }
        if let Some(fragment) = hybrid.end() {
            write(&mut hybrid, &fragment, &mut writes);
        }
        let before_end = writes.len();
        let trailer = hybrid.trailer();
        let mut end = Vec::new();
        let Ok(()) = trailer.write(|piece| {
            end.extend_from_slice(piece);
            Ok::<(), Infallible>(())
        });
        assert_eq!(end.len() as u64, trailer.size());
        let patch = trailer.patch();
        writes.push(Write::Append(end));
        writes.push(Write::Patch(patch.at, patch.bytes.to_vec()));
        Recording {
            tracks,
            samples,
            writes,
            before_end,
        }
    }

    /// The file after the first `count` writes.
    pub fn file(&self, count: usize) -> Vec<u8> {
        let mut file = Vec::new();
        self.writes[..count]
            .iter()
            .for_each(|write| write.apply(&mut file));
        file
    }

    pub fn unfinished(&self) -> Vec<u8> {
        self.file(self.before_end)
    }

    pub fn finished(&self) -> Vec<u8> {
        self.file(self.writes.len())
    }
}

impl Write {
    pub fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Write::Append(bytes) => file.extend_from_slice(bytes),
            Write::Patch(at, bytes) => {
                let at = *at as usize;
                file[at..at + bytes.len()].copy_from_slice(bytes);
            }
        }
    }
}

fn write(hybrid: &mut Hybrid, fragment: &Fragment, writes: &mut Vec<Write>) {
    let mut bytes = Vec::new();
    fragment.put(&mut bytes);
    assert_eq!(bytes.len(), fragment.size());
    writes.push(Write::Append(bytes));
    let patch = hybrid.written(fragment);
    writes.push(Write::Patch(patch.at, patch.bytes.to_vec()));
}
