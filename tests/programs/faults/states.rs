//! Peers that reset the connection, or close their side of it, in every state that one can be in.

use crate::support::process::ServerProcess;
use crate::support::real::real;
use crate::support::{Client, describe, wait_until};
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::handshake;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// How long the server may keep a connection whose peer sends nothing any more.
const KEPT_MAX: Duration = Duration::from_secs(4);

/// Where the server listens.
struct Ports {
    rtmp: SocketAddr,
    proxy: SocketAddr,
    web: SocketAddr,
    admin: SocketAddr,
}

/// How a peer ends.
#[derive(Clone, Copy, Debug)]
enum End {
    /// It closes: where something is left to read, that is a reset.
    Close,
    /// It sends nothing any more, and reads what comes.
    HalfClose,
}

type Enter = fn(&Ports) -> TcpStream;

fn hello() -> Vec<u8> {
    [&[3][..], &handshake::hello(0, &handshake::random(1))].concat()
}

/// Connected, and this sent.
fn sent(addr: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(addr).expect("connect");
    socket.write_all(bytes).expect("send");
    socket
}

fn request(addr: SocketAddr, path: &str) -> TcpStream {
    let text = format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    sent(addr, text.as_bytes())
}

/// What a client says last is answered, and not read.
fn unread(mut client: Client) -> TcpStream {
    client.call(0, "unread", 7.0, vec![]);
    client.socket
}

fn half_a_picture(ports: &Ports) -> TcpStream {
    let mut client = Client::publishing(ports.rtmp, "half");
    let header = [10, 0, 0, 50, 0, 1, 0, 9, 1, 0, 0, 0];
    client.send_bytes(&[&header[..], &[0x27; 100]].concat());
    unread(client)
}

fn paused(ports: &Ports) -> TcpStream {
    let mut client = Client::playing(ports.rtmp, "x");
    client.call(
        1,
        "pause",
        0.0,
        vec![Value::Boolean(true), Value::Number(0.0)],
    );
    unread(client)
}

/// The states of connections to each port.
const STATES: &[(&str, Enter)] = &[
    ("RTMP: silent", |ports| sent(ports.rtmp, &[])),
    ("RTMP: half of C1", |ports| {
        sent(ports.rtmp, &hello()[..700])
    }),
    ("RTMP: S2 unread", |ports| sent(ports.rtmp, &hello())),
    ("RTMP: handshake done", |ports| {
        Client::shake_hands(ports.rtmp).socket
    }),
    ("RTMP: half of connect", |ports| {
        let mut client = Client::shake_hands(ports.rtmp);
        client.send_bytes(&[3, 0, 0, 0, 0, 1, 0, 20, 0, 0, 0, 0, 2, 0, 7, b'c']);
        client.socket
    }),
    ("RTMP: connected", |ports| {
        unread(Client::connected(ports.rtmp))
    }),
    ("RTMP: publishing", |ports| {
        unread(Client::publishing(ports.rtmp, "y"))
    }),
    ("RTMP: half a picture", half_a_picture),
    ("RTMP: playing", |ports| {
        Client::playing(ports.rtmp, "x").socket
    }),
    ("RTMP: paused", paused),
    ("RTMP: waiting", |ports| {
        unread(Client::asking_to_play(ports.rtmp, "none"))
    }),
    ("PROXY: silent", |ports| sent(ports.proxy, &[])),
    ("PROXY: half a header", |ports| {
        sent(ports.proxy, b"PROXY TCP4 192.0.2")
    }),
    ("PROXY: S2 unread", |ports| {
        let header = b"PROXY TCP4 192.0.2.1 192.0.2.2 99 1935\r\n";
        sent(ports.proxy, &[&header[..], &hello()].concat())
    }),
    ("HTTP: silent", |ports| sent(ports.web, &[])),
    ("HTTP: half a request", |ports| {
        sent(ports.web, b"GET /live/x HT")
    }),
    ("HTTP: page", |ports| request(ports.web, "/live/x")),
    ("HTTP: FLV", |ports| request(ports.web, "/live/x.flv")),
    ("HTTP: MP4", |ports| request(ports.web, "/live/x.mp4")),
    ("HTTP: FLV that waits", |ports| {
        request(ports.web, "/live/none.flv")
    }),
    ("HTTP: HLS that waits", |ports| {
        request(ports.web, "/live/x/index.m3u8")
    }),
    ("admin: silent", |ports| sent(ports.admin, &[])),
    ("admin: half a request", |ports| {
        sent(ports.admin, b"GET /metr")
    }),
    ("admin: metrics", |ports| request(ports.admin, "/metrics")),
];

/// A publisher and a viewer beside all that.
struct Honest {
    publisher: Client,
    viewer: Client,
    pictures: u32,
}

impl Honest {
    fn begin(addr: SocketAddr) -> Honest {
        let mut publisher = Client::publishing(addr, "x");
        let mut viewer = Client::playing(addr, "x");
        let beginning = ["V head 1 @0", "V key 1 @0"];
        beginning
            .iter()
            .for_each(|line| publisher.send(&real(line)));
        viewer.expect(&[&describe(&real(beginning[0])), beginning[1]]);
        Honest {
            publisher,
            viewer,
            pictures: 1,
        }
    }

    /// One more picture comes, and none is missing; a keyframe each second of the stream.
    fn go_on(&mut self) {
        let kind = if self.pictures.is_multiple_of(25) {
            "key"
        } else {
            "inter"
        };
        let picture = format!("V {kind} 1 @{}", self.pictures * 40);
        self.publisher.send(&real(&picture));
        self.viewer.expect(&[&picture]);
        self.pictures += 1;
    }
}

/// Reads until the server ends the connection; how long that took.
fn time_to_end(socket: &mut TcpStream) -> Option<Duration> {
    let began = Instant::now();
    socket.set_read_timeout(Some(KEPT_MAX)).expect("timeout");
    let mut buffer = [0; 64 << 10];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return Some(began.elapsed()),
            Ok(_) if began.elapsed() > KEPT_MAX => return None,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(_) => return Some(began.elapsed()),
        }
    }
}

fn usage(server: &ServerProcess) -> (u64, usize) {
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("descriptors");
    (server.threads(), descriptors.count())
}

#[test]
fn peers_may_end_in_any_state() {
    let server = ServerProcess::start(
        "-merge 0 -wait-stream 60s -grace 0 -hls-segment 500ms -proxy-listen 127.0.0.1:0 \
         -http-listen 127.0.0.1:0 -metrics-addr 127.0.0.1:0",
    );
    // In the order in which they are logged.
    let proxy = server.http_addr("listening");
    let admin = server.http_addr("serving HTTP");
    let web = server.http_addr("serving media over HTTP");
    let ports = Ports {
        rtmp: server.addr,
        proxy,
        web,
        admin,
    };
    let mut honest = Honest::begin(ports.rtmp);
    let before = usage(&server);
    for end in [End::Close, End::HalfClose] {
        let mut entered = Vec::new();
        for (name, enter) in STATES {
            entered.push((*name, enter(&ports)));
            honest.go_on();
        }
        thread::scope(|scope| {
            let ending = |(name, mut socket): (&'static str, TcpStream)| {
                let thread = scope.spawn(move || match end {
                    End::Close => Some(Duration::ZERO),
                    End::HalfClose => {
                        socket.shutdown(Shutdown::Write).expect("shutdown");
                        time_to_end(&mut socket)
                    }
                });
                (name, thread)
            };
            let mut ending: Vec<(&str, ScopedJoinHandle<_>)> =
                entered.into_iter().map(ending).collect();
            while ending.iter().any(|(_, thread)| !thread.is_finished()) {
                honest.go_on();
                thread::sleep(Duration::from_millis(10));
            }
            let kept = ending.drain(..).filter_map(|(name, thread)| {
                let took = thread.join().expect("a reader");
                println!("{end:?} {name}: {took:?}");
                took.is_none().then_some(name)
            });
            let kept: Vec<_> = kept.collect();
            assert!(kept.is_empty(), "{end:?}: still there: {kept:?}");
        });
        wait_until(&format!("the end of all, {end:?}"), || {
            honest.go_on();
            thread::sleep(Duration::from_millis(10));
            // The packager of HLS stays for a while.
            let (threads, descriptors) = usage(&server);
            threads <= before.0 + 1 && descriptors <= before.1
        });
    }
}
