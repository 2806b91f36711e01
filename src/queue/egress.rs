//! The state of the way to a peer.

use super::cause::Cause;
use super::framing::Framing;
use super::item::Weight;
use crate::memory::Source;
use crate::rtmp::Message;

/// What an outbox knows of its peer. The holder of its lock decides what the peer sees next.
pub(super) struct Egress {
    pub(super) framing: Framing,
    /// What is in the queue or in the writer's hands. While anything is, only the writer sends.
    pub(super) waiting: Weight,
    /// A message of our own that there was no room for, to be sent when there is.
    pub(super) due: Option<Message>,
    /// Publications and subscriptions that the connection has.
    pub(super) roles: usize,
    pub(super) media_source: MediaSource,
    pub(super) closing: Closing,
}

/// Where the media comes from that a peer is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaSource {
    None,
    One(Source),
    Several,
}

impl MediaSource {
    /// The same, and `source` as well.
    pub(super) fn and(self, source: Source) -> MediaSource {
        match self {
            MediaSource::None => MediaSource::One(source),
            MediaSource::One(one) if one == source => self,
            MediaSource::One(_) | MediaSource::Several => MediaSource::Several,
        }
    }

    /// The source, if there is but one.
    pub(super) fn only(self) -> Option<Source> {
        match self {
            MediaSource::One(source) => Some(source),
            MediaSource::None | MediaSource::Several => None,
        }
    }
}

pub(super) enum Closing {
    /// The outbox takes messages.
    Open,
    /// The connection closes after everything that waits and these closing messages.
    Draining(Vec<Message>),
    /// The connection is over, and nothing is taken any more; `None`: it was drained.
    Closed(Option<Cause>),
}

impl Egress {
    /// The connection is over. The first cause is the true one.
    pub(super) fn close(&mut self, cause: Cause) {
        if !matches!(self.closing, Closing::Closed(Some(_))) {
            self.closing = Closing::Closed(Some(cause));
        }
    }
}
