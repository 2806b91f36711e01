//! What each file of a recording begins with.

use crate::amf0::Pairs;
use crate::media::flv::{self, BODY_LEN_MAX, Flags};
use crate::media::{Content, Packet};
use crate::rtmp::{Message, MessageType};

/// Most headers that are repeated, of different tracks and kinds.
pub(crate) const HEADERS_MAX: usize = 64;

/// Most bytes of headers, and of data messages before the first media, that are kept.
pub(crate) const KEPT_BYTES_MAX: usize = 4 << 20;

/// Most data messages that are kept before the first media.
pub(super) const HELD_MAX: usize = 64;

/// A message, as a recording looks at it.
#[derive(Debug, PartialEq)]
pub(crate) enum HeaderItem {
    /// Nothing that is recorded: silence without a byte, metadata that cannot be read.
    Nothing,
    /// Metadata of the stream, `onMetaData`.
    Metadata(Pairs),
    /// Other data: cue points, captions, time codes.
    Data,
    /// A header without a configuration, a picture or a sound without a byte.
    Empty,
    /// The end of a track.
    End(Packet),
    /// What a decoder needs before the first frame.
    Header(Packet),
    /// Any other audio or video.
    Media(Packet),
}

impl HeaderItem {
    /// Looks at a message.
    pub(super) fn new(message: &Message) -> HeaderItem {
        let Message { kind, payload, .. } = message;
        if payload.is_empty() || payload.len() > BODY_LEN_MAX {
            return HeaderItem::Nothing;
        }
        match *kind {
            MessageType::DATA | MessageType::DATA_AMF3 if flv::is_metadata(*kind, payload) => {
                flv::properties(*kind, payload).map_or(HeaderItem::Nothing, HeaderItem::Metadata)
            }
            MessageType::DATA | MessageType::DATA_AMF3 => HeaderItem::Data,
            MessageType::AUDIO | MessageType::VIDEO => {
                let packet = Packet::new(*kind, payload);
                match packet.content {
                    Content::Header | Content::Config => HeaderItem::Header(packet),
                    Content::Empty => HeaderItem::Empty,
                    Content::End => HeaderItem::End(packet),
                    _ => HeaderItem::Media(packet),
                }
            }
            _ => HeaderItem::Nothing,
        }
    }
}

/// Metadata and headers as they are now, for the file that begins next.
#[derive(Debug, Default)]
pub(crate) struct FileHeader {
    properties: Pairs,
    headers: Vec<(Message, Packet)>,
    /// Data that came before any file did.
    held: Vec<Message>,
}

impl FileHeader {
    /// The properties of the publisher's metadata.
    pub(super) fn properties(&self) -> &Pairs {
        &self.properties
    }

    /// One of them, if it is a text.
    pub(super) fn property(&self, name: &str) -> Option<&str> {
        let mut properties = self.properties.iter();
        let found = properties.find(|(key, _)| key == name.as_bytes());
        found.and_then(|(_, value)| value.as_text())
    }

    /// Takes new metadata; `false` if it is what was there.
    pub(super) fn set_properties(&mut self, properties: Pairs) -> bool {
        let changed = self.properties != properties;
        self.properties = properties;
        changed
    }

    /// Keeps a header in place of those that nobody needs any more. Beyond the limits it is not
    /// kept.
    pub(super) fn note_header(&mut self, message: &Message, packet: Packet) {
        let replaced = |(kept, was): &(Message, Packet)| {
            kept.kind == message.kind
                && was.content == packet.content
                && packet.tracks.contains(was.tracks)
        };
        self.headers.retain(|header| !replaced(header));
        let kept = self.headers.iter().map(|(header, _)| header);
        if fits(kept, message, HEADERS_MAX) {
            self.headers.push((message.clone(), packet));
        }
    }

    /// Holds data back until there is a file; beyond the limits it is dropped.
    pub(super) fn hold(&mut self, message: &Message) {
        if fits(self.held.iter(), message, HELD_MAX) {
            self.held.push(message.clone());
        }
    }

    /// What kinds of media there are headers of.
    pub(super) fn flags(&self) -> Flags {
        let mut flags = Flags::default();
        self.headers
            .iter()
            .for_each(|(header, _)| flags.insert(header.kind));
        flags
    }

    /// What stands behind the metadata: data that was held back, in one file only, and headers,
    /// those of video first.
    pub(super) fn take(&mut self) -> Vec<Message> {
        let headers = |kind| {
            let headers = self.headers.iter().map(|(header, _)| header);
            headers.filter(move |header| header.kind == kind).cloned()
        };
        let headers: Vec<Message> = headers(MessageType::VIDEO)
            .chain(headers(MessageType::AUDIO))
            .collect();
        let mut messages = std::mem::take(&mut self.held);
        messages.extend(headers);
        messages
    }
}

fn fits<'a>(
    kept: impl ExactSizeIterator<Item = &'a Message>,
    message: &Message,
    count_max: usize,
) -> bool {
    let count = kept.len();
    let bytes: usize = kept.map(|kept| kept.payload.len()).sum();
    count < count_max && bytes + message.payload.len() <= KEPT_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amf0::{self, Value};
    use crate::rtmp::StreamId;

    fn message(kind: MessageType, payload: &[u8]) -> Message {
        Message::untimed(kind, StreamId(1), payload.to_vec())
    }

    #[test]
    fn items_are_told_apart() {
        let metadata = |value: Value| amf0::encode(&[Value::text("onMetaData"), value]);
        let cue = amf0::encode(&[Value::text("onCuePoint"), Value::Null]);
        let (audio, video, data) = (MessageType::AUDIO, MessageType::VIDEO, MessageType::DATA);
        #[rustfmt::skip]
        let rows: [(MessageType, &[u8], &str); 17] = [
            (audio, &[], "Nothing"),
            (video, &[], "Nothing"),
            (data, &[], "Nothing"),
            (MessageType::COMMAND, &cue, "Nothing"),
            (MessageType::AGGREGATE, &cue, "Nothing"),
            (data, &metadata(Value::object([])), "Metadata"),
            (data, &metadata(Value::Null)[..13], "Nothing"),
            (data, &cue, "Data"),
            (MessageType::DATA_AMF3, &cue, "Data"),
            (video, &[0x17, 0, 0, 0, 0], "Empty"),
            (video, &[0x17, 0, 0, 0, 0, 1], "Header"),
            (video, b"\x84hvc1", "Empty"),
            (video, b"\x84hvc1c", "Header"),
            (video, &[0x17, 2, 0, 0, 0], "End"),
            (audio, &[0x2f], "Empty"),
            (audio, &[0x2f, 0], "Media"),
            (video, &[0x52, 1], "Media"),
        ];
        for (kind, payload, want) in rows {
            let item = format!("{:?}", HeaderItem::new(&message(kind, payload)));
            assert!(item.starts_with(want), "{payload:?}: {item}");
        }
    }

    /// Headers by letter: v and w are of video track 0, a of audio, c colour information, 1 of
    /// video track 1, 2 of the tracks 1 and 2.
    fn header(letter: char) -> Message {
        let (kind, payload): (_, &[u8]) = match letter {
            'a' => (MessageType::AUDIO, &[0xaf, 0, 1]),
            'v' => (MessageType::VIDEO, &[0x17, 0, 0, 0, 0, 1]),
            'w' => (MessageType::VIDEO, b"\x90hvc1w"),
            'c' => (MessageType::VIDEO, b"\x94hvc1c"),
            '1' => (MessageType::VIDEO, b"\x96\x00avc1\x01x"),
            _ => (
                MessageType::VIDEO,
                b"\x96\x10avc1\x01\0\0\x01x\x02\0\0\x01y",
            ),
        };
        message(kind, payload)
    }

    #[test]
    fn headers_of_each_track_are_repeated() {
        let rows = [
            ("av", "va"),
            ("vav", "va"),
            ("vw", "w"),
            ("vcw", "cw"),
            ("v1", "v1"),
            ("v12", "v2"),
            ("v21", "v21"),
        ];
        for (given, want) in rows {
            let mut beginning = FileHeader::default();
            for letter in given.chars() {
                let header = header(letter);
                let packet = Packet::new(header.kind, &header.payload);
                beginning.note_header(&header, packet);
            }
            let want: Vec<Message> = want.chars().map(header).collect();
            assert_eq!(beginning.take(), want, "{given}");
            assert_eq!(beginning.take(), want, "{given} again");
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let data = |len: usize| message(MessageType::DATA, &vec![5; len]);
        let mut beginning = FileHeader::default();
        for _ in 0..2 * HELD_MAX {
            beginning.hold(&data(1));
        }
        assert_eq!(beginning.take().len(), HELD_MAX);
        beginning.hold(&data(KEPT_BYTES_MAX));
        beginning.hold(&data(1));
        assert_eq!(beginning.take(), [data(KEPT_BYTES_MAX)]);
        for track in 0..=255 {
            let header = message(
                MessageType::VIDEO,
                &[b"\x96\x00avc1", &[track, 1][..]].concat(),
            );
            beginning.note_header(&header, Packet::new(header.kind, &header.payload));
        }
        assert_eq!(beginning.take().len(), HEADERS_MAX);
    }
}
