//! The thread that tells systemd what the service is doing, and that it does anything at all.

use super::Notifier;
use crate::sync;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// How often the status is looked at.
pub const STATUS_PERIOD: Duration = Duration::from_secs(2);

/// The shortest time between two signs of life, however impatient anyone is.
const SIGN_PERIOD_MIN: Duration = Duration::from_millis(1);

/// Stack of the thread.
const STACK_LEN: usize = 128 << 10;

/// Tells the status whenever it has changed and, half as often as it must be told, that the service
/// is alive; until it is dropped.
#[derive(Debug)]
pub struct Heartbeat {
    /// Nothing is ever sent.
    _stop: Option<Sender<()>>,
}

impl Heartbeat {
    /// Asks `status` again and again. A sign of life is sent only after it has answered: let it
    /// take the locks that the service cannot be without. Where nobody listens there is no thread.
    ///
    /// # Errors
    ///
    /// When there is no room for a thread.
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
        .map(|limit| (limit / 2).max(SIGN_PERIOD_MIN));
    let mut next_sign = Instant::now();
    let mut told = String::new();
    loop {
        let text = status();
        if text != told {
            notifier.status(&text);
            told = text;
        }
        let mut pause = STATUS_PERIOD;
        if let Some(period) = period {
            if Instant::now() >= next_sign {
                notifier.watchdog();
                next_sign = Instant::now() + period;
            }
            pause = pause.min(next_sign.saturating_duration_since(Instant::now()));
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
