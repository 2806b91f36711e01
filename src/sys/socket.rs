//! Calls on sockets: sending without waiting, options, connecting until a deadline.

use super::c::{
    self, AF_INET, AF_INET6, EINPROGRESS, IPPROTO_TCP, MSG_DONTWAIT, MSG_NOSIGNAL, POLLOUT,
    SO_ACCEPTCONN, SO_DOMAIN, SO_ERROR, SO_RCVLOWAT, SO_TYPE, SOCK_CLOEXEC, SOCK_NONBLOCK,
    SOCK_STREAM, SOL_SOCKET, SockAddr, TCP_NOTSENT_LOWAT,
};
use super::wait::{Woken, wait_until};
use std::ffi::c_int;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

/// Sends what the socket takes at once, also if it is a blocking one, and returns how many bytes that
/// was.
///
/// # Errors
///
/// [`io::ErrorKind::WouldBlock`] when it takes nothing now. Any other means that the connection is over.
pub fn send_now(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    c::send(socket.as_fd(), bytes, MSG_DONTWAIT | MSG_NOSIGNAL)
}

/// The number of bytes that the socket has taken and the other side has not acknowledged.
///
/// # Errors
///
/// When the socket is of a kind that cannot tell.
pub fn unacknowledged(socket: impl AsFd) -> io::Result<u64> {
    Ok(u64::try_from(c::unsent(socket.as_fd())?).unwrap_or_default())
}

/// Makes a read wait until `bytes` have come, or until the socket's read timeout is over and some have.
///
/// # Errors
///
/// When the socket is closed.
pub fn set_receive_low_water(socket: impl AsFd, bytes: u32) -> io::Result<()> {
    let value = c_int::try_from(bytes).unwrap_or(c_int::MAX);
    c::set_socket_option(socket.as_fd(), SOL_SOCKET, SO_RCVLOWAT, value)
}

/// Has a TCP socket take no more while it has `bytes` that it has not sent yet. What is on its way and not
/// acknowledged does not count. The sockets that a listening one accepts have the same limit.
///
/// # Errors
///
/// When it is no TCP socket.
pub fn set_unsent_max(socket: impl AsFd, bytes: u32) -> io::Result<()> {
    let value = c_int::try_from(bytes).unwrap_or(c_int::MAX);
    c::set_socket_option(socket.as_fd(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, value)
}

/// Lets `connections` wait to be accepted. The standard library allows 128; a client beyond that tries
/// again only after a second.
///
/// # Errors
///
/// When the socket does not listen.
pub fn set_backlog(listener: &TcpListener, connections: u16) -> io::Result<()> {
    c::listen(listener.as_fd(), c_int::from(connections))
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
    let domain = match addr {
        SocketAddr::V4(_) => AF_INET,
        SocketAddr::V6(_) => AF_INET6,
    };
    let fd = c::socket(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC)?;
    if let Err(error) = c::connect(fd.as_fd(), &SockAddr::new(addr)) {
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
        match c::socket_option(fd.as_fd(), SO_ERROR)? {
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
    let own = c::duplicate(number)?;
    c::close_on_exec(number)?;
    Ok(own)
}

/// Whether `socket` is a TCP socket that listens.
///
/// # Errors
///
/// When it is not a socket.
pub fn is_tcp_listener(socket: impl AsFd) -> io::Result<bool> {
    let option = |name| c::socket_option(socket.as_fd(), name);
    Ok(matches!(option(SO_DOMAIN)?, AF_INET | AF_INET6)
        && option(SO_TYPE)? == SOCK_STREAM
        && option(SO_ACCEPTCONN)? != 0)
}
