//! Strangers that hold connections and do nothing with them, on every port, beside honest clients.

use crate::support::http::HttpReply;
use crate::support::process::{ServerProcess, fact};
use crate::support::{Client, PATIENCE, TestServer, wait_until};
use rtmp_server::amf0::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// All places that the server has.
const PLACES: usize = 12;

/// How long an honest client may take to begin, on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(3);

/// Where the server listens: for RTMP, for proxies, and for HTTP.
struct Ports {
    rtmp: SocketAddr,
    proxy: SocketAddr,
    http: SocketAddr,
    admin: SocketAddr,
}

/// What a stranger holds; dropped, its connection ends.
enum Hold {
    Socket(TcpStream),
    Client(Client),
}

impl Hold {
    fn socket(&mut self) -> &mut TcpStream {
        match self {
            Hold::Socket(socket) | Hold::Client(Client { socket, .. }) => socket,
        }
    }

    /// Whether the server has closed it.
    fn is_closed(&mut self) -> bool {
        let socket = self.socket();
        socket.set_nonblocking(true).expect("no waiting");
        let mut rest = Vec::new();
        // What was sent before the end comes first; one that is open has nothing more.
        let ended = socket
            .read_to_end(&mut rest)
            .map_or_else(|error| error.kind() != ErrorKind::WouldBlock, |_| true);
        socket.set_nonblocking(false).expect("waiting");
        ended
    }
}

type Stranger = fn(&Ports) -> Hold;

fn says(addr: SocketAddr, words: &[u8]) -> Hold {
    let mut socket = TcpStream::connect(addr).expect("connect");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    socket.write_all(words).expect("send");
    Hold::Socket(socket)
}

fn handshake(addr: SocketAddr) -> Client {
    Client::shake_hands(addr)
}

/// What strangers do before they fall silent.
const STRANGERS: [(&str, Stranger); 12] = [
    ("RTMP: nothing", |at| says(at.rtmp, b"")),
    ("RTMP: half a handshake", |at| says(at.rtmp, &[3; 700])),
    ("RTMP: a handshake", |at| Hold::Client(handshake(at.rtmp))),
    ("RTMP: half a chunk", |at| {
        let mut client = handshake(at.rtmp);
        client.send_bytes(&[3, 0, 0, 0, 0, 1, 0, 20, 0, 0, 0, 0, 2]);
        Hold::Client(client)
    }),
    ("RTMP: connect", |at| {
        let mut client = handshake(at.rtmp);
        client.connect("live");
        Hold::Client(client)
    }),
    ("RTMP: createStream", |at| {
        Hold::Client(Client::connected(at.rtmp))
    }),
    ("RTMP: a playback that it has ended", |at| {
        let mut client = Client::playing(at.rtmp, "cam");
        client.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
        client.call(0, "settle", 9.0, vec![]);
        client.lines_until("_error 9");
        Hold::Client(client)
    }),
    ("PROXY: nothing", |at| says(at.proxy, b"")),
    ("PROXY: half a line", |at| {
        says(at.proxy, b"PROXY TCP4 192.0")
    }),
    ("PROXY: half of version 2", |at| {
        says(at.proxy, b"\r\n\r\n\0\r\nQUIT\n\x21\x11")
    }),
    ("HTTP: half a request", |at| {
        says(at.http, b"GET /live/cam.flv HTTP/1.1\r\nHo")
    }),
    ("HTTP: a request, and then nothing", |at| {
        let mut hold = says(at.http, b"GET /robots.txt HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut reply = [0; 12];
        hold.socket().read_exact(&mut reply).expect("a reply");
        assert_eq!(&reply, b"HTTP/1.1 404");
        hold
    }),
];

/// One address takes all places there are, in each way; others come in all the same, and those that
/// publish and play are not disturbed.
#[test]
fn one_address_keeps_nobody_out() {
    for (what, stranger) in STRANGERS {
        let server = TestServer::start(&format!(
            "-listen :0 -proxy-listen 127.0.0.1:0 -http-listen :0 -max-connections {PLACES}"
        ));
        let by_ipv6 = |addr: SocketAddr| SocketAddr::from((Ipv6Addr::LOCALHOST, addr.port()));
        let addrs = server.server().addrs();
        let ports = Ports {
            rtmp: addrs[0],
            proxy: addrs[2],
            http: SocketAddr::from(([127, 0, 0, 1], server.media_addr().port())),
            admin: addrs[0],
        };
        let honest = by_ipv6(addrs[1]);
        let mut publisher = server.publisher("cam");
        let mut viewer = server.playing("cam");
        let mut strangers: Vec<Hold> = Vec::new();
        for _ in 2..PLACES {
            strangers.push(stranger(&ports));
        }
        wait_until(what, || server.server().count().0 == PLACES);
        let began = Instant::now();
        let _newcomer = Client::publishing(honest, "new");
        let _other = Client::playing(honest, "new");
        let http = HttpReply::get(by_ipv6(server.media_addr()), "/live/new");
        assert_eq!(http.status, 200, "{what}");
        assert!(began.elapsed() < AT_ONCE, "{what}: {:?}", began.elapsed());
        let totals = server.server().snapshot().totals;
        let counts = (totals.connections_displaced, totals.connections_refused);
        assert_eq!(counts, (3, 0), "{what}");
        wait_until(&format!("{what}: three are closed"), || {
            let closed = strangers.iter_mut().map(Hold::is_closed);
            closed.filter(|is_closed| *is_closed).count() == 3
        });
        publisher.send_media(&["A head 2 @0", "A sound 7 @5"]);
        let heard = viewer.lines_until("A sound 7");
        assert!(
            !heard.iter().any(|line| line.starts_with("eof")),
            "{heard:?}"
        );
    }
}

/// The same where the system has no room for more.
#[test]
fn one_address_does_not_take_all_that_the_system_has_room_for() {
    let server = ServerProcess::start_with("ulimit -n 80", "-listen :0");
    let line = server.wait_for_line("listening");
    let addr: SocketAddr = fact(&line, "addr")
        .and_then(|addr| addr.parse().ok())
        .expect("an address");
    let many: Vec<_> = (0..120)
        .map(|_| TcpStream::connect(server.addr).expect("connect"))
        .collect();
    server.wait_for_line("connection refused");
    let honest = SocketAddr::from((Ipv6Addr::LOCALHOST, addr.port()));
    let began = Instant::now();
    let clients = ["a", "b", "c", "d", "e", "f"].map(|name| Client::publishing(honest, name));
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
    let line = server.wait_for_line("connection gave way");
    assert!(line.contains("ulimit -n"), "{line}");
    drop((many, clients));
}

/// A stranger that sends a byte now and then, for as long as it may: where, what first, what over and
/// over, and after how many seconds it is closed.
struct Trickle {
    what: &'static str,
    begin: fn(&Ports) -> Hold,
    bytes: &'static [u8],
    closed_s: std::ops::Range<u64>,
}

const TRICKLES: [Trickle; 9] = [
    Trickle {
        what: "RTMP: C1",
        begin: |at| says(at.rtmp, &[3]),
        bytes: &[7],
        closed_s: 9..14,
    },
    Trickle {
        what: "RTMP: a chunk behind the handshake",
        begin: |at| {
            let mut client = handshake(at.rtmp);
            client.send_bytes(&[3, 0, 0, 0, 0, 64, 0, 20, 0, 0, 0, 0]);
            Hold::Client(client)
        },
        bytes: &[2],
        closed_s: 14..19,
    },
    Trickle {
        what: "RTMP: chunks behind createStream",
        begin: |at| {
            let mut client = Client::connected(at.rtmp);
            client.send_bytes(&[4, 0, 0, 0, 0, 64, 0, 9, 1, 0, 0, 0]);
            Hold::Client(client)
        },
        bytes: &[2],
        closed_s: 14..19,
    },
    Trickle {
        what: "PROXY: a line",
        begin: |at| says(at.proxy, b"PROXY TCP4 "),
        bytes: b"1",
        closed_s: 9..14,
    },
    Trickle {
        what: "PROXY: version 2",
        begin: |at| says(at.proxy, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x07\xff"),
        bytes: &[0],
        closed_s: 9..14,
    },
    Trickle {
        what: "media: a head",
        begin: |at| says(at.http, b"GET /live/cam.flv HTTP/1.1\r\nHost: a\r\nX: "),
        bytes: b"x",
        closed_s: 9..14,
    },
    Trickle {
        what: "media: a body",
        begin: |at| {
            let head = b"GET /live/cam.flv HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n";
            says(at.http, head)
        },
        bytes: b"x",
        closed_s: 9..14,
    },
    Trickle {
        what: "metrics: a head",
        begin: |at| says(at.admin, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: "),
        bytes: b"x",
        closed_s: 9..14,
    },
    Trickle {
        what: "metrics: a body",
        begin: |at| {
            let head = b"DELETE /api/streams/live/cam HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n";
            says(at.admin, head)
        },
        bytes: b"x",
        closed_s: 9..14,
    },
];

impl Trickle {
    /// How long it lasts.
    fn run(&self, ports: &Ports) -> Duration {
        let mut hold = (self.begin)(ports);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(200));
            let socket = hold.socket();
            socket.set_nonblocking(true).expect("no waiting");
            let ended = match socket.read(&mut [0; 4096]) {
                Ok(len) => {
                    len == 0 || self.what.contains(": a head") || self.what.contains(": a body")
                }
                Err(error) => error.kind() != ErrorKind::WouldBlock,
            };
            if ended || socket.write_all(self.bytes).is_err() {
                break;
            }
        }
        began.elapsed()
    }
}

/// They end in time, and a viewer beside them gets every sound soon after it was sent.
#[test]
fn trickles_end_in_time_and_hold_up_nobody() {
    let admin = crate::support::free_addr();
    let server = TestServer::start(&format!(
        "-proxy-listen 127.0.0.1:0 -http-listen 127.0.0.1:0 -metrics-addr {admin}"
    ));
    let addrs = server.server().addrs();
    let ports = Ports {
        rtmp: addrs[0],
        proxy: addrs[1],
        http: server.media_addr(),
        admin,
    };
    let mut publisher = server.publisher("cam");
    publisher.send_media(&["A head 1 @0", "A sound 1 @0"]);
    let mut viewer = server.playing("cam");
    let lasted = std::thread::scope(|scope| {
        let strangers = TRICKLES.each_ref().map(|trickle| {
            let ports = &ports;
            scope.spawn(move || trickle.run(ports))
        });
        let mut longest = Duration::ZERO;
        while strangers.iter().any(|stranger| !stranger.is_finished()) {
            let sent = Instant::now();
            publisher.send_media(&["A sound 2 @40"]);
            viewer.lines_until("A sound 2");
            longest = longest.max(sent.elapsed());
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(longest < AT_ONCE, "a sound took {longest:?}");
        strangers.map(|stranger| stranger.join().expect("a stranger"))
    });
    for (trickle, lasted) in TRICKLES.iter().zip(lasted) {
        let what = trickle.what;
        assert!(
            trickle.closed_s.contains(&lasted.as_secs()),
            "{what}: {lasted:?}"
        );
    }
}
