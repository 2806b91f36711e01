//! The memory that a recording takes beside what waits for it, and how it gives some back.

use crate::memory::{Account, GaveWay, Holder, Holding, Owner};
use crate::queue::Intake;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

/// What a recording has of the file that it writes: an index, and what is not on the disk yet.
pub(super) struct RecordingMemory {
    account: Account,
    owner: Option<Owner>,
    /// Whether others need the memory.
    gives_way: AtomicBool,
}

impl RecordingMemory {
    /// Nothing yet, counted against the budget of the recording's feed.
    pub(super) fn new(intake: &Intake) -> Arc<RecordingMemory> {
        let memory = Arc::new(RecordingMemory {
            account: Account::new(intake.budget()),
            owner: intake.owner(),
            gives_way: AtomicBool::new(false),
        });
        let holder: Weak<RecordingMemory> = Arc::downgrade(&memory);
        intake.budget().enter(holder);
        memory
    }

    /// Says how much it is, in bytes.
    pub(super) fn set(&self, bytes: usize) {
        self.account.set(bytes);
    }

    /// Whether others need the memory.
    pub(super) fn gives_way(&self) -> bool {
        self.gives_way.load(Ordering::Relaxed)
    }

    /// Another file has begun, or this one cannot end yet.
    pub(super) fn gave_way(&self) {
        self.gives_way.store(false, Ordering::Relaxed);
    }
}

impl Holder for RecordingMemory {
    fn held_bytes(&self) -> usize {
        match self.gives_way() {
            true => 0,
            false => self.account.bytes(),
        }
    }

    fn holding(&self) -> Holding {
        Holding::own(self.owner, self.held_bytes())
    }

    fn give_way(&self) -> Option<GaveWay> {
        self.gives_way.store(true, Ordering::Relaxed);
        Some(GaveWay::Recording)
    }
}
