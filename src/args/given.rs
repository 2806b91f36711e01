//! Which flags were given, with their values as they were written.

use super::fault::Place;
use std::collections::BTreeMap;
use std::fmt;

/// The flags that were given, each with its values and their places. It says nothing about what they
/// mean, so two of them are always equal.
#[derive(Clone, Default)]
pub struct Given(BTreeMap<&'static str, Vec<(String, Place)>>);

impl Given {
    /// Takes note of another use of `flag`. Unless it is `repeatable`, it takes the place of the last.
    pub(super) fn add(&mut self, flag: &'static str, repeatable: bool, value: &str, place: &Place) {
        let uses = self.0.entry(flag).or_default();
        if !repeatable {
            uses.clear();
        }
        uses.push((value.to_owned(), place.clone()));
    }

    /// Whether `flag` was given, with whatever value.
    pub(super) fn has(&self, flag: &str) -> bool {
        self.0.contains_key(flag)
    }

    /// Whether any flag was given in a file.
    pub(super) fn has_file(&self) -> bool {
        let mut uses = self.0.values().flatten();
        uses.any(|(_, place)| matches!(place, Place::File(..)))
    }

    /// Where `flag` was given last: of a flag that counts once, the place of its value.
    pub fn place(&self, flag: &str) -> Place {
        let last = self.0.get(flag).and_then(|uses| uses.last());
        last.map_or(Place::CommandLine, |(_, place)| place.clone())
    }

    /// Where the use `index` of a repeatable `flag` was given.
    pub fn place_of(&self, flag: &str, index: usize) -> Place {
        let uses = self.0.get(flag).and_then(|uses| uses.get(index));
        uses.map_or_else(|| self.place(flag), |(_, place)| place.clone())
    }

    /// Whether `flag` was given with other values in `other`.
    pub fn differs(&self, other: &Given, flag: &str) -> bool {
        let values = |given: &Given| -> Vec<String> {
            let uses = given.0.get(flag).into_iter().flatten();
            uses.map(|(value, _)| value.clone()).collect()
        };
        values(self) != values(other)
    }
}

/// Shows the flags, and no values, which may be secret.
impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl PartialEq for Given {
    fn eq(&self, _: &Given) -> bool {
        true
    }
}
