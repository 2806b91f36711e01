//! The handshake of a connection, within its time.

use super::context::Context;
use super::error::Error;
use crate::log;
use crate::net::DeadlineReader;
use crate::rtmp::handshake;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long the handshake may take in all.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// The handshake, all of it within [`HANDSHAKE_LIMIT`]: C0 and C1 are read, S0, S1 and S2 written
/// in one go, C2 is read.
pub fn handshake(context: &Context, number: u64, socket: &TcpStream) -> Result<(), Error> {
    let mut reader = DeadlineReader::until(socket, Instant::now() + HANDSHAKE_LIMIT);
    let mut read = |out: &mut [u8]| {
        reader
            .read_exact(out)
            .map_err(|error| Error::reading(error, "handshake"))
    };
    let mut version = [0];
    read(&mut version)?;
    handshake::check_version(version[0])?;
    // On the heap: the stack of a thread stays as large as it once was.
    let mut theirs: Box<handshake::HandshakePacket> = Box::new([0; handshake::PACKET_LEN]);
    read(&mut theirs[..])?;
    let seed = context.seed.wrapping_add(number << 1);
    let answer = handshake::answer(&theirs, context.clock_ms(), seed);
    (&mut &*socket).write_all(&answer).map_err(Error::Io)?;
    read(&mut theirs[..])?;
    if let Err(deviation) = handshake::check_answered(&answer, &theirs) {
        log!(Debug, "peer deviated from the specification"; conn_id = format_args!("c{number:06}"), deviation = deviation);
    }
    Ok(())
}
