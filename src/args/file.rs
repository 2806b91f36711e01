//! The configuration file: flags, one a line.

use super::effect;
use super::error::{Error, Invalid};
use super::fault::{Fault, Faults, Place};
use super::flag::{Flag, Takes};
use super::setting::{Setting, find};
use crate::file;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

/// Longest configuration file, in bytes.
pub const CONFIG_LEN_MAX: u64 = 1 << 20;

/// Reads the flags that are in the file at `path`; lines that cannot be read go to `faults`.
pub(super) fn read(path: &str, faults: &mut Faults) -> Vec<Setting> {
    match text(path) {
        Ok(text) => parse(&Arc::from(Path::new(path)), &text, faults),
        Err(why) => {
            let why = Invalid::because(why);
            let error = Error::Invalid {
                flag: "config",
                value: Some(path.to_owned()),
                why,
            };
            faults.add(error.into());
            Vec::new()
        }
    }
}

fn text(path: &str) -> Result<Vec<u8>, String> {
    let read = file::read(Path::new(path), CONFIG_LEN_MAX);
    read.map_err(|error| match error.kind() {
        ErrorKind::FileTooLarge => error.to_string(),
        _ => format!("cannot read it: {error}"),
    })
}

fn parse(path: &Arc<Path>, text: &[u8], faults: &mut Faults) -> Vec<Setting> {
    let mut settings = Vec::new();
    // Some editors begin a file with a mark of its encoding.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let place = Place::File(Arc::clone(path), index + 1);
        match setting(line) {
            Ok(Some((flag, value))) => settings.push(Setting { flag, value, place }),
            Ok(None) => {}
            Err(error) => faults.add(Fault { place, error }),
        }
    }
    settings
}

/// Reads a line: a flag with its value; `None` if the line is blank or a comment.
fn setting(line: &[u8]) -> Result<Option<(&'static Flag, String)>, Error> {
    let line = str::from_utf8(line).map_err(|_| Error::Line("is not UTF-8"))?;
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    if line.contains(|c: char| c.is_control() && c != '\t') {
        return Err(Error::Line("has a control character"));
    }
    if line.starts_with('-') {
        return Err(Error::Line("begins with a dash; write NAME VALUE"));
    }
    let (name, value) = match line.split_once(char::is_whitespace) {
        Some((name, value)) => (name, value.trim_start()),
        None => (line, ""),
    };
    // What else stands there may be a secret, which no error may show.
    if name.contains('=') {
        return Err(Error::Line("has a = in place of a space; write NAME VALUE"));
    }
    if !name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        return Err(Error::Line("does not begin with the name of a flag"));
    }
    let flag = find(name)?;
    if effect::is_on_command_line_only(flag.name) {
        return Err(Error::NotInFile(flag.name));
    }
    let value = match (flag.takes, value) {
        (Takes::Switch, "") => "true",
        (Takes::Nothing, value) => value,
        (_, "") => return Err(Error::NoValue(flag.name)),
        (_, value) => value,
    };
    Ok(Some((flag, value.to_owned())))
}
