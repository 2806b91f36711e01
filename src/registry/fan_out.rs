//! Doing one thing for each viewer, with more threads where there are many of them.

use super::viewer::Viewer;
use crate::sync::{self, Mutex};
use std::num::NonZero;
use std::sync::OnceLock;
use std::thread;

/// The number of viewers from which on more than one thread sends. Sending to that many takes some
/// milliseconds, starting a thread some hundredths of one.
const WIDE_AUDIENCE: usize = 512;

/// Viewers that a thread takes at a time.
const SHARE: usize = 128;

/// Stack of a thread that helps; it calls nothing deep.
const STACK_LEN: usize = 128 << 10;

/// Does `act` for all viewers but those whose index is in `except`, which is sorted; of the others
/// about `count` are sent something. Returns the sum of what it returned.
pub(super) fn each(
    viewers: &mut [Viewer],
    except: &[usize],
    count: usize,
    act: impl Fn(&mut Viewer) -> u64 + Sync,
) -> u64 {
    let helpers = if count < WIDE_AUDIENCE {
        0
    } else {
        cores() - 1
    };
    let shares = Mutex::new(viewers.chunks_mut(SHARE).enumerate());
    let next = || shares.lock().next();
    let work = || {
        let mut sum = 0;
        while let Some((number, share)) = next() {
            let first = number * SHARE;
            for (index, viewer) in share.iter_mut().enumerate() {
                if except.is_empty() || except.binary_search(&(first + index)).is_err() {
                    sum += act(viewer);
                }
            }
        }
        sum
    };
    if helpers == 0 {
        return work();
    }
    thread::scope(|scope| {
        let help = || sync::spawn_scoped(scope, "fan-out", STACK_LEN, work);
        // One that cannot be started leaves its shares to the others.
        let helping: Vec<_> = (0..helpers).map_while(|_| help().ok()).collect();
        let own = work();
        own + helping
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .sum::<u64>()
    })
}

fn cores() -> usize {
    static CORES: OnceLock<usize> = OnceLock::new();
    *CORES.get_or_init(|| thread::available_parallelism().map_or(1, NonZero::get))
}
