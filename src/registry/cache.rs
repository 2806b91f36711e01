//! What a stream keeps for viewers who come later.

use super::gop::Gop;
use super::keyframes::Keyframes;
use super::media_message::MediaMessage;
use super::presentation::Presentation;
use super::selection::{Selection, Wants};
use crate::media::config::Config;
use crate::media::sample::MediaType;
use crate::media::tracks::StreamTracks;
use crate::media::{Content, Tracks};
use crate::rtmp::data::ON_META_DATA;
use crate::rtmp::{Message, MessageType};

/// Most bytes of headers, and of data messages, that are kept; what comes beyond is relayed only.
pub(super) const RETAINED_BYTES_MAX: usize = 4 << 20;

/// Most data messages that are kept under different names.
pub(super) const RETAINED_NAMES_MAX: usize = 16;

/// Most headers that are kept, of different tracks and kinds.
pub(super) const HEADERS_MAX: usize = 64;

/// Where a viewer may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JoinAt {
    /// At a keyframe if there is video, at any sound if not.
    Keyframe,
    /// At any sound: the viewer has waited for a keyframe for long enough.
    AnySound,
}

/// The beginning of a stream for one viewer.
#[derive(Debug)]
pub(super) struct JoinBurst {
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
pub(super) struct Cache {
    data: Vec<MediaMessage>,
    headers: Vec<MediaMessage>,
    gop: Option<Gop>,
    tracks: VideoTracks,
    keyframes: Keyframes,
    /// Kept once a viewer has needed it.
    presentation: Option<Presentation>,
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
    pub(super) fn new(keep_gop: bool) -> Cache {
        Cache {
            data: Vec::new(),
            headers: Vec::new(),
            gop: keep_gop.then(Gop::default),
            tracks: VideoTracks::default(),
            keyframes: Keyframes::default(),
            presentation: None,
        }
    }

    /// Has the tracks of the publication known from now on, as far as what is kept tells of them.
    pub(super) fn present(&mut self) {
        if self.presentation.is_some() {
            return;
        }
        let mut presentation = Presentation::default();
        self.kept().for_each(|media| presentation.note(media));
        self.presentation = Some(presentation);
    }

    /// All that is kept: data, headers, and the pictures and sound that go with them.
    pub(super) fn kept(&self) -> impl Iterator<Item = &MediaMessage> {
        let pictures = self.gop.iter().flat_map(Gop::messages);
        self.data.iter().chain(&self.headers).chain(pictures)
    }

    /// The tracks of the publication, once a viewer has needed them.
    pub(super) fn presentation(&self) -> Option<&Presentation> {
        self.presentation.as_ref()
    }

    /// The configurations of the first tracks of pictures and of sound, where headers and the first picture
    /// and sound that are kept tell of them.
    pub(super) fn configs(&self) -> (Option<Config>, Option<Config>) {
        let mut tracks = StreamTracks::default();
        let mut events = Vec::new();
        let pictures = || self.gop.iter().flat_map(Gop::messages);
        let picture = pictures().find(|media| media.is_keyframe());
        let sound = pictures().find(|media| media.is_sound());
        for media in self.headers.iter().chain(picture).chain(sound) {
            let Message { kind, payload, .. } = &media.message;
            tracks.read(*kind, 0, payload, &mut events);
        }
        let first = |medium: MediaType| {
            let mut known = tracks.known();
            let found = known.find(|(_, config)| config.format.medium() == medium);
            found.map(|(_, config)| config.clone())
        };
        (first(MediaType::Video), first(MediaType::Audio))
    }

    /// The video tracks that the publication has now, without those that have ended.
    pub(super) fn video_tracks(&self, selection: Selection) -> Tracks {
        let [mut tracks, since] = self.tracks.recent;
        tracks.extend(since);
        selection.of(tracks)
    }

    /// Whether there is or was any video.
    fn has_video(&self, selection: Selection) -> bool {
        selection.of(self.tracks.seen) != Tracks::default()
    }

    /// Keeps a data message in place of the last one of its name.
    fn retain(&mut self, name: &[u8], data: &MediaMessage) {
        self.clear(name);
        keep_within_bounds(&mut self.data, data, RETAINED_NAMES_MAX);
    }

    /// Drops the data message of that name.
    pub(super) fn clear(&mut self, name: &[u8]) {
        self.data
            .retain(|kept| kept.retained_as.as_deref() != Some(name));
    }

    /// Keeps what later viewers need of a message. To be called before any viewer gets it.
    pub(super) fn note(&mut self, media: &MediaMessage) {
        if media.packet.content == Content::Empty {
            return;
        }
        if let Some(presentation) = &mut self.presentation {
            presentation.note(media);
        }
        if media.shows_video() {
            self.tracks.note(media.packet.tracks);
        }
        if let Some(name) = &media.retained_as {
            return self.retain(name, media);
        }
        if media.is_header() {
            return self.note_header(media);
        }
        if media.is_keyframe() {
            self.keyframes.note(media);
        }
        let Some(gop) = &mut self.gop else { return };
        if media.is_keyframe() {
            gop.begin(media);
        } else if media.packet.content != Content::End {
            gop.append(media);
        }
    }

    /// Keeps a header in place of those of the same tracks. What these tracks had for another one goes: with
    /// the header that viewers get now it cannot be decoded.
    fn note_header(&mut self, media: &MediaMessage) {
        let same = |kept: &MediaMessage| {
            media.replaces(kept) && kept.message.payload == media.message.payload
        };
        if self.headers.iter().any(same) {
            return;
        }
        let mut replaced = Tracks::default();
        self.headers.retain(|kept| {
            let stays = !media.replaces(kept);
            if !stays {
                replaced.extend(kept.packet.tracks);
            }
            stays
        });
        keep_within_bounds(&mut self.headers, media, HEADERS_MAX);
        let is_other = replaced != Tracks::default();
        if let Some(gop) = self.gop.as_mut().filter(|_| is_other) {
            gop.forget(media.message.kind, replaced);
        }
    }

    /// The beginning for a viewer who joins while `current` passes; `None` if the viewer has to
    /// wait. `current` must have been noted, so that it is part of the beginning.
    pub(super) fn join_burst(
        &self,
        wants: Wants,
        current: Option<&MediaMessage>,
        at: JoinAt,
    ) -> Option<JoinBurst> {
        let waits = self.has_video(wants.tracks) && wants.video;
        let pictures = waits.then(|| self.pictures(wants, current)).flatten();
        let (media, started) = match pictures {
            Some(pictures) => pictures,
            None if waits && at == JoinAt::Keyframe => return None,
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

    /// What stands in front of media that is still to come.
    pub(super) fn before_media(&self, wants: Wants) -> Vec<Message> {
        let headers = self.begin_with(wants, Vec::new());
        self.data().into_iter().chain(headers).collect()
    }

    /// The time between the last two keyframes, in ms, if there were two.
    pub(super) fn keyframes_ms(&self) -> Option<u32> {
        self.keyframes.gap_ms()
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

    /// The memory that all of it takes, in bytes.
    pub(super) fn cost(&self) -> usize {
        let retained = self.data.iter().chain(&self.headers);
        let retained: usize = retained.map(MediaMessage::cost).sum();
        retained + self.gop.as_ref().map_or(0, Gop::cost)
    }

    /// Forgets pictures and sound; the next keyframe begins anew.
    pub(super) fn forget_pictures(&mut self) {
        self.gop.iter_mut().for_each(Gop::clear);
    }

    fn data(&self) -> Vec<Message> {
        self.data.iter().map(|kept| kept.message.clone()).collect()
    }

    /// The metadata that is kept.
    pub(super) fn metadata(&self) -> Option<&Message> {
        let metadata = |kept: &&MediaMessage| kept.retained_as.as_deref() == Some(ON_META_DATA);
        self.data.iter().find(metadata).map(|kept| &kept.message)
    }

    /// Whether there are pictures to begin with.
    pub(super) fn has_pictures(&self) -> bool {
        self.depth() != (0, 0)
    }

    /// How many messages a viewer would be sent at once, and their payload in bytes.
    pub(super) fn depth(&self) -> (usize, usize) {
        let gop = self.gop.as_ref();
        gop.map_or((0, 0), Gop::depth)
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

    /// A message, by its kind and payload.
    type Row = (MessageType, &'static [u8]);

    #[test]
    fn a_changed_header_takes_what_its_tracks_had() {
        const A: MessageType = MessageType::AUDIO;
        const V: MessageType = MessageType::VIDEO;
        /// What comes, and which of it is left in the group, or what else.
        type Rows = (&'static str, &'static [Row], &'static [&'static [u8]]);
        const KEY: &[u8] = &[0x17, 1, 0, 0, 0, 1];
        const INTER: &[u8] = &[0x27, 1, 0, 0, 0, 2];
        const SOUND: &[u8] = b"\x91mp4as";
        const KEY_1: &[u8] = b"\x96\x01avc1\x01\0\0\0k";
        const INTER_1: &[u8] = b"\xa6\x01avc1\x01\0\0\0i";
        const KEYS: &[u8] = b"\x96\x13avc1\x00\0\0\x01x\x01\0\0\x01y";
        const SOUNDS: &[u8] = b"\x95\x11mp4a\x00\0\0\x01x\x01\0\0\x01y";
        #[rustfmt::skip]
        let rows: [Rows; 7] = [
            ("the sound's", &[(A, b"\x90mp4a1"), (V, KEY), (A, SOUND), (V, INTER), (A, b"\x90mp4a2"), (A, SOUND)],
                &[KEY, INTER, SOUND]),
            ("that of a track of sound beside others", &[(A, b"\x95\x00mp4a\x011"), (V, KEY), (A, SOUND), (A, SOUNDS),
                (A, b"\x95\x00mp4a\x012")], &[KEY, SOUND, b"\x95\x11mp4a\x00\0\0\x01x"]),
            ("those of all tracks of sound", &[(A, b"\x95\x10mp4a\x00\0\0\x01x\x01\0\0\x01y"), (V, KEY), (A, SOUNDS),
                (A, b"\x95\x10mp4a\x00\0\0\x01a\x01\0\0\x01b")], &[KEY]),
            ("the picture's", &[(V, b"\x90avc11"), (V, KEY), (A, SOUND), (V, INTER), (V, b"\x90avc12")], &[]),
            ("that of the older of two tracks of pictures", &[(V, b"\x96\x00avc1\x011"), (V, KEY_1), (A, SOUND), (V, KEY),
                (V, INTER_1), (V, INTER), (V, b"\x96\x00avc1\x012")], &[KEY, INTER]),
            ("that of the newer of two tracks of pictures", &[(V, b"\x90avc11"), (V, KEY_1), (A, SOUND), (V, KEY),
                (V, INTER_1), (V, INTER), (V, b"\x90avc12")], &[KEY_1, SOUND, INTER_1]),
            ("that of a track of pictures in a message of several", &[(V, b"\x90avc11"), (V, KEYS), (V, INTER),
                (V, b"\x90avc12"), (V, INTER_1)], &[b"\x96\x13avc1\x01\0\0\x01y", INTER_1]),
        ];
        for (what, messages, want) in rows {
            let message = |(kind, payload): &Row| {
                MediaMessage::new(Message::untimed(*kind, StreamId(1), payload.to_vec()))
            };
            let mut cache = Cache::new(true);
            messages.iter().for_each(|row| cache.note(&message(row)));
            let gop = cache.gop.as_mut().expect("a group");
            let left: Vec<&[u8]> = gop.messages().map(|kept| &*kept.message.payload).collect();
            assert_eq!(left, want, "{what}");
            let cost: usize = gop.messages().map(MediaMessage::cost).sum();
            let bytes: usize = gop.messages().map(MediaMessage::payload_len).sum();
            assert_eq!(
                (gop.cost(), gop.depth()),
                (cost, (want.len(), bytes)),
                "{what}"
            );
            // What the next keyframes take with them shows which were known.
            for keyframe in [KEY_1, KEY] {
                cache.note(&message(&(V, keyframe)));
            }
            let gop = cache.gop.as_ref().expect("a group");
            let left: Vec<&[u8]> = gop.messages().map(|kept| &*kept.message.payload).collect();
            assert_eq!(left, [KEY_1, KEY], "{what}");
        }
    }
}
