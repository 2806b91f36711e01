//! Whether a viewer is still one of the audience, for those who only look at it.

use super::recipient::SubscriptionEnd;
use std::sync::{Arc, OnceLock, Weak};

/// A viewer's place in the audience. The viewer has it for as long as it is there.
#[derive(Debug, Default)]
pub(super) struct Place {
    there: Arc<()>,
    end: Arc<OnceLock<SubscriptionEnd>>,
}

impl Place {
    pub(super) fn presence(&self) -> Presence {
        Presence {
            there: Arc::downgrade(&self.there),
            end: Arc::clone(&self.end),
        }
    }

    /// Notes how the stream ends for the viewer.
    pub(super) fn note_end(&self, end: SubscriptionEnd) {
        let _ = self.end.set(end); // only set here, once
    }
}

/// Tells whether a viewer is still one of the audience; takes no lock.
#[derive(Clone, Debug)]
pub struct Presence {
    there: Weak<()>,
    end: Arc<OnceLock<SubscriptionEnd>>,
}

impl Presence {
    /// Whether the stream has ended for the viewer, or it has left.
    pub fn is_over(&self) -> bool {
        self.there.strong_count() == 0
    }

    /// How the stream has ended for the viewer; `None` if it has not, or the viewer has left before.
    pub fn end(&self) -> Option<SubscriptionEnd> {
        self.end.get().copied()
    }
}
