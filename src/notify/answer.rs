//! What the answer to a question means.

use crate::http::client::{PostError, Reply};
use std::fmt;

/// What becomes of a client that was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on, since nobody is asked.
    Unasked,
    /// It goes on as it wished.
    Allowed,
    /// It goes on under this name, or in this app.
    Renamed(String),
}

/// Why a client is refused, for the log and for events.
#[derive(Debug)]
pub enum NotifyRefusal {
    /// The service answered with this status.
    Status(u16),
    /// The service sent it on, but did not say where.
    NoLocation,
    /// The service sent it to another server.
    OtherServer,
    /// What the service calls it cannot be the name of a stream.
    Name(String),
    /// The service could not be asked.
    Failed(PostError),
    /// Too many questions were open for as long as an answer may take.
    Busy,
}

impl fmt::Display for NotifyRefusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            NotifyRefusal::Status(status) => write!(f, "notify answered {status}"),
            NotifyRefusal::NoLocation => write!(f, "notify answered with a redirect to nowhere"),
            NotifyRefusal::OtherServer => {
                write!(
                    f,
                    "notify answered with the URL of an RTMP server: use -relay-to or -pull"
                )
            }
            NotifyRefusal::Name(why) => write!(f, "notify answered with a bad name: {why}"),
            NotifyRefusal::Failed(error) => write!(f, "notify failed: {error}"),
            NotifyRefusal::Busy => write!(f, "notify busy with other questions"),
        }
    }
}

impl std::error::Error for NotifyRefusal {}

/// 2xx lets in, 3xx renames, and all else refuses.
pub(super) fn verdict(reply: Result<Reply, PostError>) -> Result<Verdict, NotifyRefusal> {
    let reply = reply.map_err(NotifyRefusal::Failed)?;
    match (reply.status, reply.location) {
        (200..300, _) => Ok(Verdict::Allowed),
        (300..400, Some(location)) => name(&location).map(Verdict::Renamed),
        (300..400, None) => Err(NotifyRefusal::NoLocation),
        (status, _) => Err(NotifyRefusal::Status(status)),
    }
}

/// The name that a redirect leads to, with its query. Many frameworks make whole URLs of names: then it is
/// what stands behind the last slash of the path.
fn name(location: &str) -> Result<String, NotifyRefusal> {
    let lower = location.to_ascii_lowercase();
    if lower.starts_with("rtmp://") || lower.starts_with("rtmps://") {
        return Err(NotifyRefusal::OtherServer);
    }
    let is_url = lower.starts_with("http://") || lower.starts_with("https://");
    let name = match is_url {
        true => last_segment(location),
        false => location,
    };
    match name.is_empty() {
        true => Err(NotifyRefusal::NoLocation),
        false => Ok(name.to_owned()),
    }
}

/// The last segment of a URL's path, with the query; empty if it has none.
fn last_segment(url: &str) -> &str {
    let (url, _fragment) = url.split_once('#').unwrap_or((url, ""));
    let place_start = url.find("://").map_or(0, |at| at + "://".len());
    let place_and_path = &url[place_start..];
    let path_end = place_and_path.find('?').unwrap_or(place_and_path.len());
    let last_slash = place_and_path[..path_end].rfind('/');
    match last_slash.map(|at| at + 1) {
        Some(start) if start < path_end => &place_and_path[start..],
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_decide() {
        let rows = [
            (200, None, Ok("")),
            (299, Some("x"), Ok("")),
            (302, Some("public"), Ok("public")),
            (301, Some("a/b?x=1"), Ok("a/b?x=1")),
            (307, Some("/public"), Ok("/public")),
            (302, Some("http://h:80/auth/public"), Ok("public")),
            (302, Some("HTTPS://h/public"), Ok("public")),
            (302, Some("http://h/app/p?next=/a/b"), Ok("p?next=/a/b")),
            (302, Some("http://h/app/p?a=b#/c?d"), Ok("p?a=b")),
            (302, Some("http://h/p#/c"), Ok("p")),
            (302, Some("a/b?x=/1"), Ok("a/b?x=/1")),
            (302, Some("http://h"), Err("redirect to nowhere")),
            (302, Some("http://h?to=/x"), Err("redirect to nowhere")),
            (302, Some("http://h/a/?x=y"), Err("redirect to nowhere")),
            (302, Some("http://h/"), Err("redirect to nowhere")),
            (302, Some(""), Err("redirect to nowhere")),
            (302, None, Err("redirect to nowhere")),
            (
                302,
                Some("rtmp://10.0.0.1/live/x"),
                Err("use -relay-to or -pull"),
            ),
            (302, Some("RTMPS://h/x"), Err("use -relay-to or -pull")),
            (400, Some("x"), Err("notify answered 400")),
            (403, None, Err("notify answered 403")),
            (500, None, Err("notify answered 500")),
        ];
        for (status, location, want) in rows {
            let reply = Reply {
                status,
                location: location.map(str::to_owned),
                body: Vec::new(),
            };
            match (verdict(Ok(reply)), want) {
                (Ok(Verdict::Allowed), Ok("")) => {}
                (Ok(Verdict::Renamed(name)), Ok(want)) => assert_eq!(name, want),
                (Err(error), Err(want)) => assert!(error.to_string().contains(want), "{error}"),
                (got, _) => panic!("{status} {location:?}: {got:?}"),
            }
        }
        let failed = verdict(Err(PostError::TimedOut)).unwrap_err();
        assert_eq!(failed.to_string(), "notify failed: timed out");
    }
}
