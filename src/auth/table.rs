//! Which token opens which stream.

use super::{Action, Error};
use crate::json::{self, JsonValue};
use crate::rtmp::stream_key::StreamKey;
use std::collections::HashMap;
use std::fmt;
use std::hint::black_box;

/// The tokens of a stream; one that is not there opens nothing.
#[derive(Clone, Default, PartialEq)]
struct Tokens {
    publish: Option<String>,
    play: Option<String>,
}

/// Streams and their tokens. The stream's own entry decides; without one, that of the closest
/// pattern: `a/b/*` before `a/*` before `*`. A pattern is for everything below, however deep.
#[derive(Clone, Default, PartialEq)]
pub struct TokenTable {
    exact: HashMap<String, Tokens>,
    /// By what stands before the `/*`; empty for `*` alone.
    below: HashMap<String, Tokens>,
}

/// Shows the number of entries, and no token.
impl fmt::Debug for TokenTable {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "Table({} entries)", self.len())
    }
}

/// Why a token does not open a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// No entry is for the stream, or none for what is asked.
    Unlisted,
    /// The entry has another token.
    Wrong,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Mismatch::Unlisted => "stream not listed",
            Mismatch::Wrong => "token wrong",
        })
    }
}

impl std::error::Error for Mismatch {}

impl TokenTable {
    /// A table where each token is good for publishing and playing; of two for the same stream,
    /// the last counts.
    ///
    /// # Errors
    ///
    /// [`Error::Entry`] names the key of a malformed entry.
    pub fn new(entries: &[(String, String)]) -> Result<TokenTable, Error> {
        let mut table = TokenTable::default();
        for (key, token) in entries {
            table.insert(key, for_both(key, token)?)?;
        }
        Ok(table)
    }

    /// Reads a table from JSON: an object with a member for each stream, whose value is a token,
    /// or an object with a token for `publish`, `play` or both.
    ///
    /// # Errors
    ///
    /// [`Error::Json`], [`Error::NoObject`] or [`Error::Entry`], none with a token in it.
    pub fn from_json(text: &[u8]) -> Result<TokenTable, Error> {
        // Editors may put a byte order mark in front.
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let value = json::parse(text).map_err(|error| {
            let line = error.line(text);
            Error::Json { line, error }
        })?;
        let members = value.as_object().ok_or(Error::NoObject)?;
        let mut table = TokenTable::default();
        for (key, value) in members {
            if table.insert(key, tokens(key, value)?)?.is_some() {
                return Err(entry(key, "another entry is for the same streams"));
            }
        }
        Ok(table)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.exact.len() + self.below.len()
    }

    /// Whether there are none: everything is denied.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Enters the tokens of a stream or pattern, and returns those that it had before.
    fn insert(&mut self, key: &str, tokens: Tokens) -> Result<Option<Tokens>, Error> {
        if key == "*" {
            return Ok(self.below.insert(String::new(), tokens));
        }
        let (entries, stream) = match key.strip_suffix("/*") {
            Some(prefix) => (&mut self.below, prefix),
            None => (&mut self.exact, key),
        };
        if stream.contains('*') {
            return Err(entry(key, "a * may only be the whole last segment"));
        }
        let name = StreamKey::new(stream).map_err(|error| entry(key, &error.to_string()))?;
        Ok(entries.insert(name.as_str().to_owned(), tokens))
    }

    fn find(&self, key: &StreamKey) -> Option<&Tokens> {
        let mut rest = key.as_str();
        if let Some(tokens) = self.exact.get(rest) {
            return Some(tokens);
        }
        while let Some((prefix, _)) = rest.rsplit_once('/') {
            if let Some(tokens) = self.below.get(prefix) {
                return Some(tokens);
            }
            rest = prefix;
        }
        self.below.get("")
    }

    /// Whether `token` opens `key`.
    ///
    /// # Errors
    ///
    /// A [`Mismatch`] if it does not.
    pub fn check(&self, action: Action, key: &StreamKey, token: &str) -> Result<(), Mismatch> {
        let tokens = self.find(key).ok_or(Mismatch::Unlisted)?;
        let wanted = match action {
            Action::Publish => &tokens.publish,
            Action::Play => &tokens.play,
        };
        match wanted {
            None => Err(Mismatch::Unlisted),
            Some(wanted) if same(token.as_bytes(), wanted.as_bytes()) => Ok(()),
            Some(_) => Err(Mismatch::Wrong),
        }
    }
}

/// Whether two texts are the same, in a time that depends on the length of `given` alone.
pub fn same(given: &[u8], wanted: &[u8]) -> bool {
    let mut difference = u8::from(given.len() != wanted.len());
    for (index, byte) in given.iter().enumerate() {
        let other = wanted.get(index % wanted.len().max(1)).copied();
        difference |= black_box(byte ^ other.unwrap_or(0));
    }
    black_box(difference) == 0
}

fn entry(key: &str, why: &str) -> Error {
    let (key, why) = (key.to_owned(), why.to_owned());
    Error::Entry { key, why }
}

/// A token that is not empty: an empty one would open the stream to everyone.
fn checked(key: &str, token: &str) -> Result<String, Error> {
    if token.is_empty() {
        return Err(entry(key, "token is empty"));
    }
    Ok(token.to_owned())
}

fn for_both(key: &str, token: &str) -> Result<Tokens, Error> {
    let token = checked(key, token)?;
    Ok(Tokens {
        publish: Some(token.clone()),
        play: Some(token),
    })
}

fn tokens(key: &str, value: &JsonValue) -> Result<Tokens, Error> {
    if let Some(token) = value.as_str() {
        return for_both(key, token);
    }
    let wanted = "value is neither a string nor an object of publish and play strings";
    let members = value.as_object().ok_or_else(|| entry(key, wanted))?;
    let mut tokens = Tokens::default();
    for (name, value) in members {
        let token = value.as_str().ok_or_else(|| entry(key, wanted))?;
        let place = match name.as_str() {
            "publish" => &mut tokens.publish,
            "play" => &mut tokens.play,
            _ => return Err(entry(key, wanted)),
        };
        *place = Some(checked(key, token)?);
    }
    if members.is_empty() {
        return Err(entry(key, "object has neither a publish nor a play string"));
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(json: &str) -> TokenTable {
        TokenTable::from_json(json.as_bytes()).unwrap()
    }

    #[test]
    fn the_closest_entry_decides() {
        let table = table(
            r#"{"live/cam":"exact","live/*":"live","live/a/*":{"publish":"pub","play":"see"},
                "live/b/*":{"play":"see"},"*":"any","//x//y/":"xy"}"#,
        );
        let (ok, wrong, unlisted) = (Ok(()), Err(Mismatch::Wrong), Err(Mismatch::Unlisted));
        let rows = [
            (Action::Publish, "live/cam", "exact", ok),
            (Action::Play, "live/cam", "exact", ok),
            (Action::Play, "live/cam", "live", wrong),
            (Action::Play, "live/other", "live", ok),
            (Action::Play, "live/x/y/z", "live", ok),
            (Action::Publish, "live/a/x", "pub", ok),
            (Action::Publish, "live/a/x", "see", wrong),
            (Action::Play, "live/a/x", "see", ok),
            (Action::Play, "live/a/x", "live", wrong),
            (Action::Play, "live/a", "live", ok),
            (Action::Play, "live/b/x", "see", ok),
            (Action::Publish, "live/b/x", "see", unlisted),
            (Action::Publish, "live/b/x", "live", unlisted),
            (Action::Play, "live", "live", wrong),
            (Action::Play, "live", "any", ok),
            (Action::Play, "liver/x", "any", ok),
            (Action::Play, "Live/cam", "any", ok),
            (Action::Play, "x/y", "xy", ok),
        ];
        for (action, key, token, want) in rows {
            let got = table.check(action, &StreamKey::new(key).unwrap(), token);
            assert_eq!(got, want, "{action:?} {key} {token}");
        }
    }

    #[test]
    fn whatever_is_not_listed_is_denied() {
        let table = table(r#"{"live/cam":"x"}"#);
        for key in ["live", "live/cam2", "live/cam/x", "cam", "other/cam"] {
            let got = table.check(Action::Play, &StreamKey::new(key).unwrap(), "x");
            assert_eq!(got, Err(Mismatch::Unlisted), "{key}");
        }
        assert!(TokenTable::new(&[]).unwrap().is_empty());
    }

    #[test]
    fn tokens_are_compared_whole() {
        let rows = [
            ("secret", "secret", true),
            ("secret", "secreT", false),
            ("secre", "secret", false),
            ("secretsecret", "secret", false),
            ("", "secret", false),
            ("", "", true),
            ("x", "", false),
            ("\0", "", false),
            ("aa", "a", false),
        ];
        for (given, wanted, want) in rows {
            let got = same(given.as_bytes(), wanted.as_bytes());
            assert_eq!(got, want, "{given} {wanted}");
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_table() {
        let plain = r#"{"a":"x","a/*":"y","*":"z"}"#;
        assert!(table(&format!("\u{feff}{plain}")) == table(plain));
    }

    #[test]
    fn what_is_no_table_is_refused_without_its_secrets() {
        let rows = [
            ("[1]", "not an object"),
            ("{\"a\":\"hunter2\"", "ends inside a value"),
            ("{\"a\":\"hunter2\" x}", "unexpected character at byte 15"),
            (r#"{"a":"","b":"hunter2"}"#, "entry a: token is empty"),
            (r#"{"a":1}"#, "entry a: value is neither"),
            (r#"{"a":["hunter2"]}"#, "entry a: value is neither"),
            (
                r#"{"a":{"publish":"hunter2","paly":"x"}}"#,
                "entry a: value is neither",
            ),
            (
                r#"{"b":"hunter2","a":{}}"#,
                "entry a: object has neither a publish nor a play string",
            ),
            (r#"{"a":{"publish":7}}"#, "entry a: value is neither"),
            (r#"{"a*":"hunter2"}"#, "entry a*: a * may only be"),
            (r#"{"*/a":"hunter2"}"#, "entry */a: a * may only be"),
            (r#"{"a/**":"hunter2"}"#, "entry a/**: a * may only be"),
            (
                r#"{"a/../b":"hunter2"}"#,
                "entry a/../b: stream name has a segment",
            ),
            (
                "{\"a\":\"hunter2\",\n \"b\":\"x\",\n \"a\":\"hunter2\"}",
                "line 3: name is there twice in an object, again at byte 27",
            ),
            (
                r#"{"a":{"play":"hunter2","play":"x"}}"#,
                "line 1: name is there twice",
            ),
            (
                r#"{"a/b":"hunter2","/a//b":"x"}"#,
                "entry /a//b: another entry is for the same streams",
            ),
            (
                r#"{"a/*":"hunter2","a//*":"x"}"#,
                "entry a//*: another entry is for the same streams",
            ),
            (r#"{"":"hunter2"}"#, "entry : stream name is empty"),
            (r#"{"/*":"hunter2"}"#, "entry /*: stream name is empty"),
        ];
        for (text, want) in rows {
            let error = TokenTable::from_json(text.as_bytes())
                .unwrap_err()
                .to_string();
            assert!(error.contains(want), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let pairs = [("live/*".to_owned(), "hunter2".to_owned())];
        let shown = format!("{:?}", TokenTable::new(&pairs).unwrap());
        assert_eq!(shown, "Table(1 entries)");
    }
}
