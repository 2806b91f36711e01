//! What publishers and viewers hold. Dropping it is the end of it.

use super::ending::{AtEnd, PublicationStatus};
use super::presence::Presence;
use super::recipient::SubscriptionEnd;
use super::streams::Registration;
use super::subscription_id::SubscriptionId;
use crate::awake;
use crate::queue::Feed;
use crate::rtmp::Message;
use crate::stats::PublicationId;

/// The right to publish a stream. Dropping it means that the publisher was lost; the polite way is
/// [`Publication::finish`].
pub struct Publication {
    pub(super) registration: Registration,
    pub(super) id: PublicationId,
}

impl Publication {
    /// Sends audio, video and data to all viewers, unless the publication is over. Waits for none
    /// of them.
    pub fn send(&self, messages: impl IntoIterator<Item = Message>) -> PublicationStatus {
        self.registration
            .stream
            .lock()
            .send(self.id, messages, awake::now())
    }

    /// Whether somebody sees at once what is sent: a viewer or a server, or a consumer that came late. A
    /// recording does not.
    pub fn is_watched(&self) -> bool {
        self.registration.stream.lock().is_watched()
    }

    /// Calls `begin` unless the publication is over; what that returns is called when it ends. Both
    /// are called under the stream's lock and must not wait for anything: so nothing of the next
    /// publication is told before the end of this one.
    pub fn begin(&self, begin: impl FnOnce() -> AtEnd) -> PublicationStatus {
        self.registration.stream.lock().begin(self.id, begin)
    }

    /// Has everything that is sent from now on pushed into `feed` too, until the publication ends.
    pub fn attach(&self, feed: Feed) {
        self.registration.stream.lock().attach(self.id, feed);
    }

    /// The publisher's times may start anew: viewers see what comes behind what they have seen.
    pub(crate) fn restart_times(&self) {
        self.registration.stream.lock().restart_times(self.id);
    }

    /// The publisher is done: viewers are told so and leave.
    pub fn finish(self) {
        self.registration.stream.lock().finish(self.id);
    }
}

impl Drop for Publication {
    fn drop(&mut self) {
        self.registration.stream.lock().lose(self.id, awake::now());
    }
}

/// A place in the audience of a stream.
pub struct Subscription {
    pub(super) registration: Registration,
    pub(super) id: SubscriptionId,
    pub(super) presence: Presence,
}

impl Subscription {
    /// Whether the stream has ended for this viewer.
    pub fn is_over(&self) -> bool {
        self.registration.stream.lock().viewer(self.id).is_none()
    }

    /// How the stream has ended for this viewer, if it has.
    pub fn end(&self) -> Option<SubscriptionEnd> {
        self.presence.end()
    }

    /// A look at whether it is over, without a lock.
    pub fn presence(&self) -> Presence {
        self.presence.clone()
    }

    /// Pauses, or goes on at the next keyframe.
    pub fn set_paused(&self, paused: bool) {
        if let Some(viewer) = self.registration.stream.lock().viewer(self.id) {
            viewer.set_paused(paused);
        }
    }

    /// Turns audio on or off.
    pub fn set_audio(&self, on: bool) {
        if let Some(viewer) = self.registration.stream.lock().viewer(self.id) {
            viewer.set_audio(on);
        }
    }

    /// Turns video on, from the next keyframe, or off.
    pub fn set_video(&self, on: bool) {
        if let Some(viewer) = self.registration.stream.lock().viewer(self.id) {
            viewer.set_video(on);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.registration.stream.lock().unsubscribe(self.id);
    }
}
