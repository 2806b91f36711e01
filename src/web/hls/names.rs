//! Names that nobody can guess.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::Read;

/// Bytes of chance in a name.
const NAME_LEN: usize = 16;

/// Length of a name, in characters.
pub(super) const NAME_CHARS: usize = 2 * NAME_LEN;

/// A name that was never given before and that nobody can guess, in lower-case hex.
pub(super) fn random_name() -> String {
    let mut bytes = [0; NAME_LEN];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    let number = match read {
        Ok(()) => u128::from_be_bytes(bytes),
        // Where there are no devices, the keys of hash tables are random still.
        Err(_) => {
            let half = |part: u8| u128::from(RandomState::new().hash_one(part));
            half(0) << 64 | half(1)
        }
    };
    format!("{number:032x}")
}

/// Whether a client's text is of the form of such a name.
pub(super) fn is_name(text: &str) -> bool {
    text.len() == NAME_CHARS && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
