//! JSON by RFC 8259, read strictly and written on one line.

mod reader;

pub use reader::{DEPTH_MAX, Error, parse};

use std::fmt::{self, Write as _};

/// A value of RFC 8259.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonValue {
    /// `null`; what is written for a number that is not finite reads as this.
    Null,
    /// The literal `true` or `false`.
    Bool(bool),
    /// A number without fraction and exponent that an `i64` holds exactly.
    Int(i64),
    /// Any other number. Written as `null` when it is not finite: JSON has no such number.
    Float(f64),
    /// A string, with its escapes undone.
    String(String),
    /// Values, in the order in which they are written.
    Array(Vec<JsonValue>),
    /// Members in the order in which they are written. [`parse`] refuses two with one name.
    Object(Vec<(String, JsonValue)>),
}

impl JsonValue {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            JsonValue::String(text) => Some(text),
            _ => None,
        }
    }

    /// The members of an object.
    pub fn as_object(&self) -> Option<&[(String, JsonValue)]> {
        match self {
            JsonValue::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The member `name` of an object.
    pub fn get(&self, name: &str) -> Option<&JsonValue> {
        let members = self.as_object()?;
        let member = members.iter().find(|(key, _)| key == name);
        member.map(|(_, value)| value)
    }
}

impl From<&str> for JsonValue {
    fn from(text: &str) -> JsonValue {
        JsonValue::String(text.to_owned())
    }
}

impl From<String> for JsonValue {
    fn from(text: String) -> JsonValue {
        JsonValue::String(text)
    }
}

impl From<bool> for JsonValue {
    fn from(value: bool) -> JsonValue {
        JsonValue::Bool(value)
    }
}

impl From<u64> for JsonValue {
    /// Exact up to [`i64::MAX`], rounded beyond.
    fn from(number: u64) -> JsonValue {
        i64::try_from(number).map_or(JsonValue::Float(number as f64), JsonValue::Int)
    }
}

impl From<usize> for JsonValue {
    fn from(number: usize) -> JsonValue {
        JsonValue::from(number as u64)
    }
}

impl From<f64> for JsonValue {
    fn from(number: f64) -> JsonValue {
        JsonValue::Float(number)
    }
}

impl fmt::Display for JsonValue {
    /// The value as JSON, without white space and line breaks.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            JsonValue::Null => f.write_str("null"),
            JsonValue::Bool(value) => write!(f, "{value}"),
            JsonValue::Int(number) => write!(f, "{number}"),
            // What Rust writes to debug a float is JSON, and what it reads back is the same float.
            JsonValue::Float(number) if number.is_finite() => write!(f, "{number:?}"),
            JsonValue::Float(_) => f.write_str("null"),
            JsonValue::String(text) => write!(f, "{}", Quoted(text)),
            JsonValue::Array(values) => {
                f.write_char('[')?;
                for (index, value) in values.iter().enumerate() {
                    f.write_str(if index > 0 { "," } else { "" })?;
                    write!(f, "{value}")?;
                }
                f.write_char(']')
            }
            JsonValue::Object(members) => {
                f.write_char('{')?;
                for (index, (name, value)) in members.iter().enumerate() {
                    f.write_str(if index > 0 { "," } else { "" })?;
                    write!(f, "{}:{value}", Quoted(name))?;
                }
                f.write_char('}')
            }
        }
    }
}

/// Text as a JSON string. What is [hidden](is_hidden) is escaped beyond what is required, so that a
/// line stays one, and reads as it is, on every terminal.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                c if is_hidden(c) => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        write!(f, "\\u{unit:04x}")?;
                    }
                }
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// Whether a character is not shown itself, but ends a line or changes how the text around it is
/// shown: controls, line and paragraph separators, format characters (Unicode 16, categories Cc,
/// Zl, Zp and Cf), and fillers that look like a space.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_written_on_one_line() {
        let object = JsonValue::Object(vec![
            ("b".to_owned(), JsonValue::from(1_u64)),
            (
                "a".to_owned(),
                JsonValue::Array(vec![JsonValue::Null, true.into(), "x".into()]),
            ),
        ]);
        let rows = [
            (JsonValue::Int(-7), "-7"),
            (JsonValue::from(i64::MAX as u64), "9223372036854775807"),
            (JsonValue::from(u64::MAX), "1.8446744073709552e19"),
            (JsonValue::from(1.5), "1.5"),
            (JsonValue::from(2.0), "2.0"),
            (JsonValue::from(1e-9), "1e-9"),
            (JsonValue::from(f64::NAN), "null"),
            (JsonValue::from(f64::INFINITY), "null"),
            (
                JsonValue::from("a\"b\\c\n\r\t\u{1}\u{7f}\u{85}/\u{e9}\u{1f600}"),
                "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u007f\\u0085/\u{e9}\u{1f600}\"",
            ),
            (
                JsonValue::from("\u{2028}\u{202e}\u{200f}\u{feff}\u{e0041}\u{2027}\u{202f}"),
                "\"\\u2028\\u202e\\u200f\\ufeff\\udb40\\udc41\u{2027}\u{202f}\"",
            ),
            (JsonValue::Array(Vec::new()), "[]"),
            (JsonValue::Object(Vec::new()), "{}"),
            (object, r#"{"b":1,"a":[null,true,"x"]}"#),
        ];
        for (value, want) in rows {
            assert_eq!(value.to_string(), want);
        }
    }

    #[test]
    fn members_are_found_by_name() {
        let value = parse(br#"{"a":"x","b":{"c":1}}"#).unwrap();
        assert_eq!(value.get("a").and_then(JsonValue::as_str), Some("x"));
        assert_eq!(
            value.get("b").and_then(|b| b.get("c")),
            Some(&JsonValue::Int(1))
        );
        assert_eq!(value.get("c"), None);
        assert_eq!(JsonValue::Null.get("a"), None);
    }

    fn values() -> impl Strategy<Value = JsonValue> {
        let leaf = prop_oneof![
            Just(JsonValue::Null),
            any::<bool>().prop_map(JsonValue::Bool),
            any::<i64>().prop_map(JsonValue::Int),
            (-1e300_f64..1e300).prop_map(JsonValue::Float),
            any::<String>().prop_map(JsonValue::String),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            let members = prop::collection::btree_map(any::<String>(), inner.clone(), 0..6);
            prop_oneof![
                prop::collection::vec(inner, 0..6).prop_map(JsonValue::Array),
                members.prop_map(|members| JsonValue::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in values()) {
            let text = value.to_string();
            prop_assert!(!text.contains(is_hidden));
            prop_assert_eq!(parse(text.as_bytes()), Ok(value));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }

        #[test]
        fn near_misses_are_read_or_refused(text in "[\\[\\]{}:,\"\\\\u0-9a-fA-F.+eE \\-truefalsn]{0,60}") {
            if let Ok(value) = parse(text.as_bytes()) {
                prop_assert_eq!(parse(value.to_string().as_bytes()), Ok(value));
            }
        }
    }
}
