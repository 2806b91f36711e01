//! Consumers on this machine that come while a publication goes on, and need its beginning.

use super::cache::{Cache, JoinAt};
use super::media_message::MediaMessage;
use super::selection::{Selection, Wants};
use crate::memory::{Budget, Owner};
use crate::queue::{Feed, FeedLimits, Intake, feed_within};
use crate::rtmp::Message;
use std::sync::Arc;
use std::time::Instant;

/// A publication for a consumer on this machine: what late joiners get, and then all that is sent.
#[derive(Debug)]
pub struct Tap {
    /// Where it comes from, until the publication ends or the consumer is too slow.
    pub intake: Intake,
    /// The time between the last two keyframes, in ms, if there were two.
    pub keyframes_ms: Option<u32>,
}

/// The consumers of a publication that came late. They do not count as recordings.
#[derive(Debug, Default)]
pub(super) struct Taps(Vec<Feed>);

impl Taps {
    /// A new consumer, with the beginning that `cache` has. What waits for it counts against the budget,
    /// to the owner.
    pub(super) fn open(
        &mut self,
        cache: &Cache,
        limits: FeedLimits,
        (budget, owner): (&Arc<Budget>, Option<Owner>),
        now: Instant,
    ) -> Intake {
        self.0.retain(Feed::is_open);
        let (feed, intake) = feed_within(limits, budget);
        feed.set_owner(owner);
        let wants = Wants {
            audio: true,
            video: true,
            tracks: Selection::All,
        };
        let burst = cache.join_burst(wants, None, JoinAt::Keyframe);
        let beginning: Vec<Message> = match burst {
            Some(burst) => burst.data.into_iter().chain(burst.messages).collect(),
            None => cache.before_media(wants),
        };
        feed.push(&beginning, now);
        self.0.push(feed);
        intake
    }

    /// Whether there is one.
    pub(super) fn is_open(&self) -> bool {
        self.0.iter().any(Feed::is_open)
    }

    pub(super) fn push(&self, run: &[MediaMessage], now: Instant) {
        for feed in &self.0 {
            feed.push(run.iter().map(|media| &media.message), now);
        }
    }
}
