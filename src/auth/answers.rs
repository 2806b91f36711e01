//! What the web service has answered a moment ago.

use super::sha256::{HASH_LEN, sha256};
use crate::sync::Mutex;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long an answer is kept.
pub const ANSWER_KEPT: Duration = Duration::from_secs(10);

/// Most answers that are kept; further ones are asked for again.
pub const ANSWERS_MAX: usize = 4096;

/// The hash of a question, so that what is kept is short and has no token in it.
pub(super) type QuestionHash = [u8; HASH_LEN];

/// The status of each answer that was given within [`ANSWER_KEPT`].
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<HashMap<QuestionHash, Kept>>);

#[derive(Clone, Copy, Debug)]
struct Kept {
    status: u16,
    since: Instant,
}

impl Answers {
    /// The hash of a question of these parts. None of them holds a NUL.
    pub(super) fn hash(parts: &[&str]) -> QuestionHash {
        sha256(parts.join("\0").as_bytes())
    }

    /// The status of the answer, if it is kept at `now`.
    pub(super) fn get(&self, question: &QuestionHash, now: Instant) -> Option<u16> {
        let kept = self.0.lock().get(question).copied()?;
        kept.is_fresh(now).then_some(kept.status)
    }

    /// Keeps an answer from `now` on, if there is room.
    pub(super) fn keep(&self, question: QuestionHash, status: u16, now: Instant) {
        let mut answers = self.0.lock();
        if answers.len() >= ANSWERS_MAX {
            answers.retain(|_, kept| kept.is_fresh(now));
        }
        if answers.len() < ANSWERS_MAX {
            answers.insert(question, Kept { status, since: now });
        }
    }
}

impl Kept {
    fn is_fresh(&self, now: Instant) -> bool {
        now.duration_since(self.since) < ANSWER_KEPT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_kept_for_their_time_and_not_too_many() {
        let (answers, start) = (Answers::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let question = |number: usize| Answers::hash(&["play", &number.to_string()]);
        assert_eq!(answers.get(&question(0), start), None);
        answers.keep(question(0), 200, start);
        assert_eq!(answers.get(&question(0), at(9999)), Some(200));
        assert_eq!(answers.get(&question(0), at(10_000)), None);
        assert_eq!(answers.get(&question(1), start), None);
        answers.keep(question(0), 403, at(10_000));
        assert_eq!(answers.get(&question(0), at(10_001)), Some(403));
        for number in 1..ANSWERS_MAX + 100 {
            answers.keep(question(number), 200, at(10_000));
        }
        assert_eq!(answers.0.lock().len(), ANSWERS_MAX);
        assert_eq!(answers.get(&question(ANSWERS_MAX + 1), at(10_000)), None);
        answers.keep(question(0), 200, at(20_000));
        assert_eq!(answers.0.lock().len(), 1, "the old ones make room");
    }

    #[test]
    fn parts_are_told_apart() {
        let rows = [["a", "bc"], ["ab", "c"], ["", "abc"], ["abc", ""]];
        let hashes: std::collections::HashSet<_> =
            rows.iter().map(|row| Answers::hash(row)).collect();
        assert_eq!(hashes.len(), rows.len());
    }
}
