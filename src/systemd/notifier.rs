//! sd_notify(3): datagrams to a socket that systemd names.

use super::{is_ours, variable};
use crate::log;
use crate::log::RateLimit;
use crate::sys;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long a datagram may wait for room.
const SEND_LIMIT: Duration = Duration::from_secs(1);

static FAILURES: RateLimit = RateLimit::new(Duration::from_secs(60));

/// Tells systemd how the service is. Without a socket to tell it on, nothing is done; what cannot
/// be told is logged and no reason to stop serving.
#[derive(Debug)]
pub struct Notifier {
    line: Option<NotifyLine>,
    watchdog: Option<Duration>,
}

#[derive(Debug)]
struct NotifyLine {
    socket: UnixDatagram,
    /// Named in each datagram, since systemd may open the socket anew.
    addr: SocketAddr,
}

impl Notifier {
    /// By `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    pub fn from_env() -> Notifier {
        let line = variable("NOTIFY_SOCKET").and_then(|name| match NotifyLine::open(&name) {
            Ok(line) => Some(line),
            Err(error) => {
                log!(Warn, "cannot notify systemd"; socket = name, error = error);
                None
            }
        });
        let watchdog = watchdog(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"));
        Notifier { line, watchdog }
    }

    /// Whether anyone is told.
    pub fn is_heard(&self) -> bool {
        self.line.is_some()
    }

    /// How long systemd goes without a sign of life before it ends the service.
    pub fn watchdog_limit(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.is_heard())
    }

    /// It serves, or serves again after [`Notifier::reloading`].
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// One line for people, shown by `systemctl status`.
    pub fn status(&self, text: &str) {
        self.tell(&format!("STATUS={}", text.replace('\n', " ")));
    }

    /// It reads its files again. The time is what `Type=notify-reload` asks for.
    pub fn reloading(&self) {
        let now = sys::monotonic().as_micros();
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    /// It stops.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// It is alive.
    pub fn watchdog(&self) {
        self.tell("WATCHDOG=1");
    }

    /// One that tells whoever has the socket that comes with it.
    #[cfg(test)]
    pub fn to_test(name: &str, watchdog: Option<Duration>) -> (Notifier, UnixDatagram) {
        let line = NotifyLine::open(name).unwrap();
        let socket = UnixDatagram::bind_addr(&line.addr).unwrap();
        let line = Some(line);
        (Notifier { line, watchdog }, socket)
    }

    fn tell(&self, text: &str) {
        let Some(line) = &self.line else { return };
        if let Err(error) = line.socket.send_to_addr(text.as_bytes(), &line.addr)
            && let Some(more) = FAILURES.pass()
        {
            log!(Warn, "cannot notify systemd"; error = error, suppressed = more);
        }
    }
}

impl NotifyLine {
    fn open(name: &str) -> io::Result<NotifyLine> {
        let addr = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(OsStr::from_bytes(name.as_bytes()))?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_LIMIT))?;
        Ok(NotifyLine { socket, addr })
    }
}

/// The limit in µs, unless it is another process' (sd_watchdog_enabled(3)).
fn watchdog(usec: Option<String>, pid: Option<String>) -> Option<Duration> {
    if pid.is_some_and(|pid| !is_ours(&pid)) {
        return None;
    }
    let usec = usec?.parse().ok().filter(|usec| *usec > 0)?;
    Some(Duration::from_micros(usec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_ours_or_not_at_all() {
        let own = std::process::id().to_string();
        let rows: [(Option<&str>, Option<&str>, Option<u64>); 7] = [
            (Some("3000000"), Some(&own), Some(3000)),
            (Some("3000000"), None, Some(3000)),
            (Some("3000000"), Some("1"), None),
            (Some("3000000"), Some("x"), None),
            (Some("0"), Some(&own), None),
            (Some("-1"), Some(&own), None),
            (None, Some(&own), None),
        ];
        for (usec, pid, want_ms) in rows {
            let got = watchdog(usec.map(str::to_owned), pid.map(str::to_owned));
            assert_eq!(got, want_ms.map(Duration::from_millis), "{usec:?} {pid:?}");
        }
    }

    #[test]
    fn nobody_is_told_where_nobody_listens() {
        for name in ["@rtmp-server-nobody", "/nonexistent/notify"] {
            let line = Some(NotifyLine::open(name).unwrap());
            let notifier = Notifier {
                line,
                watchdog: None,
            };
            notifier.ready();
            notifier.status("x");
        }
        let long = "x".repeat(200);
        assert!(
            NotifyLine::open(&long).is_err(),
            "longer than an address may be"
        );
    }
}
