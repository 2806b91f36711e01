//! Who is sent a stream, and what it is told beside the media.

use super::selection::Selection;
use crate::media::mp4::live::{LiveEnd, TrackChoice};
use crate::rtmp::control::UserControl;
use crate::rtmp::data::set_data_frame;
use crate::rtmp::{Message, StreamId, status};

/// Who is sent a stream.
pub struct Recipient {
    /// The connection, for the log.
    pub conn_id: String,
    /// What it is sent of the stream.
    pub takes: Takes,
    /// The message stream on which it is sent messages.
    pub stream: StreamId,
    /// Which tracks it takes.
    pub tracks: Selection,
    /// The servers that what it is sent goes to, if it is a server that says so.
    pub via: Vec<String>,
    /// What it is counted as.
    pub kind: SubscriberKind,
    /// How it is sent data that is kept for late joiners.
    pub retained_data: RetainedData,
    /// Whether it is told the kinds of media before all else: its beginning waits until they are
    /// known.
    pub needs_kinds: bool,
    /// What it is told beside the media.
    pub notices: Box<dyn Notices>,
}

/// What a recipient is sent of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// Its messages, as they come.
    Messages,
    /// Fragments of MP4 that are made of them, with these tracks.
    Fragments(TrackChoice),
    /// Nothing: it fetches what it wants, and is here to be counted, told and ended.
    Nothing,
}

/// What a recipient is counted as, and with it how long it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriberKind {
    /// One of the audience. It may wait for a stream to begin, for a limited time.
    Player,
    /// A server that we publish to. It is part of no audience, and leaves with the publication.
    Server,
}

/// How data that is kept for late joiners is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetainedData {
    /// As players get it.
    Plain,
    /// In an `@setDataFrame`, so that a server keeps it too.
    SetDataFrame,
}

/// Something that a recipient is told while it plays: at once, or when there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The publisher was lost.
    Dry,
    /// Another publication goes on where the last one was lost.
    BeginsAgain,
    /// Media was left out, because the recipient is too slow.
    TooSlow,
}

impl Notice {
    /// The notice after which this one does not hold any more.
    pub(super) fn opposite(self) -> Option<Notice> {
        match self {
            Notice::Dry => Some(Notice::BeginsAgain),
            Notice::BeginsAgain => Some(Notice::Dry),
            Notice::TooSlow => None,
        }
    }
}

/// How a subscription ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionEnd {
    /// The stream is over.
    StreamOver,
    /// The stream did not begin while the recipient waited.
    NeverBegan,
    /// The recipient cannot be sent what the stream has now.
    Unplayable(LiveEnd),
}

/// What a recipient is told beside the media, in messages of its protocol. By default nothing.
pub trait Notices: Send + Sync {
    /// Returns what it is told when playing begins, once.
    fn start(&mut self) -> Vec<Message> {
        Vec::new()
    }

    /// Returns the message for a notice.
    fn notice(&self, _: Notice) -> Option<Message> {
        None
    }

    /// Returns what it is told when the subscription ends.
    fn closing_messages(self: Box<Self>, _: SubscriptionEnd) -> Vec<Message> {
        Vec::new()
    }
}

impl Recipient {
    /// A client that plays on message stream `stream` what it calls `name`; `start` is what it is
    /// told when playing begins. It takes all tracks and names no servers.
    pub fn player(
        conn_id: String,
        stream: StreamId,
        name: String,
        start: Vec<Message>,
    ) -> Recipient {
        Recipient {
            conn_id,
            takes: Takes::Messages,
            stream,
            tracks: Selection::All,
            via: Vec::new(),
            kind: SubscriberKind::Player,
            retained_data: RetainedData::Plain,
            needs_kinds: false,
            notices: Box::new(PlayNotices {
                stream,
                name,
                start,
            }),
        }
    }

    /// A client that gets the first track of each kind as a stream of tags, and is told nothing
    /// beside it.
    pub fn listener(conn_id: String) -> Recipient {
        Recipient {
            conn_id,
            takes: Takes::Messages,
            stream: StreamId(1),
            tracks: Selection::First,
            via: Vec::new(),
            kind: SubscriberKind::Player,
            retained_data: RetainedData::Plain,
            needs_kinds: true,
            notices: Box::new(NoNotices),
        }
    }

    /// A client that gets fragments of MP4 with these tracks; `notices` are told how that ends.
    pub fn fragments(conn_id: String, choice: TrackChoice, notices: Box<dyn Notices>) -> Recipient {
        Recipient {
            takes: Takes::Fragments(choice),
            needs_kinds: false,
            notices,
            ..Recipient::listener(conn_id)
        }
    }

    /// A client that fetches what it wants by itself: it is one of the audience, and sent nothing.
    pub fn session(conn_id: String) -> Recipient {
        Recipient {
            takes: Takes::Nothing,
            needs_kinds: false,
            ..Recipient::listener(conn_id)
        }
    }

    /// A server that we publish to on message stream `stream`; `end` is what it is told when the
    /// stream is over.
    pub fn server(conn_id: String, stream: StreamId, end: Vec<Message>) -> Recipient {
        Recipient {
            conn_id,
            takes: Takes::Messages,
            stream,
            tracks: Selection::All,
            via: Vec::new(),
            kind: SubscriberKind::Server,
            retained_data: RetainedData::SetDataFrame,
            needs_kinds: false,
            notices: Box::new(PublishNotices { end }),
        }
    }

    /// Whether it is one of the audience.
    pub(super) fn is_player(&self) -> bool {
        self.kind == SubscriberKind::Player
    }

    /// Whether what it is sent goes to one of these servers.
    pub(super) fn goes_to(&self, servers: &[String]) -> bool {
        self.via.iter().any(|server| servers.contains(server))
    }
}

impl RetainedData {
    /// A data message that is kept, in this form.
    pub(super) fn form(self, message: &Message) -> Message {
        match self {
            RetainedData::Plain => message.clone(),
            RetainedData::SetDataFrame => set_data_frame(message),
        }
    }
}

/// For those who get media alone.
struct NoNotices;

impl Notices for NoNotices {}

/// What a client that plays is told.
struct PlayNotices {
    stream: StreamId,
    name: String,
    start: Vec<Message>,
}

impl Notices for PlayNotices {
    fn start(&mut self) -> Vec<Message> {
        std::mem::take(&mut self.start)
    }

    fn notice(&self, notice: Notice) -> Option<Message> {
        Some(match notice {
            Notice::Dry => UserControl::StreamDry(self.stream).message(),
            Notice::BeginsAgain => UserControl::StreamBegin(self.stream).message(),
            Notice::TooSlow => status::insufficient_bandwidth(self.stream, &self.name),
        })
    }

    fn closing_messages(self: Box<Self>, end: SubscriptionEnd) -> Vec<Message> {
        match end {
            SubscriptionEnd::StreamOver | SubscriptionEnd::Unplayable(_) => {
                status::play_end(self.stream, &self.name).into()
            }
            SubscriptionEnd::NeverBegan => vec![status::not_found(self.stream, &self.name)],
        }
    }
}

/// What a server that we publish to is told.
struct PublishNotices {
    end: Vec<Message>,
}

impl Notices for PublishNotices {
    fn closing_messages(self: Box<Self>, _: SubscriptionEnd) -> Vec<Message> {
        self.end
    }
}
