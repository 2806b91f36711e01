//! Addresses of streams on other servers: `rtmp[s]://host[:port]/app/name?query`.

use crate::net::{HostPort, HostPortError};
use crate::rtmp::client::ConnectTarget;
use crate::rtmp::stream_key::{KeptEnds, StreamKey, encoded_name, split_at_query};
use std::fmt;

/// How a server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `rtmp`: over TCP alone.
    Rtmp,
    /// `rtmps`: over TLS, which a program speaks.
    Rtmps,
}

impl Scheme {
    /// The scheme called so, in letters of either case.
    fn from_name(name: &str) -> Option<Scheme> {
        let all = [Scheme::Rtmp, Scheme::Rtmps];
        let mut found = all.into_iter();
        found.find(|scheme| name.eq_ignore_ascii_case(scheme.name()))
    }

    fn name(self) -> &'static str {
        match self {
            Scheme::Rtmp => "rtmp",
            Scheme::Rtmps => "rtmps",
        }
    }

    /// The port that it has if none is given.
    fn port(self) -> u16 {
        match self {
            Scheme::Rtmp => 1935,
            Scheme::Rtmps => 443,
        }
    }
}

/// A URL of scheme `rtmp` or `rtmps`, taken apart as far as that does not depend on the stream. Shown without
/// what may be secret in it: only scheme, host, port and the first part of the path.
#[derive(Clone, PartialEq, Eq)]
pub struct RtmpUrl {
    /// Whether TLS is spoken to the server.
    pub scheme: Scheme,
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// As it is given, or the one of the scheme.
    pub port: u16,
    /// As it is written, host and port.
    place: String,
    /// What follows the host, without the slash and the query.
    path: String,
    /// What follows `?`, if anything does.
    query: Option<String>,
}

/// Why a text is no URL that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtmpUrlError {
    /// It does not begin with `rtmp://` or `rtmps://`.
    Scheme,
    /// It has white space or control characters.
    Character,
    /// A user and perhaps a password stand before the host.
    UserInfo,
    /// There is no host, or a bad one.
    Host,
    /// The port is no number from 1 to 65535.
    Port,
    /// There is nothing behind the host.
    Path,
}

impl fmt::Display for RtmpUrlError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            RtmpUrlError::Scheme => "URL must begin with rtmp:// or rtmps://",
            RtmpUrlError::Character => "URL has white space or a control character",
            RtmpUrlError::UserInfo => {
                "URL has a user or a password before the @: RTMP sends neither; give the server what it asks for in the query"
            }
            RtmpUrlError::Host => "URL has no host, or a bad one",
            RtmpUrlError::Port => "URL has a bad port",
            RtmpUrlError::Path => "URL names no application",
        })
    }
}

impl std::error::Error for RtmpUrlError {}

impl From<HostPortError> for RtmpUrlError {
    fn from(error: HostPortError) -> RtmpUrlError {
        match error {
            HostPortError::Host => RtmpUrlError::Host,
            HostPortError::Port => RtmpUrlError::Port,
        }
    }
}

/// What takes the place of parts of a stream's key in a URL.
const PLACEHOLDERS: [&str; 3] = ["{app}", "{name}", "{key}"];

impl RtmpUrl {
    /// Takes a URL apart.
    ///
    /// # Errors
    ///
    /// Any [`RtmpUrlError`].
    pub fn parse(text: &str) -> Result<RtmpUrl, RtmpUrlError> {
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(RtmpUrlError::Character);
        }
        let (scheme, rest) = text.split_once("://").ok_or(RtmpUrlError::Scheme)?;
        let scheme = Scheme::from_name(scheme).ok_or(RtmpUrlError::Scheme)?;
        let (place, path) = rest.split_once('/').ok_or(RtmpUrlError::Path)?;
        if place.contains('@') {
            return Err(RtmpUrlError::UserInfo);
        }
        let HostPort { host, port } = HostPort::parse(place)?;
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (path, None),
        };
        let path = path.trim_matches('/');
        if path.is_empty() {
            return Err(RtmpUrlError::Path);
        }
        Ok(RtmpUrl {
            scheme,
            host: host.to_owned(),
            port: port.unwrap_or(scheme.port()),
            place: place.to_owned(),
            path: path.to_owned(),
            query,
        })
    }

    /// Whether `other` is spoken to in the same way at the same place.
    pub(super) fn is_of_server(&self, other: &RtmpUrl) -> bool {
        (self.scheme, &self.host, self.port) == (other.scheme, &other.host, other.port)
    }

    /// Whether it has places for parts of a stream's key.
    pub fn has_placeholders(&self) -> bool {
        let within = |text: &str| PLACEHOLDERS.iter().any(|name| text.contains(name));
        within(&self.path) || self.query.as_deref().is_some_and(within)
    }

    /// The first text in braces that looks like a placeholder and is none.
    pub(super) fn unknown_placeholder(&self) -> Option<&str> {
        let query = self.query.as_deref().unwrap_or_default();
        let mut braced = [self.path.as_str(), query].into_iter().flat_map(braced);
        braced.find(|text| !PLACEHOLDERS.contains(text))
    }

    /// Whether it has a name behind the application.
    pub fn has_name(&self) -> bool {
        self.path.contains('/')
    }

    /// The stream `name` of the application that the URL names; its query is the application's.
    pub fn with_name(&self, name: &str, via: Vec<String>) -> ConnectTarget {
        let name = KeptEnds::BOTH.protect(&encoded_name(name));
        self.with_sent_name(name, via)
    }

    /// The same, of a name as it is sent, with its query.
    pub(super) fn with_sent_name(&self, name: String, via: Vec<String>) -> ConnectTarget {
        let app = with_query(&self.path, self.query.as_deref());
        self.target(app, name, via)
    }

    /// The stream that the URL itself names, with `{app}`, `{name}` and `{key}` filled in from
    /// `key`; its query is the name's.
    pub fn filled(&self, key: &StreamKey, via: Vec<String>) -> ConnectTarget {
        let fill = |text: &str| fill(text, key);
        let path = fill(&self.path);
        let query = self.query.as_deref().map(fill);
        let (app, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let name = self.kept_ends(key).protect(name);
        let name = with_query(&name, query.as_deref());
        self.target(app.to_owned(), name, via)
    }

    /// Which ends of the name are of `key`. What the URL itself says is sent as it is.
    fn kept_ends(&self, key: &StreamKey) -> KeptEnds {
        let (_, last) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        let mut placeholders = PLACEHOLDERS.iter();
        let begins = placeholders.any(|name| last.starts_with(name));
        let mut placeholders = PLACEHOLDERS.iter();
        KeptEnds {
            prefix: begins || fill(last, key).contains('/'),
            suffix: placeholders.any(|name| last.ends_with(name)),
        }
    }

    fn target(&self, app: String, name: String, via: Vec<String>) -> ConnectTarget {
        ConnectTarget {
            tc_url: format!("{}://{}/{app}", self.scheme.name(), self.place),
            app,
            name,
            via,
        }
    }
}

fn with_query(text: &str, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{text}?{query}"),
        None => text.to_owned(),
    }
}

/// The texts of letters in braces, with the braces.
fn braced(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('{').filter_map(|(at, _)| {
        let len = text[at..].find('}')? + 1;
        let word = &text[at + 1..at + len - 1];
        let letters = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '-';
        (!word.is_empty() && word.chars().all(letters)).then(|| &text[at..at + len])
    })
}

/// Fills in the placeholders from left to right; what is filled in is not looked at again.
fn fill(text: &str, key: &StreamKey) -> String {
    let (app, name) = split_key(key);
    let values = [app, name, key.as_str()].map(encoded_name);
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let mut pairs = PLACEHOLDERS.iter().zip(&values);
        let (taken, value) = pairs
            .find(|(name, _)| rest.starts_with(**name))
            .map_or((1, "{"), |(name, value)| (name.len(), value.as_str()));
        out.push_str(value);
        rest = &rest[taken..];
    }
    out.push_str(rest);
    out
}

/// Application and name of a key: the name is what follows the last slash.
pub(crate) fn split_key(key: &StreamKey) -> (&str, &str) {
    key.as_str().rsplit_once('/').unwrap_or(("", key.as_str()))
}

impl fmt::Display for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let path = split_at_query(&self.path).map_or(&*self.path, |(path, _)| path);
        let first = path.split('/').next().unwrap_or_default();
        write!(f, "{}://{}/{first}", self.scheme.name(), self.place)
    }
}

impl fmt::Debug for RtmpUrl {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtmp::stream_key::StreamPath;

    #[test]
    fn urls_are_taken_apart() {
        let rows = [
            ("rtmp://a/live", Ok(("a", 1935, "rtmp://a/live", false))),
            ("RTMP://a:1/live/x/", Ok(("a", 1, "rtmp://a:1/live", true))),
            (
                "rtmp://[::1]:19350/a",
                Ok(("::1", 19350, "rtmp://[::1]:19350/a", false)),
            ),
            (
                "rtmp://a/live?x=/b",
                Ok(("a", 1935, "rtmp://a/live", false)),
            ),
            (
                "rtmp://a/live%3Fx=b",
                Ok(("a", 1935, "rtmp://a/live", false)),
            ),
            ("rtmps://a/live", Ok(("a", 443, "rtmps://a/live", false))),
            (
                "RTMPS://a.b:1936/x/key?s=1",
                Ok(("a.b", 1936, "rtmps://a.b:1936/x", true)),
            ),
            (
                "rtmps://[2001:db8::1]/a",
                Ok(("2001:db8::1", 443, "rtmps://[2001:db8::1]/a", false)),
            ),
            ("rtmps://user:pw@a/live", Err(RtmpUrlError::UserInfo)),
            ("rtmps:///live", Err(RtmpUrlError::Host)),
            ("rtmpt://a/live", Err(RtmpUrlError::Scheme)),
            ("http://a/live", Err(RtmpUrlError::Scheme)),
            ("a/live", Err(RtmpUrlError::Scheme)),
            ("rtmp://a", Err(RtmpUrlError::Path)),
            ("rtmp://a/", Err(RtmpUrlError::Path)),
            ("rtmp:///live", Err(RtmpUrlError::Host)),
            ("rtmps://-proxy/live", Err(RtmpUrlError::Host)),
            ("rtmp://user:pw@a/live", Err(RtmpUrlError::UserInfo)),
            ("rtmp://user:1@a:1/live", Err(RtmpUrlError::UserInfo)),
            ("rtmp://user@a/live", Err(RtmpUrlError::UserInfo)),
            ("rtmp://a:0/live", Err(RtmpUrlError::Port)),
            ("rtmp://a/li ve", Err(RtmpUrlError::Character)),
        ];
        for (text, want) in rows {
            let got = RtmpUrl::parse(text);
            let got = got
                .as_ref()
                .map(|url| (url.host.as_str(), url.port, url.to_string(), url.has_name()));
            let want = want.map(|(host, port, shown, named)| (host, port, shown.to_owned(), named));
            assert_eq!(
                got,
                want.as_ref().map(|(h, p, s, n)| (*h, *p, s.clone(), *n)),
                "{text}"
            );
        }
    }

    /// What our servers would take for what clients add is there twice, unless the URL itself says it.
    #[test]
    fn ends_of_keys_arrive_at_another_server() {
        // The URL, the stream, the name that is sent, and the stream that our server makes of it.
        let rows = [
            ("rtmp://h/{app}/{name}", "a/mp4:b", "mp4:mp4:b", "a/mp4:b"),
            (
                "rtmp://h/{app}/{name}",
                "a/flv:b.flv",
                "mp4:flv:b.flv.flv",
                "a/flv:b.flv",
            ),
            ("rtmp://h/{key}", "mp4:b", "mp4:mp4:b", "mp4:b"),
            (
                "rtmp://h/{key}?t={name}",
                "a/b.flv",
                "b.flv.flv?t=b.flv",
                "a/b.flv",
            ),
            ("rtmp://h/x/y{key}", "a/mp4:b", "mp4:mp4:b", "x/ya/mp4:b"),
            ("rtmp://h/x/y-{name}", "a/mp4:b", "y-mp4:b", "x/y-mp4:b"),
            ("rtmp://h/x/mp4:{name}.flv", "a/b", "mp4:b.flv", "x/b"),
            ("rtmp://h/x/cam.flv", "a/b", "cam.flv", "x/cam"),
            ("rtmp://h/{app}/{name}", "a/.flv", ".flv", "a/.flv"),
        ];
        for (url, key, name, arrives) in rows {
            let key = StreamKey::new(key).unwrap();
            let target = RtmpUrl::parse(url).unwrap().filled(&key, vec![]);
            assert_eq!(target.name, name, "{url} {key}");
            let path = StreamPath::new(&target.app, &target.name).unwrap();
            assert_eq!(path.key.as_str(), arrives, "{url} {key}");
        }
        let url = RtmpUrl::parse("rtmp://h/app").unwrap();
        assert_eq!(
            url.with_name("mp4:a%41.flv", vec![]).name,
            "mp4:mp4:a%2541.flv.flv"
        );
        let sent = "mp4:mp4:a%2541?sig=a%2B".to_owned();
        assert_eq!(url.with_sent_name(sent.clone(), vec![]).name, sent);
    }

    #[test]
    fn a_name_is_added_or_filled_in() {
        let key = StreamKey::new("a/b/{key}c").unwrap();
        let url = |text| RtmpUrl::parse(text).unwrap();
        let rows = [
            (
                url("rtmp://h/app").with_name("x", vec![]),
                "app",
                "x",
                "rtmp://h/app",
            ),
            (
                url("rtmp://h:1/a/b?t=1").with_name("x", vec![]),
                "a/b?t=1",
                "x",
                "rtmp://h:1/a/b?t=1",
            ),
            (
                url("rtmp://h/{app}/{name}").filled(&key, vec![]),
                "a/b",
                "{key}c",
                "rtmp://h/a/b",
            ),
            (
                url("rtmp://h/x/{key}").filled(&key, vec![]),
                "x/a/b",
                "{key}c",
                "rtmp://h/x/a/b",
            ),
            (
                url("rtmp://h/x/{name}?n={name}&{z}").filled(&key, vec![]),
                "x",
                "{key}c?n={key}c&{z}",
                "rtmp://h/x",
            ),
            (
                url("rtmp://h/x/secret?q").filled(&key, vec![]),
                "x",
                "secret?q",
                "rtmp://h/x",
            ),
            (
                url("rtmps://h/x/secret?q").filled(&key, vec![]),
                "x",
                "secret?q",
                "rtmps://h/x",
            ),
            (
                url("rtmp://h/only").filled(&key, vec![]),
                "",
                "only",
                "rtmp://h/",
            ),
        ];
        for (target, app, name, tc_url) in rows {
            assert_eq!(target.app, app);
            assert_eq!(target.name, name);
            assert_eq!(target.tc_url, tc_url);
        }
    }
}
