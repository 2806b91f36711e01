//! A client of HTTP that takes nothing but what the standards have, and reads bodies as they come.

use super::PATIENCE;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A response whose body is still to be read.
pub struct HttpReply {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: HttpBody,
}

/// The body of a response, without what is around it. It ends whole, or reading fails.
pub struct HttpBody {
    input: BufReader<TcpStream>,
    left: BodyLeft,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyLeft {
    /// This many bytes.
    Bytes(u64),
    /// This many bytes of a chunk, and then further chunks.
    Chunk(u64),
    /// The next is the line before a chunk.
    Chunks,
    /// Everything until the connection ends.
    UntilClose,
    Nothing,
}

impl HttpReply {
    /// Sends a request as it is written, and reads the head of the response.
    pub fn to(addr: SocketAddr, request: &str) -> HttpReply {
        let mut socket = TcpStream::connect(addr).expect("connect");
        socket.set_nodelay(true).expect("nodelay");
        socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
        socket.write_all(request.as_bytes()).expect("send");
        HttpReply::read(BufReader::new(socket), request.starts_with("HEAD "))
    }

    /// The same for what is at `path`, by HTTP/1.1.
    pub fn get(addr: SocketAddr, path: &str) -> HttpReply {
        HttpReply::to(
            addr,
            &format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n"),
        )
    }

    fn read(mut input: BufReader<TcpStream>, head_only: bool) -> HttpReply {
        let status_line = line(&mut input).expect("a status line");
        let status = status_line.strip_prefix("HTTP/1.1 ").expect("HTTP/1.1");
        let (status, reason) = status.split_once(' ').expect("a reason");
        assert!(!reason.is_empty(), "{status_line}");
        let mut headers = Vec::new();
        loop {
            let line = line(&mut input).expect("a header");
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ").expect("a header");
            headers.push((name.to_owned(), value.to_owned()));
        }
        let body = HttpBody {
            input,
            left: BodyLeft::Nothing,
        };
        let mut reply = HttpReply {
            status: status.parse().expect("a status"),
            headers,
            body,
        };
        let length = reply
            .header("Content-Length")
            .map(|len| len.parse().expect("a length"));
        let chunked = reply
            .header("Transfer-Encoding")
            .map(|coding| coding == "chunked");
        reply.body.left = match (length, chunked) {
            _ if head_only || reply.status == 204 => BodyLeft::Nothing,
            (Some(len), None) => BodyLeft::Bytes(len),
            (None, Some(true)) => BodyLeft::Chunks,
            (None, None) => BodyLeft::UntilClose,
            other => panic!("{other:?}"),
        };
        reply
    }

    /// The value of a header, which comes once or not at all.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        let mut values = self.headers.iter().filter(named);
        let value = values.next().map(|(_, value)| value.as_str());
        assert_eq!(values.next(), None, "{name} comes twice");
        value
    }

    /// The whole body, as text.
    pub fn text(mut self) -> String {
        let mut text = String::new();
        self.body.read_to_string(&mut text).expect("the whole body");
        text
    }
}

impl HttpBody {
    pub fn socket(&self) -> &TcpStream {
        self.input.get_ref()
    }

    /// The body is over: the connection ends too, without another byte.
    pub fn expect_closed(mut self) {
        assert_eq!(self.left, BodyLeft::Nothing);
        let mut rest = Vec::new();
        self.input.read_to_end(&mut rest).expect("the end");
        assert_eq!(rest, b"");
    }

    fn next_chunk(&mut self) -> io::Result<BodyLeft> {
        let digits = line(&mut self.input)?;
        let strict = !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
            && (digits == "0" || !digits.starts_with('0'));
        assert!(strict, "{digits:?} before a chunk");
        let len = u64::from_str_radix(&digits, 16).expect("a length");
        if len > 0 {
            return Ok(BodyLeft::Chunk(len));
        }
        assert_eq!(line(&mut self.input)?, "", "trailers");
        Ok(BodyLeft::Nothing)
    }
}

impl Read for HttpBody {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.left == BodyLeft::Chunks {
            self.left = self.next_chunk()?;
        }
        let (BodyLeft::Bytes(left) | BodyLeft::Chunk(left)) = &mut self.left else {
            return match self.left {
                BodyLeft::UntilClose => self.input.read(out),
                _ => Ok(0),
            };
        };
        let max = usize::try_from(*left).unwrap_or(usize::MAX).min(out.len());
        let len = self.input.read(&mut out[..max])?;
        if len == 0 && max > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        *left -= len as u64;
        match self.left {
            BodyLeft::Chunk(0) => {
                assert_eq!(line(&mut self.input)?, "", "behind a chunk");
                self.left = BodyLeft::Chunks;
            }
            BodyLeft::Bytes(0) => self.left = BodyLeft::Nothing,
            _ => {}
        }
        Ok(len)
    }
}

/// A line; its end is CRLF.
fn line(input: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    input.read_until(b'\n', &mut line)?;
    let Some(line) = line.strip_suffix(b"\r\n") else {
        return Err(io::ErrorKind::UnexpectedEof.into());
    };
    Ok(String::from_utf8(line.to_vec()).expect("text"))
}
