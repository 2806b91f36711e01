//! The lines that heads of HTTP/1.1 are made of (RFC 9112), the same in requests and replies.

use super::Error;
use std::io::{self, BufRead, Read};

/// Reads a line without its end, CRLF or LF, of at most `left` bytes, which it takes off.
///
/// # Errors
///
/// `too_long`; [`Error::Closed`] when the line has no end; what the transport fails with.
pub fn read_line(
    input: &mut impl BufRead,
    left: &mut usize,
    too_long: Error,
) -> Result<Vec<u8>, Error> {
    let mut line = Vec::new();
    let mut bounded = input.by_ref().take(*left as u64);
    let len = bounded.read_until(b'\n', &mut line).map_err(failed)?;
    *left -= len;
    match line.pop() {
        Some(b'\n') => {}
        Some(_) | None if *left == 0 => return Err(too_long),
        Some(_) | None => return Err(Error::Closed),
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
}

/// What a failure of the transport means.
pub fn failed(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::TimedOut => Error::TimedOut,
        io::ErrorKind::UnexpectedEof => Error::Closed,
        _ => Error::Io(error),
    }
}

/// Takes `Name: value` apart; `None` if the line is no header.
pub fn header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = line.split_at(colon);
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    is_name.then(|| (name, value[1..].trim_ascii()))
}

/// A length in decimal digits and nothing else.
pub fn length(value: &[u8]) -> Option<u64> {
    let digits = str::from_utf8(value).ok()?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}
