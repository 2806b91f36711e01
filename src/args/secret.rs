//! Secret values: read from the flag or from a file, and never shown.

use super::error::Invalid;
use std::fmt;
use std::fs::File;
use std::io::Read;

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

fn read_file(path: &str) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let read = file.take(FILE_LEN_MAX + 1).read_to_string(&mut text);
    match read.map_err(|error| error.to_string())? as u64 {
        ..=FILE_LEN_MAX => Ok(text),
        _ => Err(format!("longer than {FILE_LEN_MAX} bytes")),
    }
}
