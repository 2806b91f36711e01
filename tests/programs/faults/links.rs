//! Other servers that reset the connection, or close their side of it, after any number of bytes.

use crate::support::{Client, TestServer, wait_until};
use rtmp_server::rtmp::handshake;
use rtmp_server::stats::LinkState;
use std::io::{self, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// How the way to the other server ends, the first time.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Both sides at once, with a reset where bytes are left to read.
    Close,
    /// Only what comes from the other server.
    HalfClose,
}

/// How long the server may keep a connection to one that sends nothing any more.
const KEPT_MAX: Duration = Duration::from_secs(4);

/// How long the other server is silent when it has said everything that it says of itself.
const SAID: Duration = Duration::from_millis(700);

/// Bytes of the other server after which the way ends: in the handshake, at its end, and through all
/// that is said up to the first media.
fn lengths() -> Vec<u64> {
    let handshake = 1 + 2 * handshake::PACKET_LEN as u64;
    let said = (0..20).map(|step| handshake + step * 60);
    [0, 1, 700, 1537].into_iter().chain(said).collect()
}

/// A way to `far` that ends after `len` bytes of it, and the next time does not.
fn way(far: SocketAddr, len: u64, end: End) -> (SocketAddr, Receiver<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    let (ended, told) = channel();
    thread::spawn(move || {
        let near = listener.accept().expect("a connection").0;
        ended.send(cut(near, far, len, end)).expect("a test");
        let near = listener.accept().expect("another connection").0;
        let far = TcpStream::connect(far).expect("connect");
        let (from, to) = (
            near.try_clone().expect("clone"),
            far.try_clone().expect("clone"),
        );
        thread::spawn(move || pass(from, to));
        pass(far, near);
    });
    (addr, told)
}

/// Passes bytes on until there are none, and the end of them as well.
fn pass(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

/// Whether the server has ended a connection that was closed for it.
fn cut(mut near: TcpStream, far: SocketAddr, len: u64, end: End) -> bool {
    let far = TcpStream::connect(far).expect("connect");
    let (from, to) = (
        near.try_clone().expect("clone"),
        far.try_clone().expect("clone"),
    );
    // What the server says goes on to the other one as long as that is there.
    let passing = (len > 0).then(|| thread::spawn(move || pass(from, to)));
    // It may have said everything by then.
    far.set_read_timeout(Some(SAID)).expect("timeout");
    let _ = io::copy(&mut (&far).take(len), &mut &near);
    let _ = far.shutdown(Shutdown::Both);
    match end {
        End::Close => {
            if let Some(passing) = passing {
                let _ = near.shutdown(Shutdown::Both);
                passing.join().expect("the other direction");
            }
            true
        }
        End::HalfClose => {
            near.shutdown(Shutdown::Write).expect("shutdown");
            near.set_read_timeout(Some(KEPT_MAX)).expect("timeout");
            let mut buffer = [0; 64 << 10];
            loop {
                match near.read(&mut buffer) {
                    Ok(1..) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                    Ok(0) | Err(_) => return true,
                }
            }
        }
    }
}

/// A publisher and a viewer beside that.
fn go_on(publisher: &mut Client, viewer: &mut Client, number: u32) {
    let picture = format!("V key 1 @{}", number * 40);
    publisher.send_media(&[&picture]);
    viewer.expect(&[&picture]);
}

/// Through ways that end after any number of bytes, in each of these ways.
fn ways(far: SocketAddr) -> Vec<(String, SocketAddr, Receiver<bool>)> {
    let ends = [End::Close, End::HalfClose];
    let rows = ends.map(|end| lengths().into_iter().map(move |len| (len, end)));
    let rows = rows.into_iter().flatten();
    rows.map(|(len, end)| {
        let (addr, told) = way(far, len, end);
        (format!("{end:?} after {len} bytes"), addr, told)
    })
    .collect()
}

#[test]
fn other_servers_may_end_after_any_byte() {
    let far = TestServer::start("-max-connections 4096");
    let mut source = far.publisher("source");
    let ways = ways(far.addr);
    let flags = ways
        .iter()
        .enumerate()
        .map(|(row, (_, addr, _))| match row % 2 {
            0 => format!("-relay-to live/x=rtmp://{addr}/live/r{row} "),
            _ => format!("-pull live/p{row}=rtmp://{addr}/live/source "),
        });
    let near = TestServer::start(&flags.collect::<String>());
    let mut publisher = near.publisher("x");
    let mut viewer = near.playing("x");
    let mut number = 0;
    let mut next = |source: &mut Client| {
        go_on(&mut publisher, &mut viewer, number);
        source.send_media(&[&format!("V key 1 @{}", number * 40)]);
        thread::sleep(Duration::from_millis(5));
        number += 1;
    };
    for (what, _, told) in &ways {
        let ended = loop {
            match told.try_recv() {
                Ok(ended) => break ended,
                Err(_) => next(&mut source),
            }
        };
        assert!(ended, "{what}: the connection is still there");
    }
    wait_until("all to be connected again", || {
        next(&mut source);
        let snapshot = near.server().snapshot();
        let relays = snapshot
            .relays
            .iter()
            .map(|relay| (relay.state, relay.messages));
        let pulls = snapshot.pulls.iter().map(|pull| (pull.state, 1));
        let up = |(state, media): &(LinkState, u64)| *state == LinkState::Connected && *media > 0;
        relays.chain(pulls).filter(up).count() == ways.len()
    });
}
