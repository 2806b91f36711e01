//! The targets, guided by coverage: libFuzzer runs the one that `FUZZ_TARGET` names.

#![allow(dead_code)] // each program uses its own part
#![no_main]

#[path = "../support/readers/mod.rs"]
mod readers;
mod targets;

mod support {
    pub(crate) use crate::readers;
}

use libfuzzer_sys::fuzz_target;
use peak_alloc::PeakAlloc;
use std::sync::LazyLock;
use targets::{MEMORY_MIN, TARGETS, Target};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET");
    let mut targets = TARGETS.iter();
    targets.find(|target| target.name == name).expect("a target")
});

fuzz_target!(|data: &[u8]| {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    (TARGET.run)(data);
    let held = ALLOCATOR.peak_usage().saturating_sub(before);
    let max = MEMORY_MIN + TARGET.memory * data.len();
    assert!(held <= max, "{held} bytes held for {} of input", data.len());
});
