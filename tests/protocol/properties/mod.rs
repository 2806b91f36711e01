//! What holds for any input: what is written is read back, by our decoder and by one that knows
//! only the specification, and no bytes are too strange to be read.

mod amf;
mod chunks;
mod noise;
mod proxy;
mod writer;

use proptest::prelude::ProptestConfig;

/// So many cases for each property; a failure is printed and not kept in a file.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}
