//! Headers and metadata that a viewer must not miss, kept until it has room for them.

use crate::registry::media_message::MediaMessage;
use crate::registry::selection::Wants;

/// Most headers and data messages that wait for room in a viewer's queue; a viewer that has missed
/// more cannot be brought back in step.
const PENDING_MAX: usize = 128;

/// Most bytes of memory that they take.
const PENDING_BYTES_MAX: usize = 4 << 20;

/// Headers and metadata that could not be sent and must not be lost.
#[derive(Debug, Default)]
pub(super) struct PendingHeaders(Vec<MediaMessage>);

impl PendingHeaders {
    pub(super) fn new(messages: Vec<MediaMessage>) -> PendingHeaders {
        PendingHeaders(messages)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps a message in place of what it replaces. Whether they are not too many, nor too much.
    #[must_use]
    pub(super) fn keep(&mut self, media: &MediaMessage) -> bool {
        self.0.retain(|kept| !media.replaces(kept));
        self.0.push(media.clone());
        self.0.len() <= PENDING_MAX && self.cost() <= PENDING_BYTES_MAX
    }

    /// The memory that they take, in bytes.
    pub(super) fn cost(&self) -> usize {
        self.0.iter().map(MediaMessage::cost).sum()
    }

    /// Takes out what the viewer wants.
    pub(super) fn take(&mut self, wants: Wants) -> Vec<MediaMessage> {
        let wanted = |kept: &mut MediaMessage| wants.includes(kept.message.kind);
        self.0.extract_if(.., wanted).collect()
    }

    /// Puts back what there was no room for.
    pub(super) fn put_back(&mut self, messages: Vec<MediaMessage>) {
        self.0.extend(messages);
    }
}
