//! How long what a publisher sends may wait for more of it, to be handled together.
//!
//! Each message by itself wakes a thread and takes one system call for each viewer, whatever its
//! size: that is nearly all that a stream costs. So where sending is a load, sound waits for the picture
//! that follows it. Where it is none, nothing waits.

use super::workload::Workload;
use std::sync::Arc;
use std::time::Duration;

/// When messages wait for others.
#[derive(Clone, Debug)]
pub enum Merge {
    /// No message ever waits.
    Off,
    /// Always, for this long.
    For(Duration),
    /// While the server is busy: sound, for the next picture.
    WhileBusy(Arc<Workload>),
}

/// What a read waits for, once something has come before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gather {
    /// This many bytes do not wait any longer.
    pub(super) bytes: u32,
    /// No byte waits longer than this.
    pub(super) limit: Duration,
}

/// What nobody sees waits for more of it: then most of the cost is a thread that wakes up.
const UNWATCHED: Gather = Gather {
    bytes: 24 << 10,
    limit: Duration::from_millis(200),
};

/// In bytes: less than most pictures have, and more than sound.
const PICTURE_LEN: u32 = 1024;

/// More than the time between two pictures at 24 a second.
const FRAME_TIME: Duration = Duration::from_millis(45);

/// How long pictures of fewer bytes than [`PICTURE_LEN`] wait, which come in unseen: those of a screen
/// on which nothing moves.
const SMALL_PICTURE_WAIT: Duration = Duration::from_millis(10);

/// Messages without a picture, about a second of sound, after which there is no picture to wait for.
const SOUND_ALONE: u32 = 50;

impl Merge {
    /// As `-merge` has it: for as long as `limit`, or without one while the server is busy.
    pub fn new(limit: Option<Duration>, workload: &Arc<Workload>) -> Merge {
        match limit {
            Some(limit) if limit.is_zero() => Merge::Off,
            Some(limit) => Merge::For(limit),
            None => Merge::WhileBusy(Arc::clone(workload)),
        }
    }

    /// How long messages may be waiting now; `None`: they never wait.
    pub fn longest(&self) -> Option<Duration> {
        match self {
            Merge::Off => None,
            Merge::For(limit) => Some(*limit),
            Merge::WhileBusy(_) => Some(UNWATCHED.limit),
        }
    }

    /// What the next read waits for; `None`: for the first byte.
    pub(super) fn gather(&self, is_watched: bool, pictures: &Pictures) -> Option<Gather> {
        match self {
            Merge::Off => None,
            Merge::For(limit) => Some(Gather {
                bytes: u32::MAX,
                limit: *limit,
            }),
            Merge::WhileBusy(workload) if workload.is_high() => match is_watched {
                true => pictures.gather(),
                false => Some(UNWATCHED),
            },
            Merge::WhileBusy(_) => None,
        }
    }
}

/// What is known of the pictures that a peer sends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pictures {
    /// Bytes of the last one; `None`: there was none, or none for long.
    last_len: Option<usize>,
    /// How many messages have come since then.
    others: u32,
}

impl Pictures {
    /// Takes note of a picture.
    pub(super) fn note_picture(&mut self, len: usize) {
        *self = Pictures {
            last_len: Some(len),
            others: 0,
        };
    }

    /// Takes note of a message that is none.
    pub(super) fn note_other(&mut self) {
        self.others = self.others.saturating_add(1);
        if self.others > SOUND_ALONE {
            self.last_len = None;
        }
    }

    fn gather(&self) -> Option<Gather> {
        let limit = match self.last_len? {
            len if len < PICTURE_LEN as usize => SMALL_PICTURE_WAIT,
            _ => FRAME_TIME,
        };
        Some(Gather {
            bytes: PICTURE_LEN,
            limit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn busy() -> Arc<Workload> {
        let workload = Workload::default();
        workload.note(Duration::ZERO, Duration::ZERO);
        workload.note(Duration::from_secs(1), Duration::from_secs(1));
        Arc::new(workload)
    }

    #[test]
    fn messages_wait_as_the_flag_says() {
        let (busy, idle) = (busy(), Arc::<Workload>::default());
        let auto = |limit| Gather { bytes: 1024, limit };
        let long = Duration::from_millis(350);
        let whole = Gather {
            bytes: u32::MAX,
            limit: long,
        };
        let (seen, unseen) = (true, false);
        #[rustfmt::skip]
        let rows = [
            (Some(Duration::ZERO), &busy, seen, Some(5000), 0, None),
            (Some(Duration::ZERO), &busy, unseen, Some(5000), 0, None),
            (Some(long), &idle, seen, None, 0, Some(whole)),
            (Some(long), &idle, unseen, None, 0, Some(whole)),
            (None, &idle, seen, Some(5000), 0, None),
            (None, &idle, unseen, Some(5000), 0, None),
            (None, &busy, seen, Some(5000), 0, Some(auto(FRAME_TIME))),
            (None, &busy, seen, Some(37), 0, Some(auto(SMALL_PICTURE_WAIT))),
            (None, &busy, seen, Some(5000), SOUND_ALONE, Some(auto(FRAME_TIME))),
            (None, &busy, seen, Some(5000), SOUND_ALONE + 1, None),
            (None, &busy, seen, None, 1, None),
            (None, &busy, unseen, Some(5000), 0, Some(UNWATCHED)),
            (None, &busy, unseen, None, 1, Some(UNWATCHED)),
        ];
        for (limit, workload, is_watched, picture, others, want) in rows {
            let mut pictures = Pictures::default();
            picture
                .into_iter()
                .for_each(|len| pictures.note_picture(len));
            (0..others).for_each(|_| pictures.note_other());
            let got = Merge::new(limit, workload).gather(is_watched, &pictures);
            assert_eq!(got, want, "{limit:?}, {is_watched}, {picture:?}, {others}");
        }
    }
}
