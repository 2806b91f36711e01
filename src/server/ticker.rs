//! What has to be done from time to time and no other thread waits for.

use super::context::Context;
use super::trim::Peaks;
use crate::awake::{self, Beat};
use crate::log;
use crate::stats::StreamStats;
use crate::sync;
use crate::sys;
use std::time::Duration;

/// The time between two looks at time limits.
const TICK: Duration = Duration::from_millis(100);

/// Ticks between two looks at the processor time, for which the system adds up that of all threads.
const TICKS_PER_SAMPLE: u32 = 5;

/// Ticks between two looks for idle peers, and for those who have left without a word.
const TICKS_PER_PING: u32 = 10;

/// Ticks between two looks whether memory can be given back.
const TICKS_PER_TRIM: u32 = 50;

/// Ticks between two lines about each stream, at level debug.
const TICKS_PER_REPORT: u32 = 300;

/// Looks at time limits until the server stops.
pub(super) fn run(context: &Context) {
    let beat = Beat::begin();
    let mut peaks = Peaks::default();
    for ticks in 0_u32.. {
        if context.is_stopping() {
            return;
        }
        sync::sleep(TICK);
        beat.note();
        if ticks.is_multiple_of(TICKS_PER_SAMPLE) {
            let workload = &context.workload;
            workload.note(sys::monotonic(), sys::processor_time());
        }
        let now = awake::now();
        context.registry.expire(now);
        context.pulls.expire(now);
        context.connections.look_at_system();
        if ticks.is_multiple_of(TICKS_PER_PING) {
            let peers = context.connections.peers();
            for peer in peers {
                peer.ping_if_idle();
                peer.hang_up_if_gone();
            }
        }
        if ticks.is_multiple_of(TICKS_PER_TRIM) {
            let held = context.link_settings.budget.held();
            if peaks.have_halved(context.connections.total(), held) {
                sys::give_back_memory();
            }
        }
        if ticks % TICKS_PER_REPORT == TICKS_PER_REPORT - 1 && log::enabled(log::Level::Debug) {
            context.registry.stats().iter().for_each(report);
        }
    }
}

/// Logs what has passed through a stream.
fn report(stream: &StreamStats) {
    log!(Debug, "stream statistics"; stream_key = stream.key,
        uptime_sec = stream.uptime.as_secs(), viewers = stream.viewers,
        audio_packets = stream.audio_messages, video_packets = stream.video_messages,
        bytes_in = stream.bytes_in, bytes_out = stream.bytes_out, dropped = stream.drops);
}
