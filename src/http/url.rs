//! Addresses of web services: `http://user:password@host:port/path?query`.

use crate::net::{HostPort, HostPortError};
use std::fmt;

/// A URL of scheme `http` or `https`. Shown without what may be secret in it: only scheme, host
/// and port.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpUrl {
    /// Whether the scheme is `https`.
    pub https: bool,
    /// User and password, with the `%41` undone.
    pub user_info: Option<String>,
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// As it is given, or the scheme's own.
    pub port: u16,
    /// Path and query, beginning with `/`.
    pub target: String,
    whole: String,
}

/// Why a text is not a URL that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpUrlError {
    /// It begins neither with `http://` nor with `https://`.
    Scheme,
    /// White space, control characters, and anything but ASCII have to be written `%41`.
    Character,
    /// The host is missing, or has a character that hosts cannot have.
    Host,
    /// The port is not a number from 1 to 65535.
    Port,
}

impl fmt::Display for HttpUrlError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            HttpUrlError::Scheme => "URL must begin with http:// or https://",
            HttpUrlError::Character => "URL has a space, a control character, or one beyond ASCII",
            HttpUrlError::Host => "URL has no host, or a bad one",
            HttpUrlError::Port => "URL has a bad port",
        })
    }
}

impl std::error::Error for HttpUrlError {}

impl From<HostPortError> for HttpUrlError {
    fn from(error: HostPortError) -> HttpUrlError {
        match error {
            HostPortError::Host => HttpUrlError::Host,
            HostPortError::Port => HttpUrlError::Port,
        }
    }
}

impl HttpUrl {
    /// Takes a URL apart. What follows `#` is cut off.
    ///
    /// # Errors
    ///
    /// Any [`HttpUrlError`].
    pub fn parse(text: &str) -> Result<HttpUrl, HttpUrlError> {
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(HttpUrlError::Character);
        }
        let whole = text.split_once('#').map_or(text, |(before, _)| before);
        let (scheme, rest) = whole.split_once("://").ok_or(HttpUrlError::Scheme)?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(HttpUrlError::Scheme),
        };
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (user_info, place) = match authority.rsplit_once('@') {
            Some((user_info, place)) => (Some(percent_decoded(user_info)), place),
            None => (None, authority),
        };
        let HostPort { host, port } = HostPort::parse(place).map_err(HttpUrlError::from)?;
        let default_port = if https { 443 } else { 80 };
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(HttpUrl {
            https,
            user_info,
            host: host.to_owned(),
            port: port.unwrap_or(default_port),
            target: format!("{slash}{target}"),
            whole: whole.to_owned(),
        })
    }

    /// The whole URL, secrets and all: never to be shown.
    pub fn reveal(&self) -> &str {
        &self.whole
    }

    /// Host and port as they stand in a request.
    pub fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match (self.https, self.port) {
            (false, 80) | (true, 443) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

/// Undoes `%41`; anything that is not such a triple stays as it is.
pub fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let digit = |index: usize| char::from(*after.get(index)?).to_digit(16);
        let decoded = match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => Some((high << 4 | low) as u8),
            _ => None,
        };
        bytes.push(decoded.unwrap_or(*byte));
        rest = if decoded.is_some() {
            &after[2..]
        } else {
            after
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let rows = [
            ("http://a", "a", 80, "/", "a", None),
            ("HTTP://a:8080", "a", 8080, "/", "a:8080", None),
            ("https://a.b-c_d/", "a.b-c_d", 443, "/", "a.b-c_d", None),
            ("https://a:80/x", "a", 80, "/x", "a:80", None),
            ("http://a:80/x?y=/@:z#f", "a", 80, "/x?y=/@:z", "a", None),
            ("http://a?q", "a", 80, "/?q", "a", None),
            (
                "http://127.0.0.1:1/",
                "127.0.0.1",
                1,
                "/",
                "127.0.0.1:1",
                None,
            ),
            ("http://[::1]/x", "::1", 80, "/x", "[::1]", None),
            (
                "http://[fe80::1]:99",
                "fe80::1",
                99,
                "/",
                "[fe80::1]:99",
                None,
            ),
            ("http://u:p@a/", "a", 80, "/", "a", Some("u:p")),
            (
                "http://u%40x:p%zz%2@a@b/",
                "b",
                80,
                "/",
                "b",
                Some("u@x:p%zz%2@a"),
            ),
        ];
        for (text, host, port, target, authority, user_info) in rows {
            let url = HttpUrl::parse(text).unwrap();
            assert_eq!((url.host.as_str(), url.port), (host, port), "{text}");
            assert_eq!(url.target, target, "{text}");
            assert_eq!(url.authority(), authority, "{text}");
            assert_eq!(url.user_info.as_deref(), user_info, "{text}");
            assert_eq!(url.https, text.starts_with("https"), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        let rows = [
            ("", HttpUrlError::Scheme),
            ("a", HttpUrlError::Scheme),
            ("/x", HttpUrlError::Scheme),
            ("ftp://a", HttpUrlError::Scheme),
            ("http:/a", HttpUrlError::Scheme),
            ("http://", HttpUrlError::Host),
            ("http:///x", HttpUrlError::Host),
            ("http://:80", HttpUrlError::Host),
            ("http://u@", HttpUrlError::Host),
            ("http://a,b", HttpUrlError::Host),
            ("http://[::1", HttpUrlError::Host),
            ("http://[]", HttpUrlError::Host),
            ("http://[::g]", HttpUrlError::Host),
            ("http://[::1]x", HttpUrlError::Port),
            ("http://a:", HttpUrlError::Port),
            ("http://a:0", HttpUrlError::Port),
            ("http://a:+1", HttpUrlError::Port),
            ("http://a:65536", HttpUrlError::Port),
            ("http://::1/", HttpUrlError::Host),
            ("http://a/ b", HttpUrlError::Character),
            ("http://a/\r\nX: y", HttpUrlError::Character),
            ("http://caf\u{e9}/", HttpUrlError::Character),
        ];
        for (text, want) in rows {
            assert_eq!(HttpUrl::parse(text), Err(want), "{text}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let url = HttpUrl::parse("https://user:password@host:1/path?token=secret").unwrap();
        assert_eq!(format!("{url}"), "https://host:1");
        assert_eq!(format!("{url:?}"), "Url(https://host:1)");
    }
}
