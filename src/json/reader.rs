//! Reading JSON.

use super::JsonValue;
use std::collections::HashSet;
use std::fmt;

/// How deep arrays and objects may be nested.
pub const DEPTH_MAX: usize = 32;

/// Why bytes are not JSON. It holds no part of the text, which may be secret: only its place, in
/// bytes from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The text is not UTF-8 from there on.
    NotUtf8(usize),
    /// The text ends inside a value.
    Ended,
    /// Another character has to stand there.
    Unexpected(usize),
    /// Nested deeper than [`DEPTH_MAX`].
    TooDeep(usize),
    /// A number that is not finite as a double.
    NumberTooLarge(usize),
    /// A control character in a string that is not escaped.
    ControlCharacter(usize),
    /// An unknown escape, or half a surrogate pair.
    BadEscape(usize),
    /// Another member of the object has the same name: RFC 8259 leaves open which of them counts.
    NameTwice(usize),
}

impl Error {
    /// The line of `text` that it is on, counted from 1.
    pub fn line(&self, text: &[u8]) -> usize {
        let at = match *self {
            Error::Ended => text.len(),
            Error::NotUtf8(at)
            | Error::Unexpected(at)
            | Error::TooDeep(at)
            | Error::NumberTooLarge(at)
            | Error::ControlCharacter(at)
            | Error::BadEscape(at)
            | Error::NameTwice(at) => at,
        };
        let before = text.iter().take(at);
        1 + before.filter(|byte| **byte == b'\n').count()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::NotUtf8(at) => write!(f, "not UTF-8 at byte {at}"),
            Error::Ended => write!(f, "ends inside a value"),
            Error::Unexpected(at) => write!(f, "unexpected character at byte {at}"),
            Error::TooDeep(at) => write!(f, "nested deeper than {DEPTH_MAX} at byte {at}"),
            Error::NumberTooLarge(at) => write!(f, "number too large at byte {at}"),
            Error::ControlCharacter(at) => write!(f, "control character in a string at byte {at}"),
            Error::BadEscape(at) => write!(f, "bad escape in a string at byte {at}"),
            Error::NameTwice(at) => {
                write!(f, "name is there twice in an object, again at byte {at}")
            }
        }
    }
}

impl std::error::Error for Error {}

/// Reads one value with nothing but white space around it.
///
/// # Errors
///
/// Any [`Error`]: the bytes are not JSON, or more than is allowed.
pub fn parse(bytes: &[u8]) -> Result<JsonValue, Error> {
    let text = str::from_utf8(bytes).map_err(|error| Error::NotUtf8(error.valid_up_to()))?;
    let mut reader = JsonReader { text, at: 0 };
    let value = reader.value(0)?;
    reader.skip_space();
    match reader.peek() {
        None => Ok(value),
        Some(_) => Err(Error::Unexpected(reader.at)),
    }
}

struct JsonReader<'a> {
    text: &'a str,
    /// How many bytes were read; always between two characters.
    at: usize,
}

impl JsonReader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Steps over `byte`, an ASCII character, if it stands here.
    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// The error for a character that is not allowed here.
    fn unexpected(&self) -> Error {
        self.peek()
            .map_or(Error::Ended, |_| Error::Unexpected(self.at))
    }

    fn value(&mut self, depth: usize) -> Result<JsonValue, Error> {
        self.skip_space();
        match self.peek() {
            Some(b'{' | b'[') if depth == DEPTH_MAX => Err(Error::TooDeep(self.at)),
            Some(b'{') => self.object(depth + 1),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => self.string().map(JsonValue::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", JsonValue::Bool(true)),
            Some(b'f') => self.word("false", JsonValue::Bool(false)),
            Some(b'n') => self.word("null", JsonValue::Null),
            _ => Err(self.unexpected()),
        }
    }

    fn word(&mut self, word: &str, value: JsonValue) -> Result<JsonValue, Error> {
        for byte in word.bytes() {
            if !self.eat(byte) {
                return Err(self.unexpected());
            }
        }
        Ok(value)
    }

    fn array(&mut self, depth: usize) -> Result<JsonValue, Error> {
        self.at += 1;
        let mut values = Vec::new();
        self.skip_space();
        if self.eat(b']') {
            return Ok(JsonValue::Array(values));
        }
        loop {
            values.push(self.value(depth)?);
            self.skip_space();
            if self.eat(b']') {
                return Ok(JsonValue::Array(values));
            }
            if !self.eat(b',') {
                return Err(self.unexpected());
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<JsonValue, Error> {
        self.at += 1;
        let mut members = Vec::new();
        let mut names = HashSet::new();
        self.skip_space();
        if self.eat(b'}') {
            return Ok(JsonValue::Object(members));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected());
            }
            let start = self.at;
            let name = self.string()?;
            if !names.insert(name.clone()) {
                return Err(Error::NameTwice(start));
            }
            self.skip_space();
            if !self.eat(b':') {
                return Err(self.unexpected());
            }
            members.push((name, self.value(depth)?));
            self.skip_space();
            if self.eat(b'}') {
                return Ok(JsonValue::Object(members));
            }
            if !self.eat(b',') {
                return Err(self.unexpected());
            }
        }
    }

    fn string(&mut self) -> Result<String, Error> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let special = |c: char| c == '"' || c == '\\' || c < ' ';
            let plain = rest.find(special).ok_or(Error::Ended)?;
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                _ => return Err(Error::ControlCharacter(self.at)),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        let start = self.at;
        self.at += 1;
        let byte = self.peek().ok_or(Error::Ended)?;
        let plain = match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(start),
            _ => return Err(Error::BadEscape(start)),
        };
        self.at += 1;
        Ok(plain)
    }

    /// `\u0041`, or two of them that are a surrogate pair.
    fn unicode(&mut self, start: usize) -> Result<char, Error> {
        self.at += 1;
        let mut code = self.hex4(start)?;
        if (0xd800..0xdc00).contains(&code) {
            if !(self.eat(b'\\') && self.eat(b'u')) {
                return Err(Error::BadEscape(start));
            }
            let low = self.hex4(start)?;
            if !(0xdc00..0xe000).contains(&low) {
                return Err(Error::BadEscape(start));
            }
            code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        char::from_u32(code).ok_or(Error::BadEscape(start))
    }

    fn hex4(&mut self, start: usize) -> Result<u32, Error> {
        let mut code = 0;
        for _ in 0..4 {
            let byte = self.peek().ok_or(Error::Ended)?;
            let digit = char::from(byte).to_digit(16);
            code = code << 4 | digit.ok_or(Error::BadEscape(start))?;
            self.at += 1;
        }
        Ok(code)
    }

    fn number(&mut self) -> Result<JsonValue, Error> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        let mut whole = true;
        if self.eat(b'.') {
            whole = false;
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            whole = false;
            let _ = self.eat(b'+') || self.eat(b'-');
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        // Minus zero is a float: an integer would lose the sign.
        if let (true, Ok(number)) = (whole && text != "-0", text.parse()) {
            return Ok(JsonValue::Int(number));
        }
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        number
            .map(JsonValue::Float)
            .ok_or(Error::NumberTooLarge(start))
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.unexpected());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_read() {
        let rows = [
            ("null", "null"),
            (" \t\r\n true \n", "true"),
            ("false", "false"),
            ("0", "0"),
            ("-0", "-0.0"),
            ("-12", "-12"),
            ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775808", "9.223372036854776e18"),
            ("1.50", "1.5"),
            ("1e3", "1000.0"),
            ("1E-2", "0.01"),
            ("-1.5e+2", "-150.0"),
            (r#""""#, r#""""#),
            (r#""\u0041\n\/\b\f""#, "\"A\\n/\\u0008\\u000c\""),
            (r#""\uD83D\ude00""#, "\"\u{1f600}\""),
            ("\"\u{7f}\u{2028}\"", "\"\\u007f\\u2028\""),
            ("[]", "[]"),
            ("[ 1 , [ ] , {} ]", "[1,[],{}]"),
            (r#"{ "b" : 1 , "a" : [] }"#, r#"{"b":1,"a":[]}"#),
            (
                r#"{"a":{"a":1},"A":{"a":2}}"#,
                r#"{"a":{"a":1},"A":{"a":2}}"#,
            ),
        ];
        for (text, want) in rows {
            let value = parse(text.as_bytes());
            let got = value.map(|value| value.to_string());
            assert_eq!(got, Ok(want.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let rows: [(&[u8], Error); 37] = [
            (b"", Error::Ended),
            (b"  ", Error::Ended),
            (b"[1,", Error::Ended),
            (b"[1", Error::Ended),
            (b"{\"a\"", Error::Ended),
            (b"{\"a\":", Error::Ended),
            (b"{", Error::Ended),
            (b"\"abc", Error::Ended),
            (b"\"\\", Error::Ended),
            (b"\"\\u12", Error::Ended),
            (b"nul", Error::Ended),
            (b"-", Error::Ended),
            (b"1.", Error::Ended),
            (b"nulL", Error::Unexpected(3)),
            (b"1 2", Error::Unexpected(2)),
            (b"01", Error::Unexpected(1)),
            (b"+1", Error::Unexpected(0)),
            (b".5", Error::Unexpected(0)),
            (b"1.e5", Error::Unexpected(2)),
            (b"1e+x", Error::Unexpected(3)),
            (b"NaN", Error::Unexpected(0)),
            (b"[1,]", Error::Unexpected(3)),
            (b"{\"a\":1,}", Error::Unexpected(7)),
            (b"{a:1}", Error::Unexpected(1)),
            (b"'a'", Error::Unexpected(0)),
            (b"[1 2]", Error::Unexpected(3)),
            (b"\xef\xbb\xbf1", Error::Unexpected(0)),
            (b"1\x0c", Error::Unexpected(1)),
            (b"1e999", Error::NumberTooLarge(0)),
            (b"\"a\nb\"", Error::ControlCharacter(2)),
            (b"\"\\x41\"", Error::BadEscape(1)),
            (b"\"\\ud800\"", Error::BadEscape(1)),
            (b"\"\\ude00\\ud83d\"", Error::BadEscape(1)),
            (b"\"\xff\"", Error::NotUtf8(1)),
            (b"{\"a\":1,\"b\":2,\"a\":3}", Error::NameTwice(13)),
            (b"{\"a\":1, \"\\u0061\":1}", Error::NameTwice(8)),
            (b"[{},{\"\":{},\"\":", Error::NameTwice(11)),
        ];
        for (bytes, want) in rows {
            assert_eq!(parse(bytes), Err(want), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn an_error_is_on_a_line() {
        let rows: [(&[u8], usize); 5] = [
            (b"x", 1),
            (b"[1,\n2,\n\n3", 4),
            (b"[1,\r\nx\n]", 2),
            (b"{\"a\":1,\n\"a\":2}\n", 2),
            (b"{\"a\":\n\n\"b\n\"}", 3),
        ];
        for (text, want) in rows {
            let line = parse(text).map_err(|error| error.line(text));
            assert_eq!(line, Err(want), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn depth_is_limited() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(DEPTH_MAX).as_bytes()).is_ok());
        let deep = parse(nested(DEPTH_MAX + 1).as_bytes());
        assert_eq!(deep, Err(Error::TooDeep(DEPTH_MAX)));
        let bomb = parse("[".repeat(1_000_000).as_bytes());
        assert_eq!(bomb, Err(Error::TooDeep(DEPTH_MAX)));
    }
}
