//! The short form of fuzzing: the targets of `make fuzz`, with seeds and mutations of them that are always
//! the same.

#[path = "fuzz/mutations.rs"]
mod mutations;
#[path = "fuzz/seeds.rs"]
mod seeds;
mod support;
#[allow(dead_code)] // what only guided fuzzing needs
#[path = "fuzz/targets/mod.rs"]
mod targets;

use mutations::Mutations;
use std::panic::{AssertUnwindSafe, catch_unwind};
use targets::{TARGETS, Target};

/// Inputs that were findings once: target, and bytes in hex.
const FINDINGS: &str = include_str!("../testdata/fuzz.txt");

/// Runs one input, and shows it if it finds something.
fn run(target: &Target, input: &[u8]) {
    let result = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    if result.is_err() {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{} finds something in {hex}", target.name);
    }
}

/// A target's findings of old, its seeds, and mutations of them.
fn check(name: &str) {
    let mut targets = TARGETS.iter();
    let target = targets
        .find(|target| target.name == name)
        .expect("a target");
    for row in FINDINGS
        .lines()
        .filter(|row| !row.is_empty() && !row.starts_with('#'))
    {
        let (of, hex) = row.split_once(' ').expect("target and bytes");
        if of == name {
            run(target, &seeds::bytes(hex));
        }
    }
    let seeds = seeds::of(target.seeds);
    assert!(seeds.len() > 2, "{} seeds", seeds.len());
    seeds.iter().for_each(|seed| run(target, seed));
    let mut mutations = Mutations::new(seeds);
    // For a longer search without a nightly toolchain.
    let times = std::env::var("FUZZ_TIMES").map_or(1, |times| times.parse().expect("a number"));
    for _ in 0..times * target.mutations {
        run(target, &mutations.next());
    }
}

/// A test for each target, so that they run beside each other.
macro_rules! targets {
    ($($test:ident $name:literal)*) => {
        $(
            #[test]
            fn $test() {
                check($name);
            }
        )*

        #[test]
        fn every_target_has_its_test() {
            let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$($name),*]);
        }
    };
}

targets! {
    proxy "proxy"
    handshake "handshake"
    chunks "chunks"
    amf0 "amf0"
    commands "commands"
    aggregate "aggregate"
    session "session"
    client "client"
    pair "pair"
    packets "packets"
    samples "samples"
    mp4 "mp4"
    mp4_live "mp4-live"
    hls "hls"
    hls_tracks "hls-tracks"
    record_flv "record-flv"
    record_mp4 "record-mp4"
    outbox "outbox"
    http_flv "http-flv"
    json "json"
    http_requests "http-requests"
    http_replies "http-replies"
    flags "flags"
    flag_values "flag-values"
    settings_file "settings-file"
    stream_keys "stream-keys"
    signed_queries "signed-queries"
    patterns "patterns"
    urls "urls"
    shown_texts "shown-texts"
}
