//! One connection to another server after the other, with growing pauses while they fail.

use super::error::LinkError;
use super::link::STEADY;
use super::progress::LinkProgress;
use super::stop::StopHandle;
use crate::backoff::{Backoff, jittered};
use std::time::Duration;

/// What to do before the next connection.
pub(crate) enum Next {
    Connect,
    /// Not to connect for this reason; to ask again after a pause.
    Wait(LinkError, Duration),
    End,
}

/// How a connection ended.
pub(crate) enum Attempt {
    /// It has done what it was for, or nobody wants it any more.
    Over,
    /// It failed, after media had flowed for a time.
    Failed { error: LinkError, worked: Duration },
}

/// Something that needs a connection again and again.
pub(crate) trait Reconnect {
    fn next(&self) -> Next;

    /// Connects, and returns when the connection has ended.
    fn connect(&self) -> Attempt;

    /// Counts and logs a failure, after which there is a pause.
    fn failed(&self, error: &LinkError, retry_in: Duration);

    /// Whether to try again after a failure.
    fn is_wanted(&self) -> bool {
        true
    }
}

/// Keeps `link` connected until it ends or `stop` is turned off, and `progress` up to date.
pub(crate) fn keep_connected(stop: &StopHandle, progress: &LinkProgress, link: &impl Reconnect) {
    let mut backoff = Backoff::new(STEADY);
    while !stop.is_off() {
        match link.next() {
            Next::Connect => {}
            Next::Wait(why, pause) => {
                progress.waiting(why.to_string());
                stop.pause(pause);
                continue;
            }
            Next::End => return,
        }
        progress.connecting();
        let Attempt::Failed { error, worked } = link.connect() else {
            return;
        };
        let retry_in = jittered(backoff.pause(worked));
        link.failed(&error, retry_in);
        progress.waiting(error.to_string());
        if !link.is_wanted() {
            return;
        }
        stop.pause(retry_in);
    }
}
