//! Where a stream is found: `app/name`, and the query beside it.

use crate::text::query_start;
use std::borrow::Cow;
use std::fmt;

/// Longest key, in bytes.
pub const KEY_LEN_MAX: usize = 512;

/// Longest query of a name and its app together, in bytes.
pub const QUERY_LEN_MAX: usize = 8 << 10;

/// The name of a stream on this server: `app/name`, case-sensitive.
///
/// Without empty, `.` and `..` segments and without control characters; 1 to [`KEY_LEN_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey(String);

impl StreamKey {
    /// Checks a key as it is written, say, in a flag.
    ///
    /// # Errors
    ///
    /// Any [`Error`]: there can be no such stream.
    pub fn new(key: &str) -> Result<StreamKey, Error> {
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
        Ok(StreamKey(key))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamKey {
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
    /// Its query is longer than [`QUERY_LEN_MAX`].
    QueryTooLong {
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
            Error::QueryTooLong { len } => {
                write!(f, "query has {len} bytes, allowed are {QUERY_LEN_MAX}")
            }
        }
    }
}

impl std::error::Error for Error {}

/// A stream as a client asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamPath {
    /// The name of the stream on this server, without queries.
    pub key: StreamKey,
    /// The application, without its query, decoded.
    pub app: String,
    /// The name, without its query, decoded, and without what clients put around it.
    pub name: String,
    /// The name's query and behind it the app's, still encoded. What is in them may be secret:
    /// never to be logged.
    query: String,
    /// How much of the query is the name's.
    name_query_len: usize,
    /// The name without its query, as it was sent.
    sent_name: String,
}

impl StreamPath {
    /// The stream that `name` means on a connection to `app`; both may carry a query.
    ///
    /// An app whose query is open (`cam?`) takes the name as its query: so do libraries cut a URL
    /// at its last slash that has no name behind the app.
    ///
    /// # Errors
    ///
    /// Any [`Error`]: refuse the client.
    pub fn new(app: &str, name: &str) -> Result<StreamPath, Error> {
        let split_app = split_at_query(app);
        let is_open = split_app
            .as_ref()
            .is_some_and(|(_, query)| query.is_empty() || query.ends_with(['?', '&']));
        let (app, app_query) = split_app.unwrap_or((app, Cow::Borrowed("")));
        let (name, name_query) = match is_open {
            true => ("", open_query(name)),
            false => split_at_query(name).unwrap_or((name, Cow::Borrowed(""))),
        };
        let app_query = app_query.trim_end_matches('&');
        let and = if name_query.is_empty() || app_query.is_empty() {
            ""
        } else {
            "&"
        };
        let len = name_query.len() + and.len() + app_query.len();
        if len > QUERY_LEN_MAX {
            return Err(Error::QueryTooLong { len });
        }
        let sent_name = name.to_owned();
        let (app, name) = (percent_decoded(app), percent_decoded(name));
        let name = bare_name(&name).to_owned();
        if let Some(len) = [app.len(), name.len()]
            .into_iter()
            .find(|len| *len > KEY_LEN_MAX)
        {
            return Err(Error::TooLong { len });
        }
        Ok(StreamPath {
            key: StreamKey::new(&format!("{app}/{name}"))?,
            app,
            name,
            query: [&*name_query, and, app_query].concat(),
            name_query_len: name_query.len(),
            sent_name,
        })
    }

    /// The value of `name` in the query, decoded; of several the first, so that the name's win.
    pub fn query(&self, name: &str) -> Option<String> {
        let mut pairs = self.query_pairs();
        pairs.find_map(|(key, value)| (key == name).then_some(value))
    }

    /// All names in the query with their values, decoded.
    pub fn query_pairs(&self) -> impl Iterator<Item = (String, String)> {
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        pairs.map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent_decoded(key), percent_decoded(value))
        })
    }

    /// The whole query, still encoded. It may hold secrets.
    pub fn whole_query(&self) -> &str {
        &self.query
    }

    /// The query of the name alone, still encoded. It may hold secrets.
    pub fn name_query(&self) -> &str {
        &self.query[..self.name_query_len]
    }

    /// The name without its query, as it was sent.
    pub fn sent_name(&self) -> &str {
        &self.sent_name
    }
}

/// Cuts the query off an app or a name; `None` if it has none. Where an encoder has made `%3F` of the
/// question mark and left no `=` and `&` as they were, it has encoded the query as well: that is undone, so
/// that the query is as it was before.
pub fn split_at_query(text: &str) -> Option<(&str, Cow<'_, str>)> {
    let (at, mark_len) = query_start(text)?;
    let query = &text[at + mark_len..];
    let query = match mark_len == 1 || query.contains(['=', '&']) {
        true => Cow::Borrowed(query),
        false => Cow::Owned(percent_decoded(query)),
    };
    Some((&text[..at], query))
}

/// The query that a name is; it may begin with question marks of its own.
fn open_query(name: &str) -> Cow<'_, str> {
    let name = name.trim_start_matches('?');
    match split_at_query(name) {
        Some(("", query)) => query,
        _ => Cow::Borrowed(name),
    }
}

/// An app without its query, decoded.
pub fn plain_app(app: &str) -> String {
    percent_decoded(split_at_query(app).map_or(app, |(app, _)| app))
}

/// A name without what some clients add to it or cut off it, and others do not: ffmpeg writes
/// `mp4:cam.mp4` for `cam.mp4` and `cam` for `cam.flv`.
fn bare_name(name: &str) -> &str {
    let name = without_prefix(name).unwrap_or(name);
    without_suffix(name).unwrap_or(name)
}

fn without_prefix(name: &str) -> Option<&str> {
    let mut prefixes = ["mp4:", "flv:"].into_iter();
    prefixes.find_map(|prefix| name.strip_prefix(prefix))
}

fn without_suffix(name: &str) -> Option<&str> {
    let stem = name.strip_suffix(".flv")?;
    (!stem.is_empty() && !stem.ends_with('/')).then_some(stem)
}

/// The ends of a name that have to arrive as they are, though they may look like what clients add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptEnds {
    /// Whether a leading `mp4:` or `flv:` is one of them.
    pub prefix: bool,
    /// Whether a trailing `.flv` is one of them.
    pub suffix: bool,
}

impl KeptEnds {
    /// That the whole name is kept.
    pub const BOTH: KeptEnds = KeptEnds {
        prefix: true,
        suffix: true,
    };

    /// A name as another server of this kind has to be told of it: it cuts off what is added here.
    pub fn protect(self, name: &str) -> String {
        let has_prefix = self.prefix && without_prefix(name).is_some();
        let has_suffix = self.suffix && without_suffix(name).is_some();
        let before = if has_prefix { "mp4:" } else { "" };
        let after = if has_suffix { ".flv" } else { "" };
        [before, name, after].concat()
    }
}

/// Undoes percent sequences such as `%41` where they are UTF-8; all others stay as they are.
pub(super) fn percent_decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let bytes: Vec<u8> = sequences(rest).collect();
        let (run, after) = rest.split_at(3 * bytes.len());
        put_decoded(&mut out, run, &bytes);
        rest = after;
        if bytes.is_empty() {
            out.push('%');
            rest = &rest[1..];
        }
    }
    out + rest
}

/// A part of a key as another server of this kind has to be told of it, so that its decoding leads
/// back to it: where it has `%41`, that is `%2541`.
pub fn encoded_name(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (at, c) in name.char_indices() {
        out.push(c);
        if c == '%' && sequences(&name[at..]).next().is_some() {
            out.push_str("25");
        }
    }
    out
}

/// The bytes of the percent sequences that `text` begins with.
fn sequences(text: &str) -> impl Iterator<Item = u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    text.as_bytes()
        .chunks(3)
        .map_while(move |triple| match triple {
            [b'%', high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
}

/// Appends `bytes`, which `run` has as percent sequences, as far as they are UTF-8.
fn put_decoded(out: &mut String, run: &str, bytes: &[u8]) {
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        at += chunk.valid().len();
        let invalid = chunk.invalid().len();
        out.push_str(&run[3 * at..3 * (at + invalid)]);
        at += invalid;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// App, name, and the key that they make.
    type Row = (&'static str, &'static str, Result<&'static str, Error>);

    fn check(rows: &[Row]) {
        for (app, name, want) in rows {
            let got = StreamPath::new(app, name).map(|path| path.key.0);
            let got = got.as_deref().map_err(|error| *error);
            assert_eq!(got, *want, "{app:?} {name:?}");
        }
    }

    #[test]
    fn names_are_what_clients_mean() {
        check(&[
            // Percent sequences are what they stand for.
            ("live", "my%20cam", Ok("live/my cam")),
            ("li%76e", "x%2Fkey", Ok("live/x/key")),
            ("live", "caf%C3%A9%2b", Ok("live/caf\u{e9}+")),
            ("live", "100%25", Ok("live/100%")),
            ("live", "100%", Ok("live/100%")),
            ("live", "a%2", Ok("live/a%2")),
            ("live", "%+1%zz\u{e9}%C3", Ok("live/%+1%zz\u{e9}%C3")),
            (
                "live",
                "%ff%41%C3%28%f0%9f%98%80",
                Ok("live/%ffA%C3(\u{1f600}"),
            ),
            // A query that was encoded with the name.
            ("live", "a%3Fb%3f", Ok("live/a")),
            ("live", "a%3ftoken=s3cret", Ok("live/a")),
            ("live", "a%3Ftoken%3Ds3cret?x", Ok("live/a")),
            ("live%3Ftoken=s3cret", "a", Ok("live/a")),
            ("live", "a%253Fb", Ok("live/a%3Fb")),
            ("cam%3F", "token=s3cret", Ok("cam")),
            ("cam%3f", "%3Ftoken=s3cret", Ok("cam")),
            ("cam%3Fuser=u&", "token=s3cret", Ok("cam")),
            // A question mark is missing.
            ("live", "a&token=s3cret", Ok("live/a")),
            ("live", "a&user=u&token=s3cret", Ok("live/a")),
            ("live", "a%26token%3Ds3cret", Ok("live/a")),
            ("live&pass=s3cret", "a", Ok("live/a")),
            ("live", "a&b=c", Ok("live/a&b=c")),
            ("live", "%2e%2E", Err(Error::DotSegment)),
            ("live", "a%00b", Err(Error::ControlCharacter)),
            ("live", "%2F", Ok("live")),
            // What ffmpeg makes of names that end like files.
            ("live", "mp4:cam.mp4", Ok("live/cam.mp4")),
            ("live", "mp4%3Acam.mp4", Ok("live/cam.mp4")),
            ("live", "cam.mp4", Ok("live/cam.mp4")),
            ("live", "flv:cam", Ok("live/cam")),
            ("live", "cam.flv", Ok("live/cam")),
            ("live", "cam.flv?token=x", Ok("live/cam")),
            ("live", ".flv", Ok("live/.flv")),
            ("live", "a/.flv", Ok("live/a/.flv")),
            ("live", "mp4:", Ok("live")),
            ("live", "mp4:mp4:x", Ok("live/mp4:x")),
            ("mp4:live", "mp3:cam", Ok("mp4:live/mp3:cam")),
            // An open query takes the name.
            ("cam?", "token=s3cret", Ok("cam")),
            ("cam?", "?token=s3cret", Ok("cam")),
            ("cam?", "", Ok("cam")),
            ("cam?user=u&", "token=s3cret", Ok("cam")),
            ("cam?user=u", "x", Ok("cam/x")),
            ("cam&", "x", Ok("cam&/x")),
            ("?", "cam", Err(Error::Empty)),
        ]);
    }

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
        check(&rows);
        let long = "x".repeat(507);
        assert!(StreamPath::new("live", &long).is_ok());
        assert_eq!(
            StreamPath::new("live", &format!("{long}x")),
            Err(Error::TooLong { len: 513 })
        );
        for (app, name) in [("", "/".repeat(513)), ("%41%41%41", "%42".repeat(513))] {
            let len = 513;
            assert_eq!(StreamPath::new(app, &name), Err(Error::TooLong { len }));
        }
        let query = format!("x?{}", "a&".repeat(QUERY_LEN_MAX / 2));
        assert!(StreamPath::new("live", &query).is_ok());
        assert_eq!(
            StreamPath::new("live?b", &query),
            Err(Error::QueryTooLong {
                len: QUERY_LEN_MAX + 2
            })
        );
    }

    #[test]
    fn queries_are_read_and_the_names_win() {
        let path = StreamPath::new("live?token=app&user=u", "cam?token=na%6De&flag").unwrap();
        let rows = [
            ("token", Some("name")),
            ("user", Some("u")),
            ("flag", Some("")),
            ("none", None),
        ];
        for (key, want) in rows {
            assert_eq!(path.query(key).as_deref(), want, "{key}");
        }
        let odd = StreamPath::new("a", "b?x=%zz%4&y=%+1").unwrap();
        assert_eq!(
            (odd.query("x").as_deref(), odd.query("y").as_deref()),
            (Some("%zz%4"), Some("%+1"))
        );
        for name in ["cam&a=1&token=s3cret", "cam%26token%3Ds3cret"] {
            let path = StreamPath::new("live", name).unwrap();
            assert_eq!(path.query("token").as_deref(), Some("s3cret"), "{name}");
        }
        let open = StreamPath::new("cam?", "token=s3cret").unwrap();
        assert_eq!(open.query("token").as_deref(), Some("s3cret"));
        assert_eq!((open.app.as_str(), open.name.as_str()), ("cam", ""));
    }

    #[test]
    fn a_name_that_is_sent_on_leads_to_the_same_key() {
        let rows = [
            ("cam", "cam"),
            ("my cam", "my cam"),
            ("100%25", "100%"),
            ("a%253Fb", "a%253Fb"),
            ("a%2541", "a%2541"),
            ("%25%25", "%%"),
            ("mp4:cam", "cam"),
            ("mp4:mp4:cam", "mp4:mp4:cam"),
            ("mp4:flv:cam", "mp4:flv:cam"),
            ("flv:%6dp4:a/b.flv", "mp4:mp4:a/b"),
            ("cam.flv.flv", "cam.flv.flv"),
            ("mp4:mp4:.flv.flv", "mp4:mp4:.flv.flv"),
            (".flv", ".flv"),
            ("a/.flv", "a/.flv"),
        ];
        for (name, want) in rows {
            let key = StreamPath::new("live", name).unwrap().key;
            let sent = encoded_name(key.as_str().strip_prefix("live/").unwrap());
            let sent = KeptEnds::BOTH.protect(&sent);
            assert_eq!(sent, want, "{name}");
            assert_eq!(StreamPath::new("live", &sent).unwrap().key, key, "{name}");
        }
    }

    #[test]
    fn the_whole_query_is_the_names_and_the_apps() {
        let rows = [
            ("live", "cam", ""),
            (
                "live?user=alice",
                "cam?sign=ab12&pass=p%40ss",
                "sign=ab12&pass=p%40ss&user=alice",
            ),
            ("live?user=alice", "cam", "user=alice"),
            ("live", "cam?x", "x"),
            ("cam?", "token=s3cret", "token=s3cret"),
            ("cam?user=u&", "token=s3cret", "token=s3cret&user=u"),
            ("live", "cam%3Fa=%2541&b?c", "a=%2541&b?c"),
            ("live", "cam%3Fa%3D%2541%26b%3Fc", "a=%41&b?c"),
            ("live%3fuser=alice", "cam%3Fx", "x&user=alice"),
        ];
        for (app, name, want) in rows {
            let path = StreamPath::new(app, name).unwrap();
            assert_eq!(path.whole_query(), want, "{app} {name}");
        }
        let path = StreamPath::new("live?a=1", "mp4:x%20y?b=2").unwrap();
        assert_eq!((path.sent_name(), path.name_query()), ("mp4:x%20y", "b=2"));
    }
}
