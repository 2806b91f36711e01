//! What may be wrong with a configuration on this machine. Nothing is opened or started to find out, but
//! for the files that it names, a directory that is removed at once, and HAProxy to look at a certificate.

use crate::args::{Auth, Config, Faults, TlsFiles};
use crate::auth::{Authenticator, Rules, Secrets, TokenTable};
use crate::remote::{self, Scheme};
use crate::sys;
use crate::tls::{self, Certificate};
use std::path::Path;
use std::{fs, io, process};

/// Everything that is wrong with `config`, also what a start would let pass.
pub fn check(config: &Config) -> Faults {
    let mut faults = prepare(config).err().unwrap_or_default();
    hook_scripts(config, &mut faults);
    record_dir(config, &mut faults);
    faults
}

/// What the files hold that a configuration names.
pub struct Prepared {
    pub(super) rules: Rules,
    /// The certificate of `-tls-cert`, which can be used.
    pub(super) certificate: Option<Certificate>,
}

/// Reads the files that `config` names, and checks all that a start, or a change while the server runs,
/// could fail for. That takes as long as a file takes to be read.
///
/// # Errors
///
/// All [`Faults`].
pub fn prepare(config: &Config) -> Result<Prepared, Faults> {
    let mut faults = Faults::default();
    let rules = rules(config, &mut faults);
    webhooks(config, &mut faults);
    notify(config, &mut faults);
    tls_program(config, &mut faults);
    let certificate = certificate(config, &mut faults);
    faults.sort();
    match rules {
        Some(rules) if faults.is_empty() => Ok(Prepared { rules, certificate }),
        _ => Err(faults),
    }
}

/// Who may publish and play.
fn rules(config: &Config, faults: &mut Faults) -> Option<Rules> {
    let authenticator = authenticator(config, faults)?;
    let allowed = config.allowed.clone();
    Some(Rules {
        allowed,
        authenticator,
    })
}

fn authenticator(config: &Config, faults: &mut Faults) -> Option<Authenticator> {
    let (flag, made) = match &config.auth {
        Auth::None => return Some(Authenticator::None),
        Auth::Token(tokens) => {
            for (index, entry) in tokens.iter().enumerate() {
                if let Err(error) = TokenTable::new(std::slice::from_ref(entry)) {
                    faults.add(config.fault("auth-token", Some(index), error));
                }
            }
            return Authenticator::token(tokens).ok();
        }
        Auth::Signed(secrets) => {
            let secrets = secrets.iter().map(|secret| secret.reveal().to_owned());
            return Some(Authenticator::Signed(Secrets::new(secrets)));
        }
        Auth::File(path) => ("auth-file", Authenticator::file(path)),
        Auth::Callback(url, timeout) => ("auth-callback", Authenticator::callback(url, *timeout)),
    };
    let made = made.map_err(|error| faults.add(config.fault(flag, None, error)));
    made.ok()
}

fn notify(config: &Config, faults: &mut Faults) {
    for (index, error) in config.notify.wrong_urls() {
        faults.add(config.fault("notify", Some(index), error));
    }
}

fn webhooks(config: &Config, faults: &mut Faults) {
    for (index, error) in config.hooks.wrong_webhooks() {
        faults.add(config.fault("hook-webhook", Some(index), error));
    }
}

/// RTMPS to other servers needs a program.
fn tls_program(config: &Config, faults: &mut Faults) {
    let Err(error) = remote::find_tls() else {
        return;
    };
    let to = config.relay_to.iter().map(|destination| &destination.url);
    let from = config.pull.iter().map(|source| &source.url);
    let to = to.enumerate().map(|(index, url)| ("relay-to", index, url));
    let from = from.enumerate().map(|(index, url)| ("pull", index, url));
    for (flag, index, url) in to.chain(from) {
        if url.scheme == Scheme::Rtmps {
            faults.add(config.fault(flag, Some(index), error));
        }
    }
}

/// The program that speaks TLS says whether it can use the certificate.
fn certificate(config: &Config, faults: &mut Faults) -> Option<Certificate> {
    let TlsFiles { cert, key } = config.tls.as_ref()?;
    let checked = tls::check(cert, key);
    let checked = checked.map_err(|error| faults.add(config.fault(error.flag(), None, error)));
    checked.ok()
}

fn hook_scripts(config: &Config, faults: &mut Faults) {
    for (index, (event, path)) in config.hooks.scripts.iter().enumerate() {
        let why = match fs::metadata(path) {
            Ok(meta) if meta.is_file() => continue,
            Ok(_) => format!("{event}: {path:?} is not a file"),
            Err(error) => format!("{event}: cannot find {path:?}: {error}"),
        };
        faults.add(config.fault("hook-script", Some(index), why));
    }
}

/// The directory is made when it is needed, so it need not be there.
fn record_dir(config: &Config, faults: &mut Faults) {
    let Some(record) = &config.record else {
        return;
    };
    if let Err(error) = may_write_below(&record.dir) {
        let why = format!("cannot write to {:?}: {error}", record.dir);
        faults.add(config.fault("record-dir", None, why));
    }
}

/// Some file systems take nothing new, whatever the permissions say.
fn try_to_make(dir: &Path) -> io::Result<()> {
    fs::create_dir(dir)?;
    fs::remove_dir(dir)
}

/// Whether files can be made in `dir`, or directories up to it.
fn may_write_below(dir: &Path) -> io::Result<()> {
    for place in dir.ancestors() {
        let place = match place.as_os_str().is_empty() {
            true => Path::new("."),
            false => place,
        };
        match fs::metadata(place) {
            Ok(meta) if meta.is_dir() => {
                sys::may_write_in(place)?;
                return try_to_make(&place.join(format!(".rtmp-server-check-{}", process::id())));
            }
            Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
