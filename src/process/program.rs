//! Finding programs on `PATH`.

use std::env;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// A program that something needs is not on `PATH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotFound {
    /// What needs it, as a flag or a URL scheme.
    pub needed_for: &'static str,
    /// Its name, as it is looked for.
    pub program: &'static str,
    /// The package that distributions have it in.
    pub package: &'static str,
}

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let NotFound {
            needed_for,
            program,
            package,
        } = self;
        write!(
            f,
            "{needed_for} needs the program {program}, which is not on PATH: install the package {package}"
        )
    }
}

impl std::error::Error for NotFound {}

/// Where the program `name` is, if it is anywhere on `PATH`.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let runs = |file: &PathBuf| {
        let meta = file.metadata();
        meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    let mut files = env::split_paths(&path).map(|dir| dir.join(name));
    files.find(runs)
}
