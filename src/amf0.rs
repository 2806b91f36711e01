//! AMF0 values and their bytes (AMF0, December 2007).
//!
//! Strings are bytes: names that are not UTF-8 occur, and what is relayed must not change. The count in
//! front of an array is a peer's claim; no memory is allocated for it.

use crate::bytes::{Cursor, Short, put_u16, put_u32};
use std::fmt;

/// Deepest nesting of objects and arrays that is read.
pub const DEPTH_MAX: usize = 32;

/// Most values, nested ones included, that are read from one message.
pub const VALUES_MAX: usize = 4096;

/// The keys and values of an object, in the order of the wire.
pub type Pairs = Vec<(Vec<u8>, Value)>;

/// An AMF0 value. Each variant names its marker, the byte in front of it (AMF0 §2.1).
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Marker 00: a double, the only type of number.
    Number(f64),
    /// Marker 01; any byte but 0 is true.
    Boolean(bool),
    /// Marker 02; longer than 65,535 bytes it is written as a long string.
    String(Vec<u8>),
    /// Marker 03: names and values, without a class.
    Object(Pairs),
    /// Marker 05: no object.
    Null,
    /// Marker 06: no value at all.
    Undefined,
    /// Marker 07: the index of a complex value earlier in the same message. Never expanded.
    Reference(u16),
    /// Marker 08: an object behind a count, which is a hint and kept as it came.
    EcmaArray(u32, Pairs),
    /// Marker 0A: values without names.
    StrictArray(Vec<Value>),
    /// Marker 0B: milliseconds since 1970 and a time zone that should be 0.
    Date(f64, i16),
    /// Marker 0C: a string with a length of 32 bits.
    LongString(Vec<u8>),
    /// Marker 0D: a value that its sender could not write.
    Unsupported,
    /// Marker 0F: the text of an XML document.
    Xml(Vec<u8>),
    /// Marker 10: class name and members.
    TypedObject(Vec<u8>, Pairs),
    /// Marker 11: one AMF3 value, kept as its bytes. Only AMF3's scalars are read.
    AvmPlus(Vec<u8>),
}

/// Why bytes cannot be read as AMF0 values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// A value goes on beyond the end of the message.
    Truncated,
    /// A marker that is reserved, unknown or out of place.
    Marker(u8),
    /// An AMF3 marker other than those of scalars.
    Amf3Marker(u8),
    /// Nested deeper than [`DEPTH_MAX`].
    TooDeep,
    /// More than [`VALUES_MAX`] values.
    TooMany,
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Error::Truncated => write!(f, "value ends beyond the message"),
            Error::Marker(marker) => write!(f, "marker {marker:#04x} is not a value"),
            Error::Amf3Marker(marker) => write!(f, "AMF3 marker {marker:#04x} is not supported"),
            Error::TooDeep => write!(f, "nested deeper than {DEPTH_MAX}"),
            Error::TooMany => write!(f, "more than {VALUES_MAX} values"),
        }
    }
}

impl From<Short> for Error {
    fn from(_: Short) -> Self {
        Error::Truncated
    }
}

impl Value {
    /// A [`Value::String`] of this text.
    pub fn text(text: impl AsRef<[u8]>) -> Value {
        Value::String(text.as_ref().to_vec())
    }

    /// An object with these members.
    pub fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
        let members = members.into_iter();
        Value::Object(
            members
                .map(|(key, value)| (key.as_bytes().to_vec(), value))
                .collect(),
        )
    }

    /// The number, if it is one.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The number if it is whole and fits, as ids must be.
    pub fn as_u32(&self) -> Option<u32> {
        let number = self.as_number()?;
        let whole = number >= 0.0 && number <= f64::from(u32::MAX) && number.fract() == 0.0;
        whole.then_some(number as u32)
    }

    /// The text of a string or long string, if it is UTF-8.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::String(bytes) | Value::LongString(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The members of an object of any kind.
    pub fn pairs(&self) -> &[(Vec<u8>, Value)] {
        match self {
            Value::Object(pairs) | Value::EcmaArray(_, pairs) | Value::TypedObject(_, pairs) => {
                pairs
            }
            _ => &[],
        }
    }

    /// The member called `key`. Of several with that name the last counts.
    pub fn get(&self, key: &str) -> Option<&Value> {
        let mut members = self.pairs().iter().rev();
        members
            .find(|(name, _)| name == key.as_bytes())
            .map(|(_, value)| value)
    }

    /// Appends the value's bytes to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Value::Number(number) => {
                out.push(0x00);
                out.extend_from_slice(&number.to_bits().to_be_bytes());
            }
            Value::Boolean(flag) => out.extend_from_slice(&[0x01, u8::from(*flag)]),
            Value::String(text) if text.len() <= usize::from(u16::MAX) => {
                out.push(0x02);
                encode_name(text, out);
            }
            Value::String(text) | Value::LongString(text) => encode_long(0x0c, text, out),
            Value::Object(pairs) => {
                out.push(0x03);
                encode_pairs(pairs, out);
            }
            Value::Null => out.push(0x05),
            Value::Undefined => out.push(0x06),
            Value::Reference(index) => {
                out.push(0x07);
                put_u16(out, *index);
            }
            Value::EcmaArray(count, pairs) => {
                out.push(0x08);
                put_u32(out, *count);
                encode_pairs(pairs, out);
            }
            Value::StrictArray(values) => {
                out.push(0x0a);
                put_u32(out, values.len() as u32);
                values.iter().for_each(|value| value.encode(out));
            }
            Value::Date(ms, zone) => {
                out.push(0x0b);
                out.extend_from_slice(&ms.to_bits().to_be_bytes());
                out.extend_from_slice(&zone.to_be_bytes());
            }
            Value::Unsupported => out.push(0x0d),
            Value::Xml(text) => encode_long(0x0f, text, out),
            Value::TypedObject(class, pairs) => {
                out.push(0x10);
                encode_name(class, out);
                encode_pairs(pairs, out);
            }
            Value::AvmPlus(bytes) => {
                out.push(0x11);
                out.extend_from_slice(bytes);
            }
        }
    }
}

/// Writes a name behind its 16-bit length; names on the wire cannot be longer, so a longer one is cut.
fn encode_name(name: &[u8], out: &mut Vec<u8>) {
    let len = name.len().min(usize::from(u16::MAX));
    put_u16(out, len as u16);
    out.extend_from_slice(&name[..len]);
}

fn encode_long(marker: u8, text: &[u8], out: &mut Vec<u8>) {
    out.push(marker);
    put_u32(out, text.len() as u32);
    out.extend_from_slice(text);
}

fn encode_pairs(pairs: &[(Vec<u8>, Value)], out: &mut Vec<u8>) {
    for (key, value) in pairs {
        encode_name(key, out);
        value.encode(out);
    }
    out.extend_from_slice(&[0x00, 0x00, 0x09]);
}

/// The bytes of `values`, one after the other.
pub fn encode(values: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    values.iter().for_each(|value| value.encode(&mut out));
    out
}

/// Reads every value of a message.
///
/// # Errors
///
/// Any [`Error`]: the rest of the message cannot be read, so drop the whole message.
pub fn decode(bytes: &[u8]) -> Result<Vec<Value>, Error> {
    let mut decoder = Decoder::new(bytes);
    let mut values = Vec::new();
    while let Some(value) = decoder.next()? {
        values.push(value);
    }
    Ok(values)
}

/// Reads the values of one message in turn, within the limits of a message.
#[derive(Debug)]
pub struct Decoder<'a> {
    input: Cursor<'a>,
    values_left: usize,
}

impl<'a> Decoder<'a> {
    /// Starts at the first value of a message.
    pub fn new(bytes: &'a [u8]) -> Self {
        Decoder {
            input: Cursor::new(bytes),
            values_left: VALUES_MAX,
        }
    }

    /// The next value; `None` at the end of the message.
    ///
    /// # Errors
    ///
    /// Any [`Error`]: nothing behind it can be read.
    #[allow(clippy::should_implement_trait)] // an Iterator of Results would go on after an error
    pub fn next(&mut self) -> Result<Option<Value>, Error> {
        if self.input.is_empty() {
            return Ok(None);
        }
        self.value(0).map(Some)
    }

    /// The bytes behind the last value read.
    pub fn rest(&self) -> &'a [u8] {
        self.input.rest()
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        let marker = self.input.u8()?;
        self.value_of(marker, depth)
    }

    fn value_of(&mut self, marker: u8, depth: usize) -> Result<Value, Error> {
        if depth > DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        self.values_left = self.values_left.checked_sub(1).ok_or(Error::TooMany)?;
        Ok(match marker {
            0x00 => Value::Number(self.input.f64()?),
            0x01 => Value::Boolean(self.input.u8()? != 0),
            0x02 => Value::String(self.name()?),
            0x03 => Value::Object(self.pairs(depth)?),
            0x05 => Value::Null,
            0x06 => Value::Undefined,
            0x07 => Value::Reference(self.input.u16()?),
            0x08 => Value::EcmaArray(self.input.u32()?, self.pairs(depth)?),
            0x0a => Value::StrictArray(self.elements(depth)?),
            0x0b => Value::Date(self.input.f64()?, self.input.u16()? as i16),
            0x0c => Value::LongString(self.long()?),
            0x0d => Value::Unsupported,
            0x0f => Value::Xml(self.long()?),
            0x10 => Value::TypedObject(self.name()?, self.pairs(depth)?),
            0x11 => Value::AvmPlus(self.amf3_scalar()?),
            marker => return Err(Error::Marker(marker)),
        })
    }

    fn name(&mut self) -> Result<Vec<u8>, Error> {
        let len = self.input.u16()?;
        Ok(self.input.take(usize::from(len))?.to_vec())
    }

    fn long(&mut self) -> Result<Vec<u8>, Error> {
        let len = self.input.u32()?;
        Ok(self.input.take(len as usize)?.to_vec())
    }

    /// Reads members up to the end marker; an empty name before any other marker is a name.
    fn pairs(&mut self, depth: usize) -> Result<Pairs, Error> {
        let mut pairs = Vec::new();
        loop {
            let key = self.name()?;
            let marker = self.input.u8()?;
            if key.is_empty() && marker == 0x09 {
                return Ok(pairs);
            }
            pairs.push((key, self.value_of(marker, depth + 1)?));
        }
    }

    fn elements(&mut self, depth: usize) -> Result<Vec<Value>, Error> {
        let count = self.input.u32()?;
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(self.value(depth + 1)?);
        }
        Ok(values)
    }

    /// The bytes of one AMF3 scalar, marker included (AMF3 §3.2 to §3.8).
    fn amf3_scalar(&mut self) -> Result<Vec<u8>, Error> {
        let start = self.input.rest();
        match self.input.u8()? {
            0x00..=0x03 => {}
            0x04 => _ = self.u29()?,
            0x05 => _ = self.input.f64()?,
            0x06 => {
                let header = self.u29()?;
                let inline = header & 1 == 1;
                self.input
                    .take(if inline { header as usize >> 1 } else { 0 })?;
            }
            marker => return Err(Error::Amf3Marker(marker)),
        }
        let len = start.len() - self.input.rest().len();
        Ok(start[..len].to_vec())
    }

    /// AMF3's variable length integer: 7 bits a byte, 8 in the fourth (AMF3 §1.3.1).
    fn u29(&mut self) -> Result<u32, Error> {
        let mut value = 0;
        for _ in 0..3 {
            let byte = self.input.u8()?;
            value = value << 7 | u32::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Ok(value << 8 | u32::from(self.input.u8()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_only_are_ids() {
        let rows = [
            (1.0, Some(1)),
            (0.0, Some(0)),
            (4294967295.0, Some(u32::MAX)),
            (4294967296.0, None),
            (-1.0, None),
            (1.5, None),
            (f64::NAN, None),
            (f64::INFINITY, None),
        ];
        for (number, want) in rows {
            assert_eq!(Value::Number(number).as_u32(), want, "{number}");
        }
    }

    #[test]
    fn of_two_members_with_one_name_the_last_counts() {
        let object = Value::object([("a", Value::Number(1.0)), ("a", Value::Number(2.0))]);
        assert_eq!(object.get("a"), Some(&Value::Number(2.0)));
    }

    #[test]
    fn limits_are_exact() {
        let nested = |depth: usize| {
            let mut bytes = [0x03, 0, 1, b'a'].repeat(depth);
            bytes.push(0x05);
            bytes.extend([0, 0, 9].repeat(depth));
            bytes
        };
        assert!(decode(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(decode(&nested(DEPTH_MAX + 1)), Err(Error::TooDeep));
        assert_eq!(decode(&nested(10_000)), Err(Error::TooDeep));
        assert!(decode(&[0x05; VALUES_MAX]).is_ok());
        assert_eq!(decode(&[0x05; VALUES_MAX + 1]), Err(Error::TooMany));
    }

    #[test]
    fn an_empty_name_before_a_value_is_a_name() {
        let bytes = [0x03, 0, 0, 0x05, 0, 0, 0x09];
        let values = decode(&bytes).unwrap();
        assert_eq!(values, [Value::Object(vec![(vec![], Value::Null)])]);
        assert_eq!(encode(&values), bytes);
    }
}
