//! Rust source as far as the rules need it: code apart from comments and texts, what is only there
//! for tests, functions, and the paths that are named.

/// A file, line by line.
pub struct Source {
    pub lines: Vec<Line>,
}

pub struct Line {
    /// Counted from 1.
    pub number: usize,
    /// Without comments and without what stands in strings and characters.
    pub code: String,
    /// The comment of the line, if it has one that is not documentation.
    pub comment: Option<String>,
    /// Inside `#[cfg(test)]`.
    pub test: bool,
}

/// Where the scanner is.
#[derive(Clone, Copy, PartialEq)]
enum Inside {
    Code,
    LineComment,
    BlockComment(usize),
    Text,
    /// A raw string, closed by a quote and so many `#`.
    RawText(usize),
}

impl Source {
    pub fn new(text: &str) -> Source {
        let mut inside = Inside::Code;
        let mut lines: Vec<Line> = Vec::new();
        for (index, raw) in text.lines().enumerate() {
            let (code, comment) = scan(raw, &mut inside);
            let number = index + 1;
            lines.push(Line {
                number,
                code,
                comment,
                test: false,
            });
        }
        mark_tests(&mut lines);
        Source { lines }
    }

    /// Every function with a body.
    pub fn functions(&self) -> Vec<Function> {
        let mut functions = Vec::new();
        for (at, line) in self.lines.iter().enumerate() {
            let Some(name) = function_name(&line.code) else {
                continue;
            };
            let rest = &self.lines[at..];
            let ends = |line: &Line| line.code.trim_end().ends_with(['{', '}', ';']);
            let signature = rest.iter().position(ends).unwrap_or_default();
            if rest[signature].code.trim_end().ends_with(';') {
                continue;
            }
            let last = rest.iter().position(|end| closes(end, line));
            let len = 1 + last.unwrap_or(rest.len() - 1);
            let body = rest.get(signature + 1..len - 1).unwrap_or_default();
            functions.push(Function {
                name,
                number: line.number,
                len,
                is_flat: is_flat(body),
            });
        }
        functions
    }

    /// The code of each line, with what `use` names in braces written out; whether it is `pub use`,
    /// and whether it is there for tests.
    fn declared(&self) -> Vec<Declared> {
        let mut declared: Vec<Declared> = Vec::new();
        let mut open: Option<(&Line, String)> = None;
        for line in &self.lines {
            let code = line.code.trim();
            if open.is_none() && use_tree(code).is_some() {
                open = Some((line, String::new()));
            }
            let Some((first, tree)) = &mut open else {
                declared.push(Declared::code(line, code));
                continue;
            };
            tree.push_str(code);
            if code.ends_with(';') {
                let exported = tree.starts_with("pub");
                let paths = expand(use_tree(tree).unwrap_or_default().trim_end_matches(';'));
                declared.extend(paths.into_iter().map(|path| Declared {
                    number: first.number,
                    test: first.test,
                    code: path,
                    exported: Some(exported),
                }));
                open = None;
            }
        }
        declared
    }

    /// The code of each line, with what `use` names in braces written out.
    pub fn named(&self) -> Vec<(usize, String)> {
        let declared = self.declared().into_iter();
        declared.map(|line| (line.number, line.code)).collect()
    }
}

/// A function with a body.
pub struct Function {
    pub name: String,
    /// Of its first line.
    pub number: usize,
    pub len: usize,
    /// It is one `match` without branches in its arms, or one literal.
    pub is_flat: bool,
}

/// Whether these lines of a body are one expression in brackets, and nothing branches in it.
fn is_flat(body: &[Line]) -> bool {
    let lines: Vec<&str> = body.iter().map(|line| line.code.as_str()).collect();
    let lines: Vec<&str> = lines
        .into_iter()
        .filter(|code| !code.trim().is_empty())
        .collect();
    let [first, inner @ .., last] = &lines[..] else {
        return false;
    };
    let outer = indent(first);
    let branches = |code: &str| {
        let words = ["if", "match", "for", "while", "loop"];
        words.iter().any(|word| names(code, word)) && !code.contains("=>")
    };
    first.ends_with(['{', '[', '('])
        && !["if ", "for ", "while ", "loop "]
            .iter()
            .any(|word| first.trim_start().starts_with(word))
        && indent(last) == outer
        && last.trim_start().starts_with(['}', ']', ')'])
        && inner
            .iter()
            .all(|code| indent(code) > outer && !branches(code))
}

struct Declared {
    number: usize,
    test: bool,
    code: String,
    /// For `use`: whether it is public.
    exported: Option<bool>,
}

impl Declared {
    fn code(line: &Line, code: &str) -> Declared {
        Declared {
            number: line.number,
            test: line.test,
            code: code.to_owned(),
            exported: None,
        }
    }
}

/// What a `use` declaration names, if that is what begins here.
fn use_tree(code: &str) -> Option<&str> {
    let visible = match code.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(')').map(|(_, rest)| rest),
        Some(rest) => Some(rest),
        None => Some(code),
    };
    visible?.trim_start().strip_prefix("use ")
}

/// The paths that code names outside of tests: line, path, and whether `pub use` hands it on.
pub fn paths(source: &Source) -> Vec<(usize, String, bool)> {
    let mut paths = Vec::new();
    for line in source.declared().into_iter().filter(|line| !line.test) {
        match line.exported {
            Some(exported) => {
                let path = line.code.split(" as ").next().unwrap_or_default();
                let path = path.trim().trim_end_matches("::self").to_owned();
                paths.push((line.number, path, exported));
            }
            None => paths.extend(inline(&line.code).map(|path| (line.number, path, false))),
        }
        if names(&line.code, "log!") {
            paths.push((line.number, "crate::log".to_owned(), false));
        }
    }
    paths
}

/// Names that are joined by `::`.
fn inline(code: &str) -> impl Iterator<Item = String> {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = code.split(move |c: char| !part(c));
    let words = words.map(|word| word.trim_end_matches(':'));
    words
        .filter(|word| word.contains("::") && !word.starts_with(':'))
        .map(str::to_owned)
}

/// Whether `word` stands in `code` by itself and not inside a longer name.
pub fn names(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let joined = |neighbour: Option<char>, own: Option<char>| {
            neighbour.is_some_and(part) && own.is_some_and(part)
        };
        !joined(before, word.chars().next()) && !joined(after, word.chars().next_back())
    })
}

/// The paths of a `use` tree: `a::{b, c::{d}}` is `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let Some((prefix, rest)) = tree.split_once('{') else {
        return vec![tree.trim().to_owned()];
    };
    let inner = rest.strip_suffix('}').unwrap_or(rest);
    let (mut depth, mut start, mut branches) = (0, 0, Vec::new());
    for (at, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                branches.push(&inner[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    branches.push(&inner[start..]);
    let whole = branches
        .into_iter()
        .filter(|branch| !branch.trim().is_empty());
    let expanded = whole.flat_map(expand);
    expanded
        .map(|branch| format!("{}{branch}", prefix.trim()))
        .collect()
}

/// Splits a line into code and comment, and notes where the next one begins.
fn scan(raw: &str, inside: &mut Inside) -> (String, Option<String>) {
    let (mut code, mut comment) = (String::new(), None);
    let mut rest = raw;
    while let Some(c) = rest.chars().next() {
        let (next, len) = step(*inside, rest);
        if next == Inside::LineComment {
            let documents = ["///", "//!"].iter().any(|doc| rest.starts_with(doc));
            comment = (!documents).then(|| rest[2..].trim().to_owned());
            break;
        }
        if *inside == Inside::Code {
            match (next, c) {
                (Inside::Code, '\'') if len > 1 => code.push_str("''"),
                (Inside::Code, _) => code.push_str(&rest[..len]),
                (Inside::Text | Inside::RawText(_), _) => code.push('"'),
                _ => {}
            }
        } else if next == Inside::Code && !matches!(inside, Inside::BlockComment(_)) {
            code.push('"');
        }
        *inside = next;
        rest = &rest[len..];
    }
    (code, comment)
}

/// Where the scanner is after the first `len` bytes of `rest`.
fn step(inside: Inside, rest: &str) -> (Inside, usize) {
    let first = rest.chars().next().map_or(1, char::len_utf8);
    match inside {
        Inside::Code => step_code(rest, first),
        Inside::BlockComment(depth) if rest.starts_with("*/") => match depth {
            1 => (Inside::Code, 2),
            _ => (Inside::BlockComment(depth - 1), 2),
        },
        Inside::BlockComment(depth) if rest.starts_with("/*") => {
            (Inside::BlockComment(depth + 1), 2)
        }
        Inside::Text if rest.starts_with('\\') => {
            let escaped = rest[1..].chars().next().map_or(0, char::len_utf8);
            (Inside::Text, 1 + escaped)
        }
        Inside::Text if rest.starts_with('"') => (Inside::Code, 1),
        Inside::RawText(hashes) if rest.starts_with(&format!("\"{}", "#".repeat(hashes))) => {
            (Inside::Code, 1 + hashes)
        }
        same => (same, first),
    }
}

fn step_code(rest: &str, first: usize) -> (Inside, usize) {
    if rest.starts_with("//") {
        return (Inside::LineComment, rest.len());
    }
    if rest.starts_with("/*") {
        return (Inside::BlockComment(1), 2);
    }
    let raw = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'));
    if let Some(raw) = raw {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            return (Inside::RawText(hashes), rest.len() - raw.len() + hashes + 1);
        }
        // The rest of a name that begins with r, so that none ends in one.
        let name = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        return (Inside::Code, name.unwrap_or(rest.len()).max(first));
    }
    if rest.starts_with('"') {
        return (Inside::Text, 1);
    }
    if rest.starts_with('\'') {
        return (Inside::Code, character_len(rest));
    }
    if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') && !rest.starts_with("b\"") {
        let name = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        return (Inside::Code, name.unwrap_or(rest.len()));
    }
    (Inside::Code, first)
}

/// The length of a character literal, or of the quote alone where a lifetime begins.
fn character_len(rest: &str) -> usize {
    let body = &rest[1..];
    let skip = if body.starts_with('\\') {
        2
    } else {
        body.chars().next().map_or(0, char::len_utf8)
    };
    match body.get(skip..).and_then(|after| after.find('\'')) {
        Some(0) => 1 + skip + 1,
        Some(more) if body.starts_with('\\') => 1 + skip + more + 1,
        _ => 1,
    }
}

fn indent(code: &str) -> usize {
    code.len() - code.trim_start().len()
}

/// Whether a line ends the block that `opening` begins; the source is formatted.
fn closes(line: &Line, opening: &Line) -> bool {
    let one_line = line.number == opening.number && line.code.trim_end().ends_with('}');
    let closing = indent(&line.code) == indent(&opening.code) && line.code.trim() == "}";
    one_line || closing
}

fn mark_tests(lines: &mut [Line]) {
    let mut at = 0;
    while at < lines.len() {
        if lines[at].code.trim() != "#[cfg(test)]" {
            at += 1;
            continue;
        }
        let outer = indent(&lines[at].code);
        let ends = |line: &Line| {
            let code = line.code.trim_end();
            indent(code) == outer && (code.trim() == "}" || code.ends_with(';'))
        };
        let len = lines[at..]
            .iter()
            .position(ends)
            .unwrap_or(lines.len() - at - 1)
            + 1;
        lines[at..at + len]
            .iter_mut()
            .for_each(|line| line.test = true);
        at += len;
    }
}

/// The name of the function that begins in this line.
fn function_name(code: &str) -> Option<String> {
    let mut words = code.split_whitespace().peekable();
    let before = |word: &&str| {
        ["const", "unsafe", "extern", "\"\"", "async"].contains(word) || word.starts_with("pub")
    };
    while words.next_if(before).is_some() {}
    if words.next() != Some("fn") {
        return None;
    }
    let name = words.next()?;
    Some(name.split(['(', '<']).next().unwrap_or(name).to_owned())
}
