//! Signals, and the few system calls that the standard library lacks. All the unsafe code there is.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_long, c_ulong};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const SIGHUP: c_int = 1;
const SIGINT: c_int = 2;
const SIGKILL: c_int = 9;
const SIGUSR1: c_int = 10;
const SIGTERM: c_int = 15;
const SIGCHLD: c_int = 17;
const SIGXFSZ: c_int = 25;

const SIG_SETMASK: c_int = 2;

const MSG_DONTWAIT: c_int = 0x40;
const MSG_NOSIGNAL: c_int = 0x4000;

const SOL_SOCKET: c_int = 1;
const SO_TYPE: c_int = 3;
const SO_ERROR: c_int = 4;
const SO_RCVLOWAT: c_int = 18;
const SO_ACCEPTCONN: c_int = 30;
const SO_DOMAIN: c_int = 39;
const SOCK_STREAM: c_int = 1;
const SOCK_NONBLOCK: c_int = 0o4000;
const SOCK_CLOEXEC: c_int = 0o2_000_000;
const AF_INET: c_int = 2;
const AF_INET6: c_int = 10;

const F_SETFD: c_int = 2;
const F_DUPFD_CLOEXEC: c_int = 1030;
const FD_CLOEXEC: c_int = 1;

/// Linux' `SIOCOUTQ`.
const SIOCOUTQ: c_ulong = 0x5411;

const POLLIN: i16 = 1;
const POLLOUT: i16 = 4;

const CLOCK_MONOTONIC: c_int = 1;

const RLIMIT_NOFILE: c_int = 7;

/// Linux' number for "no such process".
const ESRCH: i32 = 3;

/// Linux' number for "operation now in progress".
const EINPROGRESS: i32 = 115;

/// `struct rlimit` of 64-bit Linux.
#[repr(C)]
struct Rlimit {
    soft: u64,
    hard: u64,
}

/// `struct tm` of Linux.
#[repr(C)]
struct Tm {
    second: c_int,
    minute: c_int,
    hour: c_int,
    day: c_int,
    /// From 0.
    month: c_int,
    /// Since 1900.
    year: c_int,
    weekday: c_int,
    day_of_year: c_int,
    is_dst: c_int,
    offset: c_long,
    zone: *const c_char,
}

/// `struct timespec` of 64-bit Linux.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// `struct sockaddr_in` and `struct sockaddr_in6`: the beginning of both is the same, and the rest
/// of the first is shorter. Port and address are in network order.
#[repr(C)]
struct SockAddr {
    family: u16,
    port: [u8; 2],
    /// The address of IPv4, or the flow information of IPv6.
    first: [u8; 4],
    address: [u8; 16],
    scope: u32,
}

/// The length of `struct sockaddr_in`.
const SOCKADDR_IN_LEN: u32 = 16;

/// `sigset_t` of 64-bit Linux, as C libraries have it.
#[repr(C)]
struct SignalSet([u64; 16]);

/// `struct pollfd`.
#[repr(C)]
struct PollFd {
    fd: c_int,
    events: i16,
    revents: i16,
}

unsafe extern "C" {
    fn localtime_r(seconds: *const i64, tm: *mut Tm) -> *mut Tm;
    fn signal(signum: c_int, handler: Option<extern "C" fn(c_int)>) -> usize;
    fn sigprocmask(how: c_int, set: *const SignalSet, before: *mut SignalSet) -> c_int;
    fn kill(pid: c_int, signum: c_int) -> c_int;
    fn send(socket: c_int, buffer: *const u8, len: usize, flags: c_int) -> isize;
    fn setsockopt(socket: c_int, level: c_int, name: c_int, value: *const c_int, len: u32)
    -> c_int;
    fn getsockopt(
        socket: c_int,
        level: c_int,
        name: c_int,
        value: *mut c_int,
        len: *mut u32,
    ) -> c_int;
    fn listen(socket: c_int, backlog: c_int) -> c_int;
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn connect(socket: c_int, addr: *const SockAddr, len: u32) -> c_int;
    fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    fn ioctl(fd: c_int, request: c_ulong, ...) -> c_int;
    fn poll(fds: *mut PollFd, count: c_ulong, timeout_ms: c_int) -> c_int;
    fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
    fn getrlimit(resource: c_int, limit: *mut Rlimit) -> c_int;
    fn setrlimit(resource: c_int, limit: *const Rlimit) -> c_int;
    #[cfg(target_env = "gnu")]
    fn malloc_trim(keep: usize) -> c_int;
}

/// Has the allocator give memory back to the system that it keeps for later: it has a heap for
/// every few threads, and of most of them it gives nothing back by itself. Takes milliseconds.
pub fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: may be called at any time, from any thread.
    unsafe {
        malloc_trim(0);
    }
}

/// What somebody outside wants of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT or SIGTERM: stop.
    Stop,
    /// SIGHUP: read again what can be read again.
    Reload,
    /// SIGUSR1: ask clients to reconnect.
    Reconnect,
}

static WAKE: OnceLock<UnixStream> = OnceLock::new();

/// Runs in whatever thread the signal interrupted, so it does only what signal-safety(7) allows:
/// it loads a pointer and writes one byte. The socket does not block; when it is full, a signal
/// that is already waiting to be read gets lost.
extern "C" fn on_signal(signum: c_int) {
    if let Some(mut wake) = WAKE.get() {
        let _ = wake.write(&[signum as u8]);
    }
}

/// Does nothing, and so a write beyond the limit of a file's length fails, as one to a full disk
/// does. Without a handler it would end the process.
extern "C" fn on_file_too_long(_: c_int) {}

/// The signals of the process, in order of arrival.
#[derive(Debug)]
pub struct Signals(UnixStream);

impl Signals {
    /// Takes over the signals of [`Signal`], and undoes what the parent may have left behind that
    /// would be in our way: signals that are blocked, and children's ends that are ignored, so that
    /// nobody could wait for them. Children start with the ordinary ones. To be called before there
    /// are other threads.
    ///
    /// # Errors
    ///
    /// When there are no descriptors left, or when called a second time.
    pub fn install() -> io::Result<Signals> {
        let (arrivals, wake) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        WAKE.set(wake)
            .map_err(|_| io::Error::other("signals are installed already"))?;
        let handlers: [(c_int, Option<extern "C" fn(c_int)>); 6] = [
            (SIGHUP, Some(on_signal)),
            (SIGINT, Some(on_signal)),
            (SIGUSR1, Some(on_signal)),
            (SIGTERM, Some(on_signal)),
            (SIGXFSZ, Some(on_file_too_long)),
            (SIGCHLD, None),
        ];
        for (signum, handler) in handlers {
            // SAFETY: the handlers have C's signature and are safe to run as such; none is the
            // null pointer, which C calls SIG_DFL.
            if unsafe { signal(signum, handler) } == usize::MAX {
                return Err(io::Error::last_os_error());
            }
        }
        let none = SignalSet([0; 16]);
        // SAFETY: the set is live and at least as long as the C library's, which only reads it; it
        // is not asked for the one before.
        checked(unsafe { sigprocmask(SIG_SETMASK, &none, std::ptr::null_mut()) })?;
        Ok(Signals(arrivals))
    }

    /// Waits for the next signal.
    pub fn wait(&mut self) -> Signal {
        let mut byte = [0];
        // An error could only mean that the other end is closed, which lives as long as we do.
        let _ = self.0.read_exact(&mut byte);
        match c_int::from(byte[0]) {
            SIGHUP => Signal::Reload,
            SIGUSR1 => Signal::Reconnect,
            _ => Signal::Stop,
        }
    }
}

/// Sends what the socket takes at once, whatever mode it is in; returns how much that was.
///
/// # Errors
///
/// `WouldBlock` when it takes nothing now; any other means that the connection is over.
pub fn send_now(socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the pointer and length are of a live slice that the kernel only reads, and the
    // descriptor is open as long as `socket` is borrowed.
    let sent = unsafe {
        send(
            socket.as_raw_fd(),
            bytes.as_ptr(),
            bytes.len(),
            MSG_DONTWAIT | MSG_NOSIGNAL,
        )
    };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(sent as usize)
    }
}

/// What a system call returned, unless it failed.
fn checked(result: c_int) -> io::Result<c_int> {
    match result {
        0.. => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Bytes that the socket has taken and the other side has not acknowledged.
///
/// # Errors
///
/// When it is no socket that can tell.
pub fn unacknowledged(socket: &TcpStream) -> io::Result<u64> {
    let mut bytes: c_int = 0;
    // SAFETY: the descriptor is open as long as `socket` is borrowed, and the kernel writes one
    // `int` to `bytes`.
    checked(unsafe { ioctl(socket.as_raw_fd(), SIOCOUTQ, &raw mut bytes) })?;
    Ok(u64::try_from(bytes).unwrap_or_default())
}

/// Makes a read wait until so many bytes are there, or until the socket's read timeout has passed
/// and any are.
///
/// # Errors
///
/// When the socket is closed.
pub fn set_receive_low_water(socket: &TcpStream, bytes: u32) -> io::Result<()> {
    let value = c_int::try_from(bytes).unwrap_or(c_int::MAX);
    let len = size_of::<c_int>() as u32;
    // SAFETY: the descriptor is open as long as `socket` is borrowed, and the kernel only reads
    // the `len` bytes of `value`.
    let result = unsafe { setsockopt(socket.as_raw_fd(), SOL_SOCKET, SO_RCVLOWAT, &value, len) };
    checked(result).map(drop)
}

/// Lets so many connections wait to be accepted, where the standard library allows 128: beyond
/// that, clients that come all at once lose a second each.
///
/// # Errors
///
/// When the socket does not listen.
pub fn set_backlog(listener: &TcpListener, connections: u16) -> io::Result<()> {
    // SAFETY: the descriptor is open as long as `listener` is borrowed; listening again only
    // changes the length of the queue.
    let result = unsafe { listen(listener.as_raw_fd(), c_int::from(connections)) };
    checked(result).map(drop)
}

/// Waits until one of the two has something to read, or has ended; returns whether `first` does.
///
/// # Errors
///
/// When the system has no memory for it. A signal is none.
pub fn wait_for_either(first: BorrowedFd, second: BorrowedFd) -> io::Result<bool> {
    poll_two([(Some(first), POLLIN), (Some(second), POLLIN)], None).map(|[first, _]| first)
}

/// Waits until the pipe `to` takes something, or nobody reads it any more; returns `false` if
/// `stop` has something to read first, or has ended.
///
/// # Errors
///
/// When the system has no memory for it. A signal is none.
pub fn wait_for_room(stop: BorrowedFd, to: BorrowedFd) -> io::Result<bool> {
    poll_two([(Some(stop), POLLIN), (Some(to), POLLOUT)], None).map(|[stop, _]| !stop)
}

/// Why a wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// What was waited for is there.
    Ready,
    /// It was stopped.
    Stopped,
    /// Time is up.
    TimedOut,
}

/// Waits until `fd` has something to read or has ended, until `stop` has, or until `end`.
///
/// # Errors
///
/// When the system has no memory for it. A signal is none.
pub fn wait_readable(fd: BorrowedFd, stop: Option<BorrowedFd>, end: Instant) -> io::Result<Woken> {
    wait_until(fd, POLLIN, stop, end)
}

fn wait_until(
    fd: BorrowedFd,
    events: i16,
    stop: Option<BorrowedFd>,
    end: Instant,
) -> io::Result<Woken> {
    let asked = [(stop, POLLIN), (Some(fd), events)];
    Ok(match poll_two(asked, Some(end))? {
        [_, true] => Woken::Ready,
        [true, false] => Woken::Stopped,
        [false, false] => Woken::TimedOut,
    })
}

/// Waits until either of two descriptors has come to what is asked of it, or to its end; returns
/// which of them have. Neither has: it is `end`.
fn poll_two(asked: [(Option<BorrowedFd>, i16); 2], end: Option<Instant>) -> io::Result<[bool; 2]> {
    let mut fds = asked.map(|(fd, events)| PollFd {
        // The kernel passes over a negative one.
        fd: fd.map_or(-1, |fd| fd.as_raw_fd()),
        events,
        revents: 0,
    });
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        // Rounded up, not to spin during the last millisecond.
        let left_ms = left.map(|left| left.as_nanos().div_ceil(1_000_000));
        let timeout_ms = left_ms.map_or(-1, |ms| c_int::try_from(ms).unwrap_or(c_int::MAX));
        // SAFETY: the pointer is to a live array of two that the kernel only fills in, and the
        // descriptors are open as long as they are borrowed.
        let ready = unsafe { poll(fds.as_mut_ptr(), 2, timeout_ms) };
        if ready > 0 || (ready == 0 && timeout_ms == 0) {
            return Ok(fds.map(|fd| fd.revents != 0));
        }
        let error = io::Error::last_os_error();
        if ready < 0 && error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Connects to `addr` until `end` at the latest. `None`: `stop` had something to read, or had ended,
/// before; the standard library has no way to end a connect early.
///
/// # Errors
///
/// [`io::ErrorKind::TimedOut`], and those of connect(2).
pub fn connect_until(
    addr: SocketAddr,
    stop: Option<BorrowedFd>,
    end: Instant,
) -> io::Result<Option<TcpStream>> {
    let (domain, len) = match addr {
        SocketAddr::V4(_) => (AF_INET, SOCKADDR_IN_LEN),
        SocketAddr::V6(_) => (AF_INET6, size_of::<SockAddr>() as u32),
    };
    let addr = SockAddr::new(addr);
    // SAFETY: takes integers and touches no memory of ours.
    let fd = checked(unsafe { socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) })?;
    // SAFETY: a moment ago the kernel made it for us, so nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: the kernel only reads the `len` bytes of `addr`, which has as many, and the
    // descriptor is ours.
    if unsafe { connect(fd.as_raw_fd(), &addr, len) } != 0 {
        let error = io::Error::last_os_error();
        // A signal does not end what has begun (connect(2), EINTR).
        let begun =
            error.raw_os_error() == Some(EINPROGRESS) || error.kind() == io::ErrorKind::Interrupted;
        if !begun {
            return Err(error);
        }
        match wait_until(fd.as_fd(), POLLOUT, stop, end)? {
            Woken::Ready => {}
            Woken::Stopped => return Ok(None),
            Woken::TimedOut => return Err(io::ErrorKind::TimedOut.into()),
        }
        match socket_option(fd.as_fd(), SO_ERROR)? {
            0 => {}
            code => return Err(io::Error::from_raw_os_error(code)),
        }
    }
    let socket = TcpStream::from(fd);
    socket.set_nonblocking(false)?;
    Ok(Some(socket))
}

impl SockAddr {
    fn new(addr: SocketAddr) -> SockAddr {
        let port = addr.port().to_be_bytes();
        match addr {
            SocketAddr::V4(addr) => SockAddr {
                family: AF_INET as u16,
                port,
                first: addr.ip().octets(),
                address: [0; 16],
                scope: 0,
            },
            SocketAddr::V6(addr) => SockAddr {
                family: AF_INET6 as u16,
                port,
                first: addr.flowinfo().to_be_bytes(),
                address: addr.ip().octets(),
                scope: addr.scope_id(),
            },
        }
    }
}

/// A descriptor of our own for the one of number `number`, which whoever started the process left
/// open. Children get neither.
///
/// # Errors
///
/// When there is none of that number.
pub fn inherited(number: c_int) -> io::Result<OwnedFd> {
    // SAFETY: takes integers and touches no memory of ours; the descriptor itself stays whose it
    // is.
    let own = checked(unsafe { fcntl(number, F_DUPFD_CLOEXEC, 3 as c_int) })?;
    // SAFETY: a moment ago the kernel made it for us, so nobody else owns it.
    let own = unsafe { OwnedFd::from_raw_fd(own) };
    // SAFETY: as above.
    checked(unsafe { fcntl(number, F_SETFD, FD_CLOEXEC) })?;
    Ok(own)
}

/// Whether it is a TCP socket that listens.
///
/// # Errors
///
/// When it is no socket.
pub fn is_tcp_listener(socket: impl AsFd) -> io::Result<bool> {
    let option = |name| socket_option(socket.as_fd(), name);
    Ok(matches!(option(SO_DOMAIN)?, AF_INET | AF_INET6)
        && option(SO_TYPE)? == SOCK_STREAM
        && option(SO_ACCEPTCONN)? != 0)
}

fn socket_option(socket: BorrowedFd, name: c_int) -> io::Result<c_int> {
    let mut value: c_int = 0;
    let mut len = size_of::<c_int>() as u32;
    // SAFETY: the descriptor is open as long as it is borrowed, and the kernel writes at most
    // `len` bytes to `value`.
    let result = unsafe { getsockopt(socket.as_raw_fd(), SOL_SOCKET, name, &mut value, &mut len) };
    checked(result)?;
    Ok(value)
}

/// The time since the system started, on the clock that nobody sets.
pub fn monotonic() -> Duration {
    let mut time = Timespec {
        seconds: 0,
        nanoseconds: 0,
    };
    // SAFETY: `time` is a live `struct timespec` that the kernel fills in.
    let result = unsafe { clock_gettime(CLOCK_MONOTONIC, &mut time) };
    debug_assert_eq!(result, 0, "every Linux has this clock");
    Duration::new(time.seconds as u64, time.nanoseconds as u32)
}

/// What a process group is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupSignal {
    /// Nothing: only whether it is there.
    Probe,
    /// SIGTERM: end.
    Terminate,
    /// SIGKILL.
    Kill,
}

/// Signals every process of the group that process `leader` was started in as the first; returns
/// whether there are any left.
pub fn signal_group(leader: u32, signal: GroupSignal) -> bool {
    let signum = match signal {
        GroupSignal::Probe => 0,
        GroupSignal::Terminate => SIGTERM,
        GroupSignal::Kill => SIGKILL,
    };
    let group = match c_int::try_from(leader) {
        // 0 would mean our own group, and 1 everyone.
        Ok(group) if group > 1 => group,
        _ => return false,
    };
    // SAFETY: takes two integers and touches no memory of ours.
    let failed = unsafe { kill(-group, signum) } != 0;
    !(failed && io::Error::last_os_error().raw_os_error() == Some(ESRCH))
}

/// A time on the clock of this place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// Of the Gregorian calendar.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
}

/// The local time, by the variable `TZ` or `/etc/localtime` as they were at the first call, so many
/// seconds after 1970 began in UTC. A year that does not fit becomes 1970.
pub fn local_time(unix_seconds: u64) -> LocalTime {
    let mut tm = Tm {
        second: 0,
        minute: 0,
        hour: 0,
        day: 1,
        month: 0,
        year: 70,
        weekday: 0,
        day_of_year: 0,
        is_dst: 0,
        offset: 0,
        zone: std::ptr::null(),
    };
    let seconds = i64::try_from(unix_seconds).unwrap_or_default();
    // SAFETY: both are live and of C's layout, and the function changes `tm` alone; where the year
    // does not fit, it leaves that as it is.
    unsafe { localtime_r(&seconds, &mut tm) };
    LocalTime {
        year: tm.year + 1900,
        month: (tm.month + 1) as u8,
        day: tm.day as u8,
        hour: tm.hour as u8,
        minute: tm.minute as u8,
        second: tm.second as u8,
    }
}

/// How many descriptors may be open.
pub fn descriptor_limit() -> io::Result<u64> {
    Ok(descriptor_limits()?.soft)
}

fn descriptor_limits() -> io::Result<Rlimit> {
    let mut limit = Rlimit { soft: 0, hard: 0 };
    // SAFETY: `limit` is a live `struct rlimit` that the kernel fills in.
    checked(unsafe { getrlimit(RLIMIT_NOFILE, &mut limit) })?;
    Ok(limit)
}

/// Raises the limit of open descriptors as far as it may be raised; returns what it then is.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = descriptor_limits()?;
    limit.soft = limit.hard;
    // SAFETY: `limit` is a live `struct rlimit` that the kernel only reads.
    checked(unsafe { setrlimit(RLIMIT_NOFILE, &limit) })?;
    Ok(limit.soft)
}
