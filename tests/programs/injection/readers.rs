//! Strict readers of what the server shows.

use std::collections::BTreeSet;

/// The lines of a text.
pub fn lines(text: &str) -> Vec<String> {
    text.split_terminator('\n').map(str::to_owned).collect()
}

/// The values of a field in forms.
pub fn forms(bodies: &[String], field: &str) -> BTreeSet<String> {
    let value = |body: &String| {
        let pairs = body
            .split('&')
            .map(|pair| pair.split_once('=').expect("a pair"));
        let mut found = pairs.filter(|(name, _)| *name == field);
        let (_, value) = found
            .next()
            .unwrap_or_else(|| panic!("no {field} in {body}"));
        assert_eq!(found.next(), None, "{body}");
        decoded(value)
    };
    bodies.iter().map(value).collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        match (first, after) {
            (b'%', [high, low, behind @ ..]) => {
                let digits = [*high, *low];
                let digits = str::from_utf8(&digits).expect("digits");
                bytes.push(u8::from_str_radix(digits, 16).expect("hex"));
                rest = behind;
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).expect("text")
}

/// The values of a label in the text format of Prometheus, of which every line has to be right.
pub fn metrics(text: &str, label: &str) -> BTreeSet<String> {
    let mut values = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with("# ")) {
        let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line}"));
        let (name, mut rest) = line.split_at(end);
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte)),
            "{line}"
        );
        while let Some(after) = rest.strip_prefix(['{', ',']) {
            let (name, after) = after.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            let (value, after) = quoted(after);
            if name == label {
                values.insert(value);
            }
            rest = after.strip_prefix('}').unwrap_or(after);
        }
        let number = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(number.parse::<f64>().is_ok(), "{line}");
    }
    values
}

/// What stands before a quote that is not escaped, and what behind it.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('\\' | '"'))) => value.push(c),
                other => panic!("{other:?} behind a backslash"),
            },
            c => value.push(c),
        }
    }
    panic!("no end: {text}")
}

/// The texts of an element in XML without attributes, in which every element has to end.
pub fn xml(text: &str, element: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = Vec::new();
    let (_, body) = text.split_once("?>").expect("a declaration");
    let mut rest = body;
    while let Some((content, after)) = rest.split_once('<') {
        let (tag, behind) = after.split_once('>').expect("the end of a tag");
        let name = tag.trim_matches('/');
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte)),
            "{tag}"
        );
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "{tag}");
            if name == element {
                found.insert(unescaped(content));
            }
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        rest = behind;
    }
    assert!(open.is_empty(), "{open:?}");
    found
}

fn unescaped(text: &str) -> String {
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&#39;", "'"),
    ];
    let mut out = text.to_owned();
    for (entity, c) in entities {
        out = out.replace(entity, c);
    }
    out.replace("&amp;", "&")
}
