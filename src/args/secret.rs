//! Secret values: read from the flag or from a file, and never shown.

use super::error::Invalid;
use crate::file;
use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Longest file that a secret is read from, in bytes.
pub const FILE_LEN_MAX: u64 = 4096;

/// A text that `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// Shows the type's name only.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Secret {
    /// The text itself. Never log or show it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Takes the value of a flag, or for `@FILE` the text of that file, without white space around it.
    /// Everyone on the machine can see arguments, but not files.
    ///
    /// # Errors
    ///
    /// [`Invalid`] may name the file, but shows nothing of the text.
    pub fn read(value: &str) -> Result<Secret, Invalid> {
        let text = match value.strip_prefix('@') {
            Some(path) => read_file(path)
                .map_err(|error| Invalid::because(format!("cannot read {path:?}: {error}")))?,
            None => value.to_owned(),
        };
        let text = text.trim();
        let plain = |byte: u8| (b'!'..=b'~').contains(&byte);
        if text.is_empty() || !text.bytes().all(plain) {
            return Err(Invalid::must_be(
                "a text of ASCII characters without spaces, or @FILE with such a text in it",
            ));
        }
        Ok(Secret(text.to_owned()))
    }
}

fn read_file(path: &str) -> io::Result<String> {
    let text = file::read(Path::new(path), FILE_LEN_MAX)?;
    String::from_utf8(text).map_err(|_| io::Error::new(ErrorKind::InvalidData, "is not UTF-8"))
}
