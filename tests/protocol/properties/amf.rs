//! Any AMF0 value is written and read back.

use super::cases;
use proptest::prelude::*;
use rtmp_server::amf0::{self, Value};

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => "[a-zA-Z@|é😀]{0,12}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}

fn long_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => text(), 1 => (65_530..65_600_usize).prop_map(|len| vec![b'x'; len])]
}

fn short_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![9 => text(), 1 => Just(vec![b'x'; 65_535])]
}

/// One AMF3 scalar: undefined, null, booleans, integers of one to four bytes, double, string.
fn amf3() -> impl Strategy<Value = Vec<u8>> {
    let integers: [&[u8]; 4] = [&[0x7f], &[0x81, 0], &[0xff, 0xff, 0x7f], &[0xff; 4]];
    let integer = prop::sample::select(integers.to_vec());
    prop_oneof![
        (0..4_u8).prop_map(|marker| vec![marker]),
        integer.prop_map(|bytes| [&[4], bytes].concat()),
        any::<[u8; 8]>().prop_map(|bytes| [&[5][..], &bytes].concat()),
        "[a-z]{0,60}"
            .prop_map(|text| [&[6, (text.len() << 1 | 1) as u8], text.as_bytes()].concat()),
        // A length in four bytes: 1 << 8 | 7 is 131 inline bytes.
        Just([&[6, 0x80, 0x80, 0x81, 7][..], &[b'x'; 131]].concat()),
        // A reference to a string that came before.
        Just(vec![6, 2]),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        // Any bits, among them every kind of NaN.
        any::<u64>().prop_map(|bits| Value::Number(f64::from_bits(bits))),
        (-3000..3000_i32).prop_map(|number| Value::Number(f64::from(number))),
        any::<bool>().prop_map(Value::Boolean),
        short_text().prop_map(Value::String),
        Just(Value::Null),
        Just(Value::Undefined),
        any::<u16>().prop_map(Value::Reference),
        (any::<f64>(), any::<i16>()).prop_map(|(ms, zone)| Value::Date(ms, zone)),
        long_text().prop_map(Value::LongString),
        Just(Value::Unsupported),
        long_text().prop_map(Value::Xml),
        amf3().prop_map(Value::AvmPlus),
    ]
}

/// Any tree that stays within the limits of a message.
pub fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(6, 60, 5, |inner| {
        let pairs = || prop::collection::vec((text(), inner.clone()), 0..5);
        prop_oneof![
            pairs().prop_map(Value::Object),
            (any::<u32>(), pairs()).prop_map(|(count, pairs)| Value::EcmaArray(count, pairs)),
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::StrictArray),
            (text(), pairs()).prop_map(|(class, pairs)| Value::TypedObject(class, pairs)),
        ]
    })
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn values_are_read_as_they_were_written(values in prop::collection::vec(value(), 0..5)) {
        let bytes = amf0::encode(&values);
        let read = amf0::decode(&bytes).map_err(|error| TestCaseError::fail(error.to_string()))?;
        // A NaN is not equal to itself, but its bits and its name are.
        prop_assert_eq!(amf0::encode(&read), bytes);
        prop_assert_eq!(format!("{read:?}"), format!("{values:?}"));
    }

    /// What is cut off anywhere is an error or the values before the cut, and never something else.
    #[test]
    fn a_prefix_is_no_other_value(values in prop::collection::vec(value(), 1..4), cut in any::<prop::sample::Index>()) {
        let bytes = amf0::encode(&values);
        let cut = cut.index(bytes.len());
        let ends: Vec<usize> = (0..values.len()).map(|n| amf0::encode(&values[..n]).len()).collect();
        match amf0::decode(&bytes[..cut]) {
            Ok(read) => prop_assert_eq!(cut, ends[read.len()]),
            Err(error) => {
                prop_assert_eq!(error, amf0::Error::Truncated);
                prop_assert!(!ends.contains(&cut));
            }
        }
    }

    /// A string too long for its short form is written in the long one and means the same.
    #[test]
    fn long_strings_are_long(text in long_text()) {
        let bytes = amf0::encode(&[Value::String(text.clone())]);
        let want = if text.len() > 65_535 { Value::LongString(text) } else { Value::String(text) };
        prop_assert_eq!(amf0::decode(&bytes), Ok(vec![want]));
    }
}
