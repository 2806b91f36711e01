//! Reading a reply of HTTP/1.1 (RFC 9112), within bounds.

use super::error::{BODY_LEN_MAX, HEAD_LEN_MAX, PostError};
use crate::http::{LineError, header, length, read_line};
use std::io::{BufRead, Read};

/// Longest line that begins a chunk, in bytes, and all that may follow the last one.
const CHUNK_LINE_LEN_MAX: usize = 1 << 10;
const TRAILER_LEN_MAX: usize = 16 << 10;

/// What the other side answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status code, 200 to 999.
    pub status: u16,
    /// Where a redirect leads, as it was sent, if it is UTF-8.
    pub location: Option<String>,
    /// At most [`BODY_LEN_MAX`] bytes.
    pub body: Vec<u8>,
}

/// The head of a reply, as far as it matters.
struct Head {
    status: u16,
    body_end: BodyEnd,
    location: Option<String>,
}

/// How the end of a body is found (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyEnd {
    Length(u64),
    Chunked,
    UntilClose,
}

impl Reply {
    /// Reads one reply to a POST; interim ones (1xx) are passed over.
    ///
    /// # Errors
    ///
    /// Any [`PostError`] that a reply can cause: the connection is of no use any more.
    pub fn read(input: &mut impl BufRead) -> Result<Reply, PostError> {
        let mut left = HEAD_LEN_MAX;
        loop {
            let Head {
                status,
                body_end,
                location,
            } = read_head(input, &mut left)?;
            if status < 200 {
                continue;
            }
            let body = match (status, body_end) {
                (204 | 304, _) => Vec::new(),
                (_, BodyEnd::Length(len)) => read_sized(input, len)?,
                (_, BodyEnd::Chunked) => read_chunks(input)?,
                (_, BodyEnd::UntilClose) => read_rest(input)?,
            };
            return Ok(Reply {
                status,
                location,
                body,
            });
        }
    }
}

fn read_head(input: &mut impl BufRead, left: &mut usize) -> Result<Head, PostError> {
    let line = read_line(input, left)?;
    let status = status(&line).ok_or(PostError::NotHttp("status line"))?;
    let mut framing = BodyEnd::UntilClose;
    let mut location = None;
    loop {
        let line = read_line(input, left)?;
        if line.is_empty() {
            let body_end = framing;
            return Ok(Head {
                status,
                body_end,
                location,
            });
        }
        let (name, value) = header(&line).ok_or(PostError::NotHttp("header"))?;
        if name.eq_ignore_ascii_case(b"location") {
            location = str::from_utf8(value).ok().map(str::to_owned);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err(PostError::NotHttp("transfer encoding"));
            }
            framing = BodyEnd::Chunked;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let len = length(value).ok_or(PostError::NotHttp("content length"))?;
            framing = match framing {
                BodyEnd::UntilClose => BodyEnd::Length(len),
                BodyEnd::Length(other) if other != len => {
                    return Err(PostError::NotHttp("content length"));
                }
                framing => framing,
            };
        }
    }
}

/// The status in `HTTP/1.1 200 OK`.
fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    let (minor, rest) = rest.split_first()?;
    let (digits, rest) = rest.strip_prefix(b" ")?.split_first_chunk::<3>()?;
    let ends = rest.is_empty() || rest.starts_with(b" ");
    if !(minor.is_ascii_digit() && ends && digits.iter().all(u8::is_ascii_digit)) {
        return None;
    }
    let digit = |index: usize| u16::from(digits[index] - b'0');
    Some(digit(0) * 100 + digit(1) * 10 + digit(2)).filter(|status| *status >= 100)
}

fn read_sized(input: &mut impl BufRead, len: u64) -> Result<Vec<u8>, PostError> {
    if len > BODY_LEN_MAX as u64 {
        return Err(PostError::BodyTooLong);
    }
    let mut body = Vec::new();
    // Memory grows with what arrives, not with what is announced.
    let read = input.by_ref().take(len).read_to_end(&mut body);
    if (read.map_err(LineError::from)? as u64) < len {
        return Err(PostError::Closed);
    }
    Ok(body)
}

fn read_rest(input: &mut impl BufRead) -> Result<Vec<u8>, PostError> {
    let mut body = Vec::new();
    let mut bounded = input.by_ref().take(BODY_LEN_MAX as u64 + 1);
    bounded.read_to_end(&mut body).map_err(LineError::from)?;
    if body.len() > BODY_LEN_MAX {
        return Err(PostError::BodyTooLong);
    }
    Ok(body)
}

/// A body in chunks (RFC 9112 §7.1), and the trailers behind it, which are of no use to us.
fn read_chunks(input: &mut impl BufRead) -> Result<Vec<u8>, PostError> {
    let mut body = Vec::new();
    loop {
        let mut left = CHUNK_LINE_LEN_MAX;
        let line = read_line(input, &mut left).map_err(|error| match error {
            LineError::TooLong => PostError::NotHttp("chunk"),
            error => error.into(),
        })?;
        let len = chunk_length(&line).ok_or(PostError::NotHttp("chunk"))?;
        if len == 0 {
            break;
        }
        if len > (BODY_LEN_MAX - body.len()) as u64 {
            return Err(PostError::BodyTooLong);
        }
        body.append(&mut read_sized(input, len)?);
        let mut end = [0; 2];
        input.read_exact(&mut end).map_err(LineError::from)?;
        if end != *b"\r\n" {
            return Err(PostError::NotHttp("chunk"));
        }
    }
    let mut left = TRAILER_LEN_MAX;
    while !read_line(input, &mut left)?.is_empty() {}
    Ok(body)
}

/// The length in `1f; extension`.
fn chunk_length(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
    let (digits, extension) = line.split_at(digits.count());
    let extension = extension.trim_ascii_start();
    let ends = extension.is_empty() || extension.starts_with(b";");
    let len = u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok();
    len.filter(|_| ends)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io;

    const OK: &str = "HTTP/1.1 200 OK\r\n";

    fn read_all(mut bytes: &[u8]) -> Result<(u16, String), String> {
        let reply = Reply::read(&mut bytes).map_err(|error| error.to_string())?;
        let body = String::from_utf8_lossy(&reply.body).into_owned();
        Ok((reply.status, body))
    }

    #[test]
    fn replies_are_read() {
        let rows = [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef",
                200,
                "abc",
            ),
            ("HTTP/1.1 200\r\ncontent-length:0\r\n\r\n", 200, ""),
            ("HTTP/1.0 404 Not Found\n\nrest", 404, "rest"),
            ("HTTP/1.1 500 \r\n\r\n", 500, ""),
            ("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", 204, ""),
            ("HTTP/1.1 304 No\r\n\r\n", 304, ""),
            ("HTTP/1.1 999 X\r\n\r\n", 999, ""),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
                200,
                "a",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 9\r\n\r\n\
                 3;x=\"y\"\r\nabc\r\n00A \r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
                200,
                "abc0123456789",
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n\
                 HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok",
                202,
                "ok",
            ),
        ];
        for (text, status, body) in rows {
            let want = Ok((status, body.to_owned()));
            assert_eq!(read_all(text.as_bytes()), want, "{text}");
            // The same, from a transport that yields one byte at a time.
            let mut slow = io::BufReader::with_capacity(1, text.as_bytes());
            assert_eq!(Reply::read(&mut slow).unwrap().status, status, "{text}");
        }
    }

    #[test]
    fn heads_that_are_none_are_refused() {
        let rows = [
            ("", "closed in the middle of the reply"),
            ("HTTP/1.1 200 OK\r\n", "closed in the middle of the reply"),
            ("HTTP/1.1 200 OK", "closed in the middle of the reply"),
            (
                "HTTP/1.1 100 Continue\r\n\r\n",
                "closed in the middle of the reply",
            ),
            ("HTTP/2 200\r\n\r\n", "bad status line"),
            ("HTTP/1.1 20\r\n\r\n", "bad status line"),
            ("HTTP/1.1 2000\r\n\r\n", "bad status line"),
            ("HTTP/1.1 099 X\r\n\r\n", "bad status line"),
            ("HTTP/1.1 2x0 X\r\n\r\n", "bad status line"),
            ("SSH-2.0-x\r\n\r\n", "bad status line"),
            ("HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", "bad header"),
            ("HTTP/1.1 200 OK\r\n: x\r\n\r\n", "bad header"),
            ("HTTP/1.1 200 OK\r\nA: b\r\n c: d\r\n\r\n", "bad header"),
        ];
        for (text, want) in rows {
            let error = read_all(text.as_bytes()).unwrap_err();
            assert!(error.ends_with(want), "{text}: {error}");
        }
    }

    #[test]
    fn bodies_that_are_none_are_refused() {
        let chunked = "Transfer-Encoding: chunked\r\n\r\n";
        let rows = [
            (
                "",
                "Content-Length: 3\r\n\r\nab",
                "closed in the middle of the reply",
            ),
            ("", "Content-Length: +3\r\n\r\nabc", "bad content length"),
            ("", "Content-Length: \r\n\r\nabc", "bad content length"),
            (
                "",
                "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                "bad content length",
            ),
            (
                "",
                "Transfer-Encoding: gzip\r\n\r\n",
                "bad transfer encoding",
            ),
            (
                "",
                "Content-Length: 1048577\r\n\r\n",
                "body of the reply exceeds 1048576 bytes",
            ),
            (
                chunked,
                "100001\r\n",
                "body of the reply exceeds 1048576 bytes",
            ),
            (chunked, "x\r\n", "bad chunk"),
            (chunked, "\r\n", "bad chunk"),
            (chunked, "1\r\nab\r\n", "bad chunk"),
            (chunked, "ffffffffffffffffff\r\n", "bad chunk"),
            (chunked, "1 x\r\n", "bad chunk"),
            (chunked, "1\r\na\r\n", "closed in the middle of the reply"),
            (chunked, "0\r\n", "closed in the middle of the reply"),
        ];
        for (head, rest, want) in rows {
            let error = read_all(format!("{OK}{head}{rest}").as_bytes()).unwrap_err();
            assert!(error.ends_with(want), "{rest}: {error}");
        }
    }

    #[test]
    fn sizes_are_limited() {
        let long = "x".repeat(HEAD_LEN_MAX);
        let body = "x".repeat(BODY_LEN_MAX + 1);
        let rows = [
            (format!("HTTP/1.1 200 {long}"), PostError::HeadTooLong),
            (format!("{OK}A: {long}\r\n\r\n"), PostError::HeadTooLong),
            (
                "HTTP/1.1 100 C\r\n\r\n".repeat(1000),
                PostError::HeadTooLong,
            ),
            (format!("{OK}\r\n{body}"), PostError::BodyTooLong),
        ];
        for (text, want) in rows {
            assert_eq!(read_all(text.as_bytes()), Err(want.to_string()));
        }
        let whole = format!("{OK}\r\n{}", &body[1..]);
        assert_eq!(read_all(whole.as_bytes()).unwrap().1.len(), BODY_LEN_MAX);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, head in 0..4_usize) {
            let heads = [
                "",
                OK,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
            ];
            let _ = read_all(&[heads[head].as_bytes(), &bytes].concat());
        }
    }
}
