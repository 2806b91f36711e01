//! The tables of flags. The parser and `-help` are made from them, and tests compare the README with them.

mod access;

mod hooks;
mod operation;
mod outputs;
mod streams;

use std::fmt::Write as _;

use super::flag::Flag;

/// The tables of all flags, in the order of `-help`.
const TABLES: [&[Flag]; 5] = [
    streams::FLAGS,
    access::FLAGS,
    hooks::FLAGS,
    outputs::FLAGS,
    operation::FLAGS,
];

/// All flags, in the order of `-help`.
pub(super) fn all() -> impl Iterator<Item = &'static Flag> {
    TABLES.into_iter().flatten()
}

/// The flag called `name`.
pub(super) fn find(name: &str) -> Option<&'static Flag> {
    // -h is what most programs have for it.
    let name = if name == "h" { "help" } else { name };
    all().find(|flag| flag.name == name)
}

/// The lines of `-help` about all flags.
pub(super) fn help() -> String {
    let mut text = String::new();
    for flag in all() {
        let mut left = format!("-{} {}", flag.name, flag.takes.placeholder());
        for line in flag.help.lines() {
            let _ = writeln!(text, "  {left:<28} {line}"); // to a String: cannot fail
            left.clear();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::error::Error;
    use super::super::flag::Takes::{Many, ManySecrets, One};
    use super::super::parse;
    use super::*;

    #[test]
    fn the_help_says_which_flags_may_be_given_several_times() {
        for flag in all() {
            let many = matches!(flag.takes, Many(_) | ManySecrets(_));
            assert_eq!(flag.help.contains("repeatable"), many, "-{}", flag.name);
        }
    }

    #[test]
    fn the_help_gives_the_true_defaults() {
        let without = parse([]).expect("the defaults");
        let mut checked = 0;
        for flag in all() {
            let default = flag.help.split_once("(default ");
            let default = default.and_then(|(_, rest)| rest.strip_suffix(')'));
            let Some(default) = default.filter(|_| matches!(flag.takes, One(_))) else {
                continue;
            };
            match parse([format!("-{}={default}", flag.name)]) {
                Ok(with) => assert_eq!(with, without, "-{}", flag.name),
                Err(faults) => {
                    let all = faults
                        .iter()
                        .all(|fault| matches!(fault.error, Error::Needs(..)));
                    assert!(all, "{faults}");
                }
            }
            checked += 1;
        }
        assert!(checked > 15);
    }
}
