//! The rules for source files. Each is a function from a file to the lines that break it.

use crate::source::{Source, names};

/// A line that breaks a rule.
pub type Broken = (usize, String);

/// Lines of code, without comments and tests.
pub const FILE_LINES: usize = 450;
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
    for (files, words) in PURE {
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

/// Calls of the C library are in one file, whose siblings build on them.
pub fn no_unsafe(path: &str, source: &Source) -> Vec<Broken> {
    if path == "src/sys/c.rs" {
        return Vec::new();
    }
    find(
        source,
        |code| names(code, "unsafe"),
        "unsafe code is in src/sys/c.rs alone",
    )
}

/// One flat `match` or one literal may be as long as it is.
pub fn short_functions(_: &str, source: &Source) -> Vec<Broken> {
    let functions = source.functions().into_iter();
    let long = functions.filter(|function| function.len >= FUNCTION_LINES && !function.is_flat);
    long.map(|function| {
        let (name, len) = (function.name, function.len);
        (
            function.number,
            format!("{name} has {len} lines, functions have less than {FUNCTION_LINES}"),
        )
    })
    .collect()
}

/// Files that are longer still, and how long they may be: only ever less.
pub const LONG_FILES: [(&str, usize); 2] = [
    ("tests/server/limits.rs", 475),
    ("tests/server/live.rs", 505),
];

pub fn short_files(path: &str, source: &Source) -> Vec<Broken> {
    let code = source.lines.iter().filter(|line| !line.test);
    let len = code.filter(|line| !line.code.trim().is_empty()).count();
    let long = LONG_FILES.iter().find(|(long, _)| *long == path);
    let limit = long.map_or(FILE_LINES, |(_, limit)| *limit);
    if len < limit {
        return Vec::new();
    }
    vec![(
        source.lines.len(),
        format!("{len} lines of code, files have less than {limit}"),
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

/// A panic is allowed where a comment that begins with `never:`, in the line or right above, says why
/// it cannot happen.
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
        let comment = line.comment.as_deref();
        let says_why = comment.is_some_and(|comment| comment.starts_with("never: "));
        if panics(&line.code) && !says_why && !above {
            broken.push((
                line.number,
                "may panic, and no comment says `never: why`".to_owned(),
            ));
        }
        // The reason may take more than one line.
        above = (says_why || above) && comment.is_some() && line.code.trim().is_empty();
    }
    broken
}

/// Errors can be told and passed on like any other.
pub fn errors_are_errors(path: &str, source: &Source) -> Vec<Broken> {
    let code: Vec<_> = source.lines.iter().filter(|line| !line.test).collect();
    let is_error = |name: &str| {
        let ending = format!("Error for {name}");
        code.iter().any(|line| names(&line.code, &ending))
    };
    let defined = code.iter().filter_map(|line| {
        let mut words = line.code.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.find(|word| ["enum", "struct"].contains(word))?;
        let name = words.next().filter(|name| name.ends_with("Error"))?;
        (path.starts_with("src/") && !is_error(name)).then(|| {
            let what = format!("{name} does not implement std::error::Error");
            (line.number, what)
        })
    });
    defined.collect()
}

/// Documentation that only says a name again: its lines.
pub fn says_nothing(text: &str) -> Vec<usize> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let doc = |at: usize| lines.get(at).and_then(|line| line.strip_prefix("///"));
    let alone = |at: usize| (at == 0 || doc(at - 1).is_none()) && doc(at + 1).is_none();
    let short =
        |at: &usize| doc(*at).is_some_and(|doc| doc.split_whitespace().count() <= 3) && alone(*at);
    (0..lines.len()).filter(short).map(|at| at + 1).collect()
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
