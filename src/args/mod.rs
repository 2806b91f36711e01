//! The command line: flags in, a checked [`Config`] out. Nothing here starts or opens anything, but for
//! files that hold secrets.

mod config;
mod draft;
mod error;
mod flags;
mod secret;
mod values;

pub use config::{Auth, Config, Invocation, LISTEN, OnDuplicate, TrackPolicy};
pub use error::{Error, Invalid};
pub use secret::{FILE_LEN_MAX, Secret};

use draft::Draft;
use flags::{Flag, Takes};
use values::boolean;

const INSTEAD_OF_TLS: &str =
    "put a TLS terminator in front, such as stunnel or HAProxy, that connects to -listen";
const INSTEAD_OF_SRT: &str = "have ffmpeg receive it and publish here: ffmpeg -i \
    'srt://:PORT?mode=listener' -c copy -f flv rtmp://127.0.0.1/live/NAME";

/// Flags of servers that speak TLS or SRT themselves, and what to use instead.
const NOT_SERVED: [(&str, &str); 4] = [
    ("tls-listen", INSTEAD_OF_TLS),
    ("tls-cert", INSTEAD_OF_TLS),
    ("tls-key", INSTEAD_OF_TLS),
    ("srt-listen", INSTEAD_OF_SRT),
];

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

/// Reads the arguments that follow the program's name.
///
/// # Errors
///
/// Any [`Error`]: one line that names the flag and says what is allowed.
pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Invocation, Error> {
    let mut args = args.into_iter().peekable();
    let mut draft = Draft::default();
    while let Some(arg) = args.next() {
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
        flag.set(&mut draft, &value)?;
        if let Some(action) = draft.instead {
            return Ok(action);
        }
    }
    draft
        .finish()
        .map(|config| Invocation::Run(Box::new(config)))
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
fn find(name: &str) -> Result<&'static Flag, Error> {
    if let Some((flag, instead)) = NOT_SERVED.iter().find(|(other, _)| *other == name) {
        return Err(Error::NotServed { flag, instead });
    }
    Flag::find(name).ok_or_else(|| Error::Unknown(name.to_owned()))
}
