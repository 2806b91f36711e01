//! Faults of a configuration, each with the place of its flag.

use super::error::Error;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// How many faults are told. A file of nothing but faults would have one for each two bytes.
pub const FAULTS_MAX: usize = 1000;

/// Where a flag was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// On the command line.
    #[default]
    CommandLine,
    /// In this file, on the line of this number.
    File(Arc<Path>, usize),
}

/// What is wrong with a flag, and where it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The place of the flag.
    pub place: Place,
    /// What is wrong with it.
    pub error: Error,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match &self.place {
            Place::CommandLine => write!(f, "{}", self.error),
            Place::File(file, line) => write!(f, "{}:{line}: {}", file.display(), self.error),
        }
    }
}

impl std::error::Error for Fault {}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        let place = Place::CommandLine;
        Fault { place, error }
    }
}

/// All that is wrong with a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    list: Vec<Fault>,
    /// How many there are beyond [`FAULTS_MAX`].
    more: usize,
}

impl Faults {
    /// Adds a fault to the others.
    pub fn add(&mut self, fault: Fault) {
        match self.list.len() < FAULTS_MAX {
            true => self.list.push(fault),
            false => self.more += 1,
        }
    }

    /// Adds other faults, and puts all in the order of their places.
    pub fn extend(&mut self, others: Faults) {
        others.list.into_iter().for_each(|fault| self.add(fault));
        self.more += others.more;
        self.sort();
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Puts what is wrong with the command line first, and the rest line by line.
    pub fn sort(&mut self) {
        self.list.sort_by_key(|fault| match fault.place {
            Place::CommandLine => 0,
            Place::File(_, line) => line,
        });
    }

    /// What is wrong, in the order of the places.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.list.iter()
    }

    /// How many more faults there are than [`iter`](Faults::iter) has.
    pub fn more(&self) -> usize {
        self.more
    }
}

/// A line for each fault.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (index, fault) in self.list.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{fault}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\n{more} more faults"),
        }
    }
}

impl std::error::Error for Faults {}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Faults {
        let (list, more) = (vec![fault], 0);
        Faults { list, more }
    }
}
