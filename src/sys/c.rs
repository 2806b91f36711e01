//! The part of the C library that is called here: 64-bit Linux, glibc or musl.
//!
//! All unsafe code of the program is in this file. What it gives its siblings is safe to call: it takes
//! references, slices and borrowed descriptors, and each block says why it is sound.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_ulong, c_void};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{self, Command};

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
pub(super) const IPPROTO_TCP: c_int = 6;
pub(super) const TCP_NOTSENT_LOWAT: c_int = 25;
pub(super) const SOCK_STREAM: c_int = 1;
pub(super) const SOCK_NONBLOCK: c_int = 0o4000;
pub(super) const O_NONBLOCK: c_int = 0o4000;
pub(super) const SOCK_CLOEXEC: c_int = 0o2_000_000;
pub(super) const AF_INET: c_int = 2;
pub(super) const AF_INET6: c_int = 10;

pub(super) const F_SETFD: c_int = 2;
pub(super) const F_DUPFD_CLOEXEC: c_int = 1030;
pub(super) const FD_CLOEXEC: c_int = 1;

/// Children do not inherit a file of memfd_create(2).
const MFD_CLOEXEC: c_uint = 1;

/// Asks how much a socket has not sent yet, `SIOCOUTQ` of Linux.
pub(super) const SIOCOUTQ: c_ulong = 0x5411;

/// Asks for a signal when the thread that started the process ends, `PR_SET_PDEATHSIG` of Linux.
const PR_SET_PDEATHSIG: c_int = 1;

pub(super) const POLLIN: i16 = 1;
pub(super) const POLLOUT: i16 = 4;
pub(super) const POLLRDHUP: i16 = 0x2000;

pub(super) const CLOCK_MONOTONIC: c_int = 1;
pub(super) const CLOCK_PROCESS_CPUTIME_ID: c_int = 2;

pub(super) const RLIMIT_NOFILE: c_int = 7;

/// Has faccessat(2) start from the current directory, and ask for the effective user.
const AT_FDCWD: c_int = -100;
const AT_EACCESS: c_int = 0x200;

pub(super) const X_OK: c_int = 1;
pub(super) const W_OK: c_int = 2;

/// Has mallopt(3) set how many heaps there may be, from which length on buffers have a mapping of their
/// own, and how much a heap may keep at its end.
#[cfg(target_env = "gnu")]
const M_ARENA_MAX: c_int = -8;
#[cfg(target_env = "gnu")]
const M_MMAP_THRESHOLD: c_int = -3;
#[cfg(target_env = "gnu")]
const M_TRIM_THRESHOLD: c_int = -1;

/// Has madvise(2) take pages away; they are zero when they are next used.
const MADV_DONTNEED: c_int = 4;

/// Bytes below a local variable that the functions which release the stack may use themselves.
const RELEASE_DEPTH: usize = 512;

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

/// `pthread_attr_t`, which no C library has longer.
#[repr(C)]
struct ThreadAttributes([u64; 8]);

mod libc {
    use super::{PollFd, Rlimit, SignalSet, SockAddr, ThreadAttributes, Timespec, Tm};
    use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

    unsafe extern "C" {
        pub(super) fn localtime_r(seconds: *const i64, tm: *mut Tm) -> *mut Tm;
        pub(super) fn signal(signum: c_int, handler: Option<extern "C" fn(c_int)>) -> usize;
        pub(super) fn sigprocmask(
            how: c_int,
            set: *const SignalSet,
            before: *mut SignalSet,
        ) -> c_int;
        pub(super) fn kill(pid: c_int, signum: c_int) -> c_int;
        pub(super) fn getppid() -> c_int;
        pub(super) fn faccessat(
            dir: c_int,
            path: *const c_char,
            mode: c_int,
            flags: c_int,
        ) -> c_int;
        pub(super) fn memfd_create(name: *const c_char, flags: c_uint) -> c_int;
        pub(super) fn prctl(option: c_int, ...) -> c_int;
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
        #[cfg(target_env = "gnu")]
        pub(super) fn mallopt(option: c_int, value: c_int) -> c_int;
        pub(super) fn madvise(start: *mut c_void, len: usize, advice: c_int) -> c_int;
        pub(super) fn getpagesize() -> c_int;
        pub(super) fn pthread_self() -> usize;
        pub(super) fn pthread_getattr_np(thread: usize, attributes: *mut ThreadAttributes)
        -> c_int;
        pub(super) fn pthread_attr_getstack(
            attributes: *const ThreadAttributes,
            lowest: *mut *mut c_void,
            len: *mut usize,
        ) -> c_int;
        pub(super) fn pthread_attr_destroy(attributes: *mut ThreadAttributes) -> c_int;
    }
}

fn checked(result: c_int) -> io::Result<c_int> {
    match result {
        0.. => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

/// getrlimit(2) of open descriptors.
pub(super) fn descriptor_limits() -> io::Result<Rlimit> {
    let mut limit = Rlimit { soft: 0, hard: 0 };
    // SAFETY: `limit` is a live `struct rlimit` that the kernel fills in.
    checked(unsafe { libc::getrlimit(RLIMIT_NOFILE, &mut limit) })?;
    Ok(limit)
}

/// setrlimit(2) of open descriptors.
pub(super) fn set_descriptor_limits(limit: &Rlimit) -> io::Result<()> {
    // SAFETY: `limit` is a live `struct rlimit` that the kernel only reads.
    checked(unsafe { libc::setrlimit(RLIMIT_NOFILE, limit) }).map(drop)
}

/// malloc_trim(3), where the C library has it.
pub(super) fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: may be called at any time, from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// mallopt(3) with M_ARENA_MAX, where the C library has it: all threads share this many heaps.
pub(super) fn limit_heaps(count: c_int) {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes two integers; the allocator changes an option of its own.
    unsafe {
        libc::mallopt(M_ARENA_MAX, count);
    }
}

/// mallopt(3), where the C library has it: buffers from `mapped` bytes on are given back to the system when
/// they are freed, and heaps keep `kept` bytes at their ends. By default both grow with the longest buffer
/// that was ever freed.
pub(super) fn limit_kept_memory(mapped: c_int, kept: c_int) {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes integers; the allocator changes options of its own.
    unsafe {
        libc::mallopt(M_MMAP_THRESHOLD, mapped);
        libc::mallopt(M_TRIM_THRESHOLD, kept);
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = (mapped, kept);
}

/// The lowest address of the stack of this thread.
fn lowest_of_stack() -> Option<usize> {
    let mut attributes = ThreadAttributes([0; 8]);
    let (mut lowest, mut len) = (std::ptr::null_mut(), 0);
    // SAFETY: the attributes are live and at least as long as those of the C library, which fills them
    // in for the running thread, reads them, and lets go of what they hold; the results are live too.
    let found = unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), &mut attributes) != 0 {
            return None;
        }
        let found = libc::pthread_attr_getstack(&attributes, &mut lowest, &mut len);
        libc::pthread_attr_destroy(&mut attributes);
        found
    };
    (found == 0).then_some(lowest as usize)
}

/// madvise(2) of the part of this thread's stack that nothing uses now: below this function. The main
/// thread, whose stack grows by itself, is not to call it.
#[inline(never)]
pub(super) fn release_stack() {
    let Some(lowest) = lowest_of_stack() else {
        return;
    };
    // SAFETY: takes nothing and touches no memory of ours.
    let page_len = unsafe { libc::getpagesize() } as usize;
    let here = 0_u8;
    let below = &raw const here as usize - RELEASE_DEPTH;
    let Some(len) = (below - below % page_len).checked_sub(lowest) else {
        return;
    };
    // SAFETY: the range begins where the stack of this thread does, and ends below what this function
    // and the one it calls use; whatever was called before has returned, and what is called later
    // writes to its part of the stack before it reads there.
    unsafe { libc::madvise(lowest as *mut c_void, len, MADV_DONTNEED) };
}

/// clock_gettime(2) of the monotonic clock.
pub(super) fn monotonic_time() -> Timespec {
    time_of(CLOCK_MONOTONIC)
}

/// clock_gettime(2) of the processor time of this process.
pub(super) fn processor_time() -> Timespec {
    time_of(CLOCK_PROCESS_CPUTIME_ID)
}

fn time_of(clock: c_int) -> Timespec {
    let mut time = Timespec {
        seconds: 0,
        nanoseconds: 0,
    };
    // SAFETY: `time` is a live `struct timespec` that the kernel fills in.
    let result = unsafe { libc::clock_gettime(clock, &mut time) };
    debug_assert_eq!(result, 0, "every Linux has these clocks");
    time
}

/// localtime_r(3). Where the year does not fit, the time is the beginning of 1970.
pub(super) fn local_time(unix_seconds: i64) -> Tm {
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
    // SAFETY: both are live and of C's layout, and the function changes `tm` alone; where the year
    // does not fit, it leaves that as it is.
    unsafe { libc::localtime_r(&unix_seconds, &mut tm) };
    tm
}

/// signal(2); `None` is the default handler. A handler may do only what signal-safety(7) allows.
pub(super) fn set_handler(signum: c_int, handler: Option<extern "C" fn(c_int)>) -> io::Result<()> {
    // SAFETY: the handler has C's signature; none is the null pointer, which C calls SIG_DFL.
    match unsafe { libc::signal(signum, handler) } {
        usize::MAX => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// sigprocmask(2) with an empty set: no signal is blocked.
pub(super) fn unblock_signals() -> io::Result<()> {
    let none = SignalSet([0; 16]);
    // SAFETY: the set is live and at least as long as the C library's, which only reads it; it is
    // not asked for the one before.
    checked(unsafe { libc::sigprocmask(SIG_SETMASK, &none, std::ptr::null_mut()) }).map(drop)
}

/// faccessat(2): whether this process may do `mode` to the file at `path`.
pub(super) fn access(path: &CStr, mode: c_int) -> io::Result<()> {
    let path = path.as_ptr();
    // SAFETY: the path is live and ends with a zero byte, and the kernel only reads it.
    checked(unsafe { libc::faccessat(AT_FDCWD, path, mode, AT_EACCESS) }).map(drop)
}

/// kill(2); a negative `pid` is a group.
pub(super) fn kill(pid: c_int, signum: c_int) -> io::Result<()> {
    // SAFETY: takes two integers and touches no memory of ours.
    checked(unsafe { libc::kill(pid, signum) }).map(drop)
}

/// Has this process get `signum` when the thread that started it ends, in whatever way. It fails if
/// `parent`, the process of that thread, has ended before.
pub(super) fn ask_for_signal_at_end_of(parent: u32, signum: c_int) -> io::Result<()> {
    // SAFETY: both take integers and touch no memory of ours.
    let (asked, now) = unsafe {
        let signum = c_ulong::from(signum.unsigned_abs());
        (libc::prctl(PR_SET_PDEATHSIG, signum), libc::getppid())
    };
    checked(asked)?;
    match u32::try_from(now) == Ok(parent) {
        true => Ok(()),
        false => Err(io::Error::from_raw_os_error(ESRCH)),
    }
}

/// The same for the process that `command` will start.
pub(super) fn signal_at_end_of_parent(command: &mut Command, signum: c_int) {
    let parent = process::id();
    let ask = move || ask_for_signal_at_end_of(parent, signum);
    // SAFETY: between fork and exec the closure makes two system calls and takes no lock and no memory.
    unsafe { command.pre_exec(ask) };
}

/// send(2); returns how many bytes the socket took.
pub(super) fn send(socket: BorrowedFd, bytes: &[u8], flags: c_int) -> io::Result<usize> {
    // SAFETY: the pointer and length are of a live slice that the kernel only reads, and the
    // descriptor is open as long as it is borrowed.
    let sent = unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr(), bytes.len(), flags) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// ioctl(2) with [`SIOCOUTQ`]: bytes that the other side has not acknowledged.
pub(super) fn unsent(socket: BorrowedFd) -> io::Result<c_int> {
    let mut bytes: c_int = 0;
    // SAFETY: the descriptor is open as long as it is borrowed, and the kernel writes one `int` to
    // `bytes`.
    checked(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCOUTQ, &raw mut bytes) })?;
    Ok(bytes)
}

/// getsockopt(2) of an option of the socket level.
pub(super) fn socket_option(socket: BorrowedFd, name: c_int) -> io::Result<c_int> {
    let mut value: c_int = 0;
    let mut len = size_of::<c_int>() as u32;
    let fd = socket.as_raw_fd();
    // SAFETY: the descriptor is open as long as it is borrowed, and the kernel writes at most
    // `len` bytes to `value`.
    checked(unsafe { libc::getsockopt(fd, SOL_SOCKET, name, &mut value, &mut len) })?;
    Ok(value)
}

/// setsockopt(2) of an option of this `level`.
pub(super) fn set_socket_option(
    socket: BorrowedFd,
    level: c_int,
    name: c_int,
    value: c_int,
) -> io::Result<()> {
    let len = size_of::<c_int>() as u32;
    let fd = socket.as_raw_fd();
    // SAFETY: the descriptor is open as long as it is borrowed, and the kernel only reads the
    // `len` bytes of `value`.
    checked(unsafe { libc::setsockopt(fd, level, name, &value, len) }).map(drop)
}

/// listen(2); on a socket that listens already it only changes the length of the queue.
pub(super) fn listen(socket: BorrowedFd, backlog: c_int) -> io::Result<()> {
    // SAFETY: takes two integers, and the descriptor is open as long as it is borrowed.
    checked(unsafe { libc::listen(socket.as_raw_fd(), backlog) }).map(drop)
}

/// socket(2): a new descriptor, which is the caller's.
pub(super) fn socket(domain: c_int, kind: c_int) -> io::Result<OwnedFd> {
    // SAFETY: takes integers and touches no memory of ours.
    let fd = checked(unsafe { libc::socket(domain, kind, 0) })?;
    // SAFETY: a moment ago the kernel made it for us, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// connect(2) to an address of the family of the socket.
pub(super) fn connect(socket: BorrowedFd, addr: &SockAddr) -> io::Result<()> {
    let len = match c_int::from(addr.family) {
        AF_INET => SOCKADDR_IN_LEN,
        _ => size_of::<SockAddr>() as u32,
    };
    // SAFETY: the kernel only reads the `len` bytes of `addr`, which has as many, and the
    // descriptor is open as long as it is borrowed.
    checked(unsafe { libc::connect(socket.as_raw_fd(), addr, len) }).map(drop)
}

/// fcntl(2): a duplicate of descriptor `number`, from 3 on, that children do not inherit.
pub(super) fn duplicate(number: c_int) -> io::Result<OwnedFd> {
    // SAFETY: takes integers and touches no memory of ours; the descriptor itself stays whose it
    // is.
    let own = checked(unsafe { libc::fcntl(number, F_DUPFD_CLOEXEC, 3 as c_int) })?;
    // SAFETY: a moment ago the kernel made it for us, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(own) })
}

/// fcntl(2): children do not inherit descriptor `number`.
pub(super) fn close_on_exec(number: c_int) -> io::Result<()> {
    // SAFETY: takes integers and touches no memory of ours; the descriptor stays whose it is.
    checked(unsafe { libc::fcntl(number, F_SETFD, FD_CLOEXEC) }).map(drop)
}

/// Has the process that `command` starts inherit `fd`, under its number. The descriptor stays open as
/// long as the command.
pub(super) fn inherit(command: &mut Command, fd: OwnedFd) {
    let keep = move || {
        // SAFETY: takes integers and touches no memory of ours; the closure owns the descriptor.
        checked(unsafe { libc::fcntl(fd.as_raw_fd(), F_SETFD, 0 as c_int) }).map(drop)
    };
    // SAFETY: between fork and exec the closure makes one system call and takes no lock and no memory.
    unsafe { command.pre_exec(keep) };
}

/// memfd_create(2): a file that only its descriptors lead to, which children do not inherit.
pub(super) fn memory_file(name: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the name is a live C string that the kernel only reads.
    let fd = checked(unsafe { libc::memfd_create(name.as_ptr(), MFD_CLOEXEC) })?;
    // SAFETY: a moment ago the kernel made it for us, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// poll(2); returns how many of `fds` are ready.
pub(super) fn poll(fds: &mut [PollFd], timeout_ms: c_int) -> io::Result<c_int> {
    // SAFETY: the pointer and length are of a live slice that the kernel only fills in; of a
    // descriptor that is not open it says so.
    checked(unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as c_ulong, timeout_ms) })
}
