//! What ends a connection to another server from outside, whatever it is doing.

use crate::net::SharedSocket;
use crate::queue::Outbox;
use crate::rtmp::Message;
use crate::sync::{Condvar, Mutex, MutexGuard, Rank};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The time between two looks whether the last one is gone.
const POLL: Duration = Duration::from_millis(20);

/// What a stop ends.
pub(crate) enum StopTarget {
    /// Nothing: there is no connection, or somebody else ends it.
    Nothing,
    /// A connection that is being made: it is given up when this is dropped.
    Dialling(UnixStream),
    /// A connection that nothing goes through yet: it is cut.
    SharedSocket(Arc<SharedSocket>),
    /// A connection that is in use: these messages are sent, and then it is closed.
    Outbox(Arc<Outbox>, Vec<Message>),
}

/// Ends a connection to another server from outside; once turned off, it stays off.
pub(crate) struct StopHandle {
    state: Mutex<StopState>,
    turned: Condvar,
}

struct StopState {
    off: bool,
    target: StopTarget,
    line: Line,
}

/// The connection that there is, whoever ends it.
enum Line {
    None,
    Open(Arc<SharedSocket>),
    /// None is to be open any more.
    Cut,
}

impl Default for StopHandle {
    fn default() -> Self {
        let state = StopState {
            off: false,
            target: StopTarget::Nothing,
            line: Line::None,
        };
        StopHandle {
            state: Mutex::ranked(Rank::Stop, state),
            turned: Condvar::new(),
        }
    }
}

impl StopHandle {
    fn lock(&self) -> MutexGuard<'_, StopState> {
        self.state.lock()
    }

    /// Ends what there is, and all that would come.
    pub(crate) fn turn_off(&self) {
        let mut state = self.lock();
        state.off = true;
        match std::mem::replace(&mut state.target, StopTarget::Nothing) {
            StopTarget::Nothing => {}
            StopTarget::Dialling(stop) => drop(stop),
            StopTarget::SharedSocket(line) => line.hang_up(),
            StopTarget::Outbox(outbox, end) => outbox.drain_and_close(end),
        }
        drop(state);
        self.turned.notify_all();
    }

    /// Ends the connection at once, whatever waits to be sent. Whether there was one.
    pub(crate) fn cut(&self) -> bool {
        self.turn_off();
        match std::mem::replace(&mut self.lock().line, Line::Cut) {
            Line::Open(line) => {
                line.hang_up();
                true
            }
            Line::None | Line::Cut => false,
        }
    }

    /// Whether it was cut.
    pub(super) fn is_cut(&self) -> bool {
        matches!(self.lock().line, Line::Cut)
    }

    /// Says which connection there is from now on.
    pub(super) fn carry(&self, line: Option<&Arc<SharedSocket>>) {
        let mut state = self.lock();
        match (&state.line, line) {
            (Line::Cut, Some(line)) => line.hang_up(),
            (Line::Cut, None) => {}
            (_, Some(line)) => state.line = Line::Open(Arc::clone(line)),
            (_, None) => state.line = Line::None,
        }
    }

    /// Whether it was turned off.
    pub(crate) fn is_off(&self) -> bool {
        self.lock().off
    }

    /// Says what a stop ends from now on. `false`: it was turned off before.
    pub(crate) fn hold(&self, target: StopTarget) -> bool {
        let mut state = self.lock();
        if !state.off {
            state.target = target;
        }
        !state.off
    }

    /// Waits for this time. `false`, and sooner: it is turned off.
    pub(crate) fn pause(&self, pause: Duration) -> bool {
        let on = |state: &mut StopState| !state.off;
        let state = self.lock();
        let woken = self.turned.wait_timeout_while(state, pause, on);
        !woken.off
    }

    /// Waits until nobody else holds `last`, for `limit` at most. `false`, and sooner: it is turned
    /// off.
    pub(crate) fn pause_for<T>(&self, last: &Option<Arc<T>>, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        while let Some(last) = last
            && Arc::strong_count(last) > 1
            && Instant::now() < end
        {
            if !self.pause(POLL) {
                return false;
            }
        }
        !self.is_off()
    }
}
