//! What a stream keeps for viewers who come later.

use super::timeline::Timing;
use crate::media::first_track::FirstTrack;
use crate::media::{Content, Packet, Tracks};
use crate::queue::message_cost;
use crate::rtmp::data::ON_META_DATA;
use crate::rtmp::{Message, MessageType, Timestamp};
use std::collections::VecDeque;

/// Most payload bytes of cached pictures and sound.
pub const GOP_BYTES_MAX: usize = 32 << 20;

/// Most cached messages.
pub const GOP_MESSAGES_MAX: usize = 4096;

/// Longest time that the cache spans, in ms.
pub const GOP_MS_MAX: i32 = 30_000;

/// Most bytes of headers, and of data messages, that are kept; what comes beyond is relayed only.
pub const RETAINED_BYTES_MAX: usize = 4 << 20;

/// Most data messages that are kept under different names.
pub const RETAINED_NAMES_MAX: usize = 16;

/// Most headers that are kept, of different tracks and kinds.
pub const HEADERS_MAX: usize = 64;

/// A message of a stream and what it is.
#[derive(Clone, Debug)]
pub struct MediaMessage {
    /// The message as viewers get it.
    pub message: Message,
    /// What its first bytes say.
    pub packet: Packet,
    /// The name of a data message that is kept for late joiners; empty for anything else.
    pub retained_as: Vec<u8>,
    first: First,
}

/// What those get of a message who take the first track of each kind.
#[derive(Clone, Debug)]
enum First {
    /// The message.
    Same,
    /// Its part of it.
    Part(Box<MediaMessage>),
    /// Nothing.
    Nothing,
}

/// Which tracks of a stream a viewer takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    All,
    /// The first of each kind, and nothing that says that there are others.
    First,
}

impl MediaMessage {
    /// Looks at audio, video, or data that just passes.
    pub fn new(message: Message) -> MediaMessage {
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
            retained_as: Vec::new(),
            first,
        }
    }

    /// The same at another time.
    pub fn at(mut self, time: Timestamp) -> MediaMessage {
        if let First::Part(part) = &mut self.first {
            part.message.timestamp = time;
        }
        self.message.timestamp = time;
        self
    }

    /// What a viewer with this selection gets of it, if anything.
    pub fn of(&self, selection: Selection) -> Option<&MediaMessage> {
        match (selection, &self.first) {
            (Selection::All, _) | (_, First::Same) => Some(self),
            (Selection::First, First::Part(part)) => Some(part),
            (Selection::First, First::Nothing) => None,
        }
    }

    /// Whether those who take all tracks get something else than the others.
    pub fn has_other_tracks(&self) -> bool {
        !matches!(self.first, First::Same)
    }

    /// A data message to be kept under `name`. It belongs to the stream, not to a moment: with any
    /// other time than 0, players take it for a track of its own.
    pub fn retained(name: Vec<u8>, message: Message) -> MediaMessage {
        let message = Message {
            timestamp: Timestamp(0),
            ..message
        };
        MediaMessage {
            retained_as: name,
            ..MediaMessage::new(message)
        }
    }

    /// The memory that it takes, in bytes.
    pub fn cost(&self) -> usize {
        let beside = size_of::<MediaMessage>() - size_of::<Message>();
        let first = match &self.first {
            First::Part(part) => part.cost(),
            First::Same | First::Nothing => 0,
        };
        message_cost(&self.message) + beside + self.retained_as.capacity() + first
    }

    /// Bytes of payload, those of the first track's part included.
    fn payload_len(&self) -> usize {
        let first = match &self.first {
            First::Part(part) => part.message.payload.len(),
            First::Same | First::Nothing => 0,
        };
        self.message.payload.len() + first
    }

    /// Whether this is data that late joiners get as well.
    pub fn is_retained(&self) -> bool {
        !self.retained_as.is_empty()
    }

    /// Whether it takes the place of `earlier`, so that nobody needs that any more.
    pub fn replaces(&self, earlier: &MediaMessage) -> bool {
        let same = self.message.kind == earlier.message.kind
            && self.packet.content == earlier.packet.content
            && self.retained_as == earlier.retained_as;
        same && self.packet.tracks.contains(earlier.packet.tracks)
    }

    /// Whether this is video.
    pub fn is_video(&self) -> bool {
        self.message.kind == MessageType::VIDEO
    }

    /// Whether this is a picture that others may need.
    pub fn is_keyframe(&self) -> bool {
        self.is_video() && self.packet.content == Content::Keyframe
    }

    /// Whether this is a picture that needs another.
    pub fn is_dependent_frame(&self) -> bool {
        self.is_video() && matches!(self.packet.content, Content::Frame | Content::Disposable)
    }

    /// Whether this is a picture.
    pub fn is_picture(&self) -> bool {
        self.is_keyframe() || self.is_dependent_frame()
    }

    /// Whether this makes a stream one with video: a picture or a header.
    pub fn shows_video(&self) -> bool {
        self.is_picture() || self.is_video() && self.is_header()
    }

    /// Whether this is a sound.
    pub fn is_sound(&self) -> bool {
        self.message.kind == MessageType::AUDIO && self.packet.content == Content::Frame
    }

    /// What its time says.
    pub fn timing(&self) -> Timing {
        match (self.is_picture(), self.is_sound()) {
            (true, _) => Timing::Picture,
            (_, true) => Timing::Sound,
            _ => Timing::Aside,
        }
    }

    /// Whether every viewer needs it, however late it comes.
    pub fn is_header(&self) -> bool {
        matches!(self.packet.content, Content::Header | Content::Config)
    }
}

impl Selection {
    fn of(self, tracks: Tracks) -> Tracks {
        let first = Tracks::one(0);
        match self {
            Selection::All => tracks,
            Selection::First if tracks.contains(first) => first,
            Selection::First => Tracks::default(),
        }
    }
}

/// Which media a viewer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants {
    /// receiveAudio.
    pub audio: bool,
    /// receiveVideo.
    pub video: bool,
    /// Of several tracks.
    pub tracks: Selection,
}

impl Wants {
    /// Whether this message is wanted; data always is.
    pub fn includes(self, kind: MessageType) -> bool {
        match kind {
            MessageType::AUDIO => self.audio,
            MessageType::VIDEO => self.video,
            _ => true,
        }
    }
}

/// The beginning of a stream for one viewer.
#[derive(Debug)]
pub struct JoinBurst {
    /// Data that is kept, at time 0, to be sent first.
    pub data: Vec<Message>,
    /// Headers, pictures and sound, to be sent behind it as one.
    pub messages: Vec<Message>,
    /// The video tracks that have begun with it.
    pub started: Tracks,
    /// Headers of media that the viewer does not want now, and will need if it does later.
    pub left_out: Vec<MediaMessage>,
}

/// Headers, data and the last group of pictures of one publication.
#[derive(Debug)]
pub struct Cache {
    data: Vec<MediaMessage>,
    headers: Vec<MediaMessage>,
    gop: Option<Gop>,
    tracks: VideoTracks,
}

/// Video messages after which a track counts as gone if it was in none of them, at least, and after
/// twice as many in any case.
const TRACK_WINDOW: usize = 1024;

/// The video tracks of a publication.
#[derive(Debug, Default)]
struct VideoTracks {
    /// All that there ever were.
    seen: Tracks,
    /// Those in the last window, and since.
    recent: [Tracks; 2],
    /// Video messages since the last window.
    messages: usize,
}

impl VideoTracks {
    fn note(&mut self, tracks: Tracks) {
        if self.messages == TRACK_WINDOW {
            self.recent = [self.recent[1], Tracks::default()];
            self.messages = 0;
        }
        self.messages += 1;
        self.seen.extend(tracks);
        self.recent[1].extend(tracks);
    }
}

impl Cache {
    /// An empty cache; with `keep_gop` it will keep pictures too.
    pub fn new(keep_gop: bool) -> Cache {
        Cache {
            data: Vec::new(),
            headers: Vec::new(),
            gop: keep_gop.then(Gop::default),
            tracks: VideoTracks::default(),
        }
    }

    /// The video tracks that there are: those that have been seen, but for those that have gone.
    pub fn video_tracks(&self, selection: Selection) -> Tracks {
        let [mut tracks, since] = self.tracks.recent;
        tracks.extend(since);
        selection.of(tracks)
    }

    /// Whether there is or was any video.
    fn has_video(&self, selection: Selection) -> bool {
        selection.of(self.tracks.seen) != Tracks::default()
    }

    /// Keeps a data message in place of the last one of its name.
    fn retain(&mut self, data: &MediaMessage) {
        self.clear(&data.retained_as);
        keep_within_bounds(&mut self.data, data, RETAINED_NAMES_MAX);
    }

    /// Drops the data message of that name.
    pub fn clear(&mut self, name: &[u8]) {
        self.data.retain(|kept| kept.retained_as != name);
    }

    /// Takes note of a message that passes, before any viewer gets it.
    pub fn note(&mut self, media: &MediaMessage) {
        if media.packet.content == Content::Empty {
            return;
        }
        if media.shows_video() {
            self.tracks.note(media.packet.tracks);
        }
        if media.is_retained() {
            return self.retain(media);
        }
        if media.is_header() {
            return self.note_header(media);
        }
        let Some(gop) = &mut self.gop else { return };
        if media.is_keyframe() {
            gop.begin(media);
        } else if media.packet.content != Content::End {
            gop.append(media);
        }
    }

    /// Keeps a header in place of those of the same tracks. Pictures made for another one go.
    fn note_header(&mut self, media: &MediaMessage) {
        let same = |kept: &MediaMessage| {
            media.replaces(kept) && kept.message.payload == media.message.payload
        };
        if self.headers.iter().any(same) {
            return;
        }
        let before = self.headers.len();
        self.headers.retain(|kept| !media.replaces(kept));
        let replaced = self.headers.len() < before;
        keep_within_bounds(&mut self.headers, media, HEADERS_MAX);
        if let Some(gop) = self.gop.as_mut().filter(|_| replaced) {
            gop.clear();
        }
    }

    /// The beginning for a viewer who comes now, while `current` passes if anything does; `None`
    /// if it has to wait. Whatever passes is noted already, so that it is part of the beginning.
    ///
    /// With video it begins at a keyframe, without at any sound. `overdue`: the viewer has waited
    /// for a keyframe for long enough, any sound will do.
    pub fn beginning(
        &self,
        wants: Wants,
        current: Option<&MediaMessage>,
        overdue: bool,
    ) -> Option<JoinBurst> {
        let waits = self.has_video(wants.tracks) && wants.video;
        let pictures = waits.then(|| self.pictures(wants, current)).flatten();
        let (media, started) = match pictures {
            Some(pictures) => pictures,
            None if waits && !overdue => return None,
            None => {
                let begins = |media: &&MediaMessage| {
                    let kept = media.is_header() || media.is_retained();
                    let is_empty = media.packet.content == Content::Empty;
                    let begins = !kept && !is_empty && !media.is_video();
                    begins && wants.includes(media.message.kind)
                };
                let current = current.filter(begins)?;
                (vec![current.message.clone()], Tracks::default())
            }
        };
        let left_out = |kept: &&MediaMessage| !wants.includes(kept.message.kind);
        let headers = self.headers.iter().filter_map(|kept| kept.of(wants.tracks));
        Some(JoinBurst {
            data: self.data(),
            messages: self.begin_with(wants, media),
            started,
            left_out: headers.filter(left_out).cloned().collect(),
        })
    }

    /// The pictures, with the sound between them, that a viewer may begin with, and their tracks.
    fn pictures(
        &self,
        wants: Wants,
        current: Option<&MediaMessage>,
    ) -> Option<(Vec<Message>, Tracks)> {
        let (media, started) = match &self.gop {
            Some(gop) => gop.playable(wants),
            None => {
                let current = current.filter(|media| media.is_keyframe())?;
                (vec![current.message.clone()], current.packet.tracks)
            }
        };
        (!media.is_empty()).then_some((media, started))
    }

    /// The data that is kept.
    fn data(&self) -> Vec<Message> {
        self.data.iter().map(|kept| kept.message.clone()).collect()
    }

    /// The metadata that is kept.
    pub fn metadata(&self) -> Option<&Message> {
        let metadata = |kept: &&MediaMessage| kept.retained_as == ON_META_DATA;
        self.data.iter().find(metadata).map(|kept| &kept.message)
    }

    /// How many messages a viewer would be sent at once, and their payload in bytes.
    pub fn depth(&self) -> (usize, usize) {
        let gop = self.gop.as_ref();
        gop.map_or((0, 0), |gop| (gop.messages.len(), gop.bytes))
    }

    /// Puts headers at the time of the first of `media` in front of it.
    fn begin_with(&self, wants: Wants, media: Vec<Message>) -> Vec<Message> {
        let time = media
            .first()
            .map(|message| message.timestamp)
            .unwrap_or_default();
        let headers = |kind| {
            let of_kind =
                move |kept: &&MediaMessage| kept.message.kind == kind && wants.includes(kind);
            let headers = self.headers.iter().filter_map(|kept| kept.of(wants.tracks));
            let headers = headers.filter(of_kind);
            headers.map(move |kept| Message {
                timestamp: time,
                ..kept.message.clone()
            })
        };
        let headers = headers(MessageType::VIDEO).chain(headers(MessageType::AUDIO));
        headers.chain(media).collect()
    }
}

/// Keeps a message unless all kept would then be too many, or too much.
fn keep_within_bounds(kept: &mut Vec<MediaMessage>, media: &MediaMessage, count_max: usize) {
    let bytes: usize = kept.iter().map(MediaMessage::payload_len).sum();
    if kept.len() < count_max && bytes + media.payload_len() <= RETAINED_BYTES_MAX {
        kept.push(media.clone());
    }
}

/// The last group of pictures, with all else that came since, in order of arrival.
///
/// With several tracks it goes back to the oldest of the tracks' last keyframes.
#[derive(Debug, Default)]
struct Gop {
    messages: VecDeque<MediaMessage>,
    bytes: usize,
    /// For each track its last keyframe, counted from the publication's first message.
    keyframes: Vec<(u8, usize)>,
    /// The number of the first message that is still here.
    first: usize,
}

impl Gop {
    fn clear(&mut self) {
        *self = Gop::default();
    }

    fn begin(&mut self, media: &MediaMessage) {
        let index = self.first + self.messages.len();
        for track in media.packet.tracks.iter() {
            match self.keyframes.iter_mut().find(|(known, _)| *known == track) {
                Some((_, last)) => *last = index,
                None => self.keyframes.push((track, index)),
            }
        }
        let oldest = self
            .keyframes
            .iter()
            .map(|(_, index)| *index)
            .min()
            .unwrap_or(index);
        while self.first < oldest {
            self.first += 1;
            let gone = self.messages.pop_front();
            self.bytes -= gone.map_or(0, |gone| gone.payload_len());
        }
        self.push(media);
    }

    /// Keeps what follows a keyframe; before the first there is nothing to follow.
    fn append(&mut self, media: &MediaMessage) {
        if !self.keyframes.is_empty() {
            self.push(media);
        }
    }

    /// Beyond any limit the whole cache goes, and the next keyframe begins a new one.
    fn push(&mut self, media: &MediaMessage) {
        self.bytes += media.payload_len();
        self.messages.push_back(media.clone());
        let first = self.messages.front().map(|media| media.message.timestamp);
        let span = first.map_or(0, |first| media.message.timestamp.since(first));
        let too_much = self.bytes > GOP_BYTES_MAX || self.messages.len() > GOP_MESSAGES_MAX;
        if too_much || span > GOP_MS_MAX {
            self.clear();
        }
    }

    /// What a viewer gets, and the tracks that have begun in it: of each track nothing before its
    /// keyframe.
    fn playable(&self, wants: Wants) -> (Vec<Message>, Tracks) {
        let mut started = Tracks::default();
        let mut messages = Vec::with_capacity(self.messages.len());
        for media in self
            .messages
            .iter()
            .filter_map(|kept| kept.of(wants.tracks))
        {
            if media.is_keyframe() {
                started.extend(media.packet.tracks);
            }
            if started == Tracks::default() {
                continue;
            }
            let severed = media.is_dependent_frame() && !started.contains(media.packet.tracks);
            if !severed && wants.includes(media.message.kind) {
                messages.push(media.message.clone());
            }
        }
        (messages, started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::StreamId;

    fn picture(payload: &[u8]) -> MediaMessage {
        MediaMessage::new(Message::untimed(
            MessageType::VIDEO,
            StreamId(1),
            payload.to_vec(),
        ))
    }

    #[test]
    fn a_track_that_disappears_is_forgotten() {
        let mut cache = Cache::new(true);
        let first = picture(&[0x17, 1, 0, 0, 0, 1]);
        let second = picture(b"\x96\x03avc1\x01x");
        cache.note(&first);
        cache.note(&second);
        let mut all = second.packet.tracks;
        all.extend(Tracks::one(0));
        assert_eq!(cache.video_tracks(Selection::All), all);
        assert_eq!(cache.video_tracks(Selection::First), Tracks::one(0));
        (0..TRACK_WINDOW - 2).for_each(|_| cache.note(&first));
        assert_eq!(cache.video_tracks(Selection::All), all);
        (0..2 * TRACK_WINDOW).for_each(|_| cache.note(&first));
        assert_eq!(cache.video_tracks(Selection::All), Tracks::one(0));
        cache.note(&second);
        assert_eq!(cache.video_tracks(Selection::All), all);
    }
}
