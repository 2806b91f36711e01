//! What a recipient is told when there is room for it.

use crate::registry::recipient::{Notice, Notices};
use crate::rtmp::Message;

/// Notices that there was no room for, in order. Each is here once at most, so they are few, however
/// often a publisher is lost and returns.
#[derive(Debug, Default)]
pub(super) struct DueNotices(Vec<Notice>);

impl DueNotices {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a notice. One that is due already takes back what has undone it.
    pub(super) fn add(&mut self, notice: Notice) {
        match self.0.contains(&notice) {
            true => self.0.retain(|due| Some(*due) != notice.opposite()),
            false => self.0.push(notice),
        }
    }

    /// The messages for all of them.
    pub(super) fn messages(&self, notices: &dyn Notices) -> Vec<Message> {
        let message = |notice: &Notice| notices.notice(*notice);
        self.0.iter().filter_map(message).collect()
    }

    /// The recipient was told all.
    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_not_told() {
        use Notice::{BeginsAgain, Dry, TooSlow};
        let rows: [(&[Notice], &[Notice]); 7] = [
            (&[Dry], &[Dry]),
            (&[Dry, BeginsAgain], &[Dry, BeginsAgain]),
            (&[Dry, BeginsAgain, Dry], &[Dry]),
            (&[Dry, BeginsAgain, Dry, BeginsAgain], &[Dry, BeginsAgain]),
            (&[BeginsAgain, Dry, BeginsAgain], &[BeginsAgain]),
            (&[TooSlow, Dry, TooSlow], &[TooSlow, Dry]),
            (&[Dry, TooSlow, BeginsAgain, Dry], &[Dry, TooSlow]),
        ];
        for (added, want) in rows {
            let mut due = DueNotices::default();
            added.iter().for_each(|notice| due.add(*notice));
            assert_eq!(due.0, want, "{added:?}");
        }
    }
}
