//! How long what a publisher sends may wait for more of it, to be handled together.
//!
//! Each message by itself wakes a thread and takes one system call for each viewer, whatever its
//! size: that is nearly all that a stream costs. So where sending is a load, sound waits for the picture
//! that follows it. Where it is none, nothing waits. A picture never waits: where all are long, the
//! system is asked to wait for many bytes; where some may be short, sound waits in our hands.

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
pub(super) const FRAME_TIME: Duration = Duration::from_millis(45);

/// Pictures after a small one, as those of a screen on which nothing moves, during which there may be
/// others: some seconds.
const SMALL_FOR: u32 = 100;

/// In bytes: what waits for a small picture. It is more than sound has between two pictures.
const HELD_MAX: usize = 16 << 10;

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

    /// Whether what has come since the last picture waits for the next one in our hands, since the next
    /// one may be too small to be told from sound by its bytes.
    pub(super) fn holds(&self, pictures: &Pictures) -> bool {
        match self {
            Merge::Off | Merge::For(_) => false,
            Merge::WhileBusy(workload) => workload.is_high() && pictures.holds(),
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
    /// Whether there are any: not for long there was none.
    are_there: bool,
    /// How many messages have come since the last one.
    others: u32,
    /// Of how many of the next it is taken that they may be small.
    small_for: u32,
    /// Bytes that have come since something was handed over last.
    waiting: usize,
    /// Whether a picture is among them.
    waits: bool,
}

impl Pictures {
    /// Takes note of a picture.
    pub(super) fn note_picture(&mut self, len: usize) {
        *self = Pictures {
            are_there: true,
            others: 0,
            small_for: match len < PICTURE_LEN as usize {
                true => SMALL_FOR,
                false => self.small_for.saturating_sub(1),
            },
            waiting: self.waiting + len,
            waits: true,
        };
    }

    /// Takes note of a message that is none.
    pub(super) fn note_other(&mut self, len: usize) {
        self.others = self.others.saturating_add(1);
        self.are_there &= self.others <= SOUND_ALONE;
        self.waiting += len;
    }

    /// Everything that has come is handed over.
    pub(super) fn hand_over(&mut self) {
        (self.waiting, self.waits) = (0, false);
    }

    fn holds(&self) -> bool {
        let may_be_small = self.are_there && self.small_for > 0;
        may_be_small && !self.waits && (1..HELD_MAX).contains(&self.waiting)
    }

    fn gather(&self) -> Option<Gather> {
        let are_large = self.are_there && self.small_for == 0;
        are_large.then_some(Gather {
            bytes: PICTURE_LEN,
            limit: FRAME_TIME,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_wait_as_the_flag_says() {
        let (busy, idle) = (Workload::busy(), Arc::<Workload>::default());
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
            (None, &busy, seen, Some(37), 0, None),
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
            (0..others).for_each(|_| pictures.note_other(300));
            let got = Merge::new(limit, workload).gather(is_watched, &pictures);
            assert_eq!(got, want, "{limit:?}, {is_watched}, {picture:?}, {others}");
        }
    }

    /// What has come since the last hand-over: pictures `V` and sound `A`, and how many bytes each has.
    #[test]
    fn sound_is_held_for_a_picture_that_may_be_small() {
        let (busy, idle) = (Workload::busy(), Arc::<Workload>::default());
        type Bytes = &'static [(char, usize)];
        #[rustfmt::skip]
        let rows: [(&str, Bytes, Bytes, &Arc<Workload>, bool); 8] = [
            ("nothing", &[('V', 37)], &[], &busy, false),
            ("sound", &[('V', 37)], &[('A', 300)], &busy, true),
            ("a picture", &[('V', 37)], &[('A', 300), ('V', 37)], &busy, false),
            ("sound behind a picture", &[('V', 37)], &[('V', 37), ('A', 300)], &busy, false),
            ("sound after a large picture", &[('V', 37), ('V', 5000)], &[('A', 300)], &busy, true),
            ("sound of large pictures", &[('V', 5000)], &[('A', 300)], &busy, false),
            ("much sound", &[('V', 37)], &[('A', HELD_MAX)], &busy, false),
            ("sound, idle", &[('V', 37)], &[('A', 300)], &idle, false),
        ];
        for (name, before, since, workload, want) in rows {
            let mut pictures = Pictures::default();
            let note = |pictures: &mut Pictures, messages: &[(char, usize)]| {
                for (kind, len) in messages {
                    match kind {
                        'V' => pictures.note_picture(*len),
                        _ => pictures.note_other(*len),
                    }
                }
            };
            note(&mut pictures, before);
            pictures.hand_over();
            note(&mut pictures, since);
            assert_eq!(Merge::new(None, workload).holds(&pictures), want, "{name}");
        }
        let mut pictures = Pictures::default();
        pictures.note_picture(37);
        (0..SMALL_FOR).for_each(|_| pictures.note_picture(5000));
        let gather = Merge::new(None, &busy).gather(true, &pictures);
        assert!(gather.is_some(), "none was small for long");
    }
}
