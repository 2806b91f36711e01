//! Input that breaks the rules: a logged error of its layer, that connection closed, nobody else
//! touched.

mod support;

use rtmp_server::amf0::Value;
use rtmp_server::rtmp::control::Control;
use rtmp_server::rtmp::handshake;
use std::io::{Read, Write};
use std::net::TcpStream;
use support::TestServer;
use support::process::{ServerProcess, fact};

struct Row {
    name: &'static str,
    bytes: Vec<u8>,
    layer: &'static str,
    words: &'static str,
}

const MALFORMED: &str = include_str!("../testdata/server/malformed.txt");
const PASSED_OVER: &str = include_str!("../testdata/server/passed_over.txt");

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
    let hello = handshake::hello(0, &handshake::random(1));
    let rows: [(&str, Vec<u8>, bool, &str); 5] = [
        ("version 6", vec![6], false, "version 6 instead of 3"),
        ("version 0", vec![0], false, "version 0"),
        (
            "HTTP",
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            false,
            "a text protocol",
        ),
        ("TLS", vec![0x16, 3, 1], false, "version 22"),
        ("another's echo", [&[3][..], &hello].concat(), true, "echo"),
    ];
    for (name, bytes, to_the_end, words) in rows {
        let mut socket = TcpStream::connect(server.addr).expect("connect");
        socket.write_all(&bytes).expect("send");
        if to_the_end {
            let mut answer = [0; 1 + 2 * handshake::PACKET_LEN];
            socket.read_exact(&mut answer).expect("S0 S1 S2");
            let mut wrong: handshake::Packet =
                answer[1..=handshake::PACKET_LEN].try_into().expect("S1");
            wrong[handshake::PACKET_LEN - 1] ^= 1;
            socket.write_all(&wrong).expect("C2");
        }
        let mut rest = Vec::new();
        // A reset is an end as well: the peer may have sent what nobody read.
        let _ = socket.read_to_end(&mut rest);
        assert!(rest.is_empty(), "{name}: {rest:02x?}");
        let line = server.wait_for_line("connection failed");
        assert_eq!(fact(&line, "layer"), Some("handshake"), "{name}: {line}");
        assert!(line.contains(words), "{name}: {line}");
    }
}
