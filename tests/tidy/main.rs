//! The rules of this repository that a compiler does not check.

mod graph;
mod rules;
mod source;

use graph::{Edge, Graph};
use rtmp_server::args::{EFFECTS, Effect};
use rules::Broken;
use source::Source;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What the top level may hold; `target` and `.git` come and go.
const TOP_LEVEL: [&str; 10] = [
    "Cargo.toml",
    "Cargo.lock",
    "Makefile",
    "README.md",
    "src",
    "tests",
    "testdata",
    "target",
    ".ci",
    ".git",
];
const TOP_LEVEL_HIDDEN: [&str; 1] = [".gitignore"];

type Rule = fn(&str, &Source) -> Vec<Broken>;

const RULES: [(&str, Rule); 7] = [
    ("purity", rules::purity),
    ("unsafe", rules::no_unsafe),
    ("function length", rules::short_functions),
    ("file length", rules::short_files),
    ("unfinished", rules::nothing_unfinished),
    ("panics", rules::no_panics),
    ("errors", rules::errors_are_errors),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Every file below `folder` whose name ends so, as a path from the root, with its text.
fn files(folder: &str, ending: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder);
        let entries = entries.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for entry in entries {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                let from_root = path.strip_prefix(root()).expect("below the root");
                files.push((from_root.to_string_lossy().into_owned(), read(&path)));
            }
        }
    }
    files.sort();
    files
}

/// Everything that is wrong with a source file, each with file, line and rule.
fn faults(path: &str, text: &str) -> Vec<String> {
    let source = Source::new(text);
    let broken = RULES.iter().flat_map(|(name, rule)| {
        let broken = rule(path, &source).into_iter();
        broken.map(move |(line, what)| format!("{path}:{line}: {name}: {what}"))
    });
    broken.collect()
}

fn report(faults: Vec<String>) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn sources_follow_the_rules() {
    let sources: Vec<_> = ["src", "tests"]
        .iter()
        .flat_map(|folder| files(folder, ".rs"))
        .collect();
    assert!(sources.len() > 20, "the sources were found");
    report(
        sources
            .iter()
            .flat_map(|(path, text)| faults(path, text))
            .collect(),
    );
}

fn graph() -> Graph {
    let sources = files("src", ".rs").into_iter();
    let sources: Vec<_> = sources
        .map(|(path, text)| (path, Source::new(&text)))
        .collect();
    Graph::new(&sources)
}

#[test]
fn modules_use_what_the_readme_says_they_may() {
    let graph = graph();
    let allowed = graph::allowed(&read(&root().join("README.md")));
    let mut modules = graph.modules();
    modules.remove("main");
    report(graph::layers(&allowed, &modules, &graph.edges()));
}

#[test]
fn documentation_says_something() {
    let sources = files("src", ".rs");
    let empty = sources.iter().flat_map(|(path, text)| {
        let lines = rules::says_nothing(text).into_iter();
        lines.map(move |line| format!("{path}:{line}: documentation: three words or fewer"))
    });
    report(empty.collect());
    assert_eq!(
        rules::says_nothing("/// Of which stream.\n/// A b c d.\n\n/// A b.\n"),
        [4]
    );
}

#[test]
fn no_files_use_each_other() {
    let circles = graph::circles(&graph().edges());
    let files = circles.iter().map(|files| files.join(", "));
    report(
        files
            .map(|files| format!("arrows: a circle of {files}"))
            .collect(),
    );
}

#[test]
fn in_the_server_no_arrow_goes_back_up() {
    let edges = graph().edges().into_iter();
    let in_server = edges.filter(|edge| edge.from.starts_with("src/server/"));
    report(graph::back_up(&in_server.collect()));
}

#[test]
fn no_file_says_what_is_nobodys_business() {
    let mut texts: Vec<_> = ["src", "tests"]
        .iter()
        .flat_map(|folder| files(folder, ""))
        .collect();
    texts.extend(files("testdata", ".txt"));
    for name in ["Cargo.toml", "Makefile", "README.md"] {
        let text = std::fs::read_to_string(root().join(name));
        texts.push((name.to_owned(), text.unwrap_or_default()));
    }
    let mut faults = Vec::new();
    for (path, text) in texts {
        let broken = rules::words(&text).into_iter();
        faults.extend(broken.map(|(line, what)| format!("{path}:{line}: words: {what}")));
    }
    report(faults);
}

#[test]
fn the_top_level_is_what_it_was_meant_to_be() {
    let mut faults = Vec::new();
    for entry in std::fs::read_dir(root()).expect("the root") {
        let name = entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned();
        if !TOP_LEVEL.contains(&name.as_str()) && !TOP_LEVEL_HIDDEN.contains(&name.as_str()) {
            faults.push(format!("{name}: top level: does not belong there"));
        }
    }
    report(faults);
}

/// The names in each table of dependencies of a Cargo.toml.
fn dependencies(manifest: &str) -> Vec<(String, String)> {
    let mut table = String::new();
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            table = name.trim_end_matches(']').to_owned();
            // A dependency can be a table of its own.
            if let Some((table, name)) = table.split_once("dependencies.") {
                found.push((format!("{table}dependencies"), name.to_owned()));
            }
        } else if let Some((name, _)) = line.split_once('=')
            && table.ends_with("dependencies")
            && !line.starts_with('#')
        {
            found.push((table.clone(), name.trim().to_owned()));
        }
    }
    found
}

#[test]
fn nothing_is_depended_upon() {
    let found = dependencies(&read(&root().join("Cargo.toml")));
    let only = ("dev-dependencies".to_owned(), "proptest".to_owned());
    assert_eq!(found, [only], "Cargo.toml: dependencies");
    // What fuzzing needs is in a package of its own, of which the server and its tests know nothing.
    let manifest = read(&root().join("tests/fuzz/Cargo.toml"));
    let found = dependencies(&manifest);
    let names: Vec<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
    let known = ["libfuzzer-sys", "peak_alloc", "rtmp-server"];
    assert_eq!(names, known, "tests/fuzz/Cargo.toml: dependencies");
    assert!(manifest.contains("\n[workspace]\n"));
}

/// The lines of a text that are indented by this much, with what they stand out from.
fn indented(text: &str, by: usize) -> String {
    let indent = " ".repeat(by);
    let lines = text.lines().filter_map(|line| line.strip_prefix(&indent));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_readme_shows_the_flags_as_the_help_does() {
    let readme = read(&root().join("README.md"));
    let (_, section) = readme.split_once("\n## Flags\n").expect("flags");
    let (section, _) = section.split_once("\n## ").expect("the next section");
    let (shown, help) = (
        indented(section, 4),
        indented(&rtmp_server::args::help(), 2),
    );
    assert!(help.lines().count() > 30, "the help lists flags");
    let differing = help.lines().filter(|line| !shown.contains(line));
    let differing = differing.map(|line| format!("README.md: flags: not as in -help: {line}"));
    report(differing.collect());
    assert_eq!(shown, help, "README.md: flags: more than -help has");
}

/// Which flags take effect when: the rows of the README's table.
#[test]
fn the_readme_says_when_each_flag_takes_effect() {
    let readme = read(&root().join("README.md"));
    let rows = EFFECTS
        .iter()
        .filter(|(effect, _)| *effect != Effect::Never);
    let missing = rows.filter_map(|(effect, flags)| {
        let flags: Vec<String> = flags.iter().map(|flag| format!("`-{flag}`")).collect();
        let row = format!("\n| {effect} | {} |\n", flags.join(" "));
        (!readme.contains(&row)).then(|| format!("README.md: effects: no row {row}"))
    });
    report(missing.collect());
}

/// A unit as the README shows it once it is installed.
fn shown(unit: &str) -> String {
    let unit = unit.replace("@BINDIR@", "/usr/local/bin");
    let indent = |line: &str| {
        let indent = if line.is_empty() { "" } else { "    " };
        format!("{indent}{line}\n")
    };
    unit.lines().map(indent).collect()
}

#[test]
fn the_readme_shows_the_units_that_are_installed() {
    let readme = read(&root().join("README.md"));
    let units = [".service.in", ".socket", "-tls.socket"];
    let units = units.map(|rest| format!("src/systemd/rtmp-server{rest}"));
    let differs = |path: &String| !readme.contains(&shown(&read(&root().join(path))));
    let differing = units.iter().filter(|path| differs(path));
    report(
        differing
            .map(|path| format!("{path}: units: README.md shows another text"))
            .collect(),
    );
    assert_eq!(
        shown("[A]\nb=@BINDIR@/c\n\nd\n"),
        "    [A]\n    b=/usr/local/bin/c\n\n    d\n"
    );
}

/// A rule that finds nothing may be one that looks nowhere: here each has something to find.
#[test]
fn the_rules_find_what_they_look_for() {
    let long = |lines: usize| format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2));
    let wide = "// x\nuse x;\n\n".repeat(449);
    let wider = format!("{wide}use x;\n#[cfg(test)]\nmod tests {{\n    use y;\n}}\n");
    let body = |open: &str, line: &str, close: &str| {
        format!(
            "fn f() {{\n    {open}\n{}    {close}\n}}\n",
            format!("        {line}\n").repeat(80)
        )
    };
    #[rustfmt::skip]
    let rows = [
        ("src/rtmp/x.rs", "use std::net::TcpStream;", "1: purity: this layer may not name std::net"),
        ("src/rtmp/x.rs", "use std::{\n    fmt,\n    net::{self, TcpStream},\n};", "1: purity: this layer may not name std::net"),
        ("src/amf0.rs", "fn f() {\n    crate::log!(Info, \"\");\n}", "2: purity: this layer may not name crate::log"),
        ("src/media/x.rs", "fn f() {\n    log!(Info, \"\");\n}", "2: purity: this layer may not name log!"),
        ("src/media/flv.rs", "use std::fs::File;", "1: purity: this layer may not name std::fs"),
        ("src/bytes.rs", "type T = std::sync::Mutex<u8>;", "1: purity: this layer may not name Mutex"),
        ("src/rtmp/x.rs", "// Mutex", ""),
        ("src/rtmp/x.rs", "const A: &str = \"std::net\";", ""),
        ("src/rtmp/x.rs", "struct InstantTea;\ncatalog!();", ""),
        ("src/rtmp/x.rs", "/* std::net\n Mutex */ fn f() {}", ""),
        ("src/registry/x.rs", "use crate::rtmp::{Message, session::Event};", "1: purity: this layer may not name crate::rtmp::session"),
        ("src/registry/x.rs", "use std::time::Instant;", ""),
        ("src/queue/x.rs", "use std::net::TcpStream;", "1: purity: this layer may not name std::net"),
        ("src/record/x.rs", "use std::{fs, net::TcpStream, thread};", "1: purity: this layer may not name std::net"),
        ("src/remote/link.rs", "use std::net::TcpStream;", ""),
        ("src/log.rs", "fn f() {\n    unsafe { g() }\n}", "2: unsafe: unsafe code is in src/sys/c.rs alone"),
        ("tests/x.rs", "unsafe impl Send for T {}", "1: unsafe: unsafe code is in src/sys/c.rs alone"),
        ("src/sys/c.rs", "unsafe extern \"C\" {}", ""),
        ("src/sys/x.rs", "unsafe extern \"C\" {}", "1: unsafe: unsafe code is in src/sys/c.rs alone"),
        ("src/log.rs", "#![deny(unsafe_code)]", ""),
        ("src/log.rs", &long(69), ""),
        ("src/log.rs", &long(70), "1: function length: f has 70 lines, functions have less than 70"),
        ("src/log.rs", &format!("trait T {{\n    fn f(\n        a: [u8; 4],\n    ) -> u8;\n}}\n{}", "g!();\n".repeat(90)), ""),
        ("src/log.rs", &format!("fn f(\n    a: [u8; 4],\n) {{\n{}}}", "    g();\n".repeat(90)), "1: function length: f has 94 lines, functions have less than 70"),
        ("src/log.rs", &wide, ""),
        ("src/log.rs", &wider, "1352: file length: 450 lines of code, files have less than 450"),
        ("src/log.rs", &body("match x {", "A if b => c,", "}"), ""),
        ("src/log.rs", &body("vec![", "A { b: c },", "]"), ""),
        ("src/log.rs", &body("match x {", "if b {}", "}"), "1: function length: f has 84 lines, functions have less than 70"),
        ("src/log.rs", &body("loop {", "b();", "}"), "1: function length: f has 84 lines, functions have less than 70"),
        ("src/log.rs", &body("match x {", "b => c,", "};\n    d()"), "1: function length: f has 85 lines, functions have less than 70"),
        ("tests/x.rs", concat!("fn f() {\n    to", "do!()\n}"), "2: unfinished: unfinished or left over"),
        ("tests/x.rs", "fn f() {\n    dbg!(1);\n}", "2: unfinished: unfinished or left over"),
        ("src/log.rs", "fn f() {\n    g().unwrap();\n}", "2: panics: may panic, and no comment says `never: why`"),
        ("src/log.rs", "fn f() {\n    g().expect(\"// no\");\n}", "2: panics: may panic, and no comment says `never: why`"),
        ("src/log.rs", "/// Never.\nfn f() { panic!() }", "2: panics: may panic, and no comment says `never: why`"),
        ("src/log.rs", "fn f() {\n    g().unwrap(); // never: g is total\n}", ""),
        ("src/log.rs", "fn f() {\n    // never: g is total\n    // in all cases\n    g().unwrap();\n}", ""),
        ("src/log.rs", "#[cfg(test)]\nmod tests {\n    fn f() {\n        g().unwrap();\n    }\n}\nfn h() { g().unwrap() }", "7: panics: may panic, and no comment says `never: why`"),
        ("src/log.rs", "fn f<'a>(x: &'a str) -> char { '\"' }\nfn g() { h(r#\"\"#).unwrap() }", "2: panics: may panic, and no comment says `never: why`"),
        ("src/log.rs", "fn f() {\n    // g is total\n    g().unwrap();\n}", "3: panics: may panic, and no comment says `never: why`"),
        ("tests/x.rs", "fn f() {\n    g().unwrap();\n}", ""),
        ("src/log.rs", "pub enum Error {}\nimpl std::error::Error for Error {}", ""),
        ("src/log.rs", "pub(crate) enum ReadError {}\nimpl std::error::Error for Error {}", "1: errors: ReadError does not implement std::error::Error"),
        ("src/log.rs", "pub struct Error;", "1: errors: Error does not implement std::error::Error"),
    ];
    for (path, text, want) in rows {
        let want = if want.is_empty() {
            vec![]
        } else {
            vec![format!("{path}:{want}")]
        };
        assert_eq!(faults(path, text), want, "{text}");
    }
}

/// An edge as a line: `from:line to`.
fn lines(edges: &BTreeSet<Edge>) -> Vec<String> {
    let line = |edge: &Edge| format!("{}:{} {}", edge.from, edge.line, edge.to);
    edges.iter().map(line).collect()
}

type Files = &'static [(&'static str, &'static str)];

fn graph_of(files: &[(&str, &str)]) -> Graph {
    let files = files.iter();
    let files = files.map(|(path, text)| (format!("src/{path}"), Source::new(text)));
    Graph::new(&files.collect::<Vec<_>>())
}

#[test]
fn arrows_are_found_wherever_code_names_what_it_uses() {
    #[rustfmt::skip]
    let rows: [(Files, &[&str]); 10] = [
        (&[("a.rs", "use crate::b::C;"), ("b.rs", "")], &["src/a.rs:1 src/b.rs"]),
        (&[("a.rs", "use crate::{\n    b::{self, C},\n    d,\n};"), ("b.rs", ""), ("d.rs", "")], &["src/a.rs:1 src/b.rs", "src/a.rs:1 src/d.rs"]),
        (&[("a.rs", "fn f() {\n    crate::b::g();\n}"), ("b.rs", "")], &["src/a.rs:2 src/b.rs"]),
        (&[("a.rs", "fn f() {\n    log!(Info, \"\");\n}"), ("log.rs", "")], &["src/a.rs:2 src/log.rs"]),
        (&[("a.rs", "// crate::b\nconst T: &str = \"crate::b\";\n#[cfg(test)]\nmod tests {\n    use crate::b::C;\n}\n"), ("b.rs", "")], &[]),
        (&[("a/mod.rs", "mod c;\nfn f() {\n    c::g()\n}"), ("a/c.rs", "use super::D;")], &["src/a/c.rs:1 src/a/mod.rs", "src/a/mod.rs:3 src/a/c.rs"]),
        (&[("a/mod.rs", "pub use c::D;"), ("a/c.rs", ""), ("b.rs", "use crate::a::D;")], &["src/a/mod.rs:1 src/a/c.rs", "src/b.rs:1 src/a/c.rs"]),
        (&[("a/mod.rs", "pub(crate) use c::E;"), ("a/c.rs", ""), ("a/d.rs", "use super::super::a::E;")], &["src/a/d.rs:1 src/a/c.rs", "src/a/mod.rs:1 src/a/c.rs"]),
        (&[("main.rs", "use rtmp_server::b;"), ("b.rs", "")], &["src/main.rs:1 src/b.rs"]),
        (&[("a.rs", "use std::b::C;"), ("b.rs", "")], &[]),
    ];
    for (files, want) in rows {
        assert_eq!(lines(&graph_of(files).edges()), want, "{files:?}");
    }
    let files = [
        ("a/mod.rs", "pub use c::C;\npub struct D;\nuse e::E;"),
        ("a/c.rs", "use super::{D, e::E};"),
        ("a/e.rs", "use crate::f;"),
        ("f.rs", "use crate::a::D;"),
    ];
    let edges = graph_of(&files).edges();
    let circle = ["src/a/e.rs", "src/a/mod.rs", "src/f.rs"];
    assert_eq!(graph::circles(&edges), [circle]);
    let back = "src/a/c.rs:1: arrows: uses its parent src/a/mod.rs";
    assert_eq!(graph::back_up(&edges), [back]);
}

#[test]
fn the_list_of_layers_is_compared_with_the_code_both_ways() {
    let graph = graph_of(&[
        ("a.rs", "use crate::{b, c};"),
        ("b.rs", ""),
        ("c.rs", "use crate::d;"),
        ("d.rs", ""),
    ]);
    let found = |list: &str| {
        let list = graph::allowed(&format!("\n## What may look at what\n\n{list}\n## Next\n"));
        graph::layers(&list, &graph.modules(), &graph.edges())
    };
    let none: [&str; 0] = [];
    assert_eq!(found("    a → b, c\n    c → d\n    b, d → nothing\n"), none);
    assert_eq!(
        found("    c → d\n    a → b\n    d → a\n"),
        [
            "README.md: layers: b is not in the list",
            "src/a.rs:1: layers: a → c is not in the README's list",
            "README.md: layers: a → b points up",
            "README.md: layers: d → a is not in the code",
            "README.md: layers: d → a points up",
        ]
    );
}

#[test]
fn the_other_rules_find_what_they_look_for() {
    for word in rules::WORDS {
        let found = rules::words(&format!("a\nsee {word}x\n"));
        assert_eq!(found, [(2, format!("names {word}"))]);
    }
    let manifest = "[dependencies]\na = \"1\"\n[target.x.dependencies]\nb.version = \"1\"\n\
                    [dev-dependencies]\n[dependencies.c]\nversion = \"1\"\n[lints.rust]\nd = 1\n";
    let found = dependencies(manifest);
    let names: Vec<&str> = found.iter().map(|(_, name)| name.as_str()).collect();
    assert_eq!(names, ["a", "b.version", "c"]);
    assert_eq!(indented("a\n  b\n    c\n\n d\n", 2), "b\n  c\n");
}
