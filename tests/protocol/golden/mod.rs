//! The bytes in `testdata`: golden vectors in every direction that `vectors.txt` gives them, damaged
//! vectors, and what real programs sent.

mod captures;
mod chunks;
mod damage;
mod flv;
mod handshake;
mod limits;
mod media;
mod replies;
mod table;
mod values;

use std::collections::BTreeSet;
use table::{Direction, Row};

/// Nothing, or what differs.
type Outcome = Result<(), String>;

/// Compares by what is printed, so that a NaN equals itself.
fn same<T: std::fmt::Debug>(got: T, want: T) -> Outcome {
    let (got, want) = (format!("{got:?}"), format!("{want:?}"));
    if got == want {
        return Ok(());
    }
    Err(format!("\n   got {got}\n  want {want}"))
}

/// Bytes that our encoder must not produce.
fn differ(ours: &[u8], never: &[u8]) -> Outcome {
    if ours != never {
        return Ok(());
    }
    Err("our encoder sends this".to_owned())
}

#[test]
fn every_vector_has_a_row_and_every_row_a_vector() {
    let rows: BTreeSet<String> = table::rows().into_keys().collect();
    let files = table::names("vectors", ".bin").into_iter().collect();
    assert_eq!(rows, files);
    assert_eq!(rows.len(), 202);
}

#[test]
fn every_vector_holds_in_every_direction_of_its_row() {
    let mut failures = Vec::new();
    for row in table::rows().values() {
        for direction in &row.directions {
            if let Err(why) = check(row, *direction) {
                failures.push(format!("{} {direction:?}: {why}", row.id));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A group that no check knows fails, so that no row goes untested.
fn check(row: &Row, direction: Direction) -> Outcome {
    match row.group() {
        'H' => handshake::check(row, direction),
        'B' => chunks::check_basic_header(row, direction),
        'C' | 'D' | 'E' | 'G' | 'J' => chunks::check(row, direction),
        'F' => values::check(row, direction),
        'M' => media::check(row, direction),
        'L' => flv::check(row, direction),
        _ => untested(),
    }
}

fn untested() -> Outcome {
    Err("no check for this direction".to_owned())
}
