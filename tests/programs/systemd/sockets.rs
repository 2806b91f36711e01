//! Listening sockets that are passed to the service.

use super::service::{PASS_ONE, Service, run};
use crate::programs::rtmps::terminator::Dir;
use crate::support::process::fact;
use crate::support::{Client, PATIENCE};
use rtmp_server::rtmp::handshake;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

fn socket() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").expect("bind");
    let addr = socket.local_addr().expect("address");
    (socket, addr)
}

/// Where the service says it listens, up to its first client.
fn addrs(service: &Service) -> Vec<String> {
    let lines = service.lines_until("client connected");
    let listening = lines.iter().filter(|line| line.contains("listening"));
    listening
        .map(|line| fact(line, "addr").expect("address").to_owned())
        .collect()
}

#[test]
fn a_passed_socket_takes_the_place_of_the_default() {
    let (socket, addr) = socket();
    let service = Service::on(&socket, "-log-format json");
    Client::publishing(addr, "x");
    assert_eq!(addrs(&service), [addr.to_string()]);
}

#[test]
fn a_passed_socket_is_there_beside_those_asked_for() {
    let (socket, addr) = socket();
    let service = Service::on(&socket, "-log-format json -listen 127.0.0.1:0");
    let mut publisher = Client::publishing(addr, "x");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let addrs = addrs(&service);
    assert_eq!((addrs.len(), &addrs[0]), (2, &addr.to_string()));
    let other = addrs[1].parse().expect("address");
    Client::playing(other, "x").expect(&["V head 1 @0", "V key 1 @0"]);
}

#[test]
fn what_is_passed_to_another_process_is_left_alone() {
    let (socket, addr) = socket();
    for before in [
        "exec 3<&0; export LISTEN_PID=1 LISTEN_FDS=1",
        "exec 3<&0; export LISTEN_FDS=1",
        "exec 3<&0; export LISTEN_PID=$$",
        "exec 3<&0; export LISTEN_PID=$$ LISTEN_FDS=0",
    ] {
        let passed = socket.try_clone().expect("clone").into();
        let flags = "-log-format json -listen 127.0.0.1:0";
        let service = Service::start(before, Some(passed), flags);
        let line = service.lines_until("listening").remove(0);
        assert_ne!(fact(&line, "addr"), Some(&*addr.to_string()), "{before}");
    }
}

#[test]
fn a_wrong_descriptor_is_one_line_and_no_start() {
    let tcp = || -> OwnedFd { socket().0.into() };
    let (socket, addr) = socket();
    let connected = TcpStream::connect(addr).expect("connect");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let path = std::env::temp_dir().join(format!("rtmp-server-{}.sock", std::process::id()));
    let unix = UnixListener::bind(&path).expect("bind");
    std::fs::remove_file(path).expect("remove");
    let file = File::open("/dev/null").expect("open");
    let two = PASS_ONE.replace("FDS=1", "FDS=2");
    let huge = PASS_ONE.replace("FDS=1", "FDS=2147483644");
    let no_number = PASS_ONE.replace("FDS=1", "FDS=one");
    let not = "not a TCP socket that listens";
    let rows: [(&str, OwnedFd, &str); 7] = [
        (
            PASS_ONE,
            connected.into(),
            &format!("passed descriptor 3 \"\": {not}"),
        ),
        (PASS_ONE, udp.into(), not),
        (PASS_ONE, unix.into(), not),
        (PASS_ONE, file.into(), "Socket operation on non-socket"),
        (&two, tcp(), "passed descriptor 4"),
        (&huge, tcp(), "passed descriptor 4"),
        (&no_number, tcp(), "LISTEN_FDS \"one\": must be a number"),
    ];
    for (before, passed, words) in rows {
        let output = run(before, Some(passed), "");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{words}: {text}");
        assert_eq!(text.lines().count(), 1, "{words}: {text}");
        assert!(text.contains(words), "{words}: {text}");
    }
    drop(socket);
}

#[test]
fn a_passed_socket_that_is_named_so_serves_metrics() {
    let (socket, addr) = socket();
    let passed = socket.try_clone().expect("clone").into();
    let before = format!("{PASS_ONE} LISTEN_FDNAMES=metrics");
    let flags = "-log-format json -listen 127.0.0.1:0 -api-token s3cret";
    let service = Service::start(&before, Some(passed), flags);
    let lines = service.lines_until("serving HTTP");
    let serving = lines.last().and_then(|line| fact(line, "addr"));
    assert_eq!(serving, Some(&*addr.to_string()));
    let told = lines.iter().filter(|line| fact(line, "addr") == serving);
    assert_eq!(told.count(), 1, "once: {lines:?}");
    let mut client = TcpStream::connect(addr).expect("connect");
    let request = b"GET /api/status HTTP/1.0\r\nHost: localhost\r\n\r\n";
    client.write_all(request).expect("a request");
    let mut response = String::new();
    client.read_to_string(&mut response).expect("a response");
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    let listening = lines.iter().find(|line| line.contains("\"listening\""));
    let rtmp = listening.and_then(|line| fact(line, "addr")).expect("addr");
    let told = format!("\"listening\":[\"{rtmp}\"]");
    assert!(response.contains(&told), "{told} in {response}");
}

#[test]
fn a_passed_socket_that_is_named_so_serves_tls() {
    let dir = Dir::new("passed");
    dir.authority("ca");
    dir.certificate("good", "ca", "DNS:localhost,IP:127.0.0.1", 2);
    let (socket, addr) = socket();
    let before = format!("PATH=$PATH:/usr/sbin; {PASS_ONE} LISTEN_FDNAMES=rtmps");
    let pass = || Some(socket.try_clone().expect("clone").into());
    let flags = format!(
        "-log-format json -listen 127.0.0.1:0 -tls-cert {} -tls-key {}",
        dir.path("good.pem"),
        dir.path("good.key")
    );
    let service = Service::start(&before, pass(), &flags);
    let line = service.lines_until("listening for TLS").pop();
    let line = line.expect("a line");
    assert_eq!(fact(&line, "addr"), Some(&*addr.to_string()));
    let mut command = Command::new("openssl");
    let connect = addr.to_string();
    command.args(["s_client", "-connect", &connect, "-verify_return_error"]);
    command.args(["-CAfile", &dir.path("ca.pem"), "-verify_ip", "127.0.0.1"]);
    let output = command.stdin(Stdio::null()).output().expect("openssl");
    assert!(output.status.success(), "{output:?}");

    let output = run(&before, pass(), "-listen 127.0.0.1:0");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(
        told.contains("a passed socket named rtmps, needs -tls-cert"),
        "{told}"
    );
}

#[test]
fn a_passed_socket_that_does_not_block_costs_nothing_while_nobody_comes() {
    let (socket, addr) = socket();
    socket.set_nonblocking(true).expect("set");
    let passed = socket.try_clone().expect("clone").into();
    let before = format!("{PASS_ONE} LISTEN_FDNAMES=metrics");
    let flags = "-log-format json -listen 127.0.0.1:0";
    let service = Service::start(&before, Some(passed), flags);
    service.lines_until("serving HTTP");
    thread::sleep(Duration::from_millis(500));
    // User and system time, in hundredths of a second: fields 14 and 15 of proc(5), stat.
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", service.pid())).expect("stat");
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let spent = [11, 12].map(|index| fields[index].parse::<u32>().expect("a number"));
    assert!(spent.iter().sum::<u32>() < 25, "{spent:?}");
    let mut client = TcpStream::connect(addr).expect("connect");
    let request = b"GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n";
    client.write_all(request).expect("a request");
    let mut response = String::new();
    client.read_to_string(&mut response).expect("a response");
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
}

/// Connects again and again; how many times that was refused.
fn knock(addr: SocketAddr, over: &AtomicBool) -> usize {
    let mut refused = 0;
    while !over.load(Ordering::Relaxed) {
        match TcpStream::connect(addr) {
            Ok(socket) => drop(socket),
            Err(_) => refused += 1,
        }
        // While nobody accepts, 128 of them have room in the socket.
        thread::sleep(Duration::from_millis(20));
    }
    refused
}

/// Sets it when dropped: a test that fails is over too.
struct Set<'a>(&'a AtomicBool);

impl Drop for Set<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A client that has connected and said hello, and was not answered yet.
fn early(addr: SocketAddr) -> TcpStream {
    let mut socket = TcpStream::connect(addr).expect("connect");
    let hello = handshake::hello(0, &handshake::random(7));
    socket
        .write_all(&[&[3][..], &hello].concat())
        .expect("C0 C1");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    socket
}

#[test]
fn nobody_is_refused_while_the_service_restarts() {
    let (socket, addr) = socket();
    let over = AtomicBool::new(false);
    let refused = thread::scope(|scope| {
        let knocking = scope.spawn(|| knock(addr, &over));
        let at_the_end = Set(&over);
        let mut service = Service::on(&socket, "-log-format json");
        for round in 0..3 {
            let mut publisher = Client::publishing(addr, "x");
            publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
            Client::playing(addr, "x").expect(&["V head 1 @0", "V key 1 @0"]);
            service.signal("TERM");
            publisher.lines_until("end");
            drop(publisher);
            assert_eq!(service.wait(), Some(0), "round {round}");
            // These come while there is no server at all, and are served by the next one.
            let mut waiting: Vec<TcpStream> = (0..5).map(|_| early(addr)).collect();
            service = Service::on(&socket, "-log-format json");
            for socket in &mut waiting {
                let mut answer = [0; 1 + 2 * handshake::PACKET_LEN];
                socket.read_exact(&mut answer).expect("S0 S1 S2");
            }
        }
        drop(at_the_end);
        knocking.join().expect("knocking")
    });
    assert_eq!(refused, 0);
}
