//! Whether a viewer is still one of the audience, for those who only look at it.

use std::sync::{Arc, Weak};

/// A viewer's place in the audience. The viewer has it for as long as it is there.
#[derive(Debug, Default)]
pub(super) struct Place(Arc<()>);

impl Place {
    pub(super) fn presence(&self) -> Presence {
        Presence(Arc::downgrade(&self.0))
    }
}

/// Tells whether a viewer is still one of the audience; takes no lock.
#[derive(Clone, Debug)]
pub struct Presence(Weak<()>);

impl Presence {
    /// Whether the stream has ended for the viewer, or it has left.
    pub fn is_over(&self) -> bool {
        self.0.strong_count() == 0
    }
}
