//! The thread that tells systemd the status of the service, and that it is alive.

use super::Notifier;
use crate::sync;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// The time between two looks at the status.
pub const STATUS_PERIOD: Duration = Duration::from_secs(2);

/// The shortest time between two notifications that the service is alive.
const ALIVE_PERIOD_MIN: Duration = Duration::from_millis(1);

/// Stack of the thread, in bytes.
const STACK_LEN: usize = 128 << 10;

/// Tells systemd each change of the status, and twice in each period of the watchdog that the service is
/// alive. Ends when dropped.
#[derive(Debug)]
pub struct Heartbeat {
    /// Nothing is sent on it; dropping it ends the thread.
    _stop: Option<Sender<()>>,
}

impl Heartbeat {
    /// Calls `status` every [`STATUS_PERIOD`]. The watchdog is told only after it has returned, so let it
    /// take the locks that the service needs. Without a socket to notify, no thread is started.
    ///
    /// # Errors
    ///
    /// When the system has no room for another thread.
    pub fn start(
        notifier: &Arc<Notifier>,
        status: impl FnMut() -> String + Send + 'static,
    ) -> io::Result<Heartbeat> {
        if !notifier.is_heard() {
            return Ok(Heartbeat { _stop: None });
        }
        let (stop, stopped) = mpsc::channel();
        let notifier = Arc::clone(notifier);
        sync::spawn("systemd", STACK_LEN, move || {
            beat(&notifier, status, &stopped)
        })?;
        Ok(Heartbeat { _stop: Some(stop) })
    }
}

fn beat(notifier: &Notifier, mut status: impl FnMut() -> String, stopped: &Receiver<()>) {
    let period = notifier
        .watchdog_limit()
        .map(|limit| (limit / 2).max(ALIVE_PERIOD_MIN));
    let mut next_alive = Instant::now();
    let mut told = String::new();
    loop {
        let text = status();
        if text != told {
            notifier.status(&text);
            told = text;
        }
        let mut pause = STATUS_PERIOD;
        if let Some(period) = period {
            if Instant::now() >= next_alive {
                notifier.watchdog();
                next_alive = Instant::now() + period;
            }
            pause = pause.min(next_alive.saturating_duration_since(Instant::now()));
        }
        if stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;
    use std::sync::Mutex;

    /// The next datagram, if one comes in time.
    fn next(socket: &UnixDatagram, limit: Duration) -> Option<String> {
        socket.set_read_timeout(Some(limit)).unwrap();
        let mut buffer = [0; 256];
        let len = socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8_lossy(&buffer[..len]).into_owned())
    }

    #[test]
    fn a_service_that_hangs_gives_no_sign_of_life() {
        let (long, limit) = (Duration::from_secs(10), Duration::from_millis(100));
        let name = format!("@rtmp-server-heartbeat-{}", std::process::id());
        let (notifier, systemd) = Notifier::to_test(&name, Some(limit));
        let vital = Arc::new(Mutex::new(7));
        let taken = vital.lock().unwrap();
        let asked = Arc::clone(&vital);
        let status = move || asked.lock().unwrap().to_string();
        let heartbeat = Heartbeat::start(&Arc::new(notifier), status).unwrap();
        assert_eq!(next(&systemd, 3 * limit), None);
        drop(taken);
        let heard: Vec<_> = (0..3).map(|_| next(&systemd, long).unwrap()).collect();
        assert_eq!(heard, ["STATUS=7", "WATCHDOG=1", "WATCHDOG=1"]);
        *vital.lock().unwrap() = 8;
        while next(&systemd, long).unwrap() != "STATUS=8" {}
        drop(heartbeat);
        while next(&systemd, 5 * limit).is_some() {}
    }
}
