//! What a publication consists of, for viewers whose format begins with a list of its tracks.

use super::media_message::MediaMessage;
use super::selection::Selection;
use super::timeline::Timing;
use crate::media::flv::{self, Flags};
use crate::media::opening::Opening;
use crate::media::tracks::{StreamTracks, TRACKS_WAIT_MS, TrackEvent};
use crate::rtmp::Timestamp;

/// The tracks of a publication, and whether those that are known are the ones to begin with.
///
/// It is made when the first viewer needs it, from what the publication's cache has, and follows
/// the publication from then on.
#[derive(Debug, Default)]
pub(super) struct Presentation {
    tracks: StreamTracks,
    opening: Opening,
    clock: MediaClock,
    /// When the first frame was due that a decoder can begin with, of any codec at all.
    first_ms: Option<u64>,
    /// What there was until now of the first track of each kind.
    kinds: Flags,
}

/// Times of messages as numbers that do not wrap.
#[derive(Debug, Default)]
struct MediaClock {
    /// The last time of a frame, as it was and as a number.
    last: Option<(Timestamp, u64)>,
}

impl MediaClock {
    /// The time of a message. Headers and data may be at any time, and move nothing.
    fn read(&mut self, media: &MediaMessage) -> u64 {
        let time = media.message.timestamp;
        let now = match self.last {
            Some((last, ms)) => ms.saturating_add_signed(time.since(last).into()),
            None => time.0.into(),
        };
        if media.timing() != Timing::Aside {
            self.last = Some((time, now));
        }
        now
    }

    /// The time of the last frame.
    fn last_ms(&self) -> u64 {
        self.last.map_or(0, |(_, ms)| ms)
    }
}

impl Presentation {
    /// Takes note of a message of the publication, headers before what needs them.
    pub(super) fn note(&mut self, media: &MediaMessage) {
        let (kind, payload) = (media.message.kind, &media.message.payload);
        if media.is_retained() {
            if let Some(properties) = flv::properties(kind, payload) {
                self.opening.announce(&properties);
            }
            return;
        }
        let time_ms = self.clock.read(media);
        if media.is_keyframe() || media.is_sound() {
            self.first_ms.get_or_insert(time_ms);
        }
        let is_there =
            |media: &MediaMessage| media.is_picture() || media.is_sound() || media.is_header();
        if media.of(Selection::First).is_some_and(is_there) {
            self.kinds.insert(kind);
        }
        let mut events = Vec::new();
        self.tracks.read(kind, time_ms, payload, &mut events);
        for event in &events {
            if let TrackEvent::Sample(sample) = event {
                self.opening.see(sample);
            }
        }
    }

    /// Whether a viewer may begin with what is known now.
    pub(super) fn is_open(&self) -> bool {
        // Of codecs that have no place in MP4 the opening knows nothing.
        let waited = |first_ms| self.clock.last_ms().saturating_sub(first_ms) >= TRACKS_WAIT_MS;
        self.first_ms.is_some_and(waited) || self.opening.is_over(&self.tracks)
    }

    /// What kinds of media the first tracks have.
    pub(super) fn kinds(&self) -> Flags {
        self.kinds
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amf0::{self, Value};
    use crate::rtmp::{Message, MessageType, StreamId};

    const SOUND: Flags = Flags {
        audio: true,
        video: false,
    };
    const PICTURES: Flags = Flags {
        audio: false,
        video: true,
    };
    const BOTH: Flags = Flags {
        audio: true,
        video: true,
    };

    fn message(kind: MessageType, time: u32, payload: &[u8]) -> MediaMessage {
        MediaMessage::new(Message {
            timestamp: Timestamp(time),
            ..Message::untimed(kind, StreamId(1), payload.to_vec())
        })
    }

    /// Metadata that announces these kinds.
    fn metadata(flags: Flags) -> MediaMessage {
        let mut pairs = Vec::new();
        let mut announce = |name: &str, is: bool| {
            if is {
                pairs.push((name.as_bytes().to_vec(), Value::Number(7.0)));
            }
        };
        announce("videocodecid", flags.video);
        announce("audiocodecid", flags.audio);
        let payload = amf0::encode(&[Value::text("onMetaData"), Value::Object(pairs)]);
        let message = Message::untimed(MessageType::DATA, StreamId(1), payload);
        MediaMessage::retained(b"onMetaData".to_vec(), message)
    }

    /// AVC of 16 by 16 pixels.
    const AVC_HEADER: &[u8] =
        b"\x17\0\0\0\0\x01\x42\xc0\x0a\xff\xe1\0\x0a\x67\x42\xc0\x0a\xdd\x34\x2c\
        \x08\0\x08\x01\0\x04\x68\xce\x3c\x80";
    const AVC_KEYFRAME: &[u8] = b"\x17\x01\0\0\0\0\0\0\x01\x65";
    const AAC_HEADER: &[u8] = b"\xaf\0\x12\x10";
    const AAC_FRAME: &[u8] = b"\xaf\x01\x21";
    const SPEEX: &[u8] = b"\xb6x";
    const SORENSON: &[u8] = b"\x12x";

    #[test]
    fn a_viewer_begins_when_the_tracks_are_known() {
        let video = |time, payload: &[u8]| message(MessageType::VIDEO, time, payload);
        let audio = |time, payload: &[u8]| message(MessageType::AUDIO, time, payload);
        // What comes, and from which message on a viewer may begin, with what kinds.
        #[rustfmt::skip]
        let rows = [
            ("pictures", vec![metadata(PICTURES), video(0, AVC_HEADER), video(0, AVC_KEYFRAME)], Some((2, PICTURES))),
            ("sound", vec![metadata(SOUND), audio(0, AAC_HEADER), audio(0, AAC_FRAME)], Some((2, SOUND))),
            ("sound that is announced comes late",
                vec![metadata(BOTH), video(0, AVC_HEADER), video(0, AVC_KEYFRAME), audio(20, AAC_HEADER)], Some((3, BOTH))),
            ("sound that is announced never comes",
                vec![metadata(BOTH), video(0, AVC_HEADER), video(0, AVC_KEYFRAME), video(999, AVC_KEYFRAME), video(1000, AVC_KEYFRAME)],
                Some((4, PICTURES))),
            ("pictures that are announced never come",
                vec![metadata(BOTH), audio(0, AAC_HEADER), audio(0, AAC_FRAME), audio(1000, AAC_FRAME)], Some((3, SOUND))),
            ("codecs that MP4 knows nothing of",
                vec![audio(u32::MAX, SPEEX), video(0, SORENSON), audio(998, SPEEX), audio(999, SPEEX)], Some((3, BOTH))),
            ("other tracks are not for viewers of one",
                vec![video(0, b"\x96\x00hvc1\x01x"), video(2000, b"\xa6\x01hvc1\x01\0\0\0x")], None),
            ("nothing to begin with",
                vec![metadata(BOTH), video(0, b"\x27\x01\0\0\0x"), video(2000, b"\x27\x01\0\0\0x")], None),
        ];
        for (what, messages, want) in rows {
            let mut presentation = Presentation::default();
            let opens = messages.iter().position(|media| {
                presentation.note(media);
                presentation.is_open()
            });
            let opens = opens.map(|index| (index, presentation.kinds()));
            assert_eq!(opens, want, "{what}");
        }
    }
}
