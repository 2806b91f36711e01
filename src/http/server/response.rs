//! Responses, as they are sent.

use super::body::{BodyStream, StreamFraming};
use crate::calendar;
use crate::json::JsonValue;
use crate::net::SharedSocket;
use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The answer to a request.
#[derive(Debug)]
pub struct Response {
    /// The status code, 200 to 599.
    pub status: u16,
    content_type: &'static str,
    headers: Vec<(&'static str, Cow<'static, str>)>,
    pub(super) body: ResponseBody,
    /// Dropped when the response is sent.
    _guard: Option<Box<dyn fmt::Debug + Send>>,
}

/// The body of a response.
pub(super) enum ResponseBody {
    /// Bytes whose number is told in the head.
    Whole(Cow<'static, [u8]>),
    /// The same, in pieces that others have too.
    Shared(Vec<Arc<[u8]>>),
    /// Pieces that are sent as they come, for as long as it takes.
    Stream(Box<dyn BodyStream>),
    /// Bytes that others send over the connection.
    Live(Box<dyn LiveBody>),
    /// Nothing, and nothing is said of it in the head.
    None,
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            ResponseBody::Whole(bytes) => write!(f, "{} bytes", bytes.len()),
            ResponseBody::Shared(pieces) => write!(f, "{} pieces", pieces.len()),
            ResponseBody::Stream(_) => write!(f, "stream"),
            ResponseBody::Live(_) => write!(f, "live"),
            ResponseBody::None => write!(f, "none"),
        }
    }
}

/// The body of a response that lasts, and that more than the connection's own thread sends.
pub trait LiveBody: Send {
    /// Sends head and body, until either side ends it. Runs on the connection's own thread; no
    /// further request is read.
    fn run(self: Box<Self>, connection: LiveConnection) -> LiveEnd;
}

/// A connection whose response is all that it still has.
pub struct LiveConnection<'a> {
    /// The socket. Nothing of the response was sent.
    pub socket: &'a Arc<SharedSocket>,
    /// The head of the response, to be sent before its body.
    pub head: Vec<u8>,
    /// How the body is to be sent.
    pub framing: StreamFraming,
}

/// How a response that took its connection over ended.
#[derive(Debug)]
pub enum LiveEnd {
    /// The client has all of it.
    Complete,
    /// The client lacks the rest of it, or is gone.
    CutShort,
    /// Nothing was sent, and this is to be sent instead.
    Instead(Response),
}

/// How a response goes to its client.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResponseDelivery {
    /// It is the answer to a HEAD request: no body follows.
    pub(super) head_only: bool,
    /// The body is sent for as long as it lasts, and is the last.
    pub(super) lasts: bool,
    /// Another request may follow.
    pub(super) keep_alive: bool,
    /// For a body in pieces.
    pub(super) framing: StreamFraming,
}

impl ResponseDelivery {
    /// The connection is closed after it.
    pub(super) const LAST: ResponseDelivery = ResponseDelivery {
        head_only: false,
        lasts: false,
        keep_alive: false,
        framing: StreamFraming::UntilClose,
    };
}

impl Response {
    /// A resource of this media type.
    pub fn found(content_type: &'static str, text: impl Into<Cow<'static, str>>) -> Response {
        let bytes = match text.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Response::new(content_type, ResponseBody::Whole(bytes))
    }

    /// A resource of this media type that others are sent as well.
    pub fn shared(content_type: &'static str, pieces: Vec<Arc<[u8]>>) -> Response {
        Response::new(content_type, ResponseBody::Shared(pieces))
    }

    /// A resource of this media type that is sent piece by piece.
    pub fn stream(content_type: &'static str, stream: Box<dyn BodyStream>) -> Response {
        Response::new(content_type, ResponseBody::Stream(stream))
    }

    /// A resource of this media type that is sent for as long as it lasts, by whoever has it.
    pub fn live(content_type: &'static str, live: Box<dyn LiveBody>) -> Response {
        Response::new(content_type, ResponseBody::Live(live))
    }

    /// A head with nothing behind it, for a status that has no body.
    pub fn empty(status: u16) -> Response {
        Response::new("", ResponseBody::None).with_status(status)
    }

    /// A line of text.
    pub fn line(status: u16, text: &str) -> Response {
        Response::found("text/plain; charset=utf-8", format!("{text}\n")).with_status(status)
    }

    fn new(content_type: &'static str, body: ResponseBody) -> Response {
        Response {
            status: 200,
            content_type,
            headers: Vec::new(),
            body,
            _guard: None,
        }
    }

    /// A value as JSON.
    pub fn json(status: u16, value: &JsonValue) -> Response {
        let body = format!("{value}\n");
        Response::found("application/json; charset=utf-8", body).with_status(status)
    }

    /// What went wrong, as JSON.
    pub fn error(status: u16, what: &str) -> Response {
        let members = vec![("error".to_owned(), what.into())];
        Response::json(status, &JsonValue::Object(members))
    }

    /// The same with another status.
    pub fn with_status(self, status: u16) -> Response {
        Response { status, ..self }
    }

    /// The same with something that is held until the response is sent.
    pub fn with_guard(self, guard: Box<dyn fmt::Debug + Send>) -> Response {
        Response {
            _guard: Some(guard),
            ..self
        }
    }

    /// The same with one more header.
    pub fn with_header(
        mut self,
        name: &'static str,
        value: impl Into<Cow<'static, str>>,
    ) -> Response {
        self.headers.push((name, value.into()));
        self
    }

    /// The head as it is sent at the time `now`, with the headers that are `common` to all
    /// responses of a server.
    pub(super) fn head(
        &self,
        now: SystemTime,
        common: &[(&'static str, Cow<'static, str>)],
        delivery: ResponseDelivery,
    ) -> Vec<u8> {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        let mut header = |name: &str, value: &str| {
            let _ = write!(head, "{name}: {value}\r\n"); // to a String: cannot fail
        };
        header("Date", &date(since));
        if !matches!(self.body, ResponseBody::None) {
            header("Content-Type", self.content_type);
        }
        match (&self.body, delivery.framing) {
            (ResponseBody::None, _) => {}
            (ResponseBody::Whole(bytes), _) => header("Content-Length", &bytes.len().to_string()),
            (ResponseBody::Shared(pieces), _) => {
                let len: usize = pieces.iter().map(|piece| piece.len()).sum();
                header("Content-Length", &len.to_string());
            }
            (ResponseBody::Stream(_) | ResponseBody::Live(_), StreamFraming::Chunked) => {
                header("Transfer-Encoding", "chunked")
            }
            (ResponseBody::Stream(_) | ResponseBody::Live(_), StreamFraming::UntilClose) => {}
        }
        common.iter().for_each(|(name, value)| header(name, value));
        let lasts = if delivery.keep_alive {
            "keep-alive"
        } else {
            "close"
        };
        header("Connection", lasts);
        self.headers
            .iter()
            .for_each(|(name, value)| header(name, value));
        head.push_str("\r\n");
        head.into_bytes()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        410 => "Gone",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

/// A time since 1970 as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
fn date(since: Duration) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let seconds = since.as_secs() as i64;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = calendar::civil(days);
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        DAYS[(days % 7) as usize],
        MONTHS[(month - 1) as usize % 12],
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::server::Piece;
    use std::time::Instant;

    struct Nothing;

    impl BodyStream for Nothing {
        fn next(&mut self, _: Instant) -> Piece<'_> {
            Piece::End
        }
    }

    #[test]
    fn dates_are_written() {
        let rows = [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_827_696, "Tue, 29 Feb 2000 12:34:56 GMT"),
            (4_102_444_799, "Thu, 31 Dec 2099 23:59:59 GMT"),
        ];
        for (seconds, want) in rows {
            assert_eq!(date(Duration::from_secs(seconds)), want);
        }
    }

    #[test]
    fn a_head_is_written() {
        let common = [("Cache-Control", "no-store"), ("A", "b")];
        let common = common.map(|(name, value)| (name, Cow::Borrowed(value)));
        let last = ResponseDelivery::LAST;
        let kept = ResponseDelivery {
            keep_alive: true,
            framing: StreamFraming::Chunked,
            ..last
        };
        let whole = || Response::error(405, "no").with_header("Allow", "GET");
        let stream = || {
            let stream = Response::stream("video/x-flv", Box::new(Nothing));
            stream.with_header("Allow", "GET").with_status(405)
        };
        let json = "application/json; charset=utf-8\r\nContent-Length: 15";
        let rows = [
            (whole(), last, json, "close"),
            (whole(), kept, json, "keep-alive"),
            (stream(), last, "video/x-flv", "close"),
            (
                stream(),
                kept,
                "video/x-flv\r\nTransfer-Encoding: chunked",
                "keep-alive",
            ),
        ];
        for (response, delivery, content, connection) in rows {
            let want = format!(
                "HTTP/1.1 405 Method Not Allowed\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
                 Content-Type: {content}\r\nCache-Control: no-store\r\nA: b\r\n\
                 Connection: {connection}\r\nAllow: GET\r\n\r\n"
            );
            let head = response.head(UNIX_EPOCH, &common, delivery);
            assert_eq!(String::from_utf8(head).unwrap(), want);
        }
        let head = Response::empty(204).head(UNIX_EPOCH, &[], kept);
        let head = String::from_utf8(head).unwrap();
        assert_eq!(head.lines().count(), 4, "{head}");
        assert!(
            head.starts_with("HTTP/1.1 204 No Content\r\nDate: "),
            "{head}"
        );
    }
}
