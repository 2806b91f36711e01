//! Live messages as one batch for each selection of tracks: one for viewers that take every track,
//! one for viewers that take the first of each kind.

use super::media_message::MediaMessage;
use super::selection::Selection;
use crate::queue::{Batch, Leaders};
use std::sync::Arc;

/// The leaders of the viewers of each selection.
pub(super) struct Encoders {
    all: Leaders,
    /// `None` as long as viewers of both selections were sent the same.
    first: Option<Leaders>,
}

/// The same messages for viewers of each selection. Where they are the same, so are the bytes.
pub(super) struct Batches {
    all: Arc<Batch>,
    /// `None`: these viewers get nothing of the messages.
    first: Option<Arc<Batch>>,
}

impl Encoders {
    /// Leaders that have been sent nothing yet, in chunks of `chunk_size` bytes.
    pub(super) fn new(chunk_size: u32) -> Encoders {
        Encoders {
            all: Leaders::new(chunk_size),
            first: None,
        }
    }

    /// Makes the bytes of a run of messages. `has_first` says whether there are viewers who take the
    /// first tracks; it is called only where that matters.
    pub(super) fn batches(
        &mut self,
        run: &[MediaMessage],
        has_first: impl FnOnce() -> bool,
    ) -> Batches {
        let differs = run.iter().any(MediaMessage::has_other_tracks);
        let matters = (differs || self.first.is_some()) && has_first();
        let mut before = (matters && self.first.is_none()).then(|| self.all.clone());
        let messages = run.iter().map(|media| media.message.clone()).collect();
        let all = Arc::new(Batch::new(messages, &mut self.all));
        if !matters {
            let first = Some(Arc::clone(&all));
            return Batches { all, first };
        }
        let leaders = self
            .first
            .get_or_insert_with(|| before.take().unwrap_or_default());
        if !differs && all.try_share(leaders) {
            let first = Some(Arc::clone(&all));
            return Batches { all, first };
        }
        let selected = run.iter().filter_map(|media| media.of(Selection::First));
        let messages: Vec<_> = selected.map(|media| media.message.clone()).collect();
        let first = (!messages.is_empty()).then(|| Arc::new(Batch::new(messages, leaders)));
        Batches { all, first }
    }
}

impl Batches {
    /// What a viewer with this selection gets; `None`: nothing.
    pub(super) fn of(&self, selection: Selection) -> Option<&Arc<Batch>> {
        match selection {
            Selection::All => Some(&self.all),
            Selection::First => self.first.as_ref(),
        }
    }
}
