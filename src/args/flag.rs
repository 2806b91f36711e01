//! What there is to know about a flag.

use super::draft::Draft;
use super::error::{Error, Invalid};
use Takes::{Many, ManySecrets, Nothing, One, OneSecret, Switch};

/// An entry of the table: all there is to know about a flag.
pub(super) struct Flag {
    /// Its name, without a dash.
    pub(super) name: &'static str,
    /// The kind of its value.
    pub(super) takes: Takes,
    /// The lines of `-help` about it.
    pub(super) help: &'static str,
    /// Sets a value in the draft. A switch gets the text of a boolean, a flag without a value gets an
    /// empty text.
    pub(super) set: fn(&mut Draft, &str) -> Result<(), Invalid>,
}

/// The kind of value that follows a flag; the text stands for the value in `-help`.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    /// One value; if the flag is repeated, the last one wins.
    One(&'static str),
    /// One value for each use of the flag; all of them count.
    Many(&'static str),
    /// As [`Takes::One`], but no error shows the value, which may hold a secret.
    OneSecret(&'static str),
    /// As [`Takes::Many`], but no error shows a value.
    ManySecrets(&'static str),
    /// A boolean that may be left out: `-x` is `-x=true`.
    Switch,
    /// No value at all.
    Nothing,
}

impl Flag {
    /// Reads `value` into the draft.
    pub(super) fn set(&self, draft: &mut Draft, value: &str) -> Result<(), Error> {
        (self.set)(draft, value).map_err(|why| Error::Invalid {
            flag: self.name,
            value: (!self.takes.is_secret()).then(|| value.to_owned()),
            why,
        })
    }
}

impl Takes {
    /// The text that stands for the value in `-help`.
    pub(super) fn placeholder(self) -> &'static str {
        match self {
            One(value) | Many(value) | OneSecret(value) | ManySecrets(value) => value,
            Switch | Nothing => "",
        }
    }

    /// Whether all values of the flag count.
    pub(super) fn is_repeatable(self) -> bool {
        matches!(self, Takes::Many(_) | Takes::ManySecrets(_))
    }

    fn is_secret(self) -> bool {
        matches!(self, OneSecret(_) | ManySecrets(_))
    }
}

/// Sets `place` to a value.
pub(super) fn put<T>(place: &mut T, value: Result<T, Invalid>) -> Result<(), Invalid> {
    *place = value?;
    Ok(())
}

/// Adds a value to those of earlier uses of the flag.
pub(super) fn add<T>(values: &mut Vec<T>, value: Result<T, Invalid>) -> Result<(), Invalid> {
    values.push(value?);
    Ok(())
}
