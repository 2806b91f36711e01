//! Connections that begin with a PROXY header: whose they are, and which are closed.

use crate::support::process::{ServerProcess, fact};
use crate::support::{Client, PATIENCE, TestServer, wait_until};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

/// A server that proxies of this machine connect to as well, and the address where they do.
fn behind_a_proxy(before: &str, flags: &str) -> (ServerProcess, SocketAddr) {
    let flags = format!("-proxy-listen 127.0.0.1:0 -log-level debug {flags}");
    let server = ServerProcess::start_with(before, &flags);
    let line = server.wait_for_line("listening");
    let addr = fact(&line, "addr").and_then(|addr| addr.parse().ok());
    (server, addr.expect("an address"))
}

fn connect(addr: SocketAddr, header: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(addr).expect("connect");
    socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
    socket.write_all(header).expect("the header");
    socket
}

/// Shakes hands behind a header, and connects.
fn client(addr: SocketAddr, header: &[u8]) -> Client {
    let mut client = Client::shake_hands_over(connect(addr, header), |_, s1| *s1);
    client.connect("live");
    client
}

/// Version 2 for IPv4, with the field that says whether the client came by TLS.
fn version_2(ip: [u8; 4], port: u16, tls: bool) -> Vec<u8> {
    let ports = [port.to_be_bytes(), 1935_u16.to_be_bytes()].concat();
    let ssl = [0x20, 0, 5, u8::from(tls), 0, 0, 0, 0];
    [
        &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x14"[..],
        &ip,
        &[192, 0, 2, 200],
        &ports,
        &ssl,
    ]
    .concat()
}

/// The headers of `testdata/proxy.txt` that are refused, with the reason.
fn refused_headers() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let (_, text) = include_str!("../../testdata/proxy.txt")
        .split_once("\n\n")
        .expect("rows");
    let lines: Vec<&str> = text.lines().collect();
    let row = |pair: &[&'static str]| {
        let (hex, error) = pair[1].split_once(" | error: ")?;
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
        let bytes = (0..hex.len()).step_by(2).map(byte).collect();
        Some((pair[0], bytes, error))
    };
    lines.chunks_exact(2).filter_map(row).collect()
}

#[test]
fn the_address_is_the_clients_own_in_log_hook_and_list() {
    let flags = "-hook-stdio-format json -metrics-addr 127.0.0.1:0";
    let (server, addr) = behind_a_proxy("exec 2>&1", flags);
    let line = server.wait_for_line("serving HTTP");
    let web: SocketAddr = fact(&line, "addr").unwrap().parse().unwrap();
    let own = "127.0.0.1:";
    let rows: [(&[u8], &str, bool); 6] = [
        (
            b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 1935\r\n",
            "192.0.2.7:4711",
            false,
        ),
        (
            b"PROXY TCP6 2001:db8::7 ::1 4711 1935\r\n",
            "[2001:db8::7]:4711",
            false,
        ),
        (b"PROXY UNKNOWN\r\n", own, false),
        (
            &version_2([192, 0, 2, 8], 4712, false),
            "192.0.2.8:4712",
            false,
        ),
        (
            &version_2([192, 0, 2, 9], 4713, true),
            "192.0.2.9:4713",
            true,
        ),
        (LOCAL, own, false),
    ];
    for (header, want, tls) in rows {
        let client = client(addr, header);
        // Events and log lines are written by different threads.
        let (mut event, mut line) = (None, None);
        while event.is_none() || line.is_none() {
            let next = server.wait_for_line("");
            if next.contains("\"type\":\"connection_accept\"") {
                event = Some(next);
            } else if next.contains("client connected") {
                line = Some(next);
            }
        }
        let (event, line) = (event.unwrap(), line.unwrap());
        assert!(
            event.contains(&format!("\"remote_addr\":\"{want}")),
            "{event}"
        );
        assert!(event.contains(&format!("\"tls\":{tls}")), "{event}");
        assert!(
            fact(&line, "peer_addr").unwrap().starts_with(want),
            "{line}"
        );
        // The list is made anew a few times a second.
        wait_until("the list", || {
            let mut request = TcpStream::connect(web).unwrap();
            let asked = b"GET /api/connections HTTP/1.0\r\n\r\n";
            request.write_all(asked).unwrap();
            let mut list = String::new();
            request.read_to_string(&mut list).unwrap();
            list.contains(&format!("\"addr\":\"{want}")) && list.contains(&format!("\"tls\":{tls}"))
        });
        drop(client);
        let line = server.wait_for_line("connection closed");
        assert!(
            fact(&line, "peer_addr").unwrap().starts_with(want),
            "{line}"
        );
    }
}

#[test]
fn a_wrong_header_ends_its_connection_and_nothing_else() {
    let (server, addr) = behind_a_proxy("", "-merge 0");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let mut viewer = server.playing("x");
    viewer.expect(&["V head 1 @0", "V key 1 @0"]);
    let cut = (
        "cut off",
        version_2([192, 0, 2, 8], 1, false)[..20].to_vec(),
        "ends inside the PROXY header",
    );
    let mut rows = refused_headers();
    rows.push(cut);
    for (index, (name, bytes, error)) in rows.into_iter().enumerate() {
        let mut socket = connect(addr, &bytes);
        let _ = socket.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        // What was not read of it makes this a reset.
        let _ = socket.read_to_end(&mut answer);
        assert_eq!(answer, [], "{name}");
        let line = server.wait_for_line("PROXY header refused");
        assert_eq!(fact(&line, "error"), Some(error), "{name}");
        let time = format!("V inter 2 @{}", 40 + index);
        publisher.send_media(&[&time]);
        viewer.expect(&[&time]);
    }
}

#[test]
fn only_known_proxies_are_believed() {
    let rows = [
        ("", true),
        ("-proxy-from 127.0.0.0/8", true),
        ("-proxy-from 192.0.2.0/24 -proxy-from 127.0.0.1", true),
        ("-proxy-from 192.0.2.0/24", false),
        ("-proxy-from ::1", false),
    ];
    for (flags, believed) in rows {
        let flags = format!("-proxy-listen 127.0.0.1:0 {flags}");
        let server = TestServer::start(&flags);
        let addr = server.server().addrs()[1];
        let header = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 1935\r\n";
        let mut socket = connect(addr, &[&header[..], &[3; 1537]].concat());
        let read = socket.read(&mut [0]);
        assert_eq!(matches!(read, Ok(1)), believed, "{flags}: {read:?}");
        let refused = server.server().snapshot().totals.proxy_refusals;
        assert_eq!(refused, u64::from(!believed), "{flags}");
    }
}

#[test]
fn health_checks_are_quiet() {
    let (server, addr) = behind_a_proxy("exec 2>&1", "-hook-stdio-format json");
    for header in [&b""[..], LOCAL, b"PROXY UNKNOWN\r\n", b"OWN"] {
        let mut socket = TcpStream::connect(addr).expect("connect");
        let (ip, port) = (addr.ip(), socket.local_addr().unwrap().port());
        // haproxy says so of its checks with version 1.
        let own = format!("PROXY TCP4 {ip} {ip} {port} 1\r\n");
        let header = if header == b"OWN" {
            own.as_bytes()
        } else {
            header
        };
        socket.write_all(header).expect("the header");
        drop(socket);
        let lines = server.lines_until("connection closed unused");
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("\"level\":\"debug\""), "{lines:?}");
    }
    // One that the proxy uses itself is a connection like any other.
    drop(client(addr, LOCAL));
    server.wait_for_line("connection closed");
}

/// The address of a client, or its network of IPv6.
#[test]
fn connections_count_for_the_address_of_the_client() {
    // Where a client comes from, and another; where one comes from that is as the first.
    let rows = [
        ("TCP4 192.0.2.7", "TCP4 192.0.2.8", "TCP4 192.0.2.7"),
        (
            "TCP6 2001:db8::7",
            "TCP6 2001:db8:0:1::7",
            "TCP6 2001:db8::8",
        ),
    ];
    for (ip, other, same) in rows {
        let server = TestServer::start("-proxy-listen 127.0.0.1:0 -max-connections-per-ip 1");
        let addr = server.server().addrs()[1];
        let header = |ip: &str| {
            let to = if ip.starts_with("TCP6") {
                "::1"
            } else {
                "192.0.2.1"
            };
            format!("PROXY {ip} {to} 4711 1935\r\n").into_bytes()
        };
        let first = client(addr, &header(ip));
        let _other = client(addr, &header(other));
        let mut second = connect(addr, &[header(same), vec![3; 1537]].concat());
        assert!(!matches!(second.read(&mut [0]), Ok(1)), "{same}: let in");
        wait_until("the count", || {
            server.server().snapshot().totals.connections_refused == 1
        });
        assert_eq!(server.server().snapshot().totals.proxy_refusals, 0);
        drop(first);
        wait_until("room", || server.server().count().0 == 1);
        let _third = client(addr, &header(same));
    }
}

/// Connections whose header has not come count as well, and give way to those that come after them.
#[test]
fn those_that_say_nothing_are_counted_and_give_way() {
    let server = TestServer::start("-proxy-listen 127.0.0.1:0 -max-connections 2");
    let addr = server.server().addrs()[1];
    let mut silent = [connect(addr, b""), connect(addr, b"PROXY ")];
    wait_until("both", || server.server().count().0 == 2);
    let mut third = client(addr, &version_2([192, 0, 2, 7], 1, false));
    assert!(matches!(silent[0].read(&mut [0]), Ok(0) | Err(_)));
    assert_eq!(server.server().count().0, 2);
    third.create_stream();
    let totals = server.server().snapshot().totals;
    let counts = (totals.connections_displaced, totals.connections_refused);
    assert_eq!(counts, (1, 0));
}

#[test]
fn header_and_handshake_share_their_time() {
    let server = TestServer::start("-proxy-listen 127.0.0.1:0");
    let addr = server.server().addrs()[1];
    let began = Instant::now();
    let trickle = std::thread::spawn(move || {
        let mut socket = connect(addr, b"");
        let line = b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 1935\r\n";
        for byte in line.iter().chain(std::iter::repeat(&3)) {
            std::thread::sleep(Duration::from_millis(100));
            if socket.write_all(&[*byte]).is_err() {
                break;
            }
        }
    });
    let mut silent = connect(addr, b"");
    silent.set_read_timeout(Some(2 * PATIENCE)).unwrap();
    assert!(matches!(silent.read(&mut [0]), Ok(0) | Err(_)));
    trickle.join().unwrap();
    let took = began.elapsed();
    assert!(took > Duration::from_secs(9), "{took:?}");
    assert!(took < Duration::from_secs(13), "{took:?}");
    let totals = server.server().snapshot().totals;
    assert_eq!((totals.proxy_refusals, totals.handshake_failures), (1, 1));
}
