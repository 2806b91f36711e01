//! A flag with its value, as it was given on the command line or in a file.

use super::draft::Draft;
use super::error::Error;
use super::fault::{Fault, Faults, Place};
use super::flag::{Flag, Takes};
use super::flags;
use super::values::boolean;

const INSTEAD_OF_SRT: &str = "have ffmpeg receive it and publish here: ffmpeg -i \
    'srt://:PORT?mode=listener' -c copy -f flv rtmp://127.0.0.1/live/NAME";

/// Flags of servers that speak SRT themselves, and what to use instead.
const NOT_SERVED: [(&str, &str); 1] = [("srt-listen", INSTEAD_OF_SRT)];

/// A flag with its value, and where it was given.
pub(super) struct Setting {
    pub(super) flag: &'static Flag,
    pub(super) value: String,
    pub(super) place: Place,
}

impl Setting {
    /// Reads the value into the draft; a wrong one goes to `faults`.
    pub(super) fn apply(&self, draft: &mut Draft, faults: &mut Faults) {
        let Setting { flag, value, place } = self;
        let repeatable = flag.takes.is_repeatable();
        draft.config.given.add(flag.name, repeatable, value, place);
        if let Err(error) = flag.set(draft, value) {
            let place = place.clone();
            faults.add(Fault { place, error });
        }
    }
}

/// Reads the arguments that follow the program's name. What is no flag ends it: from there on nobody can
/// tell flags from values.
pub(super) fn command_line(
    args: impl IntoIterator<Item = String>,
    faults: &mut Faults,
) -> Vec<Setting> {
    let mut args = args.into_iter().peekable();
    let mut settings = Vec::new();
    while let Some(arg) = args.next() {
        let mut next = || {
            let (name, inline) = split(&arg)?;
            let flag = find(name)?;
            let value = match (inline, flag.takes) {
                (Some(value), _) => value,
                (None, Takes::Nothing) => String::new(),
                (None, Takes::Switch) => {
                    let value = args.next_if(|next| boolean(next).is_ok());
                    value.unwrap_or_else(|| "true".to_owned())
                }
                (None, _) => args.next().ok_or(Error::NoValue(flag.name))?,
            };
            let place = Place::CommandLine;
            Ok::<_, Error>(Setting { flag, value, place })
        };
        match next() {
            Ok(setting) => settings.push(setting),
            Err(error) => {
                faults.add(error.into());
                break;
            }
        }
    }
    settings
}

/// Splits an argument as Go does: one dash or two, a name, perhaps `=value`.
fn split(arg: &str) -> Result<(&str, Option<String>), Error> {
    let flag = arg
        .strip_prefix("--")
        .or_else(|| arg.strip_prefix('-'))
        .filter(|flag| !flag.is_empty());
    let flag = flag.ok_or_else(|| Error::Stray(arg.to_owned()))?;
    Ok(match flag.split_once('=') {
        Some((flag, value)) => (flag, Some(value.to_owned())),
        None => (flag, None),
    })
}

/// Finds a flag, so that an unknown one is refused before a missing value is.
pub(super) fn find(name: &str) -> Result<&'static Flag, Error> {
    if let Some((flag, instead)) = NOT_SERVED.iter().find(|(other, _)| *other == name) {
        return Err(Error::NotServed { flag, instead });
    }
    flags::find(name).ok_or_else(|| Error::Unknown(name.to_owned()))
}
