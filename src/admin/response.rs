//! Responses, as they are sent.

use crate::json::Value;
use crate::log;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// 200 to 599.
    pub status: u16,
    content_type: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    body: Cow<'static, str>,
}

impl Response {
    /// Something found, of this media type.
    pub fn found(content_type: &'static str, body: impl Into<Cow<'static, str>>) -> Response {
        Response {
            status: 200,
            content_type,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// JSON.
    pub fn json(status: u16, value: &Value) -> Response {
        let body = format!("{value}\n");
        Response::found("application/json; charset=utf-8", body).with_status(status)
    }

    /// What went wrong, as JSON.
    pub fn error(status: u16, what: &str) -> Response {
        let members = vec![("error".to_owned(), what.into())];
        Response::json(status, &Value::Object(members))
    }

    /// The same with another status.
    pub fn with_status(self, status: u16) -> Response {
        Response { status, ..self }
    }

    /// The same with one more header.
    pub fn with_header(mut self, name: &'static str, value: &'static str) -> Response {
        self.headers.push((name, value));
        self
    }

    /// The bytes to be sent at the time `now`; for a HEAD request without the body.
    pub fn bytes(&self, now: SystemTime, head_only: bool, keep_alive: bool) -> Vec<u8> {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        let len = self.body.len().to_string();
        let date = date(since);
        let always = [
            ("Date", date.as_str()),
            ("Content-Type", self.content_type),
            ("Content-Length", &len),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            (
                "Connection",
                if keep_alive { "keep-alive" } else { "close" },
            ),
        ];
        for (name, value) in always.iter().chain(&self.headers) {
            let _ = write!(head, "{name}: {value}\r\n"); // to a String: cannot fail
        }
        head.push_str("\r\n");
        if !head_only {
            head.push_str(&self.body);
        }
        head.into_bytes()
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        421 => "Misdirected Request",
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
    let seconds = since.as_secs();
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = log::civil(days);
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
    fn a_response_is_written() {
        let response = Response::error(405, "no").with_header("Allow", "GET");
        let want = [
            "HTTP/1.1 405 Method Not Allowed",
            "Date: Thu, 01 Jan 1970 00:00:00 GMT",
            "Content-Type: application/json; charset=utf-8",
            "Content-Length: 15",
            "Cache-Control: no-store",
            "X-Content-Type-Options: nosniff",
            "Cross-Origin-Resource-Policy: same-origin",
            "Connection: close",
            "Allow: GET",
            "\r\n",
        ]
        .join("\r\n");
        let head = response.bytes(UNIX_EPOCH, true, false);
        assert_eq!(String::from_utf8(head).unwrap(), want);
        let whole = response.bytes(UNIX_EPOCH, false, true);
        let want = want.replace("close", "keep-alive") + "{\"error\":\"no\"}\n";
        assert_eq!(String::from_utf8(whole).unwrap(), want);
    }
}
