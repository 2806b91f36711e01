//! Reading requests of HTTP/1.1 and 1.0 (RFC 9112), within bounds.

use super::settings::HttpLimits;
use crate::http::{self, LineError, read_line};
use std::fmt;
use std::io::{self, BufRead, Read};

/// Bytes of a `User-Agent` that are kept.
pub const USER_AGENT_LEN_MAX: usize = 256;

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Asks for a resource.
    Get,
    /// Asks for the head of the response alone.
    Head,
    /// Asks what may be asked of a resource.
    Options,
    /// Asks to end a stream or a connection.
    Delete,
    /// A method that no resource allows.
    Other,
}

/// A request, with those of its headers that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method, case and all.
    pub method: Method,
    /// The path as it was sent: still with `%41`, without the query.
    pub path: String,
    /// The query as it was sent, without its `?`; empty if there is none. What is in it may be
    /// secret: never to be logged.
    pub query: String,
    /// The `Host`, or what stands for it in the target.
    pub host: Option<String>,
    /// The page that sends the request, as a browser names it.
    pub origin: Option<String>,
    /// What the client calls itself, at most [`USER_AGENT_LEN_MAX`] bytes of it.
    pub user_agent: String,
    /// What follows `Bearer`. It may be secret: never to be logged.
    pub bearer: Option<String>,
    /// Whether a proxy says that it sends this for somebody else.
    pub forwarded: bool,
    /// Whether another request may follow.
    pub keep_alive: bool,
    /// Whether the client knows bodies in chunks: those of HTTP/1.0 do not.
    pub takes_chunks: bool,
}

/// Why a request cannot be read.
#[derive(Debug)]
pub enum RequestError {
    /// The client is gone, or the transport failed.
    Closed,
    /// The request did not arrive in time.
    TimedOut,
    /// The head is longer than [`HttpLimits::head_len`].
    HeadTooLong,
    /// The body is longer than [`HttpLimits::body_len`].
    BodyTooLong,
    /// A body comes without its length first.
    NoLength,
    /// The request is not HTTP; the part that is wrong.
    Malformed(&'static str),
    /// The transfer encoding is unknown.
    Encoding,
    /// The version is not HTTP/1.x.
    Version,
}

impl RequestError {
    /// The status and the text of the response; `None`: the client is gone.
    pub fn answer(&self) -> Option<(u16, &'static str)> {
        match self {
            RequestError::Closed => None,
            RequestError::TimedOut => Some((408, "request took too long")),
            RequestError::HeadTooLong => Some((431, "head of the request is too long")),
            RequestError::BodyTooLong => Some((413, "body of the request is too long")),
            RequestError::NoLength => Some((411, "length of the body is missing")),
            RequestError::Malformed(what) => Some((400, what)),
            RequestError::Encoding => Some((501, "unknown transfer encoding")),
            RequestError::Version => Some((505, "only HTTP/1.1 and HTTP/1.0 are spoken")),
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.answer().map_or("closed", |(_, what)| what))
    }
}

impl std::error::Error for RequestError {}

impl From<LineError> for RequestError {
    fn from(error: LineError) -> RequestError {
        match error {
            LineError::TooLong => RequestError::HeadTooLong,
            LineError::TimedOut => RequestError::TimedOut,
            LineError::Closed | LineError::Io(_) => RequestError::Closed,
        }
    }
}

impl HttpRequest {
    /// Reads one request, and its body away.
    ///
    /// # Errors
    ///
    /// Any [`RequestError`]: the connection is of no use any more.
    pub fn read(
        input: &mut impl BufRead,
        limits: &HttpLimits,
    ) -> Result<HttpRequest, RequestError> {
        let mut left = limits.head_len;
        let mut line = read_line(input, &mut left)?;
        // Some clients send an empty line too many after a body.
        if line.is_empty() {
            line = read_line(input, &mut left)?;
        }
        let mut head = Head::new(&line)?;
        loop {
            let line = read_line(input, &mut left)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = http::header(&line).ok_or(RequestError::Malformed("bad header"))?;
            head.take(name, value)?;
        }
        let (request, body) = head.finish(limits.body_len)?;
        skip(input, body)?;
        Ok(request)
    }
}

fn skip(input: &mut impl BufRead, len: u64) -> Result<(), RequestError> {
    let read = io::copy(&mut input.by_ref().take(len), &mut io::sink());
    match read.map_err(LineError::from)? {
        read if read < len => Err(RequestError::Closed),
        _ => Ok(()),
    }
}

/// A request of which not all headers were read.
struct Head {
    request: HttpRequest,
    /// The 1 in HTTP/1.1.
    minor: u8,
    /// Whether the target names the host.
    absolute: bool,
    length: Option<u64>,
    chunked: bool,
    /// Whether the client waits for a word before it sends the body.
    waits: bool,
    close: bool,
    keep_alive: bool,
}

impl Head {
    /// Reads `GET /path?query HTTP/1.1`.
    fn new(line: &[u8]) -> Result<Head, RequestError> {
        let bad = RequestError::Malformed("bad request line");
        let Some(line) = str::from_utf8(line).ok().filter(|line| {
            let plain = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
            line.bytes().all(plain)
        }) else {
            return Err(bad);
        };
        let mut parts = line.split(' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(bad);
        };
        if method.is_empty() || !method.bytes().all(is_token) {
            return Err(bad);
        }
        let minor = minor(version)?;
        let (host, path, query) =
            split_target(target).ok_or(RequestError::Malformed("bad request target"))?;
        Ok(Head {
            request: HttpRequest {
                method: match method {
                    "GET" => Method::Get,
                    "HEAD" => Method::Head,
                    "OPTIONS" => Method::Options,
                    "DELETE" => Method::Delete,
                    _ => Method::Other,
                },
                path: path.to_owned(),
                query: query.to_owned(),
                host: host.map(str::to_owned),
                origin: None,
                user_agent: String::new(),
                bearer: None,
                forwarded: false,
                keep_alive: false,
                takes_chunks: minor > 0,
            },
            minor,
            absolute: host.is_some(),
            length: None,
            chunked: false,
            waits: false,
            close: false,
            keep_alive: false,
        })
    }

    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), RequestError> {
        let control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        if !name.iter().copied().all(is_token) || value.iter().any(control) {
            return Err(RequestError::Malformed("bad header"));
        }
        let text = || String::from_utf8_lossy(value).into_owned();
        let has = |word: &[u8]| {
            let words = value.split(|byte| *byte == b',');
            words
                .map(<[u8]>::trim_ascii)
                .any(|other| other.eq_ignore_ascii_case(word))
        };
        match name.to_ascii_lowercase().as_slice() {
            b"host" if self.absolute => {}
            b"host" if self.request.host.is_some() => {
                return Err(RequestError::Malformed("more than one host"));
            }
            b"host" => self.request.host = Some(text()),
            b"origin" => self.request.origin = Some(text()),
            b"user-agent" => self.request.user_agent = shortened(text()),
            b"authorization" => {
                let scheme = value.split_first_chunk::<7>();
                self.request.bearer = scheme
                    .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "))
                    .map(|(_, token)| String::from_utf8_lossy(token.trim_ascii()).into_owned());
            }
            b"forwarded" | b"x-forwarded-for" | b"x-real-ip" | b"via" => {
                self.request.forwarded = true;
            }
            b"connection" => {
                self.close |= has(b"close");
                self.keep_alive |= has(b"keep-alive");
            }
            b"expect" => self.waits |= has(b"100-continue"),
            b"transfer-encoding" if value.eq_ignore_ascii_case(b"chunked") => self.chunked = true,
            b"transfer-encoding" => return Err(RequestError::Encoding),
            b"content-length" => {
                let len = http::length(value).filter(|len| self.length.is_none_or(|l| l == *len));
                self.length = Some(len.ok_or(RequestError::Malformed("bad content length"))?);
            }
            _ => {}
        }
        Ok(())
    }

    /// The request, and how many bytes of body follow that have to be read.
    fn finish(mut self, body_len_max: u64) -> Result<(HttpRequest, u64), RequestError> {
        if self.minor > 0 && self.request.host.is_none() {
            return Err(RequestError::Malformed("host is missing"));
        }
        match (self.chunked, self.length) {
            (true, Some(_)) => return Err(RequestError::Malformed("two lengths of the body")),
            (true, None) => return Err(RequestError::NoLength),
            (false, Some(len)) if len > body_len_max => return Err(RequestError::BodyTooLong),
            (false, _) => {}
        }
        let body = self.length.unwrap_or(0);
        // A client that waits for `100 Continue` gets the response at once instead, and need not
        // send its body.
        let unsent = self.waits && body > 0;
        let lasts = self.minor > 0 || self.keep_alive;
        self.request.keep_alive = lasts && !self.close && !unsent;
        Ok((self.request, if unsent { 0 } else { body }))
    }
}

/// The characters of names (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The minor version of `HTTP/1.1`.
fn minor(version: &str) -> Result<u8, RequestError> {
    let bytes = version.as_bytes().strip_prefix(b"HTTP/");
    match bytes {
        Some([b'1', b'.', minor]) if minor.is_ascii_digit() => Ok(minor - b'0'),
        Some([major, b'.', minor]) if major.is_ascii_digit() && minor.is_ascii_digit() => {
            Err(RequestError::Version)
        }
        _ => Err(RequestError::Malformed("bad request line")),
    }
}

/// The first [`USER_AGENT_LEN_MAX`] bytes, without half a character.
fn shortened(mut text: String) -> String {
    let mut len = text.len().min(USER_AGENT_LEN_MAX);
    while !text.is_char_boundary(len) {
        len -= 1;
    }
    text.truncate(len);
    text
}

/// Host, path and query in `/path?query` or `http://host/path?query`.
fn split_target(target: &str) -> Option<(Option<&str>, &str, &str)> {
    if target.starts_with('/') || target == "*" {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        return Some((None, path, query));
    }
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let (host, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = if path.is_empty() { "/" } else { path };
    (!host.is_empty()).then_some((Some(host), path, query))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const LIMITS: HttpLimits = HttpLimits {
        connections: 1,
        head_len: 8 << 10,
        body_len: 64 << 10,
        first: Duration::ZERO,
        idle: Duration::ZERO,
        read: Duration::ZERO,
        write: Duration::ZERO,
    };

    fn read_all(text: &[u8]) -> Result<HttpRequest, (u16, &'static str)> {
        let mut input = text;
        HttpRequest::read(&mut input, &LIMITS).map_err(|error| error.answer().unwrap_or((0, "")))
    }

    /// A request, its method, path and host, and whether another one may follow.
    type Row = (&'static str, Method, &'static str, &'static str, bool);

    const REQUESTS: &[Row] = &[
        (
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            Method::Get,
            "/",
            "a",
            true,
        ),
        ("GET / HTTP/1.1\nhost:a\n\n", Method::Get, "/", "a", true),
        (
            "\r\nHEAD /x?y=/z HTTP/1.1\r\nHost: a\r\n\r\n",
            Method::Head,
            "/x",
            "a",
            true,
        ),
        (
            "DELETE /%41 HTTP/1.1\r\nHost: a:1\r\n\r\n",
            Method::Delete,
            "/%41",
            "a:1",
            true,
        ),
        (
            "get / HTTP/1.1\r\nHost: \r\n\r\n",
            Method::Other,
            "/",
            "",
            true,
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            Method::Options,
            "*",
            "a",
            true,
        ),
        (
            "GET http://b:8/c?d HTTP/1.1\r\nHost: a\r\n\r\n",
            Method::Get,
            "/c",
            "b:8",
            true,
        ),
        (
            "GET HTTP://b?d HTTP/1.1\r\nHost: a\r\n\r\n",
            Method::Get,
            "/",
            "b",
            true,
        ),
        ("GET / HTTP/1.0\r\n\r\n", Method::Get, "/", "-", false),
        (
            "GET / HTTP/1.0\r\nConnection: x, Keep-Alive\r\n\r\n",
            Method::Get,
            "/",
            "-",
            true,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            Method::Get,
            "/",
            "a",
            false,
        ),
        (
            "GET / HTTP/1.9\r\nHost: a\r\n\r\n",
            Method::Get,
            "/",
            "a",
            true,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
            Method::Other,
            "/",
            "a",
            true,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
            Method::Other,
            "/",
            "a",
            false,
        ),
    ];

    #[test]
    fn requests_are_read() {
        for (text, method, path, host, keep_alive) in REQUESTS {
            let request = read_all(text.as_bytes()).unwrap();
            assert_eq!(
                (request.method, request.path.as_str()),
                (*method, *path),
                "{text}"
            );
            assert_eq!(request.host.as_deref().unwrap_or("-"), *host, "{text}");
            assert_eq!(request.keep_alive, *keep_alive, "{text}");
        }
    }

    #[test]
    fn who_asks_is_read() {
        let head = "GET / HTTP/1.1\r\nHost: a\r\n";
        let rows = [
            ("", None, None, false),
            ("Authorization: Bearer  t \r\n", Some("t"), None, false),
            ("authorization: bEARER t=\r\n", Some("t="), None, false),
            ("Authorization: Basic t\r\n", None, None, false),
            ("Authorization: Bearer\r\n", None, None, false),
            ("Origin: http://a\r\n", None, Some("http://a"), false),
            ("X-Forwarded-For: 1.2.3.4\r\n", None, None, true),
            ("Forwarded: for=x\r\n", None, None, true),
            ("Via: 1.1 x\r\n", None, None, true),
        ];
        for (headers, bearer, origin, forwarded) in rows {
            let request = read_all(format!("{head}{headers}\r\n").as_bytes()).unwrap();
            assert_eq!(request.bearer.as_deref(), bearer, "{headers}");
            assert_eq!(request.origin.as_deref(), origin, "{headers}");
            assert_eq!(request.forwarded, forwarded, "{headers}");
        }
    }

    #[test]
    fn queries_and_names_of_clients_are_kept() {
        let long = "\u{e9}".repeat(USER_AGENT_LEN_MAX);
        let rows = [
            ("/a", "", "", ""),
            ("/a?", "", "", ""),
            ("/a?b=c?d&e", "b=c?d&e", "curl/7", "curl/7"),
            ("http://b/a?x=%41", "x=%41", "caf\u{e9}", "caf\u{e9}"),
            ("http://b?x", "x", &long, &long[..USER_AGENT_LEN_MAX]),
        ];
        for (target, query, agent, kept) in rows {
            let text = format!("GET {target} HTTP/1.1\r\nHost: a\r\nUser-Agent: {agent}\r\n\r\n");
            let request = read_all(text.as_bytes()).unwrap();
            assert_eq!(request.query, query, "{target}");
            assert_eq!(request.user_agent, kept, "{agent}");
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let host = "POST / HTTP/1.1\r\nHost: a\r\n";
        let rows = [
            ("", "", 0),
            ("", "GET / HTTP/1.1\r\n", 0),
            ("", "\r\n\r\n", 400),
            ("", "GET /\r\n\r\n", 400),
            ("", "GET  / HTTP/1.1\r\n\r\n", 400),
            ("", "GET / HTTP/1.1 \r\n\r\n", 400),
            ("", "GET / x HTTP/1.1\r\n\r\n", 400),
            ("", " GET / HTTP/1.1\r\n\r\n", 400),
            ("", "G(T / HTTP/1.1\r\n\r\n", 400),
            ("", "GET a HTTP/1.1\r\n\r\n", 400),
            ("", "GET ftp://a/ HTTP/1.1\r\n\r\n", 400),
            ("", "GET http:///a HTTP/1.1\r\n\r\n", 400),
            ("", "CONNECT a:1 HTTP/1.1\r\n\r\n", 400),
            ("", "GET /caf\u{e9} HTTP/1.1\r\n\r\n", 400),
            ("", "GET /\t HTTP/1.1\r\n\r\n", 400),
            ("", "GET / HTTP/1.1\r\n\r\n", 400),
            ("", "GET / HTTP/1.x\r\n\r\n", 400),
            ("", "GET / HTTP/11\r\n\r\n", 400),
            ("", "GET / HTTP/2.0\r\n\r\n", 505),
            (host, "Host: a\r\n\r\n", 400),
            (host, "nonsense\r\n\r\n", 400),
            (host, ": x\r\n\r\n", 400),
            (host, "A : b\r\n\r\n", 400),
            (host, "A: b\r\n c\r\n\r\n", 400),
            (host, "A(: b\r\n\r\n", 400),
            (host, "A: b\rc\r\n\r\n", 400),
            (host, "A: b\0\r\n\r\n", 400),
            (host, "Content-Length: +1\r\n\r\na", 400),
            (
                host,
                "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
                400,
            ),
            (
                host,
                "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                400,
            ),
            (host, "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 411),
            (host, "Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
            (host, "Content-Length: 65537\r\n\r\n", 413),
            (host, "Content-Length: 2\r\n\r\na", 0),
        ];
        for (head, rest, want) in rows {
            let error = read_all(format!("{head}{rest}").as_bytes()).unwrap_err();
            assert_eq!(error.0, want, "{rest:?}");
        }
    }

    #[test]
    fn lengths_are_limited() {
        let head = "GET / HTTP/1.1\r\nHost: a\r\nA: ";
        let fits = LIMITS.head_len - head.len() - 4;
        for (len, want) in [(fits, None), (fits + 1, Some(431)), (1 << 20, Some(431))] {
            let text = format!("{head}{}\r\n\r\n", "x".repeat(len));
            let status = read_all(text.as_bytes()).err().map(|error| error.0);
            assert_eq!(status, want, "{len}");
        }
        let body = "x".repeat(LIMITS.body_len as usize);
        let text = format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}rest",
            LIMITS.body_len
        );
        let mut input = text.as_bytes();
        assert!(HttpRequest::read(&mut input, &LIMITS).is_ok());
        assert_eq!(input, b"rest");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, start in 0..4_usize) {
            let starts = ["", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: a\r\n", "GET "];
            let _ = read_all(&[starts[start].as_bytes(), &bytes].concat());
        }

        #[test]
        fn near_misses_are_read_or_refused(text in "(GET|DELETE|x) ?[/:?%.*htp]{0,9} HTTP/1.[019]\r\n([A-Ca-c: -]{0,9}\r?\n){0,4}\r\n") {
            let _ = read_all(text.as_bytes());
        }
    }
}
