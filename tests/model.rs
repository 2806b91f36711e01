//! Random sequences of what clients do, against the real server over loopback, compared with a
//! reference of what each client must be told and sent.

mod support;

mod model {
    mod action;
    mod changes;
    mod client;
    mod events;
    mod frame;
    mod hls;
    mod hold;
    mod program;
    mod publication;
    mod pulls;
    mod random;
    mod recordings;
    mod reference;
    mod run;
    pub mod runs;
    mod slow_watchers;
    mod stalled;
    mod together;
    mod viewing;
    mod watcher;
    mod watching;
    mod world;

    use runs::{doing, patience};
}

use model::runs::{self, Done};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

/// The seeds of the short run, always the same.
const SEEDS: std::ops::Range<u64> = 1..9;

/// Sequences at a time in the short run: they wait more than they work.
const AT_A_TIME: u64 = 4;

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("a number"))
}

/// Runs these seeds, up to the first that fails.
fn run_all(seeds: impl Iterator<Item = u64>) -> Result<Done, String> {
    let mut done = Done::default();
    for seed in seeds {
        done += runs::run_seed(seed).map_err(|failure| failure.to_string())?;
    }
    Ok(done)
}

/// Fixed seeds; or the sequence that `MODEL_REPLAY` holds, its seed and perhaps which of its actions;
/// or other seeds for `SOAK_SECONDS`.
#[test]
fn clients_get_what_the_reference_says() {
    if let Ok(text) = std::env::var("MODEL_REPLAY") {
        replay(&text);
    } else if let Some(seconds) = setting("SOAK_SECONDS") {
        soak(Duration::from_secs(seconds));
    } else {
        run_fixed_seeds();
    }
}

fn run_fixed_seeds() {
    let began = Instant::now();
    let mut done = Done::default();
    thread::scope(|scope| {
        let share = |first| SEEDS.skip(first as usize).step_by(AT_A_TIME as usize);
        let runs = (0..AT_A_TIME).map(|first| scope.spawn(move || run_all(share(first))));
        let runs: Vec<_> = runs.collect();
        for run in runs {
            match run.join().expect("a run") {
                Ok(more) => done += more,
                Err(failure) => panic!("{failure}"),
            }
        }
    });
    println!("fixed seeds {SEEDS:?}: {done:?} in {:?}", began.elapsed());
}

fn replay(text: &str) {
    match runs::replay(text) {
        Ok(done) => println!("{text}: {done:?}"),
        Err(failure) => panic!("{text}: {failure}"),
    }
}

/// Fresh seeds, or those from `MODEL_SEED` on; with `MODEL_FIRST` until one fails.
fn soak(limit: Duration) {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("a clock");
    let mut seed = setting("MODEL_SEED").unwrap_or(now.as_nanos() as u64 >> 10);
    let (mut done, mut findings, mut spent) = (Done::default(), 0, Duration::ZERO);
    while spent < limit {
        let began = Instant::now();
        match runs::run_seed(seed) {
            Ok(more) => {
                done += more;
                spent += began.elapsed();
            }
            Err(failure) => {
                findings += 1;
                done.steps += failure.found.1;
                spent += failure.found.0;
                println!("{failure}");
                println!("finding {findings} after {} steps, {spent:.1?}", done.steps);
                if std::env::var("MODEL_FIRST").is_ok() {
                    break;
                }
            }
        }
        seed += 1;
    }
    let rate = done.steps as f64 / spent.as_secs_f64();
    println!("{spent:.1?}: {done:?}, {rate:.0} steps a second, {findings} findings");
    assert_eq!(findings, 0);
}
