//! Input that breaks the rules: a logged error of its layer, that connection closed, nobody else
//! touched.

use crate::support::process::{ServerProcess, fact};
use crate::support::{Client, TestServer};
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::control::Control;
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp, handshake};
use std::io::{Read, Write};
use std::net::TcpStream;

struct Row {
    name: &'static str,
    bytes: Vec<u8>,
    layer: &'static str,
    words: &'static str,
}

const MALFORMED: &str = include_str!("../../testdata/server/malformed.txt");
const PASSED_OVER: &str = include_str!("../../testdata/server/passed_over.txt");

fn rows(table: &'static str) -> Vec<Row> {
    let (_, text) = table.split_once("\n\n").expect("rows");
    let lines: Vec<&str> = text.lines().collect();
    let row = |pair: &[&'static str]| {
        let columns: Vec<&str> = pair[1].split(" | ").collect();
        let name = pair[0].trim_start_matches("# ");
        Row {
            name,
            bytes: bytes(columns[0]),
            layer: columns[1],
            words: columns[2],
        }
    };
    lines.chunks_exact(2).map(row).collect()
}

/// Hex with spaces, and `(..)*N` for what is repeated.
fn bytes(text: &str) -> Vec<u8> {
    let word = |word: &str| match word
        .strip_prefix('(')
        .and_then(|word| word.split_once(")*"))
    {
        Some((hex, times)) => plain(hex).repeat(times.parse().expect("a number")),
        None => plain(word),
    };
    text.split_whitespace().flat_map(word).collect()
}

fn plain(hex: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(byte).collect()
}

#[test]
fn each_fault_ends_its_own_connection_with_an_error_of_its_layer() {
    let server = ServerProcess::start("");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let mut viewer = server.playing("x");
    viewer.expect(&["V head 1 @0", "V key 1 @0"]);
    for (
        index,
        Row {
            name,
            bytes,
            layer,
            words,
        },
    ) in rows(MALFORMED).into_iter().enumerate()
    {
        let mut client = server.client();
        client.send_bytes(&bytes);
        assert_eq!(client.next_line(), "end", "{name}");
        let line = server.wait_for_line("connection failed");
        assert_eq!(fact(&line, "layer"), Some(layer), "{name}: {line}");
        assert!(line.contains(words), "{name}: {line}");
        let time = format!("V inter 2 @{}", 40 + index);
        publisher.send_media(&[&time]);
        viewer.expect(&[&time]);
    }
}

/// Each row comes on a connection that then publishes, and from a publisher in mid-stream.
#[test]
fn a_command_that_cannot_be_read_is_passed_over() {
    let server = ServerProcess::start("-log-level debug");
    let expect_line = |Row {
                           name, layer, words, ..
                       }: &Row| {
        let line = server.wait_for_line("message ignored");
        assert_eq!(fact(&line, "layer"), Some(*layer), "{name}: {line}");
        assert!(line.contains(words), "{name}: {line}");
    };
    for (index, row) in rows(PASSED_OVER).into_iter().enumerate() {
        let mut client = server.client();
        client.send_bytes(&row.bytes);
        // What a row says of its own chunks does not hold for those that follow.
        client.send(&Control::SetChunkSize(128).message());
        expect_line(&row);
        client.connect("live");
        client.create_stream();
        let key = format!("row{index}");
        client.call(1, "publish", 0.0, vec![Value::text(&key)]);
        client.expect(&["begin 1", "status@1 NetStream.Publish.Start"]);
        client.send_media(&["V key 1 @0"]);
        let mut viewer = server.playing(&key);
        viewer.expect(&["V key 1 @0"]);
        client.send_bytes(&row.bytes);
        client.send(&Control::SetChunkSize(128).message());
        expect_line(&row);
        client.send_media(&["V inter 2 @40"]);
        viewer.expect(&["V inter 2 @40"]);
    }
}

#[test]
fn commands_that_cannot_be_read_are_counted() {
    let server = TestServer::start("");
    let mut client = server.connected();
    let rows = rows(PASSED_OVER);
    for row in &rows {
        client.send_bytes(&row.bytes);
        client.send(&Control::SetChunkSize(128).message());
    }
    client.call(0, "settle", 9.0, vec![]);
    client.expect(&["_error 9"]);
    let totals = server.server().snapshot().totals;
    assert_eq!(totals.commands_unreadable, rows.len() as u64);
}

#[test]
fn faults_of_a_publisher_end_it_and_nothing_else() {
    let server = ServerProcess::start("");
    for (
        index,
        Row {
            name, bytes, layer, ..
        },
    ) in rows(MALFORMED).into_iter().enumerate()
    {
        let key = format!("row{index}");
        let mut publisher = server.publisher(&key);
        publisher.send_media(&["V key 1 @0"]);
        let mut viewer = server.playing(&key);
        viewer.expect(&["V key 1 @0"]);
        publisher.send_bytes(&bytes);
        viewer.expect(&["dry 1"]);
        let line = server.wait_for_line("connection failed");
        assert_eq!(fact(&line, "layer"), Some(layer), "{name}: {line}");
    }
}

#[test]
fn faults_in_the_handshake_are_named() {
    let server = ServerProcess::start("");
    let rows: [(&str, &[u8], &str); 5] = [
        ("version 6", &[6], "version 6 instead of 3"),
        ("no text", &[0xe9; 4], "version 233 instead of 3"),
        ("version 0", &[0], "version 0"),
        ("HTTP", b"GET / HTTP/1.1\r\n\r\n", "a text protocol"),
        ("TLS", &[0x16, 3, 1], "version 22"),
    ];
    for (name, bytes, words) in rows {
        let mut socket = TcpStream::connect(server.addr).expect("connect");
        socket.write_all(bytes).expect("send");
        let mut rest = Vec::new();
        // A reset is an end as well: the peer may have sent what nobody read.
        let _ = socket.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{name}: {rest:02x?}");
        let line = server.wait_for_line("connection failed");
        assert_eq!(fact(&line, "layer"), Some("handshake"), "{name}: {line}");
        assert!(line.contains(words), "{name}: {line}");
    }
}

/// What a client sends as C2 does no harm to anything of ours.
#[test]
fn a_c2_that_is_no_echo_is_noted() {
    let server = ServerProcess::start("-log-level debug");
    type Forge = fn(
        c1: &handshake::HandshakePacket,
        s1: &handshake::HandshakePacket,
    ) -> handshake::HandshakePacket;
    let rows: [(&str, Forge); 4] = [
        ("its own C1", |c1, _| *c1),
        ("zeros", |_, _| [0; handshake::PACKET_LEN]),
        ("another time", |_, s1| {
            let mut c2 = *s1;
            c2[0] ^= 1;
            c2
        }),
        ("one wrong byte", |_, s1| {
            let mut c2 = *s1;
            c2[handshake::PACKET_LEN - 1] ^= 1;
            c2
        }),
    ];
    for (name, forge) in rows {
        let mut client = Client::shake_hands_with(server.addr, forge);
        client.connect("live");
        let line = server.wait_for_line("peer deviated");
        assert!(line.contains("did not echo"), "{name}: {line}");
        assert_eq!(fact(&line, "level"), Some("debug"), "{name}: {line}");
    }
}

/// Encoders that repeat the header on each chunk of a message.
#[test]
fn a_message_goes_on_behind_a_header_of_format_1_or_2() {
    let server = ServerProcess::start("");
    for (index, fmt) in [0x40, 0x80].into_iter().enumerate() {
        let name = format!("x{index}");
        let mut publisher = server.publisher(&name);
        let mut viewer = server.playing(&name);
        let key = [&[0x17, 1, 0, 0, 0][..], &[7; 295]].concat();
        let len_and_kind = [0, 1, 44, 9];
        let mut bytes = vec![60, 0, 0, 40];
        bytes.extend(len_and_kind);
        bytes.extend([1, 0, 0, 0]);
        bytes.extend(&key[..128]);
        for piece in key[128..].chunks(128) {
            bytes.extend([fmt | 60, 0, 0, 0]);
            bytes.extend(len_and_kind.iter().filter(|_| fmt == 0x40));
            bytes.extend(piece);
        }
        publisher.send_bytes(&bytes);
        let message = viewer.receive().expect("a picture");
        assert_eq!((message.timestamp.0, &message.payload[..]), (40, &key[..]));
        publisher.vanish();
        let line = server.wait_for_line("peer deviated");
        assert!(line.contains("format 1 or 2"), "{line}");
    }
}

/// A publisher that keeps to the bandwidth it was given and announces no window, or one of 0.
#[test]
fn a_publisher_that_announces_no_window_is_acknowledged() {
    let server = TestServer::start("");
    for window in [None, Some(0)] {
        let mut publisher = server.publisher("x");
        if let Some(control) = window.map(Control::WindowAckSize) {
            publisher.send(&control.message());
        }
        let picture = Message {
            timestamp: Timestamp(0),
            kind: MessageType::VIDEO,
            stream: StreamId(1),
            payload: [&[0x17, 1, 0, 0, 0][..], &[0; 1_000_000]].concat().into(),
        };
        for _ in 0..3 {
            publisher.send(&picture);
        }
        let line = publisher.next_line();
        let acknowledged: u32 = line
            .strip_prefix("ack ")
            .and_then(|bytes| bytes.parse().ok())
            .unwrap_or_else(|| panic!("{line}"));
        assert!((2_500_000..3_100_000).contains(&acknowledged), "{line}");
    }
}
