//! Where a stream is found: `app/name`, and the query beside it.

use std::fmt;

/// Longest key, in bytes.
pub const KEY_LEN_MAX: usize = 512;

/// The name of a stream on this server: `app/name`, case-sensitive.
///
/// Without empty, `.` and `..` segments and without control characters; 1 to [`KEY_LEN_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    /// Checks a key as it is written, say, in a flag.
    ///
    /// # Errors
    ///
    /// Any [`Error`]: there can be no such stream.
    pub fn new(key: &str) -> Result<Key, Error> {
        let segments: Vec<&str> = key
            .split('/')
            .filter(|segment| !segment.is_empty())
            .collect();
        if segments.is_empty() {
            return Err(Error::Empty);
        }
        if segments
            .iter()
            .any(|segment| matches!(*segment, "." | ".."))
        {
            return Err(Error::DotSegment);
        }
        if key.chars().any(char::is_control) {
            return Err(Error::ControlCharacter);
        }
        let key = segments.join("/");
        if key.len() > KEY_LEN_MAX {
            return Err(Error::TooLong { len: key.len() });
        }
        Ok(Key(key))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a name cannot be a stream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Nothing is left of it.
    Empty,
    /// A segment is `.` or `..`.
    DotSegment,
    /// It holds a control character.
    ControlCharacter,
    /// It is longer than [`KEY_LEN_MAX`].
    TooLong {
        /// Its length in bytes.
        len: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Empty => write!(f, "stream name is empty"),
            Error::DotSegment => write!(f, "stream name has a segment . or .."),
            Error::ControlCharacter => write!(f, "stream name has a control character"),
            Error::TooLong { len } => {
                write!(f, "stream name has {len} bytes, allowed are {KEY_LEN_MAX}")
            }
        }
    }
}

/// A stream as a client asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Which stream.
    pub key: Key,
    /// The values behind `?`, the name's before the app's. They may be secret: never to be logged.
    query: Vec<(String, String)>,
}

impl Address {
    /// The stream that `name` means on a connection to `app`; both may carry a query.
    ///
    /// # Errors
    ///
    /// Any [`Error`]: refuse the client.
    pub fn new(app: &str, name: &str) -> Result<Address, Error> {
        let (app, app_query) = split_query(app);
        let (name, name_query) = split_query(name);
        let key = Key::new(&format!("{app}/{name}"))?;
        let query = pairs(name_query).chain(pairs(app_query)).collect();
        Ok(Address { key, query })
    }

    /// The value of `name` in the query.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Cuts the query off an app or a name.
pub fn split_query(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts.map(|part| {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        (percent_decoded(key), percent_decoded(value))
    })
}

/// Undoes `%41`; anything that is not such a triple stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let decoded = after
            .split_first_chunk::<2>()
            .filter(|_| *byte == b'%')
            .and_then(|(hex, after)| {
                let hex = std::str::from_utf8(hex)
                    .ok()
                    .filter(|hex| !hex.starts_with('+'))?;
                Some((u8::from_str_radix(hex, 16).ok()?, after))
            });
        let (byte, after) = decoded.unwrap_or((*byte, after));
        bytes.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_and_name_make_a_key() {
        let rows = [
            ("live", "cam", Ok("live/cam")),
            ("a/b", "c", Ok("a/b/c")),
            ("a", "b/c", Ok("a/b/c")),
            ("/live/", "//cam/", Ok("live/cam")),
            ("live", "", Ok("live")),
            ("", "cam", Ok("cam")),
            ("Live", "Cam", Ok("Live/Cam")),
            ("live?x=1", "cam?y=2", Ok("live/cam")),
            ("caf\u{e9}", "\u{1f600}", Ok("caf\u{e9}/\u{1f600}")),
            ("", "", Err(Error::Empty)),
            ("/", "?a=b", Err(Error::Empty)),
            ("live", "..", Err(Error::DotSegment)),
            ("../etc", "x", Err(Error::DotSegment)),
            ("live", "./x", Err(Error::DotSegment)),
            ("live", "a\0b", Err(Error::ControlCharacter)),
            ("live", "a\nb", Err(Error::ControlCharacter)),
        ];
        for (app, name, want) in rows {
            let got = Address::new(app, name).map(|address| address.key.0);
            assert_eq!(
                got.as_deref().map_err(|error| *error),
                want,
                "{app:?} {name:?}"
            );
        }
        let long = "x".repeat(507);
        assert!(Address::new("live", &long).is_ok());
        assert_eq!(
            Address::new("live", &format!("{long}x")),
            Err(Error::TooLong { len: 513 })
        );
    }

    #[test]
    fn queries_are_read_and_the_names_win() {
        let address = Address::new("live?token=app&user=u", "cam?token=na%6De&flag").unwrap();
        let rows = [
            ("token", Some("name")),
            ("user", Some("u")),
            ("flag", Some("")),
            ("none", None),
        ];
        for (key, want) in rows {
            assert_eq!(address.query(key), want, "{key}");
        }
        let odd = Address::new("a", "b?x=%zz%4&y=%+1").unwrap();
        assert_eq!(
            (odd.query("x"), odd.query("y")),
            (Some("%zz%4"), Some("%+1"))
        );
    }
}
