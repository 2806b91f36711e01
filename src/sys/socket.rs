//! Calls on sockets: sending without waiting, options, connecting until a deadline.

use super::c::{
    AF_INET, AF_INET6, EINPROGRESS, F_DUPFD_CLOEXEC, F_SETFD, FD_CLOEXEC, MSG_DONTWAIT,
    MSG_NOSIGNAL, POLLOUT, SIOCOUTQ, SO_ACCEPTCONN, SO_DOMAIN, SO_ERROR, SO_RCVLOWAT, SO_TYPE,
    SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM, SOCKADDR_IN_LEN, SOL_SOCKET, SockAddr, checked,
    connect, fcntl, getsockopt, ioctl, listen, send, setsockopt, socket,
};
use super::wait::{Woken, wait_until};
use std::ffi::c_int;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::Instant;

/// Sends what the socket takes at once, also if it is a blocking one, and returns how many bytes that
/// was.
///
/// # Errors
///
/// [`io::ErrorKind::WouldBlock`] when it takes nothing now. Any other means that the connection is over.
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

/// The number of bytes that the socket has taken and the other side has not acknowledged.
///
/// # Errors
///
/// When the socket is of a kind that cannot tell.
pub fn unacknowledged(socket: &TcpStream) -> io::Result<u64> {
    let mut bytes: c_int = 0;
    // SAFETY: the descriptor is open as long as `socket` is borrowed, and the kernel writes one
    // `int` to `bytes`.
    checked(unsafe { ioctl(socket.as_raw_fd(), SIOCOUTQ, &raw mut bytes) })?;
    Ok(u64::try_from(bytes).unwrap_or_default())
}

/// Makes a read wait until `bytes` have come, or until the socket's read timeout is over and some have.
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

/// Lets `connections` wait to be accepted. The standard library allows 128; a client beyond that tries
/// again only after a second.
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

/// Connects to `addr`, until `end` at the latest. `None`: before that, `stop` had something to read or
/// had ended. The standard library has no way to end a connect early.
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

/// Duplicates descriptor `number`, which the parent process left open. Children inherit neither.
///
/// # Errors
///
/// When no descriptor of that number is open.
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

/// Whether `socket` is a TCP socket that listens.
///
/// # Errors
///
/// When it is not a socket.
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
