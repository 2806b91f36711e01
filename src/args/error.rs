//! Errors of the command line. None of them shows a value that may be secret.

use crate::text::{shown, without_secrets};
use std::fmt;

/// Why a value is refused. It names neither the flag nor the place of the value, so that it can follow
/// either in an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(String);

impl Invalid {
    /// A value that is not among the allowed ones.
    pub(super) fn must_be(allowed: impl fmt::Display) -> Invalid {
        Invalid(format!("must be {allowed}"))
    }

    /// A value that another module refuses, whose reason may hold a part of it.
    pub(super) fn because(error: impl fmt::Display) -> Invalid {
        Invalid(shown(&error.to_string()))
    }
}

impl std::error::Error for Invalid {}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a command line is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// An argument that does not begin with a dash.
    Stray(String),
    /// There is no flag of that name.
    Unknown(String),
    /// A flag of other servers, whose work a program in front does here.
    NotServed {
        /// The flag, without its dash.
        flag: &'static str,
        /// What to use in place of it.
        instead: &'static str,
    },
    /// The flag stands last, without its value.
    NoValue(&'static str),
    /// The value is not allowed.
    Invalid {
        /// The name of the flag.
        flag: &'static str,
        /// The value; `None`: it may be secret, so it is not shown.
        value: Option<String>,
        /// What is wrong with it.
        why: Invalid,
    },
    /// The first flag means nothing without the second.
    Needs(&'static str, &'static str),
    /// A flag of the command line stands in a file.
    NotInFile(&'static str),
    /// A line of a file is not a flag with its value; what is wrong with it.
    Line(&'static str),
}

impl Error {
    /// The flag that is at fault, if it is one of ours.
    pub(super) fn flag(&self) -> Option<&'static str> {
        self.flags().next()
    }

    /// The flag that is at fault, and the one that it needs.
    pub(super) fn flags(&self) -> impl Iterator<Item = &'static str> + use<> {
        let (flag, other) = match self {
            Error::Stray(_) | Error::Unknown(_) | Error::NotServed { .. } | Error::Line(_) => {
                (None, None)
            }
            Error::NoValue(flag) | Error::NotInFile(flag) => (Some(*flag), None),
            Error::Invalid { flag, .. } => (Some(*flag), None),
            Error::Needs(flag, other) => (Some(*flag), Some(*other)),
        };
        // A value or a reason may follow the name.
        let name = |text: &'static str| text.split([' ', ':', ',']).next();
        flag.into_iter().chain(other).filter_map(name)
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            // Both may belong to a value that holds a secret.
            Error::Stray(arg) => {
                let arg = shown(&without_secrets(arg, &[]));
                write!(f, "{arg:?} is not a flag; -help lists the flags")
            }
            Error::Unknown(flag) => {
                let flag = shown(&without_secrets(flag, &[]));
                write!(f, "unknown flag -{flag}; -help lists the flags")
            }
            Error::NotServed { flag, instead } => write!(f, "-{flag} is not served: {instead}"),
            Error::NoValue(flag) => write!(f, "-{flag} needs a value"),
            Error::Invalid {
                flag,
                value: Some(value),
                why,
            } => {
                let value = shown(&without_secrets(value, &[]));
                write!(f, "-{flag} {value:?}: {why}")
            }
            Error::Invalid {
                flag,
                value: None,
                why,
            } => write!(f, "-{flag}: {why}"),
            Error::Needs(flag, other) => write!(f, "-{flag} needs -{other}"),
            Error::NotInFile(flag) => write!(f, "-{flag} has no place in a file"),
            Error::Line(what) => write!(f, "line {what}"),
        }
    }
}
