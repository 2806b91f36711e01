//! Viewers that somebody has ended, and who is one of them that comes back.

use crate::awake;
use crate::sync::Mutex;
use crate::web::Traits;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long one that was ended is refused.
pub(super) const REFUSED_FOR: Duration = Duration::from_secs(60);

/// Most that are refused at a time; the oldest is forgotten first.
pub(super) const ENDED_MAX: usize = 1024;

/// Viewers that were ended a moment ago, the oldest first.
#[derive(Default)]
pub(super) struct Ended(Mutex<VecDeque<(Instant, Traits)>>);

impl Ended {
    /// A viewer is ended now.
    pub(super) fn add(&self, traits: Traits) {
        let mut all = self.0.lock();
        if all.len() >= ENDED_MAX {
            all.pop_front();
        }
        all.push_back((awake::now(), traits));
    }

    /// Whether a newcomer is taken for one of them.
    pub(super) fn has(&self, newcomer: &Traits) -> bool {
        let mut all = self.0.lock();
        let now = awake::now();
        let is_over =
            |(since, _): &(Instant, Traits)| now.saturating_duration_since(*since) >= REFUSED_FOR;
        while all.front().is_some_and(is_over) {
            all.pop_front();
        }
        all.iter().any(|(_, ended)| newcomer.is_of(ended))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::stream_key::StreamPath;

    #[test]
    fn no_more_are_remembered_than_there_may_be() {
        let all = Ended::default();
        let traits = |number: usize| {
            let path = StreamPath::new("live", &format!("cam?token={number}")).unwrap();
            Traits::new([192, 0, 2, 1].into(), &path, "")
        };
        (0..=ENDED_MAX).for_each(|number| all.add(traits(number)));
        let has = [0, 1, ENDED_MAX].map(|number| all.has(&traits(number)));
        assert_eq!(has, [false, true, true]);
    }
}
