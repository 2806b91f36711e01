//! Sending the same to each viewer, with more threads where there are many of them.

use super::send_threads::SendThreads;
use super::sharded::Sharded;
use super::viewer::Viewer;
use super::wave::{Looks, Wave};

/// The number of viewers from which on more than one thread sends. Sending to that many takes about
/// a millisecond, waking a thread some hundredths of one.
const WIDE_AUDIENCE: usize = 128;

/// Sends a wave to all viewers, and has `look` send what it can to those that need a look of their own.
/// Returns how many messages or fragments players were not sent; `look` returns the same.
pub(super) fn send(
    wave: Wave,
    viewers: &mut Sharded<Viewer>,
    send_threads: &SendThreads,
    mut look: impl FnMut(&mut Viewer) -> u64,
) -> u64 {
    let looks = match viewers.len() < WIDE_AUDIENCE {
        true => {
            let mut looks = Looks::default();
            let shards = viewers.shards_mut().iter_mut().enumerate();
            shards.for_each(|(number, shard)| looks.extend(wave.send(number, shard)));
            looks
        }
        false => send_threads.send(wave, viewers),
    };
    let mut dropped = looks.dropped;
    for index in looks.viewers {
        dropped += viewers.get_mut(index).map_or(0, &mut look);
    }
    dropped
}
