//! The lines that heads of HTTP/1.1 are made of (RFC 9112), the same in requests and replies.

use std::fmt;
use std::io::{self, BufRead, Read};

/// Why a part of a message cannot be read.
#[derive(Debug)]
pub enum LineError {
    /// The line exceeds its limit.
    TooLong,
    /// The transport ended in the middle.
    Closed,
    /// The transport's time is up.
    TimedOut,
    /// The transport failed in another way.
    Io(io::Error),
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            LineError::TooLong => write!(f, "line too long"),
            LineError::Closed => write!(f, "closed in the middle of a message"),
            LineError::TimedOut => write!(f, "timed out"),
            LineError::Io(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for LineError {}

impl From<io::Error> for LineError {
    fn from(error: io::Error) -> LineError {
        match error.kind() {
            io::ErrorKind::TimedOut => LineError::TimedOut,
            io::ErrorKind::UnexpectedEof => LineError::Closed,
            _ => LineError::Io(error),
        }
    }
}

/// Reads a line without its end, CRLF or LF, of at most `left` bytes, which it takes off.
///
/// # Errors
///
/// Any [`LineError`].
pub fn read_line(input: &mut impl BufRead, left: &mut usize) -> Result<Vec<u8>, LineError> {
    let mut line = Vec::new();
    let mut bounded = input.by_ref().take(*left as u64);
    let len = bounded.read_until(b'\n', &mut line)?;
    *left -= len;
    match line.pop() {
        Some(b'\n') => {}
        Some(_) | None if *left == 0 => return Err(LineError::TooLong),
        Some(_) | None => return Err(LineError::Closed),
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Ok(line)
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
