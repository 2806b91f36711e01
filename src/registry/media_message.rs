//! A message of a stream, with what its payload says of itself.

use super::selection::Selection;
use super::timeline::Timing;
use crate::media::first_track::FirstTrack;
use crate::media::other_tracks::other_tracks;
use crate::media::{Content, Packet, Tracks};
use crate::queue::message_cost;
use crate::rtmp::{Message, MessageType, Timestamp};

/// A message of a stream and what it is.
#[derive(Clone, Debug)]
pub(super) struct MediaMessage {
    /// The message as viewers get it.
    pub(super) message: Message,
    /// What its first bytes say.
    pub(super) packet: Packet,
    /// The name of a data message that is kept for late joiners; `None` for anything else.
    pub(super) retained_as: Option<Vec<u8>>,
    first: First,
}

/// What a viewer that takes the first track of each kind gets of a message.
#[derive(Clone, Debug)]
enum First {
    /// The message as it is.
    Same,
    /// The part of the message that is about the first track.
    Part(Box<MediaMessage>),
    Nothing,
}

impl MediaMessage {
    /// Looks at audio, video, or data that is not kept.
    pub(super) fn new(message: Message) -> MediaMessage {
        let packet = Packet::new(message.kind, &message.payload);
        let first = match FirstTrack::new(message.kind, &message.payload) {
            FirstTrack::Whole => First::Same,
            FirstTrack::Alone(payload) => First::Part(Box::new(MediaMessage::new(Message {
                payload: payload.into(),
                ..message.clone()
            }))),
            FirstTrack::Nothing => First::Nothing,
        };
        MediaMessage {
            message,
            packet,
            retained_as: None,
            first,
        }
    }

    /// The same message at another time.
    pub(super) fn at(mut self, time: Timestamp) -> MediaMessage {
        if let First::Part(part) = &mut self.first {
            part.message.timestamp = time;
        }
        self.message.timestamp = time;
        self
    }

    /// The same message without what it holds of `tracks`; `None` if that is all.
    pub(super) fn without(&self, tracks: Tracks) -> Option<MediaMessage> {
        if tracks.contains(self.packet.tracks) {
            return None;
        }
        let payload = other_tracks(self.message.kind, &self.message.payload, tracks)?;
        Some(MediaMessage::new(Message {
            payload: payload.into(),
            ..self.message.clone()
        }))
    }

    /// What a viewer with this selection gets of it, if anything.
    pub(super) fn of(&self, selection: Selection) -> Option<&MediaMessage> {
        match (selection, &self.first) {
            (Selection::All, _) | (_, First::Same) => Some(self),
            (Selection::First, First::Part(part)) => Some(part),
            (Selection::First, First::Nothing) => None,
        }
    }

    /// Whether those who take all tracks get something else than the others.
    pub(super) fn has_other_tracks(&self) -> bool {
        !matches!(self.first, First::Same)
    }

    /// A data message to be kept under `name`. It belongs to the stream, not to a moment: with any
    /// other time than 0, players take it for a track of its own.
    pub(super) fn retained(name: Vec<u8>, message: Message) -> MediaMessage {
        let message = Message {
            timestamp: Timestamp(0),
            ..message
        };
        MediaMessage {
            retained_as: Some(name).filter(|name| !name.is_empty()),
            ..MediaMessage::new(message)
        }
    }

    /// The memory that it takes, in bytes.
    pub(super) fn cost(&self) -> usize {
        let beside = size_of::<MediaMessage>() - size_of::<Message>();
        let first = match &self.first {
            First::Part(part) => part.cost(),
            First::Same | First::Nothing => 0,
        };
        message_cost(&self.message)
            + beside
            + self.retained_as.as_ref().map_or(0, Vec::capacity)
            + first
    }

    /// Bytes of payload, those of the first track's part included.
    pub(super) fn payload_len(&self) -> usize {
        let first = match &self.first {
            First::Part(part) => part.message.payload.len(),
            First::Same | First::Nothing => 0,
        };
        self.message.payload.len() + first
    }

    /// Whether this is data that late joiners get as well.
    pub(super) fn is_retained(&self) -> bool {
        self.retained_as.is_some()
    }

    /// Whether it takes the place of `earlier`, so that nobody needs that any more.
    pub(super) fn replaces(&self, earlier: &MediaMessage) -> bool {
        let same = self.message.kind == earlier.message.kind
            && self.packet.content == earlier.packet.content
            && self.retained_as == earlier.retained_as;
        same && self.packet.tracks.contains(earlier.packet.tracks)
    }

    /// Whether this is video.
    pub(super) fn is_video(&self) -> bool {
        self.message.kind == MessageType::VIDEO
    }

    /// Whether this is a picture that others may need.
    pub(super) fn is_keyframe(&self) -> bool {
        self.is_video() && self.packet.content == Content::Keyframe
    }

    /// Whether this is a picture that needs another.
    pub(super) fn is_dependent_frame(&self) -> bool {
        self.is_video() && matches!(self.packet.content, Content::Frame | Content::Disposable)
    }

    /// Whether this is a picture.
    pub(super) fn is_picture(&self) -> bool {
        self.is_keyframe() || self.is_dependent_frame()
    }

    /// Whether this makes a stream one with video: a picture or a header.
    pub(super) fn shows_video(&self) -> bool {
        self.is_picture() || self.is_video() && self.is_header()
    }

    /// Whether this is a sound.
    pub(super) fn is_sound(&self) -> bool {
        self.message.kind == MessageType::AUDIO && self.packet.content == Content::Frame
    }

    /// What its time says.
    pub(super) fn timing(&self) -> Timing {
        match (self.is_picture(), self.is_sound()) {
            (true, _) => Timing::Picture,
            (_, true) => Timing::Sound,
            _ => Timing::Aside,
        }
    }

    /// Whether every viewer needs it, however late it comes.
    pub(super) fn is_header(&self) -> bool {
        matches!(self.packet.content, Content::Header | Content::Config)
    }
}
