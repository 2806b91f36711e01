//! Input that breaks the rules: a logged error of its layer, that connection closed, nobody else
//! touched.

mod support;

use rtmp_server::amf0::Value;
use rtmp_server::rtmp::handshake;
use std::io::{Read, Write};
use std::net::TcpStream;
use support::process::{ServerProcess, fact};

/// A chunk of format 0 on chunk stream 3 for message stream 0, which must fit into one chunk.
fn message(kind: u8, payload: &[u8]) -> Vec<u8> {
    chunk(3, kind, payload.len() as u32, payload)
}

fn chunk(csid: u8, kind: u8, len: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = len.to_be_bytes();
    [&[csid, 0, 0, 0, a, b, c, kind, 0, 0, 0, 0], payload].concat()
}

fn command(values: &[Value]) -> Vec<u8> {
    message(20, &rtmp_server::amf0::encode(values))
}

/// What a peer says after its handshake, the layer that finds fault with it, and its words.
fn rows() -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
    let name = || Value::text("connect");
    let deep = [0x03, 0, 1, b'a'].repeat(10_000);
    let big = |len| chunk(3, 20, len, &[]);
    vec![
        (
            "chunk stream opened by format 1",
            vec![0x7c, 0, 0, 0, 0, 0, 1, 8, 0],
            "chunk",
            "starts with",
        ),
        (
            "chunk stream opened by format 3",
            vec![0xfc],
            "chunk",
            "chunk stream 60 starts with a header of format 3",
        ),
        (
            "control stream opened by format 2",
            vec![0x82, 0, 0, 0],
            "chunk",
            "format 2",
        ),
        (
            "header inside a message",
            [chunk(4, 8, 200, &[0; 128]), chunk(4, 8, 1, &[0])].concat(),
            "chunk",
            "inside a message",
        ),
        (
            "chunk size 0",
            chunk(2, 1, 4, &[0; 4]),
            "chunk",
            "chunk size 0x0",
        ),
        (
            "chunk size with the top bit",
            chunk(2, 1, 4, &[0x80, 0, 16, 0]),
            "chunk",
            "0x80001000",
        ),
        (
            "short chunk size",
            chunk(2, 1, 3, &[0, 16, 0]),
            "chunk",
            "shorter than 4",
        ),
        (
            "short abort",
            chunk(2, 2, 3, &[0, 0, 0]),
            "chunk",
            "shorter than 4",
        ),
        (
            "command of 1 MB",
            big(1 << 20),
            "chunk",
            "announces 1048576 bytes, allowed are 65536",
        ),
        (
            "data of 2 MB",
            chunk(4, 18, 2 << 20, &[]),
            "chunk",
            "allowed are 1048576",
        ),
        (
            "window of 0",
            chunk(2, 5, 4, &[0; 4]),
            "protocol",
            "window of 0",
        ),
        (
            "short window",
            chunk(2, 5, 2, &[0; 2]),
            "protocol",
            "only 2 bytes",
        ),
        (
            "short bandwidth",
            chunk(2, 6, 4, &[0, 0, 0, 9]),
            "protocol",
            "only 4 bytes",
        ),
        (
            "short ping",
            chunk(2, 4, 4, &[0, 6, 0, 0]),
            "protocol",
            "only 4 bytes",
        ),
        ("no AMF0", message(20, &[0x04]), "amf", "0x04"),
        (
            "string beyond the message",
            message(20, &[2, 0, 9, b'x']),
            "amf",
            "ends beyond",
        ),
        (
            "array that lies",
            message(20, &[0x0a, 0xff, 0xff, 0xff, 0xff]),
            "amf",
            "ends beyond",
        ),
        ("empty command", message(20, &[]), "protocol", "no name"),
        (
            "name that is a number",
            command(&[Value::Number(1.0)]),
            "protocol",
            "no name",
        ),
        (
            "no transaction",
            command(&[name()]),
            "protocol",
            "no transaction",
        ),
        (
            "transaction that is text",
            command(&[name(), Value::text("1")]),
            "protocol",
            "no transaction",
        ),
        (
            "AMF3 command of format 1",
            message(17, &[1]),
            "protocol",
            "format 1",
        ),
        (
            "empty AMF3 command",
            message(17, &[]),
            "protocol",
            "is empty",
        ),
        (
            "10,000 objects in each other",
            [
                vec![2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 1, 0, 0],
                chunk(3, 20, 40_000, &deep),
            ]
            .concat(),
            "amf",
            "nested deeper",
        ),
    ]
}

#[test]
fn each_fault_ends_its_own_connection_with_an_error_of_its_layer() {
    let server = ServerProcess::start("");
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let mut viewer = server.playing("x");
    viewer.expect(&["V head 1 @0", "V key 1 @0"]);
    for (index, (name, bytes, layer, words)) in rows().into_iter().enumerate() {
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

#[test]
fn faults_of_a_publisher_end_it_and_nothing_else() {
    let server = ServerProcess::start("");
    for (name, bytes, layer, _) in rows() {
        let mut publisher = server.publisher("x");
        publisher.send_media(&["V key 1 @0"]);
        let mut viewer = server.playing("x");
        viewer.expect(&["V key 1 @0"]);
        publisher.send_bytes(&bytes);
        viewer.expect(&["dry 1"]);
        // Some rows open a chunk stream that an honest publisher has open already.
        let line = server.wait_for_line("connection failed");
        assert!(
            fact(&line, "layer").is_some_and(|got| got == layer || got == "chunk"),
            "{name}: {line}"
        );
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
