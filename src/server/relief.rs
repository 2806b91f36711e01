//! Has those that hold most memory give way when it is nearly used up.

use super::context::Context;
use super::flood::flood_limit;
use crate::log;
use crate::log::RateLimit;
use crate::memory::{Budget, GaveWay};
use crate::stats::Counters;
use crate::{sync, sys};
use std::time::{Duration, Instant};

/// The time between two looks at what each has, and how long it takes at most until the server sees that it
/// stops.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// The time that those have who gave way until it is the turn of others: threads have to end.
const PAUSE: Duration = Duration::from_millis(50);

/// The longest time until those are asked again of whom none had anything to give.
const FRUITLESS_PAUSE_MAX: Duration = Duration::from_millis(200);

/// How often the allocator is asked to give back what it keeps of that.
const TRIM_INTERVAL: Duration = Duration::from_secs(1);

static RELIEFS: RateLimit = flood_limit();

/// Looks at the memory until the server stops.
pub(super) fn run(context: &Context) {
    let budget = &context.link_settings.budget;
    let mut next_trim = Instant::now();
    let mut next_look = Instant::now();
    let mut pause = PAUSE;
    while !context.is_stopping() {
        let now = Instant::now();
        if now >= next_look {
            budget.look();
            next_look = now + LOOK_INTERVAL;
        }
        if !budget.wait_until_pressed(LOOK_INTERVAL) {
            continue;
        }
        let held = budget.held();
        let gave_way = budget.relieve();
        count(&gave_way, &context.counters);
        tell(budget, held, &gave_way);
        pause = match gave_way.is_empty() {
            true => (pause * 2).min(FRUITLESS_PAUSE_MAX),
            false => PAUSE,
        };
        sync::sleep(pause);
        if Instant::now() >= next_trim {
            sys::give_back_memory();
            next_trim = Instant::now() + TRIM_INTERVAL;
        }
    }
}

fn number(gave_way: &[GaveWay], how: GaveWay) -> usize {
    gave_way.iter().filter(|other| **other == how).count()
}

fn count(gave_way: &[GaveWay], counters: &Counters) {
    let add = |how| number(gave_way, how) as u64;
    counters.memory_hangups.add(add(GaveWay::Peer));
    counters.memory_caches.add(add(GaveWay::Cache));
    counters.memory_feeds.add(add(GaveWay::Feed));
    counters.memory_playlists.add(add(GaveWay::Playlist));
    counters.memory_recordings.add(add(GaveWay::Recording));
}

fn tell(budget: &Budget, held: usize, gave_way: &[GaveWay]) {
    if gave_way.is_empty() {
        return;
    }
    let number = |how| number(gave_way, how);
    if let Some(more) = RELIEFS.pass() {
        log!(Warn, "memory is short, the greediest give way"; held_bytes = held, max_bytes = budget.max(),
            peers = number(GaveWay::Peer), caches = number(GaveWay::Cache), feeds = number(GaveWay::Feed),
            playlists = number(GaveWay::Playlist), recordings = number(GaveWay::Recording), suppressed = more);
    }
}
