//! One MP4 file of a recording: a [`Hybrid`], moved to the disk.
//!
//! It is written fragment by fragment. At the end all that it still needs is appended, and the disk
//! keeps it before the one write that makes it a file with an index; so it is one or the other
//! whenever the power fails.

use super::pending::{FileStart, HeldBack, lack};
use super::{Lack, PendingFile, Recorded, Strays};
use crate::amf0::Pairs;
use crate::media::mp4::{Fragment, Hybrid, Movie, Mp4Track};
use crate::media::sample::{MediaType, TrackId};
use crate::media::tracks::{MediaSample, StreamTracks, TRACKS_MAX, TrackEvent};
use crate::record::disk::{Closed, Disk};
use crate::rtmp::{Message, MessageType};
use std::io;
use std::mem;
use std::sync::Arc;

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct Mp4File {
    disk: Disk,
    hybrid: Hybrid,
    tracks: StreamTracks,
    /// Tracks whose configuration is not that of the file any more.
    changed: Vec<TrackId>,
    lack: Option<Lack>,
    strays: Strays,
    /// The last time of audio and video, in ms: of what was put, and of what is written.
    latest_ms: u32,
    duration_ms: u32,
    /// Buffer of the next write; its memory is used again.
    bytes: Vec<u8>,
    has_failed: bool,
    /// Whether there is a fragment in it.
    has_media: bool,
}

impl Mp4File {
    /// Begins a file that is still empty with what has waited for it.
    pub(crate) fn new(disk: Disk, waiting: PendingFile, movie: Movie) -> (Mp4File, io::Result<()>) {
        let FileStart {
            configs,
            changed,
            tracks,
            held,
            strays,
        } = waiting.into_start();
        let own = configs.into_iter();
        let own = own.map(|(id, config)| Mp4Track { id, config }).collect();
        let (hybrid, beginning) = Hybrid::new(own, movie);
        let mut file = Mp4File {
            disk,
            hybrid,
            tracks,
            lack: (!changed.is_empty()).then_some(Lack::Room),
            changed,
            strays,
            latest_ms: 0,
            duration_ms: 0,
            bytes: beginning,
            has_failed: false,
            has_media: false,
        };
        let begun = file.append().and_then(|()| file.put_held(held));
        (file, begun)
    }

    fn put_held(&mut self, held: Vec<HeldBack>) -> io::Result<()> {
        for held in &held {
            for sample in &held.samples {
                self.push(sample, &held.message.payload, held.time_ms)?;
            }
        }
        Ok(())
    }

    /// Takes note of what a message says of tracks; the samples in it.
    fn read(&mut self, message: &Message, time_ms: u32) -> Vec<MediaSample> {
        if !matches!(message.kind, MessageType::AUDIO | MessageType::VIDEO) {
            return Vec::new();
        }
        let (mut events, mut samples) = (Vec::new(), Vec::new());
        self.tracks
            .read(message.kind, time_ms.into(), &message.payload, &mut events);
        for event in events {
            self.strays.see(&event);
            let has = |track| self.hybrid.has(track);
            if let Some(lack) = lack(&event, &self.tracks, has) {
                self.lack = self.lack.take().max(Some(lack));
            }
            match event {
                TrackEvent::Known(track) => self.add_late(track),
                TrackEvent::Sample(sample) => samples.push(sample),
                TrackEvent::Changed(track) => self.changed.push(track),
                _ => {}
            }
        }
        if self.hybrid.is_full() {
            self.lack.get_or_insert(Lack::Room);
        }
        samples
    }

    /// Adds a track of sound that the beginning of the file does not name.
    fn add_late(&mut self, id: TrackId) {
        if id.medium == MediaType::Audio
            && !self.hybrid.has(id)
            && let Some(config) = self.tracks.config(id).cloned()
        {
            self.hybrid.add(Mp4Track { id, config });
        }
    }

    /// Adds a sample; of a track whose configuration has changed, to a track of its own from the first
    /// one on that a decoder can begin with.
    fn put_sample(
        &mut self,
        sample: &MediaSample,
        payload: &Arc<[u8]>,
        time_ms: u32,
    ) -> io::Result<()> {
        let id = sample.track;
        if self.changed.contains(&id) {
            let has_room = self.hybrid.track_count() < TRACKS_MAX;
            let config = self.tracks.config(id).cloned();
            let Some(config) = config.filter(|_| has_room && sample.is_sync) else {
                return Ok(());
            };
            self.hybrid.add(Mp4Track { id, config });
            self.changed.retain(|changed| *changed != id);
        }
        self.push(sample, payload, time_ms)
    }

    /// Adds a sample of the configuration that the file has.
    fn push(&mut self, sample: &MediaSample, payload: &Arc<[u8]>, time_ms: u32) -> io::Result<()> {
        let fragment = self.hybrid.push(sample, payload);
        fragment.map_or(Ok(()), |fragment| self.write(&fragment))?;
        self.latest_ms = self.latest_ms.max(time_ms);
        Ok(())
    }

    /// Writes a fragment, and then makes it count.
    fn write(&mut self, fragment: &Fragment) -> io::Result<()> {
        fragment.put(&mut self.bytes);
        self.append()?;
        self.has_media = true;
        let patch = self.hybrid.written(fragment);
        self.duration_ms = self.latest_ms;
        let patched = self.disk.patch(patch.at, &patch.bytes);
        self.has_failed = patched.is_err();
        patched
    }

    /// Appends the bytes that are to be written, whole or not at all.
    fn append(&mut self) -> io::Result<()> {
        let (written, result) = self.disk.append(&self.bytes);
        match result {
            Ok(()) => self.disk.keep(written as u64),
            Err(_) => {
                self.has_failed = true;
                if written > 0 {
                    self.disk.cut();
                }
            }
        }
        self.bytes.clear();
        result
    }

    /// Writes what is left, if everything before could be written.
    fn end(&mut self) -> io::Result<()> {
        if self.has_failed {
            return Ok(());
        }
        let fragment = self.hybrid.end();
        fragment.map_or(Ok(()), |fragment| self.write(&fragment))
    }

    /// Makes it a file with an index. If that fails, it stays what it was.
    fn complete(&mut self) -> io::Result<()> {
        self.disk.check_whole()?;
        let trailer = self.hybrid.trailer();
        let disk = &mut self.disk;
        let appended = trailer.write(|piece| disk.append(piece).1);
        if appended.is_err() {
            disk.cut();
            return appended;
        }
        disk.keep(trailer.size());
        disk.sync()?;
        let patch = trailer.patch();
        disk.patch(patch.at, &patch.bytes)?;
        disk.sync()
    }
}

impl Recorded for Mp4File {
    fn disk(&self) -> &Disk {
        &self.disk
    }

    fn duration_ms(&self) -> u32 {
        self.duration_ms
    }

    fn put(&mut self, message: &Message, time_ms: u32, _: bool) -> io::Result<()> {
        let samples = self.read(message, time_ms);
        let put = |sample: &MediaSample| self.put_sample(sample, &message.payload, time_ms);
        samples.iter().try_for_each(put)
    }

    fn put_start(&mut self, message: &Message, time_ms: u32, _: bool) -> io::Result<()> {
        let mut samples = self.read(message, time_ms);
        samples.retain(|sample| !self.changed.contains(&sample.track));
        let put = |sample: &MediaSample| self.push(sample, &message.payload, time_ms);
        samples.iter().try_for_each(put)
    }

    fn put_metadata(&mut self, _: &Pairs) -> io::Result<()> {
        Ok(())
    }

    /// Fragments are written when they are complete.
    fn flush(&mut self) -> io::Result<()> {
        self.disk.sync_if_due()
    }

    fn held_len(&self) -> usize {
        self.hybrid.held_len()
    }

    fn make_room(&mut self) {
        self.lack.get_or_insert(Lack::Room);
    }

    fn lacks(&self) -> Option<&Lack> {
        self.lack.as_ref()
    }

    fn strays(&self) -> Strays {
        self.strays
    }

    fn take_tracks(&mut self) -> StreamTracks {
        mem::take(&mut self.tracks)
    }

    fn close(mut self: Box<Self>) -> Closed {
        let ended = self.end();
        // A beginning alone is nothing that could be played.
        if self.disk.len() == 0 || self.has_failed && !self.has_media {
            return self.disk.remove(ended.err());
        }
        let completed = self.complete();
        self.disk.close(self.duration_ms, ended.and(completed))
    }
}
