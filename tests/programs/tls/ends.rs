//! Clients that reset the connection, or close their side of it without a word of TLS, after any number of
//! bytes: in the handshake of TLS, in that of RTMP, and while media flows.

use super::front::{Front, TlsClient};
use super::strangers::sockets;
use super::{BEGINNING, wait_until};
use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long the helper and the server may keep a connection whose client sends nothing any more.
const KEPT_MAX: Duration = Duration::from_secs(4);

/// How a connection ends, when one side has said so much.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Both directions at once, with a reset where something is left to read.
    Close,
    /// Only what the client sends.
    HalfClose,
}

/// Whose bytes are counted until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Client,
    Server,
}

/// Bytes of each: through both handshakes and all that is said up to the first picture.
fn lengths(sender: Sender) -> Vec<u64> {
    let all = match sender {
        Sender::Client => [0, 1, 5, 100, 300, 400, 600, 1500, 2200, 3900, 4200, 4500],
        Sender::Server => [
            1, 5, 100, 900, 1300, 1700, 2500, 4000, 4800, 5200, 5400, 5600,
        ],
    };
    all.to_vec()
}

/// A way to `far` that ends so; tells for how long the connection was kept then, or `None` if it was not
/// closed.
fn way(
    far: SocketAddr,
    sender: Sender,
    len: u64,
    end: End,
) -> (SocketAddr, Receiver<Option<Duration>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    let (ended, told) = channel();
    thread::spawn(move || {
        let near = listener.accept().expect("a client").0;
        let far = TcpStream::connect(far).expect("connect");
        ended.send(cut(&near, &far, sender, len, end))
    });
    (addr, told)
}

fn cut(near: &TcpStream, far: &TcpStream, sender: Sender, len: u64, end: End) -> Option<Duration> {
    // A client may have said everything by then, and waits.
    near.set_read_timeout(Some(Duration::from_millis(500)))
        .expect("timeout");
    far.set_read_timeout(Some(Duration::from_millis(500)))
        .expect("timeout");
    thread::scope(|scope| {
        let other = scope.spawn(move || match sender {
            Sender::Client => io::copy(&mut &*far, &mut &*near),
            Sender::Server => io::copy(&mut &*near, &mut &*far),
        });
        let _ = match sender {
            Sender::Client => io::copy(&mut near.take(len), &mut &*far),
            Sender::Server => io::copy(&mut far.take(len), &mut &*near),
        };
        let began = Instant::now();
        let kept = match end {
            End::Close => {
                let _ = far.shutdown(Shutdown::Both);
                Some(Duration::ZERO)
            }
            End::HalfClose => {
                let _ = far.shutdown(Shutdown::Write);
                far.set_read_timeout(Some(KEPT_MAX)).expect("timeout");
                time_to_end(far).then(|| began.elapsed())
            }
        };
        let _ = near.shutdown(Shutdown::Both);
        let _ = other.join();
        kept
    })
}

/// Whether the other side closes in time.
fn time_to_end(mut socket: &TcpStream) -> bool {
    let began = Instant::now();
    let mut buffer = [0; 16 << 10];
    while began.elapsed() < KEPT_MAX {
        match socket.read(&mut buffer) {
            Ok(1..) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            Ok(0) | Err(_) => return true,
        }
    }
    false
}

/// Threads and descriptors of the server, and sockets of the helper.
fn usage(front: &Front, helper: u32) -> (u64, usize, usize) {
    let own = sockets(front.server.pid());
    (front.server.threads(), own, sockets(helper))
}

#[test]
fn clients_may_end_after_any_byte() {
    let front = Front::start("ends", "-merge 0 -grace 0");
    let helper = front.helper();
    let mut publisher = front.client();
    publisher.publish("cam");
    publisher.client.send_media(&BEGINNING);
    let mut viewer = front.client();
    viewer.play("cam");
    viewer.client.expect(&BEGINNING);
    let mut number = 1;
    let mut go_on = || {
        number += 1;
        let picture = format!("V key {} @{}", number % 200, number * 10);
        publisher.client.send_media(&[&picture]);
        viewer.client.lines_until(&picture);
        thread::sleep(Duration::from_millis(10));
    };
    let before = usage(&front, helper);
    for (end, sender) in [
        (End::Close, Sender::Client),
        (End::Close, Sender::Server),
        (End::HalfClose, Sender::Client),
        (End::HalfClose, Sender::Server),
    ] {
        let ways = lengths(sender).into_iter().map(|len| {
            let (addr, told) = way(front.tls, sender, len, end);
            let what = format!("{end:?} after {len} bytes of the {sender:?}");
            // It gets as far as the way lets it, and ends in a panic.
            let client = thread::spawn(move || {
                let mut client = TlsClient::connected(addr, "127.0.0.1");
                client.play("cam");
                client.client.lines_until("end");
            });
            (what, told, client)
        });
        let ways: Vec<_> = ways.collect();
        for (what, told, client) in ways {
            let kept = loop {
                go_on();
                if let Ok(kept) = told.try_recv() {
                    break kept;
                }
            };
            println!("{what}: {kept:?}");
            assert!(kept.is_some(), "{what}: still there");
            let _ = client.join();
        }
        wait_until(&format!("the end of all, {end:?} {sender:?}"), || {
            go_on();
            let now = usage(&front, helper);
            now.0 <= before.0 && now.1 <= before.1 && now.2 <= before.2
        });
    }
    assert_eq!(front.helper(), helper, "it is another one");
}
