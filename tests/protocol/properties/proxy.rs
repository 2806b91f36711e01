//! Any PROXY header is read as it was written, and no bytes are too strange.

use super::cases;
use proptest::prelude::*;
use rtmp_server::net::proxy::{self, BODY_LEN_MAX, Client, Header, LINE_LEN_MAX};
use std::net::{IpAddr, SocketAddr};

fn pair() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    prop_oneof![
        any::<([u8; 4], [u8; 4])>().prop_map(|(from, to)| (from.into(), to.into())),
        any::<([u8; 16], [u8; 16])>().prop_map(|(from, to)| (from.into(), to.into())),
    ]
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// Fields of kinds that say nothing here.
fn fields() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let kind = any::<u8>().prop_filter("says something", |kind| ![0x05, 0x20].contains(kind));
    prop::collection::vec((kind, prop::collection::vec(any::<u8>(), 0..40)), 0..8)
}

fn field(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &(value.len() as u16).to_be_bytes(), value].concat()
}

/// The header at the beginning of `stream` and its length, read as the server reads.
fn read(stream: &[u8]) -> Option<(usize, Header)> {
    let mut taken = 0;
    while let wanted @ 1.. = proxy::missing(&stream[..taken]).ok()? {
        taken += wanted;
        stream.get(..taken)?;
    }
    Some((taken, proxy::parse(&stream[..taken]).ok()?))
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn version_1_is_read_as_written((from, to) in pair(), ports: (u16, u16), rest: Vec<u8>) {
        let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
        let line = format!("PROXY {family} {from} {to} {} {}\r\n", ports.0, ports.1);
        prop_assert!(line.len() <= LINE_LEN_MAX);
        let header = Header::Client(Client {
            addr: Some(SocketAddr::new(from.to_canonical(), ports.0)),
            ..Client::default()
        });
        let stream = [line.as_bytes(), &rest].concat();
        prop_assert_eq!(read(&stream), Some((line.len(), header)));
    }

    #[test]
    fn version_2_is_read_as_written(
        (from, to) in pair(),
        ports: (u16, u16),
        before in fields(),
        after in fields(),
        ssl: Option<u8>,
        unique_id in prop::collection::vec(any::<u8>(), 0..128),
        rest: Vec<u8>,
    ) {
        let mut body = [octets(from), octets(to)].concat();
        body.extend(ports.0.to_be_bytes());
        body.extend(ports.1.to_be_bytes());
        let plain = |fields: &[(u8, Vec<u8>)]| -> Vec<u8> {
            fields.iter().flat_map(|(kind, value)| field(*kind, value)).collect()
        };
        body.extend(plain(&before));
        body.extend(field(0x05, &unique_id));
        body.extend(ssl.map(|bits| field(0x20, &[bits, 0, 0, 0, 0])).unwrap_or_default());
        body.extend(plain(&after));
        prop_assume!(body.len() <= BODY_LEN_MAX);
        let mut stream = b"\r\n\r\n\0\r\nQUIT\n\x21".to_vec();
        stream.push(if from.is_ipv4() { 0x11 } else { 0x21 });
        stream.extend((body.len() as u16).to_be_bytes());
        stream.extend(body);
        let len = stream.len();
        let header = Header::Client(Client {
            addr: Some(SocketAddr::new(from.to_canonical(), ports.0)),
            tls: ssl.is_some_and(|bits| bits & 1 != 0),
            unique_id,
        });
        stream.extend(rest);
        prop_assert_eq!(read(&stream), Some((len, header)));
    }

    #[test]
    fn noise_is_never_too_much(
        start in prop::sample::select(vec![&b""[..], b"PROXY ", b"PROXY TCP4 ", b"\r\n\r\n\0\r\nQUIT\n", b"\r\n\r\n\0\r\nQUIT\n\x21"]),
        noise in prop::collection::vec(any::<u8>(), 0..3000),
    ) {
        let stream = [start, &noise].concat();
        if let Some((len, _)) = read(&stream) {
            prop_assert!(len <= 16 + BODY_LEN_MAX);
        }
        let _ = proxy::parse(&stream);
    }
}
