//! Accepting connections in a thread of its own. Nothing here waits for a peer, and no failure
//! ends it.

use crate::sync;
use crate::sys::{self, Woken};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The first and the longest pause after a failure to accept.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Linux' number for "too many open files", in the process or in the system.
const EMFILE: i32 = 24;
const ENFILE: i32 = 23;

/// Decides which connections are served, and starts to serve them.
pub(crate) trait Admit: Send + 'static {
    /// Why a connection is not served.
    type Refusal: From<AcceptError>;

    /// Serves a connection from `peer` in a thread of its own; must not wait for it.
    ///
    /// # Errors
    ///
    /// The reason to drop it, which goes on to [`refused`](Admit::refused).
    fn admit(&self, socket: TcpStream, peer: SocketAddr) -> Result<(), Self::Refusal>;

    /// Counts and logs a connection that is not served.
    fn refused(&self, why: Self::Refusal);
}

/// The system failed to accept a connection.
#[derive(Debug)]
pub(crate) struct AcceptError(pub(crate) io::Error);

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for AcceptError {}

/// A socket that is accepted from. Dropping it stops its thread and closes the socket, which is not
/// shut down: other processes may have it as well, and get the connections that still wait.
#[derive(Debug)]
pub(crate) struct Acceptor {
    addr: SocketAddr,
    /// One byte tells the thread to begin; when this is dropped, the thread ends.
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Acceptor {
    /// Starts a thread of this name that accepts from `listener` once it is told to [`open`](Self::open).
    /// All listeners have their threads before the first connection can take the last that there are.
    ///
    /// # Errors
    ///
    /// When the socket cannot be set, or the thread cannot be started.
    pub(crate) fn start(
        listener: TcpListener,
        thread_name: &str,
        admit: impl Admit,
    ) -> io::Result<Acceptor> {
        // Not to wait for one that is gone again before it is accepted.
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let (stop, mut stopped) = UnixStream::pair()?;
        let thread = sync::spawn(thread_name, sync::STACK_LEN, move || {
            if stopped.read_exact(&mut [0]).is_ok() {
                accept_loop(&listener, &stopped, &admit);
            }
        })?;
        Ok(Acceptor {
            addr,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Begins to accept. To be called once.
    pub(crate) fn open(&self) {
        if let Some(mut stop) = self.stop.as_ref() {
            // It cannot fail while the thread has the other end, which it has until this one is dropped.
            let _ = stop.write_all(&[0]);
        }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic in it was reported when it happened.
            let _ = thread.join();
        }
    }
}

fn accept_loop<A: Admit>(listener: &TcpListener, stop: &UnixStream, admit: &A) {
    let mut pause = PAUSE_MIN;
    // Given up when descriptors run out, so that a newcomer can be accepted and hung up on
    // instead of being left waiting.
    let mut spare = File::open("/dev/null").ok();
    loop {
        let error = match next(listener, stop) {
            Ok(None) => return,
            Ok(Some((socket, peer))) => {
                pause = PAUSE_MIN;
                if let Err(why) = admit.admit(socket, peer) {
                    admit.refused(why);
                }
                continue;
            }
            // It is gone again, or another process that has the socket took it.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => error,
        };
        let full = matches!(error.raw_os_error(), Some(EMFILE | ENFILE));
        admit.refused(AcceptError(error).into());
        if full && spare.take().is_some() {
            drop(listener.accept());
            spare = File::open("/dev/null").ok();
        }
        if is_stopped_within(stop, pause) {
            return;
        }
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Waits for the next connection; `None`: for `stop` instead.
fn next(listener: &TcpListener, stop: &UnixStream) -> io::Result<Option<(TcpStream, SocketAddr)>> {
    if sys::wait_for_either(stop.as_fd(), listener.as_fd())? {
        return Ok(None);
    }
    let (socket, peer) = listener.accept()?;
    // A socket for both families shows IPv4 addresses as mapped into IPv6.
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    Ok(Some((socket, peer)))
}

/// Waits for `pause`, or until `stop` has ended.
fn is_stopped_within(stop: &UnixStream, pause: Duration) -> bool {
    let woken = sys::wait_readable(stop.as_fd(), None, Instant::now() + pause);
    if woken.is_err() {
        sync::sleep(pause);
    }
    woken.is_ok_and(|woken| woken == Woken::Ready)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{self, RecvTimeoutError, Sender};

    /// Admits every other connection and tells of it.
    struct EveryOther(Sender<Result<SocketAddr, u16>>);

    /// The port of the peer; 0: the system failed.
    struct Refusal(u16);

    impl From<AcceptError> for Refusal {
        fn from(_: AcceptError) -> Refusal {
            Refusal(0)
        }
    }

    impl Admit for EveryOther {
        type Refusal = Refusal;

        fn admit(&self, _: TcpStream, peer: SocketAddr) -> Result<(), Refusal> {
            match peer.port() % 2 {
                0 => self.0.send(Ok(peer)).map_err(|_| Refusal(0)),
                _ => Err(Refusal(peer.port())),
            }
        }

        fn refused(&self, Refusal(port): Refusal) {
            let _ = self.0.send(Err(port));
        }
    }

    #[test]
    fn connections_are_admitted_or_refused_until_it_is_dropped() {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let shared = listener.try_clone().unwrap();
        let (sender, admitted) = mpsc::channel();
        let acceptor = Acceptor::start(listener, "listener", EveryOther(sender)).unwrap();
        let port = acceptor.addr().port();
        let early = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let waited = admitted.recv_timeout(Duration::from_millis(50));
        assert_eq!(waited, Err(RecvTimeoutError::Timeout), "it is not open");
        acceptor.open();
        let told = admitted.recv().unwrap();
        let told = told.map_or_else(|port| port, |peer| peer.port());
        assert_eq!(told, early.local_addr().unwrap().port());
        for _ in 0..8 {
            let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let peer = socket.local_addr().unwrap();
            let want = if peer.port().is_multiple_of(2) {
                Ok(peer)
            } else {
                Err(peer.port())
            };
            assert_eq!(admitted.recv().unwrap(), want);
            assert_eq!(socket.read(&mut [0]).unwrap(), 0, "dropped by its user");
        }
        drop(acceptor);
        assert!(admitted.recv().is_err(), "the thread has ended");
        // Another owner of the socket gets the connections that come later.
        let _late = TcpStream::connect(("127.0.0.1", port)).unwrap();
        shared.set_nonblocking(false).unwrap();
        assert!(shared.accept().is_ok());
    }

    #[test]
    fn one_that_was_never_open_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (sender, admitted) = mpsc::channel();
        drop(Acceptor::start(listener, "listener", EveryOther(sender)).unwrap());
        assert!(admitted.recv().is_err(), "the thread has ended");
    }

    #[test]
    fn a_pause_ends_when_it_is_stopped() {
        let (stop, stopped) = UnixStream::pair().unwrap();
        assert!(!is_stopped_within(&stopped, Duration::from_millis(1)));
        drop(stop);
        let began = Instant::now();
        assert!(is_stopped_within(&stopped, Duration::from_secs(10)));
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
