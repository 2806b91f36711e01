//! Sequences: run by their seeds, made shorter where they fail, and told of.

use super::action::{self, Action, Settings};
use super::hold::Ended;
use super::random::Random;
use super::world::World;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::time::{Duration, Instant};

/// Actions of a sequence.
const LEN: usize = 150;

/// How long a sequence that fails may be made shorter.
const SHRINK_LIMIT: Duration = Duration::from_secs(40);

/// How long anything that should happen may take before a sequence fails; less while it is made
/// shorter.
const PATIENCE: Duration = Duration::from_secs(8);
const PATIENCE_SHORT: Duration = Duration::from_secs(3);

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
    static IS_SHRINKING: Cell<bool> = const { Cell::new(false) };
    static DOING: RefCell<String> = const { RefCell::new(String::new()) };
    static FAILURE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// How long anything that should happen may take before a sequence fails.
pub fn patience() -> Duration {
    match IS_SHRINKING.get() {
        true => PATIENCE_SHORT,
        false => PATIENCE,
    }
}

/// Notes what is done or waited for, to be told if it fails.
pub fn doing(what: impl FnOnce() -> String) {
    DOING.with_borrow_mut(|doing| *doing = what());
}

/// What a run has done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    pub sequences: u64,
    /// Actions that somebody did.
    pub steps: u64,
    pub frames: u64,
    pub skipped: u64,
}

/// A sequence that fails.
pub struct Failure {
    seed: u64,
    kept: Vec<usize>,
    actions: Vec<Action>,
    settings: Settings,
    text: String,
    /// When it failed first, and after how many actions.
    pub found: (Duration, u64),
}

/// The settings and the actions of a seed.
fn plan(seed: u64) -> (Settings, Vec<Action>) {
    let mut random = Random::new(seed);
    let settings = Settings::random(&mut random);
    (settings, action::sequence(&mut random, LEN))
}

/// Has panics noted, not written.
fn note_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|info| {
            let payload = info.payload();
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or(payload.downcast_ref::<&str>().copied());
            let text = text.unwrap_or("a panic");
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            let doing = DOING.with_borrow(Clone::clone);
            FAILURE.with_borrow_mut(|failure| {
                *failure = format!("{text}\n  at {place}, while: {doing}")
            });
            if !doing.is_empty() {
                return;
            }
            eprintln!("{text} at {place}");
        }));
    });
}

/// Runs these actions.
fn run(settings: Settings, actions: &[Action]) -> Result<Done, String> {
    doing(|| "starting".to_owned());
    let run = || {
        let mut world = World::start(settings);
        STEPS.set(0);
        for action in actions {
            doing(|| format!("{action:?}"));
            STEPS.set(STEPS.get() + u64::from(world.act(action)));
        }
        (STEPS.get(), world.close())
    };
    let done = panic::catch_unwind(AssertUnwindSafe(run));
    doing(String::new);
    match done {
        Ok((steps, Ended { skipped, frames })) => Ok(Done {
            sequences: 1,
            steps,
            frames,
            skipped,
        }),
        Err(_) => Err(FAILURE.with_borrow(Clone::clone)),
    }
}

/// Runs the sequence of a seed.
pub fn run_seed(seed: u64) -> Result<Done, Failure> {
    note_panics();
    let (settings, actions) = plan(seed);
    let began = Instant::now();
    run(settings, &actions).map_err(|text| {
        let found = (began.elapsed(), STEPS.get());
        let failure = shrunk(seed, settings, &actions, text);
        Failure { found, ..failure }
    })
}

/// Leaves out what the failure does not need: halves, quarters, and so on down to single actions.
fn shrunk(seed: u64, settings: Settings, actions: &[Action], mut text: String) -> Failure {
    let end = Instant::now() + SHRINK_LIMIT;
    IS_SHRINKING.set(true);
    let mut kept: Vec<usize> = (0..actions.len()).collect();
    let of = |kept: &[usize]| {
        kept.iter()
            .map(|index| actions[*index].clone())
            .collect::<Vec<_>>()
    };
    let mut size = kept.len().div_ceil(2);
    loop {
        let mut from = 0;
        while from < kept.len() && Instant::now() < end {
            let mut fewer = kept.clone();
            fewer.drain(from..kept.len().min(from + size));
            match run(settings, &of(&fewer)) {
                Ok(_) => from += size,
                Err(failure) => (kept, text) = (fewer, failure),
            }
        }
        if size == 1 || Instant::now() >= end {
            break;
        }
        size = size.div_ceil(2);
    }
    IS_SHRINKING.set(false);
    Failure {
        seed,
        actions: of(&kept),
        kept,
        settings,
        text,
        found: Default::default(),
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.text)?;
        writeln!(f, "  server: {}", self.settings.lines().join("; "))?;
        for (index, action) in self.kept.iter().zip(&self.actions) {
            writeln!(f, "  {index}: {action:?}")?;
        }
        let kept: Vec<_> = self.kept.iter().map(ToString::to_string).collect();
        write!(
            f,
            "  again: MODEL_REPLAY={}:{} cargo test --test model",
            self.seed,
            kept.join(",")
        )
    }
}

/// Runs what `MODEL_REPLAY` says, a seed and perhaps the actions that are kept of it.
pub fn replay(text: &str) -> Result<Done, String> {
    note_panics();
    let (seed, kept) = text.split_once(':').unwrap_or((text, ""));
    let (settings, actions) = plan(seed.parse().expect("a seed"));
    let kept: Vec<usize> = kept
        .split(',')
        .filter_map(|index| index.parse().ok())
        .collect();
    let actions = match kept.is_empty() {
        true => actions,
        false => kept.iter().map(|index| actions[*index].clone()).collect(),
    };
    run(settings, &actions)
}

impl std::ops::AddAssign for Done {
    fn add_assign(&mut self, more: Done) {
        self.sequences += more.sequences;
        self.steps += more.steps;
        self.frames += more.frames;
        self.skipped += more.skipped;
    }
}
