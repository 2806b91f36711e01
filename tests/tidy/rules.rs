//! The rules for source files. Each is a function from a file to the lines that break it.

use crate::source::{Source, names};

/// A line that breaks a rule.
pub type Broken = (usize, String);

pub const FILE_LINES: usize = 600;
pub const FUNCTION_LINES: usize = 70;

/// What the files of a layer may not name, besides the modules that are not below it.
#[rustfmt::skip]
const PURE: &[(&[&str], &[&str])] = &[
    (
        &["src/rtmp/", "src/amf0.rs", "src/media/", "src/bytes.rs"],
        &["std::net", "std::thread", "std::fs", "std::time", "Instant", "SystemTime", "Mutex", "RwLock", "crate::log", "log!"],
    ),
    (&["src/registry/"], &["std::net", "TcpStream", "crate::rtmp::session", "crate::rtmp::handshake"]),
    (&["src/queue/"], &["std::net", "TcpStream"]),
    (&["src/record/"], &["std::net", "TcpStream"]),
];

pub fn purity(path: &str, source: &Source) -> Vec<Broken> {
    let mut broken: Vec<Broken> = Vec::new();
    for (files, words) in PURE.iter().copied() {
        if !files.iter().any(|file| path.starts_with(file)) {
            continue;
        }
        for (number, code) in source.named() {
            let word = words.iter().find(|word| names(&code, word));
            broken.extend(word.map(|word| (number, format!("this layer may not name {word}"))));
        }
    }
    // A tree of names may break a rule several times.
    broken.dedup();
    broken
}

/// System calls are in one folder, which holds nothing else: it may name no other module.
pub fn no_unsafe(path: &str, source: &Source) -> Vec<Broken> {
    if path.starts_with("src/sys/") {
        return Vec::new();
    }
    find(
        source,
        |code| names(code, "unsafe"),
        "unsafe code is in src/sys/ alone",
    )
}

pub fn short_functions(_: &str, source: &Source) -> Vec<Broken> {
    let functions = source.functions().into_iter();
    let long = functions.filter(|(_, _, len)| *len >= FUNCTION_LINES);
    long.map(|(name, number, len)| {
        (
            number,
            format!("{name} has {len} lines, functions have less than {FUNCTION_LINES}"),
        )
    })
    .collect()
}

pub fn short_files(_: &str, source: &Source) -> Vec<Broken> {
    let len = source.lines.len();
    if len < FILE_LINES {
        return Vec::new();
    }
    vec![(
        len,
        format!("{len} lines, files have less than {FILE_LINES}"),
    )]
}

pub fn nothing_unfinished(_: &str, source: &Source) -> Vec<Broken> {
    let macros = ["todo!", "unimplemented!", "dbg!"];
    find(
        source,
        |code| macros.iter().any(|word| names(code, word)),
        "unfinished or left over",
    )
}

/// A panic is allowed where a comment, in the line or right above, says why it cannot happen.
pub fn no_panics(path: &str, source: &Source) -> Vec<Broken> {
    if !path.starts_with("src/") {
        return Vec::new();
    }
    let panics = |code: &str| {
        [".unwrap()", ".expect("]
            .iter()
            .any(|call| code.contains(call))
            || ["panic!", "unreachable!"]
                .iter()
                .any(|word| names(code, word))
    };
    let mut broken = Vec::new();
    let mut above = false;
    for line in source.lines.iter().filter(|line| !line.test) {
        if panics(&line.code) && line.comment.is_none() && !above {
            broken.push((
                line.number,
                "may panic, and no comment says why not".to_owned(),
            ));
        }
        above = line.comment.is_some() && line.code.trim().is_empty();
    }
    broken
}

/// Words that have no place in any file, written here in two halves.
pub const WORDS: [&str; 4] = [
    concat!("sha", "red/"),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("/wo", "rk/"),
];

pub fn words(text: &str) -> Vec<Broken> {
    let mut broken = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let word = WORDS.iter().find(|word| line.contains(*word));
        broken.extend(word.map(|word| (index + 1, format!("names {word}"))));
    }
    broken
}

fn find(source: &Source, bad: impl Fn(&str) -> bool, rule: &str) -> Vec<Broken> {
    let lines = source.lines.iter().filter(|line| bad(&line.code));
    lines.map(|line| (line.number, rule.to_owned())).collect()
}
