//! The part of the C library that is called here: 64-bit Linux, glibc or musl.

use std::ffi::{c_char, c_int, c_long, c_ulong};
use std::io;

pub(super) const SIGHUP: c_int = 1;
pub(super) const SIGINT: c_int = 2;
pub(super) const SIGKILL: c_int = 9;
pub(super) const SIGUSR1: c_int = 10;
pub(super) const SIGTERM: c_int = 15;
pub(super) const SIGCHLD: c_int = 17;
pub(super) const SIGXFSZ: c_int = 25;

pub(super) const SIG_SETMASK: c_int = 2;

pub(super) const MSG_DONTWAIT: c_int = 0x40;
pub(super) const MSG_NOSIGNAL: c_int = 0x4000;

pub(super) const SOL_SOCKET: c_int = 1;
pub(super) const SO_TYPE: c_int = 3;
pub(super) const SO_ERROR: c_int = 4;
pub(super) const SO_RCVLOWAT: c_int = 18;
pub(super) const SO_ACCEPTCONN: c_int = 30;
pub(super) const SO_DOMAIN: c_int = 39;
pub(super) const SOCK_STREAM: c_int = 1;
pub(super) const SOCK_NONBLOCK: c_int = 0o4000;
pub(super) const SOCK_CLOEXEC: c_int = 0o2_000_000;
pub(super) const AF_INET: c_int = 2;
pub(super) const AF_INET6: c_int = 10;

pub(super) const F_SETFD: c_int = 2;
pub(super) const F_DUPFD_CLOEXEC: c_int = 1030;
pub(super) const FD_CLOEXEC: c_int = 1;

/// Asks how much a socket has not sent yet, `SIOCOUTQ` of Linux.
pub(super) const SIOCOUTQ: c_ulong = 0x5411;

pub(super) const POLLIN: i16 = 1;
pub(super) const POLLOUT: i16 = 4;
pub(super) const POLLRDHUP: i16 = 0x2000;

pub(super) const CLOCK_MONOTONIC: c_int = 1;

pub(super) const RLIMIT_NOFILE: c_int = 7;

/// Linux's number for "no such process".
pub(super) const ESRCH: i32 = 3;

/// Linux's number for "operation now in progress".
pub(super) const EINPROGRESS: i32 = 115;

/// `struct rlimit` of 64-bit Linux.
#[repr(C)]
pub(super) struct Rlimit {
    pub(super) soft: u64,
    pub(super) hard: u64,
}

/// `struct tm` of Linux.
#[repr(C)]
pub(super) struct Tm {
    pub(super) second: c_int,
    pub(super) minute: c_int,
    pub(super) hour: c_int,
    pub(super) day: c_int,
    /// From 0 for January.
    pub(super) month: c_int,
    /// Counted from the year 1900.
    pub(super) year: c_int,
    pub(super) weekday: c_int,
    pub(super) day_of_year: c_int,
    pub(super) is_dst: c_int,
    pub(super) offset: c_long,
    pub(super) zone: *const c_char,
}

/// `struct timespec` of 64-bit Linux.
#[repr(C)]
pub(super) struct Timespec {
    pub(super) seconds: i64,
    pub(super) nanoseconds: i64,
}

/// `struct sockaddr_in` and `struct sockaddr_in6`: the beginning of both is the same, and the rest
/// of the first is shorter. Port and address are in network order.
#[repr(C)]
pub(super) struct SockAddr {
    pub(super) family: u16,
    pub(super) port: [u8; 2],
    /// The address of IPv4, or the flow information of IPv6.
    pub(super) first: [u8; 4],
    pub(super) address: [u8; 16],
    pub(super) scope: u32,
}

/// The length of `struct sockaddr_in`.
pub(super) const SOCKADDR_IN_LEN: u32 = 16;

/// `sigset_t` of 64-bit Linux, as C libraries have it.
#[repr(C)]
pub(super) struct SignalSet(pub(super) [u64; 16]);

/// `struct pollfd` of Linux: what to wait for, and what came.
#[repr(C)]
pub(super) struct PollFd {
    pub(super) fd: c_int,
    pub(super) events: i16,
    pub(super) revents: i16,
}

unsafe extern "C" {
    pub(super) fn localtime_r(seconds: *const i64, tm: *mut Tm) -> *mut Tm;
    pub(super) fn signal(signum: c_int, handler: Option<extern "C" fn(c_int)>) -> usize;
    pub(super) fn sigprocmask(how: c_int, set: *const SignalSet, before: *mut SignalSet) -> c_int;
    pub(super) fn kill(pid: c_int, signum: c_int) -> c_int;
    pub(super) fn send(socket: c_int, buffer: *const u8, len: usize, flags: c_int) -> isize;
    pub(super) fn setsockopt(
        socket: c_int,
        level: c_int,
        name: c_int,
        value: *const c_int,
        len: u32,
    ) -> c_int;
    pub(super) fn getsockopt(
        socket: c_int,
        level: c_int,
        name: c_int,
        value: *mut c_int,
        len: *mut u32,
    ) -> c_int;
    pub(super) fn listen(socket: c_int, backlog: c_int) -> c_int;
    pub(super) fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    pub(super) fn connect(socket: c_int, addr: *const SockAddr, len: u32) -> c_int;
    pub(super) fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    pub(super) fn ioctl(fd: c_int, request: c_ulong, ...) -> c_int;
    pub(super) fn poll(fds: *mut PollFd, count: c_ulong, timeout_ms: c_int) -> c_int;
    pub(super) fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int;
    pub(super) fn getrlimit(resource: c_int, limit: *mut Rlimit) -> c_int;
    pub(super) fn setrlimit(resource: c_int, limit: *const Rlimit) -> c_int;
    #[cfg(target_env = "gnu")]
    pub(super) fn malloc_trim(keep: usize) -> c_int;
}

/// The result of a system call; negative ones mean that it failed.
pub(super) fn checked(result: c_int) -> io::Result<c_int> {
    match result {
        0.. => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}
