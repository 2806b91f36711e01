//! Which streams go where: `[FILTER=]URL` of `-relay-to`, and `KEY=URL` of `-pull`.

use super::url::{RtmpUrl, RtmpUrlError, split_key};
use crate::rtmp::client::ConnectTarget;
use crate::rtmp::stream_key::{self, StreamKey};
use std::fmt;

/// Why a text says not what goes where. Nothing secret is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DestinationError {
    /// What follows the filter, or all of it, is no URL.
    RtmpUrl(RtmpUrlError),
    /// The filter is neither a key nor a pattern such as `live/*`.
    Filter(String, stream_key::Error),
    /// A `*` stands elsewhere than in the place of the last segment.
    Star(String),
    /// There is no `KEY=` in front.
    NoKey,
    /// The URL has a placeholder that does not exist.
    Placeholder(String),
    /// A stream would go to the same place twice: the URL, as it may be shown.
    Repeated(String),
    /// Two sources are given for the same streams.
    SecondSource(String),
    /// A pattern needs `-pull-on-demand`: nobody can tell which streams there are.
    Pattern(String),
}

impl fmt::Display for DestinationError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            DestinationError::RtmpUrl(error) => write!(f, "{error}"),
            DestinationError::Filter(filter, error) => write!(f, "{filter}: {error}"),
            DestinationError::Star(filter) => {
                write!(f, "{filter}: a * may only be the whole last segment")
            }
            DestinationError::NoKey => write!(f, "must be KEY=rtmp://HOST/APP/NAME"),
            DestinationError::Placeholder(name) => {
                write!(f, "{name} is none of {{app}}, {{name}} and {{key}}")
            }
            DestinationError::Repeated(url) => {
                write!(f, "{url} would get the same stream twice")
            }
            DestinationError::SecondSource(filter) => write!(f, "{filter} is given twice"),
            DestinationError::Pattern(filter) => {
                write!(f, "{filter}: a pattern needs -pull-on-demand")
            }
        }
    }
}

impl std::error::Error for DestinationError {}

/// Some streams of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All streams of this server.
    All,
    /// The stream with this key.
    One(StreamKey),
    /// The streams whose keys begin with this one and a slash.
    Below(StreamKey),
}

impl Filter {
    /// Reads a key, `PREFIX/*` or `*`.
    fn parse(text: &str) -> Result<Filter, DestinationError> {
        if text == "*" {
            return Ok(Filter::All);
        }
        let (prefix, below) = match text.strip_suffix("/*") {
            Some(prefix) => (prefix, true),
            None => (text, false),
        };
        if prefix.contains('*') {
            return Err(DestinationError::Star(text.to_owned()));
        }
        let key = StreamKey::new(prefix);
        let key = key.map_err(|error| DestinationError::Filter(text.to_owned(), error))?;
        Ok(match below {
            true => Filter::Below(key),
            false => Filter::One(key),
        })
    }

    /// What of `key` the filter leaves open; `None` if it does not match.
    pub fn rest<'a>(&self, key: &'a StreamKey) -> Option<&'a str> {
        match self {
            Filter::All => Some(key.as_str()),
            Filter::One(one) => (one == key).then_some(""),
            Filter::Below(prefix) => {
                let rest = key.as_str().strip_prefix(prefix.as_str())?;
                rest.strip_prefix('/')
            }
        }
    }
}

impl Filter {
    /// A stream that both take, if there is one.
    fn common(&self, other: &Filter) -> Option<StreamKey> {
        let below = |prefix: &str| StreamKey::new(&format!("{prefix}/{ANY_NAME}")).ok();
        match (self, other) {
            (Filter::One(key), filter) | (filter, Filter::One(key)) => {
                filter.rest(key).map(|_| key.clone())
            }
            (Filter::All, Filter::All) => below(ANY_NAME),
            (Filter::All, Filter::Below(prefix)) | (Filter::Below(prefix), Filter::All) => {
                below(prefix.as_str())
            }
            (Filter::Below(a), Filter::Below(b)) => {
                let (short, long) = if a.as_str().len() < b.as_str().len() {
                    (a, b)
                } else {
                    (b, a)
                };
                let inside = long.as_str().strip_prefix(short.as_str());
                let inside = inside.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
                inside.then(|| below(long.as_str())).flatten()
            }
        }
    }
}

/// As it was given.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Filter::All => write!(f, "*"),
            Filter::One(key) => write!(f, "{key}"),
            Filter::Below(prefix) => write!(f, "{prefix}/*"),
        }
    }
}

/// Stands for any name where two destinations are compared; nobody calls a stream so.
const ANY_NAME: &str = "(any name)";

/// Where `-relay-to` has streams go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    filter: Filter,
    /// The server and the application there.
    pub url: RtmpUrl,
    /// Tells it from others that show themselves the same way: 0 for the first.
    twin: usize,
}

impl Destination {
    /// Reads `[FILTER=]URL`.
    ///
    /// # Errors
    ///
    /// Any [`DestinationError`].
    pub fn parse(text: &str) -> Result<Destination, DestinationError> {
        let (filter, url) = match text.split_once('=') {
            Some((filter, url)) if !filter.contains("://") => (Some(filter), url),
            _ => (None, text),
        };
        // The URL first: what stands before a `=` is a filter, which may be shown, only if it is one.
        let url = RtmpUrl::parse(url).map_err(DestinationError::RtmpUrl)?;
        let filter = filter.map_or(Ok(Filter::All), Filter::parse)?;
        check_placeholders(&url)?;
        Ok(Destination {
            filter,
            url,
            twin: 0,
        })
    }

    /// The same, to be told from `others` in lists.
    ///
    /// # Errors
    ///
    /// [`DestinationError::Repeated`]: some stream goes there by one of them.
    pub fn among(self, others: &[Destination]) -> Result<Destination, DestinationError> {
        match others.iter().any(|other| self.repeats(other)) {
            true => Err(DestinationError::Repeated(self.url.to_string())),
            false => Ok(self.told_from(others.iter())),
        }
    }

    /// The same, with a number if one of `others` shows itself the same way.
    pub(super) fn told_from<'a>(
        mut self,
        others: impl Iterator<Item = &'a Destination>,
    ) -> Destination {
        let shown = self.url.to_string();
        let twins = others.filter(|other| other.url.to_string() == shown);
        let taken: Vec<usize> = twins.map(|other| other.twin).collect();
        self.twin = (0..taken.len())
            .find(|twin| !taken.contains(twin))
            .unwrap_or(taken.len());
        self
    }

    /// Whether a stream goes to the same place by both.
    fn repeats(&self, other: &Destination) -> bool {
        let Some(key) = self.filter.common(&other.filter) else {
            return false;
        };
        let (ours, theirs) = (self.target(&key, vec![]), other.target(&key, vec![]));
        self.url.is_of_server(&other.url) && (ours.app, ours.name) == (theirs.app, theirs.name)
    }

    /// Whether the same streams go to the same place there.
    pub(super) fn is_same(&self, other: &Destination) -> bool {
        self.filter == other.filter && self.url == other.url
    }

    /// Whether streams called so go there.
    pub fn takes(&self, key: &StreamKey) -> bool {
        self.filter.rest(key).is_some()
    }

    /// What `key` is called there. A URL with placeholders is filled in, one behind the key of one
    /// stream names it whole, and to any other the stream's own name is added.
    pub fn target(&self, key: &StreamKey, via: Vec<String>) -> ConnectTarget {
        let whole = matches!(self.filter, Filter::One(_)) && self.url.has_name();
        match whole || self.url.has_placeholders() {
            true => self.url.filled(key, via),
            false => self.url.with_name(split_key(key).1, via),
        }
    }
}

fn check_placeholders(url: &RtmpUrl) -> Result<(), DestinationError> {
    let unknown = url.unknown_placeholder();
    unknown.map_or(Ok(()), |name| {
        Err(DestinationError::Placeholder(name.to_owned()))
    })
}

/// Without what may be secret.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.twin {
            0 => write!(f, "{}", self.url),
            twin => write!(f, "{}#{}", self.url, twin + 1),
        }
    }
}

/// Where `-pull` has streams come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Which streams of ours.
    pub filter: Filter,
    /// Where from. What it shows of itself holds no secrets.
    pub url: RtmpUrl,
}

impl Source {
    /// Reads `KEY=URL`, and with `on_demand` also patterns such as `live/*=rtmp://host/live`.
    ///
    /// # Errors
    ///
    /// Any [`DestinationError`].
    pub fn parse(text: &str, on_demand: bool) -> Result<Source, DestinationError> {
        let (key, url) = text
            .split_once('=')
            .filter(|(key, _)| !key.contains("://"))
            .ok_or(DestinationError::NoKey)?;
        // First, for the same reason.
        let url = RtmpUrl::parse(url).map_err(DestinationError::RtmpUrl)?;
        let filter = Filter::parse(key)?;
        if !on_demand && !matches!(filter, Filter::One(_)) {
            return Err(DestinationError::Pattern(key.to_owned()));
        }
        check_placeholders(&url)?;
        Ok(Source { filter, url })
    }

    /// What `key` is called there: the URL as it is or filled in, or, behind a pattern, with what
    /// the pattern left open.
    pub fn target(&self, key: &StreamKey, via: Vec<String>) -> ConnectTarget {
        match self.filter.rest(key) {
            Some(rest) if !rest.is_empty() && !self.url.has_placeholders() => {
                self.url.with_name(rest, via)
            }
            _ => self.url.filled(key, via),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the flag says, a key, and application and name at the other server.
    type Row = (
        &'static str,
        &'static str,
        Option<(&'static str, &'static str)>,
    );

    #[test]
    fn a_destination_takes_what_its_filter_says() {
        let rows: [Row; 14] = [
            ("rtmp://h/app", "live/cam", Some(("app", "cam"))),
            ("rtmp://h/app", "a/b/c", Some(("app", "c"))),
            ("rtmp://h/app", "cam", Some(("app", "cam"))),
            ("rtmp://h/app", "live/a%41 b", Some(("app", "a%2541 b"))),
            ("rtmp://h/a/b?t=x=y", "live/cam", Some(("a/b?t=x=y", "cam"))),
            ("rtmp://h/{app}/{name}", "live/cam", Some(("live", "cam"))),
            (
                "live/cam=rtmp://h/app/key?t=1",
                "live/cam",
                Some(("app", "key?t=1")),
            ),
            ("live/cam=rtmp://h/app/key", "live/cam2", None),
            ("live/cam=rtmp://h/app", "live/cam", Some(("app", "cam"))),
            ("live/*=rtmp://h/app/x", "live/cam", Some(("app/x", "cam"))),
            ("live/*=rtmp://h/app", "live", None),
            ("live/*=rtmp://h/app", "lives/cam", None),
            ("*=rtmp://h/app", "x", Some(("app", "x"))),
            (
                "live/*=rtmp://h/x/{key}-{name}",
                "live/cam",
                Some(("x/live", "cam-cam")),
            ),
        ];
        for (text, key, want) in rows {
            let destination = Destination::parse(text).unwrap();
            let key = StreamKey::new(key).unwrap();
            let target = destination.target(&key, Vec::new());
            let got = destination
                .takes(&key)
                .then_some((target.app.as_str(), target.name.as_str()));
            assert_eq!(got, want, "{text} {key}");
        }
    }

    #[test]
    fn destinations_are_told_apart_without_their_secrets() {
        let mut all = Vec::new();
        for text in [
            "rtmp://h/a/secret",
            "rtmp://h/b?x",
            "x=rtmp://h/a/other?t=1",
        ] {
            all.push(Destination::parse(text).unwrap().among(&all).unwrap());
        }
        let shown: Vec<String> = all.iter().map(Destination::to_string).collect();
        assert_eq!(shown, ["rtmp://h/a", "rtmp://h/b", "rtmp://h/a#2"]);
    }

    #[test]
    fn no_stream_goes_to_the_same_place_twice() {
        let rows = [
            ("rtmp://h/app", "rtmp://h/app", true),
            ("rtmp://h/app", "rtmp://h:1935/app/", true),
            ("rtmp://h/app", "live/*=rtmp://h/app", true),
            ("live/*=rtmp://h/app", "live/a/*=rtmp://h/app", true),
            ("live/*=rtmp://h/app", "lives/*=rtmp://h/app", false),
            ("live/*=rtmp://h/app", "live/cam=rtmp://h/app", true),
            ("live/cam=rtmp://h/app", "live/*=rtmp://h/app", true),
            ("live/cam=rtmp://h/app", "live/two=rtmp://h/app", false),
            ("live/cam=rtmp://h/a/k", "live/cam=rtmp://h/a/k", true),
            ("live/cam=rtmp://h/a/k", "live/cam=rtmp://h/a/l", false),
            ("live/cam=rtmp://h/a/k", "rtmp://h/a/k", false),
            ("rtmp://h/app", "rtmp://h/{app}/{name}", false),
            ("rtmp://h/x/{name}", "rtmp://h/x", true),
            ("rtmp://h/app?t=1", "rtmp://h/app?t=2", false),
            ("rtmp://h/app", "rtmps://h/app", false),
            ("rtmp://h/app", "rtmp://h:1936/app", false),
        ];
        for (first, second, repeated) in rows {
            let all = [Destination::parse(first).unwrap()];
            let second_one = Destination::parse(second).unwrap().among(&all);
            assert_eq!(second_one.is_err(), repeated, "{first} {second}");
        }
    }

    #[test]
    fn a_source_is_one_stream_or_many() {
        let rows: [Row; 5] = [
            (
                "live/cam=rtmp://h/app/name?t=1",
                "live/cam",
                Some(("app", "name?t=1")),
            ),
            (
                "live/*=rtmp://h/app?t=1",
                "live/cam",
                Some(("app?t=1", "cam")),
            ),
            ("live/*=rtmp://h/app", "live/a/b", Some(("app", "a/b"))),
            ("*=rtmp://h/{app}/{name}", "live/cam", Some(("live", "cam"))),
            ("live/*=rtmp://h/app", "cam", None),
        ];
        for (text, key, want) in rows {
            let source = Source::parse(text, true).unwrap();
            let key = StreamKey::new(key).unwrap();
            let target = source.target(&key, Vec::new());
            let matches = source.filter.rest(&key).is_some();
            let got = matches.then_some((target.app.as_str(), target.name.as_str()));
            assert_eq!(got, want, "{text} {key}");
        }
        let refused = [
            "rtmp://h/a/b",
            "live/*=rtmp://h/a",
            "x=http://h/a",
            "a/../b=rtmp://h/a",
        ];
        for text in refused {
            assert!(Source::parse(text, false).is_err(), "{text}");
        }
        assert!(Destination::parse("li*e=rtmp://h/a").is_err());
    }
}
