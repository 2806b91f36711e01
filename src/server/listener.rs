//! Accepting connections. Nothing here waits for a peer, and no failure ends it.

use super::connections::Refused;
use super::{Context, WRITE_LIMIT, conn};
use crate::log;
use crate::log::RateLimit;
use crate::net::SharedSocket;
use crate::sync;
use crate::sys;
use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// Connections that may wait to be accepted.
pub const BACKLOG: u16 = 4096;

/// Stack of a reader thread: AMF nests at most 32 deep.
const READER_STACK_LEN: usize = 256 << 10;

/// The first and the longest pause after a failure to accept.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Linux' number for "too many open files", in the process or in the system.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

static REFUSALS: RateLimit = RateLimit::new(Duration::from_secs(10));

/// Accepts connections until `stop` can be read or ends, each into a thread of its own. Those that
/// still wait then are left to whoever else has the socket.
pub fn accept_loop(listener: &TcpListener, stop: &UnixStream, context: &Arc<Context>) {
    let mut pause = PAUSE_MIN;
    // Given up when descriptors run out, so that a newcomer can be accepted and hung up on
    // instead of being left waiting.
    let mut spare = File::open("/dev/null").ok();
    loop {
        let error = match next(listener, stop) {
            Ok(None) => return,
            Ok(Some((socket, addr))) => {
                pause = PAUSE_MIN;
                admit(context, socket, addr);
                continue;
            }
            // It is gone again, or somebody else who has the socket took it.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => error,
        };
        refused(context, "cannot accept", &error);
        if matches!(error.raw_os_error(), Some(EMFILE | ENFILE)) && spare.take().is_some() {
            drop(listener.accept());
            spare = File::open("/dev/null").ok();
        }
        thread::sleep(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Waits for the next connection; `None`: for `stop` instead.
fn next(listener: &TcpListener, stop: &UnixStream) -> io::Result<Option<(TcpStream, SocketAddr)>> {
    if sys::wait_for_either(stop.as_fd(), listener.as_fd())? {
        return Ok(None);
    }
    listener.accept().map(Some)
}

fn admit(context: &Arc<Context>, socket: TcpStream, addr: SocketAddr) {
    // A socket for both families shows IPv4 addresses as mapped into IPv6.
    let addr = SocketAddr::new(addr.ip().to_canonical(), addr.port());
    context.counters.connections.add(1);
    let number = context.next_number.fetch_add(1, Ordering::Relaxed);
    if let Err(error) = prepare(&socket) {
        return refused(context, "cannot set up socket", &error);
    }
    let line = Arc::new(SharedSocket(socket));
    let place = match context.connections.enter(number, addr.ip(), &line) {
        Ok(place) => place,
        Err(Refused::Total) => return refused(context, "refused", &"-max-connections reached"),
        Err(Refused::Address) => {
            return refused(context, "refused", &"-max-connections-per-ip reached");
        }
        Err(Refused::Closed) => return,
    };
    let share = match context.capacity.connection() {
        Ok(share) => share,
        Err(by) => return refused(context, "the system has no room", &by),
    };
    let shared = Arc::clone(context);
    // Proof that the connection is at work, given up when it is not.
    let Some(alive) = context.alive() else { return };
    let spawned = sync::spawn(&format!("c{number:06}-r"), READER_STACK_LEN, move || {
        conn::serve(&shared, number, &line, addr, &place);
        drop(place);
        drop(share);
        drop(alive);
    });
    if let Err(error) = spawned {
        refused(context, "cannot start a thread", &error);
    }
}

fn prepare(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    socket.set_write_timeout(Some(WRITE_LIMIT))
}

/// Counts a newcomer that was refused, and says why, now and then.
fn refused(context: &Context, what: &'static str, why: &dyn std::fmt::Display) {
    context.counters.connections_refused.add(1);
    if let Some(more) = REFUSALS.pass() {
        log!(Warn, "connection refused"; stage = what, error = why, suppressed = more);
    }
}
