//! The handshake (RTMP §5.2): C0 C1 C2 against S0 S1 S2.
//!
//! The server reads C0 and C1, writes S0, S1 and S2 in one go, and reads C2: clients that wait for
//! S2 before they send C2 would hang otherwise. S1 and S2 are always the plain ones of §5.2.3 and
//! §5.2.4, with the zero field zero, whatever a client put into its own.

use std::fmt;

/// The only version that is spoken (§5.2.2).
pub const VERSION: u8 = 3;

/// Bytes of C1, S1, C2 and S2.
pub const PACKET_LEN: usize = 1536;

/// Bytes that each side sends: its version and two packets.
pub const LEN: usize = 1 + 2 * PACKET_LEN;

/// Bytes of the random field in each packet.
pub const RANDOM_LEN: usize = 1528;

/// C1, S1, C2 or S2.
pub type HandshakePacket = [u8; PACKET_LEN];

/// Why the handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The first byte is not version 3.
    Version(u8),
    /// The peer did not send back our time.
    TimeNotEchoed,
    /// The peer did not send back our random bytes.
    RandomNotEchoed,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Version(byte @ b' '..=b'~') => {
                write!(f, "first byte is {byte:#04x}: a text protocol, not RTMP")
            }
            Error::Version(byte) => write!(f, "version {byte} instead of {VERSION}"),
            Error::TimeNotEchoed => write!(f, "peer did not echo our time"),
            Error::RandomNotEchoed => write!(f, "peer did not echo our random bytes"),
        }
    }
}

impl std::error::Error for Error {}

/// Accepts the version byte C0 or S0.
///
/// # Errors
///
/// [`Error::Version`] for all but version 3; hang up, as §5.2.5 allows.
pub fn check_version(byte: u8) -> Result<(), Error> {
    if byte == VERSION {
        Ok(())
    } else {
        Err(Error::Version(byte))
    }
}

/// C1 or S1: our time in ms, four zero bytes, our random bytes (§5.2.3).
pub fn hello(time: u32, random: &[u8; RANDOM_LEN]) -> HandshakePacket {
    let mut packet = [0; PACKET_LEN];
    packet[..4].copy_from_slice(&time.to_be_bytes());
    packet[8..].copy_from_slice(random);
    packet
}

/// C2 or S2: the peer's time, the time in ms at which we read it, the peer's random bytes (§5.2.4).
pub fn echo(peer: &HandshakePacket, read_at: u32) -> HandshakePacket {
    let mut packet = *peer;
    packet[4..8].copy_from_slice(&read_at.to_be_bytes());
    packet
}

/// Checks that `theirs`, a C2 or S2, echoes `ours`, an S1 or C1.
///
/// Its second time is not looked at: clients leave our zero field there.
///
/// # Errors
///
/// [`Error::TimeNotEchoed`], [`Error::RandomNotEchoed`]: worth a note. Some peers send other things
/// and nothing of ours depends on it.
pub fn check_echo(ours: &HandshakePacket, theirs: &HandshakePacket) -> Result<(), Error> {
    if ours[..4] != theirs[..4] {
        return Err(Error::TimeNotEchoed);
    }
    if ours[8..] != theirs[8..] {
        return Err(Error::RandomNotEchoed);
    }
    Ok(())
}

/// S0, S1 and S2 in answer to C0 and C1, which were read at `time`; S1 starts our clock there.
pub fn answer(theirs: &HandshakePacket, time: u32, seed: u64) -> Vec<u8> {
    let mut answer = Vec::with_capacity(LEN);
    answer.push(VERSION);
    answer.extend_from_slice(&time.to_be_bytes());
    answer.extend_from_slice(&[0; 4]);
    answer.extend(random_bytes(seed));
    answer.extend_from_slice(&theirs[..4]);
    answer.extend_from_slice(&time.to_be_bytes());
    answer.extend_from_slice(&theirs[8..]);
    answer
}

/// Checks that `theirs`, a C2, echoes the S1 in `answer`.
///
/// # Errors
///
/// As of [`check_echo`]; an answer that is none was never echoed.
pub fn check_answered(answer: &[u8], theirs: &HandshakePacket) -> Result<(), Error> {
    let ours = answer.get(1..).and_then(<[u8]>::first_chunk);
    check_echo(ours.ok_or(Error::TimeNotEchoed)?, theirs)
}

/// Random bytes that differ from connection to connection, grown from `seed`.
///
/// They tell our echo from another's; nothing secret rests on them, so a plain xorshift will do.
pub fn random(seed: u64) -> [u8; RANDOM_LEN] {
    let mut random = [0; RANDOM_LEN];
    random
        .iter_mut()
        .zip(random_bytes(seed))
        .for_each(|(byte, value)| *byte = value);
    random
}

fn random_bytes(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed | 1;
    let words = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()
    });
    words.flatten().take(RANDOM_LEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_differs_by_seed_and_has_no_zero_run() {
        let (a, b) = (random(2), random(4));
        assert_ne!(a, b);
        assert!(a.windows(8).all(|window| window != [0; 8]));
    }

    #[test]
    fn the_answer_is_version_hello_and_echo() {
        let theirs = hello(100, &random(9));
        let answer = answer(&theirs, 0x1000, 5);
        let (ours, echoed) = (hello(0x1000, &random(5)), echo(&theirs, 0x1000));
        assert_eq!(answer, [&[3][..], &ours, &echoed].concat());
        assert_eq!(check_answered(&answer, &ours), Ok(()));
        assert_eq!(check_answered(&answer, &theirs), Err(Error::TimeNotEchoed));
        assert_eq!(check_answered(&[], &ours), Err(Error::TimeNotEchoed));
    }

    #[test]
    fn every_version_but_3_is_refused() {
        for byte in 0..=255 {
            assert_eq!(check_version(byte).is_ok(), byte == 3, "{byte}");
        }
    }
}
