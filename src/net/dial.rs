//! Connecting to another machine by name, until a deadline or until the caller stops it.

use crate::sync;
use crate::sys::{self, Woken};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How many names may be looked up at a time: the system gives no way to end a look-up early.
const LOOKUPS_MAX: usize = 64;

static LOOKUPS: AtomicUsize = AtomicUsize::new(0);

/// Why there is no connection.
#[derive(Debug)]
pub enum DialError {
    /// Too many names are being looked up.
    Busy,
    /// The name of the host cannot be looked up.
    Resolve(io::Error),
    /// The name of the host stands for no address.
    NoAddress,
    /// No address of the host could be connected to; the last failure.
    Connect(io::Error),
    /// No connection by the deadline.
    TimedOut,
    /// The caller stopped it.
    Stopped,
    /// A system call that is not part of connecting failed.
    Io(io::Error),
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            DialError::Busy => write!(f, "too many names are being looked up"),
            DialError::Resolve(error) => write!(f, "cannot look up host: {error}"),
            DialError::NoAddress => write!(f, "host has no address"),
            DialError::Connect(error) => write!(f, "cannot connect: {error}"),
            DialError::TimedOut => write!(f, "timed out"),
            DialError::Stopped => write!(f, "not wanted any more"),
            DialError::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for DialError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            DialError::Resolve(error) | DialError::Connect(error) | DialError::Io(error) => {
                Some(error)
            }
            _ => None,
        }
    }
}

/// Connects to `host`, a name or an address, until `end` at the latest, and only until `stop` has
/// something to read or has ended. The socket sends without delay.
///
/// # Errors
///
/// Any [`DialError`].
pub fn dial(
    host: &str,
    port: u16,
    end: Instant,
    stop: Option<BorrowedFd>,
) -> Result<TcpStream, DialError> {
    sync::about_to_wait();
    if let Ok(ip) = host.parse::<IpAddr>() {
        return connect(&[SocketAddr::new(ip, port)], end, stop);
    }
    let place = (host.to_owned(), port);
    let addrs = look_up(end, stop, move || {
        place.to_socket_addrs().map(|addrs| addrs.collect())
    })?;
    connect(&addrs, end, stop)
}

fn left_until(end: Instant) -> Result<Duration, DialError> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(DialError::TimedOut);
    }
    Ok(left)
}

/// Has `resolve` look up addresses in a thread of its own, which is left to itself when there is no
/// more waiting for it.
fn look_up(
    end: Instant,
    stop: Option<BorrowedFd>,
    resolve: impl FnOnce() -> io::Result<Vec<SocketAddr>> + Send + 'static,
) -> Result<Vec<SocketAddr>, DialError> {
    let permit = Lookup::begin().ok_or(DialError::Busy)?;
    let (sender, found) = mpsc::sync_channel(1);
    let (done, looking) = UnixStream::pair().map_err(DialError::Io)?;
    let spawned = sync::spawn("lookup", sync::STACK_LEN, move || {
        let addrs = resolve();
        drop(permit);
        // Nobody may wait for it any more.
        let _ = sender.send(addrs);
        drop(looking);
    });
    spawned.map_err(DialError::Io)?;
    match sys::wait_readable(done.as_fd(), stop, end).map_err(DialError::Io)? {
        Woken::Ready => match found.try_recv() {
            Ok(addrs) => addrs.map_err(DialError::Resolve),
            // The thread has panicked.
            Err(_) => Err(DialError::Busy),
        },
        Woken::Stopped => Err(DialError::Stopped),
        Woken::TimedOut => Err(DialError::TimedOut),
    }
}

/// One of the [`LOOKUPS_MAX`].
struct Lookup;

impl Lookup {
    fn begin() -> Option<Lookup> {
        let before = LOOKUPS.fetch_add(1, Ordering::Relaxed);
        // Dropped at once, and counted off, when there are too many.
        Some(Lookup).filter(|_| before < LOOKUPS_MAX)
    }
}

impl Drop for Lookup {
    fn drop(&mut self) {
        LOOKUPS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Connects to the first address that answers. None of them may use up the time of the others.
fn connect(
    addrs: &[SocketAddr],
    end: Instant,
    stop: Option<BorrowedFd>,
) -> Result<TcpStream, DialError> {
    let mut last = DialError::NoAddress;
    for (index, addr) in addrs.iter().enumerate() {
        let shares = (addrs.len() - index) as u32;
        let share = (left_until(end)? / shares).max(Duration::from_millis(1));
        match sys::connect_until(*addr, stop, Instant::now() + share) {
            Ok(Some(socket)) => {
                socket.set_nodelay(true).map_err(DialError::Io)?;
                return Ok(socket);
            }
            Ok(None) => return Err(DialError::Stopped),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => last = DialError::TimedOut,
            Err(error) => last = DialError::Connect(error),
        }
    }
    Err(last)
}

/// A host, and a port if one is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostPort<'a> {
    /// A name or an address; IPv6 without brackets.
    pub host: &'a str,
    /// 1 to 65535, if it is given.
    pub port: Option<u16>,
}

/// Why a text cannot be read as host and port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPortError {
    /// The host is missing, or has a character that hosts cannot have.
    Host,
    /// The port is not a number from 1 to 65535.
    Port,
}

impl fmt::Display for HostPortError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            HostPortError::Host => "bad host",
            HostPortError::Port => "bad port",
        })
    }
}

impl std::error::Error for HostPortError {}

impl HostPort<'_> {
    /// Takes `host`, `host:port`, `[ipv6]` or `[ipv6]:port` apart.
    ///
    /// # Errors
    ///
    /// Any [`HostPortError`].
    pub fn parse(text: &str) -> Result<HostPort<'_>, HostPortError> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => split_ipv6(rest)?,
            None => split_name(text)?,
        };
        let port = match port {
            Some(port) => Some(number(port).ok_or(HostPortError::Port)?),
            None => None,
        };
        Ok(HostPort { host, port })
    }
}

fn number(port: &str) -> Option<u16> {
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse().ok().filter(|_| digits)?;
    (port > 0).then_some(port)
}

fn split_name(text: &str) -> Result<(&str, Option<&str>), HostPortError> {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    // Programs that are given a host must not take it for a flag.
    if host.is_empty() || host.starts_with('-') || !host.bytes().all(allowed) {
        return Err(HostPortError::Host);
    }
    Ok((host, port))
}

/// The same for what follows `[`.
fn split_ipv6(rest: &str) -> Result<(&str, Option<&str>), HostPortError> {
    let (host, after) = rest.split_once(']').ok_or(HostPortError::Host)?;
    host.parse::<Ipv6Addr>().map_err(|_| HostPortError::Host)?;
    match after.strip_prefix(':') {
        Some(port) => Ok((host, Some(port))),
        None if after.is_empty() => Ok((host, None)),
        None => Err(HostPortError::Port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::bind;
    use std::net::TcpListener;
    use std::thread;

    fn in_5_s() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn the_next_address_is_tried() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap();
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = other.local_addr().unwrap();
        drop(other);
        assert!(connect(&[closed, open], in_5_s(), None).is_ok());
        assert!(matches!(
            connect(&[closed], in_5_s(), None),
            Err(DialError::Connect(_))
        ));
        assert!(matches!(
            connect(&[], in_5_s(), None),
            Err(DialError::NoAddress)
        ));
        let late = connect(&[open], Instant::now(), None);
        assert!(matches!(late, Err(DialError::TimedOut)));
    }

    #[test]
    fn both_families_are_connected_to_and_block() {
        for ip in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(ip) else {
                continue; // no IPv6 here
            };
            let addr = listener.local_addr().unwrap();
            let socket = dial(&addr.ip().to_string(), addr.port(), in_5_s(), None).unwrap();
            assert_eq!(socket.peer_addr().unwrap(), addr);
            let limit = Duration::from_millis(50);
            socket.set_read_timeout(Some(limit)).unwrap();
            let began = Instant::now();
            let _ = io::Read::read(&mut &socket, &mut [0]);
            assert!(began.elapsed() >= limit, "{ip}: it does not block");
        }
    }

    /// A listener that answers nobody: one connection waits to be accepted, and there is room for
    /// no other.
    fn full() -> (TcpListener, TcpStream, SocketAddr) {
        let listener = bind("127.0.0.1:0", 0).unwrap();
        let addr = listener.local_addr().unwrap();
        let first = TcpStream::connect(addr).unwrap();
        (listener, first, addr)
    }

    #[test]
    fn a_dial_ends_when_it_is_not_wanted_any_more() {
        let (listener, _first, addr) = full();
        let connecting =
            |end: Instant, stop: Option<BorrowedFd>| connect(&[addr], end, stop).map(drop);
        let looking = |end: Instant, stop: Option<BorrowedFd>| {
            let (keep, blocked) = mpsc::channel::<()>();
            let never = move || {
                let _ = blocked.recv();
                Err(io::ErrorKind::Other.into())
            };
            let found = look_up(end, stop, never).map(drop);
            drop(keep);
            found
        };
        type Dial<'a> = &'a dyn Fn(Instant, Option<BorrowedFd>) -> Result<(), DialError>;
        let rows: [(&str, Dial); 2] = [("connect", &connecting), ("look up", &looking)];
        for (what, dialling) in rows {
            let (stop, stopped) = UnixStream::pair().unwrap();
            let began = Instant::now();
            let short = dialling(began + Duration::from_millis(100), Some(stopped.as_fd()));
            assert!(
                matches!(short, Err(DialError::TimedOut)),
                "{what}: {short:?}"
            );
            let ender = thread::spawn(move || {
                thread::sleep(Duration::from_millis(50));
                drop(stop);
            });
            let ended = dialling(in_5_s(), Some(stopped.as_fd()));
            assert!(
                matches!(ended, Err(DialError::Stopped)),
                "{what}: {ended:?}"
            );
            assert!(began.elapsed() < Duration::from_secs(1), "{what}");
            ender.join().unwrap();
        }
        drop(listener);
    }
}
