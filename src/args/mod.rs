//! The settings: flags of the command line and of a file in, a checked [`Config`] out. Nothing here starts
//! or opens anything, but for that file and files that hold secrets.

mod config;
mod draft;
mod effect;
mod error;
mod fault;
mod file;
mod flag;
mod flags;
mod given;
mod secret;
mod setting;
mod values;

pub use config::{
    Auth, Config, Invocation, LISTEN, OnDuplicate, SignRequest, TlsFiles, TrackPolicy,
};
pub use effect::{EFFECTS, Effect};
pub use error::{Error, Invalid};
pub use fault::{FAULTS_MAX, Fault, Faults, Place};
pub use file::CONFIG_LEN_MAX;
pub use given::Given;
pub use secret::{FILE_LEN_MAX, Secret};

use draft::Draft;
use flag::Takes;

/// The text that `-help` prints.
pub fn help() -> String {
    format!(
        "\
Usage: rtmp-server [flags]

A live RTMP server. Streams are published to and played from rtmp://HOST/APP/NAME.

{}
Durations are written 500ms, 2s, 5m, 1h30m, and are 8760h at most. A flag may have one dash or two,
and its value after a space or after =.
",
        flags::help()
    )
}

/// Reads the arguments that follow the program's name, and the file that they name.
///
/// # Errors
///
/// All [`Faults`]: a line for each, which names the flag and says what is allowed.
pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Invocation, Faults> {
    let mut faults = Faults::default();
    let line = setting::command_line(args, &mut faults);
    let mut draft = Draft::default();
    // Those that are printed need nothing else to be right.
    for setting in line
        .iter()
        .filter(|it| matches!(it.flag.takes, Takes::Nothing))
    {
        setting.apply(&mut draft, &mut faults);
    }
    if let Some(action) = draft.instead.filter(|_| faults.is_empty()) {
        return Ok(action);
    }
    let mut draft = Draft::default();
    let file = line.iter().rfind(|setting| setting.flag.name == "config");
    let file = file.map_or(Vec::new(), |file| file::read(&file.value, &mut faults));
    // The last one wins: that of the command line.
    for setting in file.iter().chain(&line) {
        setting.apply(&mut draft, &mut faults);
    }
    let (check, sign) = (draft.check, draft.sign_request());
    let config = draft.finish(&mut faults);
    faults.sort();
    if check {
        return Ok(Invocation::Check(Box::new(config), faults));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(match sign {
        Some(request) => Invocation::Sign(request),
        None => Invocation::Run(Box::new(config)),
    })
}
