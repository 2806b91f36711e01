//! The handshake (RTMP §5.2) over a socket, in both roles.

use super::{Error, HANDSHAKE_LIMIT};
use crate::awake;
use crate::net::{DeadlineReader, Socket};
use crate::rtmp::handshake::{self, HandshakePacket, PACKET_LEN};
use std::io::{Read, Write};
use std::time::Instant;

/// The handshake with a client, until `end` at the latest: C0 and C1 are read, S0, S1 and S2 written in
/// one go, C2 is read. S1 shows the time in ms that `clock_ms` tells when C1 was read, and random bytes grown from
/// `seed`.
///
/// Returns what C2 should have repeated and did not: nothing of ours depends on it.
///
/// # Errors
///
/// The handshake failed: hang up.
pub(crate) fn accept(
    socket: &Socket,
    end: Instant,
    clock_ms: impl FnOnce() -> u32,
    seed: u64,
) -> Result<Option<handshake::Error>, Error> {
    let mut packets = Packets::new(socket, end);
    packets.read_version()?;
    let c1 = packets.read()?;
    let answer = handshake::answer(c1, clock_ms(), seed);
    packets.write(&answer)?;
    let c2 = packets.read()?;
    Ok(handshake::check_answered(&answer, c2).err())
}

/// The handshake with a server, within [`HANDSHAKE_LIMIT`]: C0 and C1 are written, S0 and S1 read, C2 is written, S2 is read.
/// What S2 repeats is not held against a server: some repeat other things, and nothing of ours
/// depends on it.
///
/// # Errors
///
/// The handshake failed: hang up.
pub(crate) fn initiate(socket: &Socket, seed: u64) -> Result<(), Error> {
    let c1 = handshake::hello(0, &handshake::random(seed));
    let mut packets = Packets::new(socket, awake::now() + HANDSHAKE_LIMIT);
    packets.write(&[&[handshake::VERSION][..], &c1].concat())?;
    packets.read_version()?;
    let c2 = handshake::echo(packets.read()?, 0);
    packets.write(&c2)?;
    packets.read().map(|_| ())
}

/// A socket from which one packet is read after the other.
struct Packets<'a> {
    socket: &'a Socket,
    reader: DeadlineReader<'a>,
    /// On the heap: the stack of a thread stays as large as it once was.
    packet: Box<HandshakePacket>,
}

impl<'a> Packets<'a> {
    fn new(socket: &'a Socket, end: Instant) -> Packets<'a> {
        Packets {
            socket,
            reader: DeadlineReader::until(socket, end),
            packet: Box::new([0; PACKET_LEN]),
        }
    }

    fn read_version(&mut self) -> Result<(), Error> {
        let mut version = [0];
        self.reader
            .read_exact(&mut version)
            .map_err(|error| Error::reading(error, "handshake"))?;
        Ok(handshake::check_version(version[0])?)
    }

    fn read(&mut self) -> Result<&HandshakePacket, Error> {
        self.reader
            .read_exact(&mut self.packet[..])
            .map_err(|error| Error::reading(error, "handshake"))?;
        Ok(&self.packet)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Ok((&mut &*self.socket).write_all(bytes)?)
    }
}
