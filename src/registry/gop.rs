//! The last group of pictures of a publication, for viewers who come later.

use super::media_message::MediaMessage;
use super::selection::Wants;
use crate::media::Tracks;
use crate::rtmp::{Message, MessageType};
use std::collections::VecDeque;

/// Most payload bytes of cached pictures and sound.
pub(super) const GOP_BYTES_MAX: usize = 32 << 20;

/// Most cached messages, headers and data not counted.
pub(super) const GOP_MESSAGES_MAX: usize = 4096;

/// Longest time that the cache spans, in ms.
pub(super) const GOP_MS_MAX: i32 = 30_000;

/// The last group of pictures, with all else that came since, in order of arrival.
///
/// With several tracks it goes back to the oldest of the tracks' last keyframes.
#[derive(Debug, Default)]
pub(super) struct Gop {
    messages: VecDeque<MediaMessage>,
    bytes: usize,
    /// The memory that they take, in bytes.
    cost: usize,
    /// For each track its last keyframe, counted from the publication's first message.
    keyframes: Vec<(u8, usize)>,
    /// The number of the first message that is still here.
    first: usize,
}

impl Gop {
    /// How many messages there are, and their payload in bytes.
    pub(super) fn depth(&self) -> (usize, usize) {
        (self.messages.len(), self.bytes)
    }

    /// The memory that they take, in bytes.
    pub(super) fn cost(&self) -> usize {
        self.cost
    }

    /// All messages, in order.
    pub(super) fn messages(&self) -> impl Iterator<Item = &MediaMessage> {
        self.messages.iter()
    }

    pub(super) fn clear(&mut self) {
        *self = Gop::default();
    }

    pub(super) fn begin(&mut self, media: &MediaMessage) {
        let index = self.first + self.messages.len();
        for track in media.packet.tracks.iter() {
            match self.keyframes.iter_mut().find(|(known, _)| *known == track) {
                Some((_, last)) => *last = index,
                None => self.keyframes.push((track, index)),
            }
        }
        self.trim();
        self.push(media);
    }

    /// Forgets what there is of these tracks of this kind, as if it had never come: messages that hold other
    /// tracks too stay without them.
    pub(super) fn forget(&mut self, kind: MessageType, tracks: Tracks) {
        let mut gone = Vec::new();
        let numbers = &mut (self.first..);
        self.messages.retain_mut(|media| {
            let number = numbers.next();
            if media.message.kind != kind || !media.packet.tracks.shares(tracks) {
                return true;
            }
            self.bytes -= media.payload_len();
            self.cost -= media.cost();
            let Some(rest) = media.without(tracks) else {
                gone.extend(number);
                return false;
            };
            self.bytes += rest.payload_len();
            self.cost += rest.cost();
            *media = rest;
            true
        });
        if kind == MessageType::VIDEO {
            self.keyframes
                .retain(|(track, _)| !tracks.contains(Tracks::one(*track)));
        }
        for (_, keyframe) in &mut self.keyframes {
            *keyframe -= gone.partition_point(|number| number < keyframe);
        }
        match self.keyframes.is_empty() {
            true => self.clear(),
            false => self.trim(),
        }
    }

    /// Forgets what lies before the last keyframe of every track.
    fn trim(&mut self) {
        let keyframes = self.keyframes.iter().map(|(_, index)| *index);
        let oldest = keyframes.min().unwrap_or(self.first);
        while self.first < oldest {
            self.first += 1;
            if let Some(gone) = self.messages.pop_front() {
                self.bytes -= gone.payload_len();
                self.cost -= gone.cost();
            }
        }
    }

    /// Keeps what follows a keyframe; before the first there is nothing to follow.
    pub(super) fn append(&mut self, media: &MediaMessage) {
        if !self.keyframes.is_empty() {
            self.push(media);
        }
    }

    /// Beyond any limit the whole cache goes, and the next keyframe begins a new one.
    fn push(&mut self, media: &MediaMessage) {
        self.bytes += media.payload_len();
        self.cost += media.cost();
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
    pub(super) fn playable(&self, wants: Wants) -> (Vec<Message>, Tracks) {
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
