//! MP4 against the strict reader: files as a recorder writes them, whole and cut off, and live responses
//! from each place where a player may begin.

use super::draw::Draw;
use super::hls::Pictures;
use super::stream::{LongClock, Step, messages, steps};
use crate::support::readers::mp4_reader::{self, Movie, Sample, Track};
use rtmp_server::media::config::SampleFormat;
use rtmp_server::media::mp4::live::{Entry, LiveEvent, LiveFragment, LiveMp4, TrackChoice};
use rtmp_server::media::mp4::{self, Fragment, Hybrid, Mp4Track};
use rtmp_server::media::sample::{MediaType, TrackId};
use rtmp_server::media::tracks::{MediaSample, StreamTracks, TrackEvent};
use std::convert::Infallible;
use std::sync::Arc;

/// A sample, with the payload that its bytes are in.
type Held = (MediaSample, Arc<[u8]>);

/// Of the longest step in time that one sample may fill, in ms: beyond it a recorder begins another file.
const STEP_MS_MAX: u64 = 3_600_000;

/// A file with all samples that one configuration of each track has.
pub fn files(data: &[u8]) {
    let mut draw = Draw(data);
    let cuts = [draw.u16(), draw.u16(), draw.u16()];
    let (tracks, samples) = samples(&mut draw);
    if tracks.is_empty() {
        return;
    }
    let mut file = File::begin(tracks.clone(), cuts.to_vec());
    for (sample, payload) in &samples {
        file.push(sample, payload);
    }
    file.finish_fragments();
    let growing = mp4_reader::read(&file.bytes).expect("an unfinished file");
    let complete = mp4_reader::read(&file.end()).expect("a finished file");
    assert_eq!(complete.top, ["ftyp", "mdat", "moov"]);
    check(&growing, &complete, &tracks, &samples);
}

/// The samples of a stream, and the tracks that they are of, until a configuration changes.
fn samples(draw: &mut Draw) -> (Vec<Mp4Track>, Vec<Held>) {
    let mut reader = StreamTracks::default();
    let mut clock = LongClock::default();
    let (mut tracks, mut samples): (Vec<Mp4Track>, Vec<Held>) = (Vec::new(), Vec::new());
    let mut last = None;
    for message in messages(draw) {
        let ms = clock.ms(message.timestamp);
        let mut events = Vec::new();
        reader.read(message.kind, ms, &message.payload, &mut events);
        for event in events {
            match event {
                TrackEvent::Changed(_) | TrackEvent::Unsupported(..) => return (tracks, samples),
                TrackEvent::Known(id) if !tracks.iter().any(|track| track.id == id) => {
                    let config = reader.config(id).expect("it is known").clone();
                    if config.format == SampleFormat::Vp8 {
                        return (tracks, samples);
                    }
                    tracks.push(Mp4Track { id, config });
                }
                TrackEvent::Sample(sample) => {
                    if last.is_some_and(|last: u64| last.abs_diff(ms) > STEP_MS_MAX) {
                        return (tracks, samples);
                    }
                    last = Some(ms);
                    samples.push((sample, Arc::clone(&message.payload)));
                }
                _ => {}
            }
        }
    }
    (tracks, samples)
}

/// A file in memory, written as a recorder does it.
struct File {
    hybrid: Hybrid,
    bytes: Vec<u8>,
    /// Where the next writes are cut off, as a crash may do.
    cuts: Vec<u16>,
}

impl File {
    fn begin(tracks: Vec<Mp4Track>, cuts: Vec<u16>) -> File {
        let movie = mp4::Movie {
            created: 1_700_000_000,
            encoder: None,
        };
        let (hybrid, bytes) = Hybrid::new(tracks, movie);
        File {
            hybrid,
            bytes,
            cuts,
        }
    }

    fn push(&mut self, sample: &MediaSample, payload: &Arc<[u8]>) {
        let fragment = self.hybrid.push(sample, payload);
        self.write(fragment);
    }

    fn finish_fragments(&mut self) {
        let fragment = self.hybrid.end();
        self.write(fragment);
    }

    fn write(&mut self, fragment: Option<Fragment>) {
        let Some(fragment) = fragment else { return };
        let before = self.bytes.len();
        fragment.put(&mut self.bytes);
        assert_eq!(self.bytes.len() - before, fragment.size());
        if let Some(cut) = self.cuts.pop() {
            let cut = before + usize::from(cut) % (fragment.size() + 1);
            let short = mp4_reader::read(&self.bytes[..cut]).expect("a file that was cut off");
            let last = mp4_reader::read(&self.bytes[..before]).expect("the file before");
            assert_eq!(short.tracks, last.tracks);
        }
        let patch = self.hybrid.written(&fragment);
        self.patch(patch.at, &patch.bytes);
        assert_eq!(self.hybrid.file_len(), self.bytes.len() as u64);
    }

    fn patch(&mut self, at: u64, bytes: &[u8]) {
        let at = at as usize;
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn end(mut self) -> Vec<u8> {
        let trailer = self.hybrid.trailer();
        let (size, patch) = (trailer.size(), trailer.patch());
        let mut end = Vec::new();
        let Ok(()) = trailer.write(|piece| {
            end.extend_from_slice(piece);
            Ok::<(), Infallible>(())
        });
        assert_eq!(end.len() as u64, size);
        self.bytes.append(&mut end);
        self.patch(patch.at, &patch.bytes);
        self.bytes
    }
}

fn check(growing: &Movie, complete: &Movie, tracks: &[Mp4Track], samples: &[Held]) {
    for (number, track) in (1..).zip(tracks) {
        let own = samples
            .iter()
            .filter(|(sample, _)| sample.track == track.id);
        let want: Vec<&Held> = own.collect();
        let found = |movie: &Movie| {
            let mut tracks = movie.tracks.iter();
            tracks.find(|track| track.number == number).cloned()
        };
        let grown = found(growing).expect("a track");
        check_samples(&grown, &want, track.id);
        let Some(whole) = found(complete) else {
            assert!(want.is_empty(), "a track is missing");
            continue;
        };
        assert_eq!(whole.samples.len(), grown.samples.len());
        for (one, other) in whole.samples.iter().zip(&grown.samples) {
            assert_eq!((&one.data, one.is_sync), (&other.data, other.is_sync));
            assert_eq!(one.duration, other.duration);
        }
    }
    let shown = complete.tracks.iter().flat_map(|track| {
        let shown = |sample| track.shown(sample, complete.timescale);
        track.samples.iter().map(shown)
    });
    let first = shown.min();
    assert!(first.is_none_or(|first| first == 0), "begins at {first:?}");
}

fn check_samples(track: &Track, want: &[&Held], id: TrackId) {
    assert_eq!(track.samples.len(), want.len());
    let mut next = None;
    for (sample, (published, payload)) in track.samples.iter().zip(want) {
        assert_eq!(sample.data, payload[published.data.clone()]);
        assert_eq!(sample.is_sync, published.is_sync);
        assert!(next.is_none_or(|next| next == sample.decode), "a hole");
        next = Some(sample.decode + u64::from(sample.duration));
        let ns = i128::from(published.time_ns) * i128::from(track.timescale);
        let due = (ns + 500_000_000) / 1_000_000_000;
        let decode = i128::from(sample.decode);
        if id.medium == MediaType::Video {
            let shown = due + i128::from(published.composition_ms) * 90;
            assert_eq!(decode + i128::from(sample.composition), shown);
            assert!(decode >= due);
        } else if published.len > 0 {
            assert_eq!(sample.composition, 0);
            let late = due - decode;
            assert!(late <= i128::from(track.timescale / 10), "{late} late");
        }
    }
}

/// One live response.
#[derive(Default)]
struct Response {
    initialization: Vec<u8>,
    fragments: Vec<LiveFragment>,
    is_over: bool,
}

/// Live responses: each can be read from every fragment that a player may begin with.
pub fn live(data: &[u8]) {
    let mut draw = Draw(data);
    let choice = match draw.u8() {
        head @ 0..=9 => TrackChoice {
            video: Some(head % 3).filter(|_| head < 6),
            audio: Some(head / 3).filter(|_| head > 2),
        },
        _ => TrackChoice::default(),
    };
    let mut live = LiveMp4::new(choice);
    let mut events = Vec::new();
    let mut pictures = Pictures::default();
    pictures.clock.stops_at_zero = true;
    for step in steps(&mut draw) {
        match step {
            Step::Message(message) => {
                pictures.see(&message);
                live.push(&message, &mut events);
            }
            Step::Event(number) => {
                events.extend(live.flush().map(LiveEvent::Fragment));
                if number & 1 == 1 {
                    pictures.restart();
                    live.restart();
                }
            }
        }
    }
    events.extend(live.flush().map(LiveEvent::Fragment));
    let mut responses: Vec<Response> = Vec::new();
    for event in events {
        match event {
            LiveEvent::Begins(beginning) => {
                let ended = responses.last().is_none_or(|last| last.is_over);
                assert!(ended, "begins before the end");
                assert!(beginning.content_type.contains("codecs="));
                responses.push(Response {
                    initialization: beginning.initialization,
                    ..Response::default()
                });
            }
            LiveEvent::Fragment(fragment) => {
                let response = responses.last_mut().expect("a beginning");
                assert!(!response.is_over, "a fragment behind the end");
                response.fragments.push(fragment);
            }
            LiveEvent::LeftOut(codec) => assert!(!codec.is_empty()),
            LiveEvent::Ends(_) => {
                if let Some(response) = responses.last_mut() {
                    response.is_over = true;
                }
            }
        }
    }
    for response in &responses {
        pictures.check(&check_response(response));
    }
}

/// What a whole response is.
fn check_response(response: &Response) -> Movie {
    let whole = read_from(response, 0);
    let count: usize = whole.tracks.iter().map(|track| track.samples.len()).sum();
    assert_eq!(whole.fragments, response.fragments.len());
    assert!(response.fragments.is_empty() || count > 0);
    for track in &whole.tracks {
        let times = track.samples.iter().map(|sample| sample.decode);
        assert!(
            times.is_sorted_by(|one, next| one < next),
            "decode times go back"
        );
    }
    let entries = response.fragments.iter().enumerate();
    let entries = entries.filter(|(_, fragment)| fragment.entry() == Entry::Any);
    // The first ones and the last ones: reading all from everywhere takes too long.
    let entries: Vec<usize> = entries.map(|(index, _)| index).collect();
    for index in entries.iter().take(3).chain(entries.iter().rev().take(2)) {
        let movie = read_from(response, *index);
        let pictures = movie.tracks.iter().find(|track| track.handler == "vide");
        let first = pictures.and_then(|track| track.samples.first());
        assert!(first.is_none_or(|first| first.is_sync), "fragment {index}");
        for (late, whole) in movie.tracks.iter().zip(&whole.tracks) {
            assert!(whole.samples.ends_with(&late.samples), "fragment {index}");
        }
    }
    check_sound(response, &whole);
    // Fragments with a day between them are never joined, and could not be.
    let step_max = whole.tracks.iter().flat_map(|track| {
        let pairs = track.samples.windows(2);
        pairs.map(|pair| pair[1].decode - pair[0].decode)
    });
    let is_near = step_max.max().unwrap_or_default() <= u32::MAX.into();
    let mut fragments = response.fragments.iter().filter(|_| is_near);
    if let Some(first) = fragments.next() {
        let joined = fragments.fold(first.clone(), |all, next| all.joined(next));
        let mut bytes = response.initialization.clone();
        joined.whole().put(&mut bytes);
        let movie = mp4_reader::read_live(&bytes).expect("one fragment of all");
        // Where there was a gap between two fragments, the sample before it has become longer.
        let same = |track: &Track| {
            let samples = track.samples.iter();
            let samples = samples.map(|sample| Sample {
                duration: 0,
                ..sample.clone()
            });
            samples.collect::<Vec<_>>()
        };
        let samples = |movie: &Movie| movie.tracks.iter().map(same).collect::<Vec<_>>();
        assert_eq!(samples(&movie), samples(&whole));
    }
    whole
}

/// A player that has not begun with pictures gets all the sound, and nothing else.
fn check_sound(response: &Response, whole: &Movie) {
    let mut bytes = response.initialization.clone();
    for fragment in &response.fragments {
        let sound = fragment.sound();
        assert!(sound.is_some() || !fragment.is_complete() || whole.tracks.len() < 2);
        if let Some(sound) = sound {
            sound.put(&mut bytes);
        }
    }
    let movie = mp4_reader::read_live(&bytes).expect("sound alone");
    for (own, whole) in movie.tracks.iter().zip(&whole.tracks) {
        let is_sound = whole.handler == "soun";
        let want = if is_sound { &whole.samples[..] } else { &[] };
        assert_eq!(own.samples, want, "{}", whole.handler);
    }
}

fn read_from(response: &Response, index: usize) -> Movie {
    let mut bytes = response.initialization.clone();
    for fragment in &response.fragments[index..] {
        fragment.whole().put(&mut bytes);
    }
    mp4_reader::read_live(&bytes).expect("a response")
}
