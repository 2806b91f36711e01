//! Notifications: datagrams to a socket that systemd names (sd_notify(3)).

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

/// How long a datagram may wait for room in the socket.
const SEND_LIMIT: Duration = Duration::from_secs(1);

static FAILURES: RateLimit = RateLimit::new(Duration::from_secs(60));

/// Tells systemd the state of the service. Without a socket it does nothing. Failures are logged, and
/// the service goes on.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<NotifySocket>,
    watchdog: Option<Duration>,
}

#[derive(Debug)]
struct NotifySocket {
    socket: UnixDatagram,
    /// Given with each datagram, since systemd may open the socket anew.
    addr: SocketAddr,
}

impl Notifier {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`.
    pub fn from_env() -> Notifier {
        let socket = variable("NOTIFY_SOCKET").and_then(|name| match NotifySocket::open(&name) {
            Ok(socket) => Some(socket),
            Err(error) => {
                log!(Warn, "cannot notify systemd"; socket = name, error = error);
                None
            }
        });
        let watchdog = watchdog(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"));
        Notifier { socket, watchdog }
    }

    /// Whether there is a socket to notify.
    pub fn is_heard(&self) -> bool {
        self.socket.is_some()
    }

    /// How long the service may be silent before systemd ends it; `None`: the watchdog is off.
    pub fn watchdog_limit(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.is_heard())
    }

    /// Says that the service is up, or up again after [`Notifier::reloading`].
    pub fn ready(&self) {
        self.tell("READY=1");
    }

    /// Sets the line that `systemctl status` shows.
    pub fn status(&self, text: &str) {
        self.tell(&format!("STATUS={}", text.replace('\n', " ")));
    }

    /// Says that the service reads its files again. `Type=notify-reload` needs the time with it.
    pub fn reloading(&self) {
        let now = sys::monotonic().as_micros();
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    /// Says that the service is about to end.
    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Tells the watchdog that the service is alive.
    pub fn watchdog(&self) {
        self.tell("WATCHDOG=1");
    }

    /// A notifier, and the socket that gets what it tells.
    #[cfg(test)]
    pub fn to_test(name: &str, watchdog: Option<Duration>) -> (Notifier, UnixDatagram) {
        let socket = NotifySocket::open(name).unwrap();
        let systemd = UnixDatagram::bind_addr(&socket.addr).unwrap();
        let socket = Some(socket);
        (Notifier { socket, watchdog }, systemd)
    }

    fn tell(&self, text: &str) {
        let Some(to) = &self.socket else { return };
        if let Err(error) = to.socket.send_to_addr(text.as_bytes(), &to.addr)
            && let Some(more) = FAILURES.pass()
        {
            log!(Warn, "cannot notify systemd"; error = error, suppressed = more);
        }
    }
}

impl NotifySocket {
    fn open(name: &str) -> io::Result<NotifySocket> {
        let addr = match name.strip_prefix('@') {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(OsStr::from_bytes(name.as_bytes()))?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_LIMIT))?;
        Ok(NotifySocket { socket, addr })
    }
}

/// The limit, given in µs, unless it is for another process (sd_watchdog_enabled(3)).
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
            let socket = Some(NotifySocket::open(name).unwrap());
            let notifier = Notifier {
                socket,
                watchdog: None,
            };
            notifier.ready();
            notifier.status("x");
        }
        let long = "x".repeat(200);
        assert!(
            NotifySocket::open(&long).is_err(),
            "longer than an address may be"
        );
    }
}
