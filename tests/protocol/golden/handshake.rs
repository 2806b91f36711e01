//! Group H: C0 to C2 and S0 to S2.

use super::table::{Direction, Row, rows};
use super::{Outcome, differ, same, untested};
use crate::support::notation::Notation;
use rtmp_server::rtmp::handshake::{self, HandshakePacket, PACKET_LEN, RANDOM_LEN};

/// The time of reading in an echo that a check asks for.
const READ_AT: u32 = 0xa1b2_c3d4;

pub fn check(row: &Row, direction: Direction) -> Outcome {
    match direction {
        Direction::Decode | Direction::Accept => read(row),
        Direction::Encode => same(written(&row.meaning), row.bytes.clone()),
        Direction::Reject => same(refusal(&row.bytes), row.error().to_owned()),
        Direction::NeverSend => differ(&[handshake::VERSION], &row.bytes),
        Direction::Relay => untested(),
    }
}

/// What the meaning is in bytes, by our encoder.
fn written(meaning: &str) -> Vec<u8> {
    let mut notation = Notation::new(meaning);
    let mut bytes = Vec::new();
    while !notation.is_empty() {
        match notation.word() {
            "version" => {
                assert_eq!(notation.u32(), u32::from(handshake::VERSION));
                bytes.push(handshake::VERSION);
            }
            "hello" => {
                let time = notation.u32();
                bytes.extend(handshake::hello(time, &random(&mut notation)));
            }
            "echo" => {
                let (time, read_at) = (notation.u32(), notation.u32());
                let peer = handshake::hello(time, &random(&mut notation));
                bytes.extend(handshake::echo(&peer, read_at));
            }
            other => panic!("{other} is no part of a handshake"),
        }
        notation.eat(";");
    }
    bytes
}

fn random(notation: &mut Notation) -> [u8; RANDOM_LEN] {
    assert!(notation.eat("R("), "random bytes");
    let k = notation.u32() as usize;
    assert!(notation.eat(")"), "the end of the random bytes");
    std::array::from_fn(|i| (k * i + 3) as u8)
}

/// Reads bytes part by part as the peer of whoever sends them.
fn read(row: &Row) -> Outcome {
    let mut bytes = &row.bytes[..];
    for part in row.meaning.split("; ") {
        let len = if part.starts_with("version") {
            1
        } else {
            PACKET_LEN
        };
        let (piece, rest) = bytes.split_at(len);
        bytes = rest;
        match piece.try_into() {
            Ok(packet) => read_packet(part, packet)?,
            Err(_) => same(handshake::check_version(piece[0]), Ok(()))?,
        }
    }
    same(bytes.len(), 0)
}

fn read_packet(part: &str, packet: &HandshakePacket) -> Outcome {
    let mut notation = Notation::new(part);
    if notation.word() == "echo" {
        // What is echoed is the S1 of H03, or for its S2 the C1 of H02.
        let ours = match notation.u32() {
            0x1000 => packet_at(&rows()["H03-S0S1S2"].bytes, 1),
            _ => packet_at(&rows()["H02-C1"].bytes, 0),
        };
        return same(handshake::check_echo(&ours, packet), Ok(()));
    }
    let time = notation.u32();
    let echo = handshake::echo(packet, READ_AT);
    same(&echo[..4], &time.to_be_bytes())?;
    same(&echo[4..8], &READ_AT.to_be_bytes())?;
    if notation.eat("digest") {
        return same(&echo[8..], &packet[8..]);
    }
    same(&echo[8..], &random(&mut notation))
}

pub fn packet_at(bytes: &[u8], offset: usize) -> HandshakePacket {
    *bytes[offset..].first_chunk().expect("a whole packet")
}

/// The error for what is refused: an echo, or else the first byte of a stream.
fn refusal(bytes: &[u8]) -> String {
    let result = match bytes.try_into() {
        Ok(echo) => handshake::check_echo(&packet_at(&rows()["H03-S0S1S2"].bytes, 1), echo),
        Err(_) => handshake::check_version(bytes[0]),
    };
    format!("{:?}", result.expect_err("an error"))
}

/// An echo counts if all but its second time is the peer's.
#[test]
fn every_byte_of_an_echo_but_its_second_time_counts() {
    let s1 = packet_at(&rows()["H03-S0S1S2"].bytes, 1);
    let mut c2 = packet_at(&rows()["H04-C2-good"].bytes, 0);
    for at in 0..PACKET_LEN {
        c2[at] ^= 0x10;
        let accepted = handshake::check_echo(&s1, &c2).is_ok();
        assert_eq!(accepted, (4..8).contains(&at), "byte {at}");
        c2[at] ^= 0x10;
    }
}
