//! Peers that take little of what is left when their stream is over. It takes a minute to see.

use super::network::roles::{finish, picture};
use crate::support::real::real;
use crate::support::{Client, TestServer};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long they may take in all, and how much longer the server may take to see that it is over.
const LIMIT: Duration = Duration::from_secs(60);
const LATE_MAX: Duration = Duration::from_secs(5);

/// Bytes of a picture, and how many are more than sockets hold.
const LEN: usize = 256 << 10;
const PICTURES: u32 = 60;

/// Takes a little, again and again: so much that it takes something every 30 s, as the other end sees it.
fn trickle(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = [0; 32 << 10];
    loop {
        let len = from.read(&mut buffer)?;
        if len == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..len])?;
        thread::sleep(Duration::from_millis(300));
    }
}

/// A way to `far` on which little gets through once it `is_slow`.
fn way(far: SocketAddr, is_slow: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let mut near = listener.accept().expect("a connection").0;
        let mut far = TcpStream::connect(far).expect("connect");
        let (mut back, mut to) = (
            far.try_clone().expect("clone"),
            near.try_clone().expect("clone"),
        );
        thread::spawn(move || io::copy(&mut back, &mut to));
        let mut buffer = [0; 4 << 10];
        while !is_slow.load(Ordering::Relaxed) {
            let len = near.read(&mut buffer).expect("the relay");
            far.write_all(&buffer[..len]).expect("the destination");
        }
        let _ = trickle(&mut near, &mut far);
        let _ = near.shutdown(std::net::Shutdown::Both);
    });
    addr
}

#[test]
fn peers_that_take_little_of_the_rest_are_given_up() {
    if !super::is_long() {
        return;
    }
    let far = TestServer::start("");
    let is_slow = Arc::new(AtomicBool::new(false));
    let near = TestServer::start(&format!(
        "-http-listen 127.0.0.1:0 -relay-to rtmp://{}/live",
        way(far.addr, is_slow.clone())
    ));
    let mut publisher = near.publisher("x");
    publisher.send(&real("V head 1 @0"));
    publisher.send(&picture(0, 100));
    let viewer = near.playing("x");
    let flv = crate::support::http::HttpReply::get(near.media_addr(), "/live/x.flv");
    Client::playing(far.addr, "x").lines_until("V key");
    is_slow.store(true, Ordering::Relaxed);
    for number in 1..PICTURES {
        publisher.send(&picture(number, LEN));
    }
    near.wait_for_count((3, 1, 2));
    finish(&mut publisher);
    drop(publisher);
    let began = Instant::now();
    let slow: [Box<dyn Read + Send>; 2] = [Box::new(viewer.socket), Box::new(flv.body)];
    for mut socket in slow {
        thread::spawn(move || trickle(&mut socket, &mut io::sink()));
    }
    let is_left = || near.server().count().0 > 0 || !near.server().snapshot().relays.is_empty();
    while is_left() && began.elapsed() < LIMIT + LATE_MAX {
        thread::sleep(Duration::from_millis(100));
    }
    let took = began.elapsed();
    assert!(
        took >= LIMIT && !is_left(),
        "{took:?}: {:?}, {:?}",
        near.server().count(),
        near.server().snapshot().relays
    );
    let totals = near.server().snapshot().totals;
    assert_eq!((totals.zombies, totals.relay_failures), (2, 1));
}
