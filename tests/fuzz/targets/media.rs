//! Audio and video: what the front of a message says, the tracks of a stream, and their samples.

use super::draw::Draw;
use super::stream::{LongClock, messages};
use crate::support::readers::mp4_reader;
use rtmp_server::media::config::{Details, SampleFormat};
use rtmp_server::media::mp4::{self, Movie, Mp4Track};
use rtmp_server::media::sample::{Part, TrackId, parts};
use rtmp_server::media::tracks::{StreamTracks, TRACKS_MAX, TrackEvent};
use rtmp_server::media::{Content, Packet};
use rtmp_server::rtmp::MessageType;
use std::collections::{BTreeMap, BTreeSet};

/// Longest configuration that is kept, in bytes, with what containers add to it.
const RECORD_LEN_MAX: usize = (64 << 10) + 64;

/// What a packet says as a whole and what its parts say is the same.
pub fn packets(data: &[u8]) {
    let mut draw = Draw(data);
    let kind = match draw.u8() & 1 {
        0 => MessageType::AUDIO,
        _ => MessageType::VIDEO,
    };
    let payload = draw.0;
    let packet = Packet::new(kind, payload);
    let parts: Vec<Part> = parts(kind, payload).collect();
    for part in &parts {
        let bytes = payload.get(part.data.clone()).expect("within the payload");
        assert!(part.nanos < 1_000_000);
        assert!((-0x80_0000..0x80_0000).contains(&part.composition_ms));
        let is_frame = matches!(
            part.content,
            Content::Keyframe | Content::Frame | Content::Disposable
        );
        assert!(!is_frame || !bytes.is_empty(), "an empty frame");
        let other = matches!(part.content, Content::Command | Content::Unknown);
        assert!(!other, "{part:?}");
    }
    let is_frame = matches!(
        packet.content,
        Content::Keyframe | Content::Frame | Content::Disposable
    );
    if is_frame {
        let same = |part: &Part| part.content == packet.content;
        assert!(parts.iter().any(same), "{packet:?} of {parts:?}");
    }
    if matches!(packet.content, Content::Command | Content::Unknown) {
        // What is cut off has the parts before the cut.
        assert!(
            parts.is_empty() || packet.codec.is_none(),
            "{packet:?} {parts:?}"
        );
    }
    assert!(packet.tracks.iter().count() <= 256);
}

/// Tracks and samples of any stream: within their limits, and of configurations that a container has a
/// place for.
pub fn samples(data: &[u8]) {
    let mut draw = Draw(data);
    let mut tracks = StreamTracks::default();
    let mut clock = LongClock::default();
    let mut known: BTreeSet<TrackId> = BTreeSet::new();
    let mut told = BTreeMap::new();
    for message in messages(&mut draw) {
        let mut events = Vec::new();
        let ms = clock.ms(message.timestamp);
        tracks.read(message.kind, ms, &message.payload, &mut events);
        for event in events {
            match event {
                TrackEvent::Sample(sample) => {
                    assert!(
                        known.contains(&sample.track),
                        "a sample before its configuration"
                    );
                    let data = message.payload.get(sample.data.clone());
                    assert!(data.is_some_and(|data| !data.is_empty()));
                    let ns = ms * 1_000_000;
                    assert!((ns..ns + 1_000_000).contains(&sample.time_ns));
                    assert!(sample.len <= 1 << 16, "{} samples in a frame", sample.len);
                }
                TrackEvent::Known(track) | TrackEvent::Changed(track) => {
                    known.insert(track);
                }
                TrackEvent::Unsupported(track, codec) => {
                    let last = told.insert((track, codec.to_string()), message.timestamp);
                    let _ = last;
                    known.remove(&track);
                }
                TrackEvent::Ended(_)
                | TrackEvent::StaysUnsupported(..)
                | TrackEvent::Unreadable(..) => {}
            }
        }
    }
    let known: Vec<Mp4Track> = tracks
        .known()
        .map(|(id, config)| Mp4Track {
            id,
            config: config.clone(),
        })
        .collect();
    assert!(known.len() <= TRACKS_MAX);
    known.iter().for_each(check_config);
    let supported = |track: &Mp4Track| track.config.format != SampleFormat::Vp8;
    let supported: Vec<Mp4Track> = known.into_iter().filter(supported).collect();
    if supported.is_empty() {
        return;
    }
    let init = mp4::initialization(&supported, &Movie::default());
    let movie = mp4_reader::read(&init).expect("an initialization");
    assert_eq!(movie.tracks.len(), supported.len());
    for (track, of) in movie.tracks.iter().zip(&supported) {
        assert_eq!(track.timescale, of.config.timescale());
    }
}

fn check_config(track: &Mp4Track) {
    let config = &track.config;
    assert!(config.record.len() <= RECORD_LEN_MAX);
    assert!(config.timescale() > 0, "no clock");
    assert_eq!(config.format.medium(), track.id.medium);
    let text = config.codec_string();
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
    assert!(plain && !text.is_empty(), "{text}");
    match &config.details {
        Details::Video { width, height, .. } => assert!(*width > 0 && *height > 0),
        Details::Audio(audio) => assert!(audio.rate > 0 && audio.channels > 0),
    }
}
