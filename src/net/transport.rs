//! A socket as the transport of an outbox, shared by the threads that read, send and hang up.

use super::Socket;
use super::awake_writer::AwakeWriter;
use crate::queue::{Done, Transport, Writer};
use crate::sys;
use std::io;
use std::net::Shutdown;
use std::time::Duration;

/// A socket that several threads use.
#[derive(Debug)]
pub struct SharedSocket(pub Socket);

impl SharedSocket {
    /// Ends the connection in both directions, which wakes the threads that use it.
    pub fn hang_up(&self) {
        // It may be closed already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Transport for SharedSocket {
    fn send_now(&self, bytes: &[u8]) -> io::Result<usize> {
        sys::send_now(&self.0, bytes)
    }

    fn limit_write(&self, limit: Duration) -> io::Result<bool> {
        let is_less = self.0.write_timeout()?.is_none_or(|before| limit < before);
        if is_less {
            self.0.set_write_timeout(Some(limit))?;
        }
        Ok(is_less)
    }

    fn hang_up(&self) {
        SharedSocket::hang_up(self);
    }
}

/// The body of a writer thread: sends all that is queued for `socket`. After the closing messages it
/// closes our direction and waits a little for the peer to close its own.
///
/// # Errors
///
/// Those of the socket; `WouldBlock` when a write took longer than the socket allows.
pub fn send_all(socket: &SharedSocket, writer: Writer) -> io::Result<Done> {
    let done = writer.run(AwakeWriter(&socket.0))?;
    if done == Done::Drained {
        // Not to send a reset: it would destroy what the peer has not read yet.
        let _ = socket.0.shutdown(Shutdown::Write);
        writer.linger();
    }
    Ok(done)
}

/// As [`send_all`], on a thread that keeps the outbox alive, and has nothing else to do until the end: what
/// it called before was deeper than sending is. Closes nothing.
///
/// # Errors
///
/// As [`send_all`].
pub fn send_all_holding(socket: &SharedSocket, writer: &Writer) -> io::Result<Done> {
    sys::give_back_stack();
    writer.run_holding(AwakeWriter(&socket.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Budget;
    use crate::queue::{self, Cause, Framing, Offer, PeerKind};
    use crate::rtmp::{Message, MessageType, StreamId, Timestamp};
    use std::io::Read;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Instant;

    fn sound(len: usize) -> Message {
        Message {
            timestamp: Timestamp(0),
            kind: MessageType::AUDIO,
            stream: StreamId(1),
            payload: vec![0; len].into(),
        }
    }

    /// How a peer ends that takes so many bytes every 10 ms while its connection is drained.
    fn drain(
        pair: (Socket, Socket),
        limit: Duration,
        taken: usize,
    ) -> (io::Result<Done>, Option<Cause>, Duration) {
        let (socket, far) = pair;
        socket
            .set_write_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        let socket = Arc::new(SharedSocket(socket));
        let transport = Arc::clone(&socket) as Arc<dyn Transport>;
        let budget = Arc::new(Budget::new(1 << 30));
        let chunks = Framing::chunks();
        let (outbox, writer) =
            queue::outbox(transport, PeerKind::Server, chunks, Arc::default(), budget);
        // More than sockets keep.
        while outbox.waiting_bytes() < 12 << 20 {
            assert_ne!(
                outbox.push_media(StreamId(1), vec![sound(1 << 20)]),
                Offer::Full
            );
        }
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let reader = thread::spawn(move || {
            let mut buffer = vec![0; taken];
            while !told.load(Ordering::Relaxed) {
                let is_over = (&far).read(&mut buffer).is_ok_and(|len| len == 0);
                if is_over && taken > 0 {
                    return;
                }
                thread::sleep(Duration::from_millis(10));
            }
        });
        let began = Instant::now();
        outbox.drain_within(limit, vec![]);
        let done = writer.run(&socket.0);
        let took = began.elapsed();
        is_over.store(true, Ordering::Relaxed);
        socket.hang_up();
        reader.join().unwrap();
        (done, outbox.cause(), took)
    }

    #[test]
    fn a_peer_that_takes_little_has_a_limit_in_all() {
        let limit = Duration::from_millis(400);
        let rows = [0, 4 << 10].map(|taken| Socket::pairs().map(|pair| (pair, taken)));
        for (pair, taken) in rows.into_iter().flatten() {
            let what = format!("{:?}, {taken}", pair.0);
            let (done, cause, took) = drain(pair, limit, taken);
            assert_eq!(
                done.unwrap_err().kind(),
                io::ErrorKind::WouldBlock,
                "{what}"
            );
            assert_eq!(cause, Some(Cause::RestNotTaken), "{what}");
            assert!(took >= limit && took < 4 * limit, "{what}: {took:?}");
        }
    }

    #[test]
    fn a_peer_that_takes_all_within_the_limit_gets_it() {
        for pair in Socket::pairs() {
            let what = format!("{:?}", pair.0);
            let (done, cause, _) = drain(pair, Duration::from_secs(10), 1 << 20);
            assert_eq!((done.unwrap(), cause), (Done::Drained, None), "{what}");
        }
    }
}
