//! Settings: any command line, and any file of settings.

use super::draw::Draw;
use rtmp_server::args::{self, Config, Faults, Invocation};
use std::fs;
use std::path::{Path, PathBuf};

/// Arguments of one input at most.
const ARGS_MAX: usize = 60;

/// Files that a flag names would be read, among them some without an end.
fn names_a_file(arg: &str) -> bool {
    arg.trim_start_matches('-').starts_with("config") || arg.contains('@')
}

/// Any command line is a configuration, always the same, or has its faults told: a line for each.
pub fn flags(data: &[u8]) {
    let args: Vec<String> = data
        .split(|byte| *byte == b'\n')
        .take(ARGS_MAX)
        .map(|arg| String::from_utf8_lossy(arg).into_owned())
        .collect();
    if args.iter().any(|arg| names_a_file(arg)) {
        return;
    }
    match (args::parse(args.clone()), args::parse(args)) {
        (Ok(one), Ok(other)) => {
            assert_eq!(one, other);
            if let Invocation::Check(_, faults) = one {
                check_faults(&faults);
            }
        }
        (Err(one), Err(other)) => {
            assert_eq!(one, other);
            assert!(!one.is_empty());
            check_faults(&one);
        }
        (one, other) => panic!("{one:?} and {other:?}"),
    }
}

fn check_faults(faults: &Faults) {
    let text = faults.to_string();
    let more = usize::from(faults.more() > 0);
    assert_eq!(
        text.lines().count(),
        faults.iter().count() + more,
        "{text:?}"
    );
    let hidden = |c: char| c.is_control() && c != '\n';
    assert!(!text.contains(hidden), "{text:?}");
}

/// A file of settings, one for each process, in memory where there is such a place.
fn path() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let parent = match memory.is_dir() {
        true => memory.to_owned(),
        false => std::env::temp_dir(),
    };
    parent.join(format!("rtmp-fuzz-{}-settings", std::process::id()))
}

/// A file means what the same flags mean on a command line.
pub fn file(data: &[u8]) {
    if data.contains(&b'@') {
        return;
    }
    let path = path();
    fs::write(&path, data).expect("a file");
    let named = path.to_string_lossy().into_owned();
    let from_file = args::parse(["-config".to_owned(), named]);
    let _ = fs::remove_file(&path);
    if let Err(faults) = &from_file {
        check_faults(faults);
    }
    let Ok(text) = str::from_utf8(data) else {
        assert!(from_file.is_err());
        return;
    };
    // What is not in a file is not the same on a command line.
    let lines = text
        .trim_start_matches('\u{feff}')
        .split('\n')
        .map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let args = lines.map(|line| match line.split_once(char::is_whitespace) {
        Some((name, value)) => format!("-{name}={}", value.trim_start()),
        None => format!("-{line}"),
    });
    if let Ok(Invocation::Run(config)) = from_file {
        let from_line: Result<Invocation, Faults> = args::parse(args);
        let Ok(Invocation::Run(same)) = from_line else {
            panic!("{from_line:?}");
        };
        assert!(is_same(&config, &same), "{config:?} and {same:?}");
    }
}

fn is_same(one: &Config, other: &Config) -> bool {
    one == other
}

/// Arguments of which the first says which flags there are, for fewer inputs that say nothing.
pub fn values(data: &[u8]) {
    let names: Vec<String> = args::EFFECTS
        .iter()
        .flat_map(|(_, flags)| flags.iter())
        .map(|name| format!("-{name}"))
        .filter(|name| name != "-config")
        .collect();
    let mut draw = Draw(data);
    let mut args = Vec::new();
    while !draw.is_empty() && args.len() < ARGS_MAX {
        let name = &names[usize::from(draw.u8()) % names.len()];
        args.push(format!("{name}={}", draw.text()).replace('@', "a"));
    }
    flags(args.join("\n").as_bytes());
}
