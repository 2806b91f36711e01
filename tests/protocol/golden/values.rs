//! Group F: AMF0 values.

use super::table::{Direction, Row};
use super::{Outcome, differ, same, untested};
use crate::support::notation::Notation;
use rtmp_server::amf0;

pub fn check(row: &Row, direction: Direction) -> Outcome {
    match direction {
        Direction::Decode => same(amf0::decode(&row.bytes), Ok(values(row))),
        Direction::Encode => {
            same(amf0::encode(&values(row)), row.bytes.clone())?;
            // The bits of a NaN and the form of a string survive being read and written.
            let read = amf0::decode(&row.bytes).map_err(|error| error.to_string())?;
            same(amf0::encode(&read), row.bytes.clone())
        }
        Direction::NeverSend => differ(&amf0::encode(&values(row)), &row.bytes),
        Direction::Reject => {
            let error = amf0::decode(&row.bytes).map_err(|error| format!("{error:?}"));
            same(error, Err(row.error().to_owned()))
        }
        Direction::Accept | Direction::Relay => untested(),
    }
}

fn values(row: &Row) -> Vec<amf0::Value> {
    let mut notation = Notation::new(&row.meaning);
    let values = notation.values();
    assert!(notation.is_empty(), "{}: more than values", row.id);
    values
}
