//! Text from outside: cut, escaped and without secrets before it is logged or shown. It comes from
//! clients, replies of other servers, output of programs, and URLs.

/// Longest text from outside that is shown, in bytes, including the mark of a cut.
pub const SHOWN_LEN_MAX: usize = 256;

/// Marks the end of a text that was cut.
const CUT: &str = "…";

/// Stands in place of text that may be secret.
pub const HIDDEN: &str = "***";

/// A secret of fewer bytes is hidden only where it is a whole word.
const PART_LEN_MIN: usize = 4;

/// `text` with control characters escaped, cut to [`SHOWN_LEN_MAX`] bytes.
pub fn shown(text: &str) -> String {
    let mut out = String::new();
    // Where the text is cut if it is too long.
    let mut end = 0;
    for c in text.chars() {
        if out.len() + CUT.len() <= SHOWN_LEN_MAX {
            end = out.len();
        }
        match is_printable(c) {
            true => out.push(c),
            false => out.extend(c.escape_default()),
        }
        if out.len() > SHOWN_LEN_MAX {
            out.truncate(end);
            out.push_str(CUT);
            break;
        }
    }
    out
}

/// A path of a request as [`shown`], without a query that was encoded with it.
pub fn shown_path(path: &str) -> String {
    let end = query_start(path).map_or(path.len(), |(at, _)| at);
    shown(&path[..end])
}

/// Whether `c` may be shown as it is: not control characters, nor invisible ones, which can change the
/// direction or the line of the text beside them.
fn is_printable(c: char) -> bool {
    let invisible = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !c.is_control() && !invisible
}

/// `text` without each of `secrets`, in letters of either case, and without the parts of URLs that may be secret: queries, users,
/// passwords, and in `rtmp` URLs the name of the stream.
pub fn without_secrets(text: &str, secrets: &[&str]) -> String {
    let mut secrets: Vec<&str> = secrets.iter().copied().filter(|s| !s.is_empty()).collect();
    // Longest first, since one may be a part of another.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let text = without(text, &secrets);
    let ends = |c: char| c.is_whitespace() || c.is_control() || "\"'`<>(),;".contains(c);
    let words = text.split_inclusive(ends).map(|word| {
        let end = word.len()
            - word
                .chars()
                .next_back()
                .filter(|c| ends(*c))
                .map_or(0, char::len_utf8);
        [&reduced(&word[..end]), &word[end..]].concat()
    });
    words.collect()
}

/// `text` with each of `secrets` in it hidden, the first of them that stands at a place, in letters of
/// either case.
fn without(text: &str, secrets: &[&str]) -> String {
    let lower = text.to_ascii_lowercase();
    let secrets: Vec<String> = secrets.iter().map(|s| s.to_ascii_lowercase()).collect();
    let mut out = String::new();
    let mut hidden_end = 0;
    for (at, c) in text.char_indices() {
        if at < hidden_end {
            continue;
        }
        let stands_here = |secret: &&String| {
            let end = at + secret.len();
            lower[at..].starts_with(secret.as_str())
                && (secret.len() >= PART_LEN_MIN || is_word(text, at, end))
        };
        match secrets.iter().find(stands_here) {
            Some(secret) => {
                out.push_str(HIDDEN);
                hidden_end = at + secret.len();
            }
            None => out.push(c),
        }
    }
    out
}

/// Whether no letter or digit stands beside `text[start..end]`.
fn is_word(text: &str, start: usize, end: usize) -> bool {
    let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !joins(text[..start].chars().next_back()) && !joins(text[end..].chars().next())
}

/// Names of what lets a client in, as it stands in queries.
const CREDENTIALS: [&str; 12] = [
    "token",
    "sig",
    "sign",
    "signature",
    "key",
    "streamkey",
    "secret",
    "pass",
    "passwd",
    "password",
    "pwd",
    "auth",
];

/// Where the query of a name or a URL begins, and how long its mark is: at a question mark, also as
/// encoders write it that take a name with its query for a name alone; or at a `&` in front of it
/// behind which there are only pairs, one of them with what lets a client in. There a question mark was
/// meant.
pub fn query_start(text: &str) -> Option<(usize, usize)> {
    let marks = ["?", "%3F", "%3f"].map(|mark| Some((text.find(mark)?, mark.len())));
    let mark = marks.into_iter().flatten().min();
    let before = mark.map_or(text, |(at, _)| &text[..at]);
    credentials_start(before).or(mark)
}

/// The first `&` of pairs that end the text, if what lets a client in is among them.
fn credentials_start(text: &str) -> Option<(usize, usize)> {
    let (mut start, mut found) = (None, false);
    let mut rest = text;
    let and = |text: &str| {
        let marks = ["&", "%26"].map(|mark| Some((text.rfind(mark)?, mark.len())));
        marks.into_iter().flatten().max()
    };
    while let Some((at, len)) = and(rest) {
        let pair = &rest[at + len..];
        let equals = ["=", "%3D", "%3d"].map(|mark| pair.find(mark));
        let Some(end) = equals.into_iter().flatten().min() else {
            break;
        };
        let name = &pair[..end];
        found |= CREDENTIALS
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known));
        start = Some((at, len));
        rest = &rest[..at];
    }
    start.filter(|_| found)
}

/// A word without its query; a URL also without its other parts that may be secret.
fn reduced(word: &str) -> String {
    let (word, query) = match query_start(word) {
        Some((at, len)) if word.len() > at + len => {
            (&word[..at], format!("{}{HIDDEN}", &word[at..at + len]))
        }
        _ => (word, String::new()),
    };
    let (scheme, rest) = match word.find("://") {
        Some(at) => word.split_at(at + "://".len()),
        None => ("", word),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let authority = match authority.rsplit_once('@') {
        Some((user, place)) if !scheme.is_empty() || user.contains(':') => {
            format!("{HIDDEN}@{place}")
        }
        _ => authority.to_owned(),
    };
    let rtmp = scheme.rsplit(|c: char| !c.is_alphanumeric()).nth(3);
    let path = match (rtmp.is_some_and(is_rtmp), path.match_indices('/').nth(1)) {
        (true, Some((at, _))) if path.len() > at + 1 => format!("{}/{HIDDEN}", &path[..at]),
        _ => path.to_owned(),
    };
    [scheme, &authority, &path, &query].concat()
}

fn is_rtmp(scheme: &str) -> bool {
    scheme.to_ascii_lowercase().starts_with("rtmp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_and_escaped() {
        let long = "x".repeat(SHOWN_LEN_MAX);
        let rows = [
            ("plain \u{e9} text", "plain \u{e9} text".to_owned()),
            ("a\nb\u{1b}[31m\u{0}", "a\\nb\\u{1b}[31m\\u{0}".to_owned()),
            (
                "\u{202e}a\u{2028}b\u{200b}",
                "\\u{202e}a\\u{2028}b\\u{200b}".to_owned(),
            ),
            (&long, long.clone()),
            (&format!("{long}y"), format!("{}{CUT}", &long[..253])),
            (
                &"\u{e9}".repeat(200),
                format!("{}{CUT}", "\u{e9}".repeat(126)),
            ),
            (&"\u{1}".repeat(70), format!("{}{CUT}", "\\u{1}".repeat(50))),
        ];
        for (text, want) in rows {
            let got = shown(text);
            assert!(got.len() <= SHOWN_LEN_MAX, "{text:?}: {}", got.len());
            assert_eq!(got, want, "{text:?}");
        }
    }

    #[test]
    fn a_query_begins_where_it_was_meant_to() {
        let rows = [
            ("cam", None),
            ("cam?x", Some((3, 1))),
            ("cam%3fx", Some((3, 3))),
            ("cam&token=x", Some((3, 1))),
            ("cam&a=1&TOKEN=x&b=2", Some((3, 1))),
            ("rock&roll&pass=x", Some((9, 1))),
            ("cam&token=x&y", None),
            ("cam&token=x?y&z", Some((3, 1))),
            ("cam&a=1&b=2", None),
            ("cam&tokens=1", None),
            ("token=x", None),
            ("cam%26token%3Dx", Some((3, 3))),
            ("cam%26a=1&sig%3dx", Some((3, 3))),
            ("a&sig=x?b", Some((1, 1))),
            ("a?b&sig=x", Some((1, 1))),
            ("\u{e9}&key=\u{e9}", Some((2, 1))),
        ];
        for (text, want) in rows {
            assert_eq!(query_start(text), want, "{text}");
        }
    }

    #[test]
    fn what_may_be_secret_is_hidden() {
        let secrets = ["abcd-efgh?t=1", "abcd-efgh", "x", "*", ""];
        let rows = [
            ("nothing of it", "nothing of it"),
            ("Stream abcd-efgh is taken", "Stream *** is taken"),
            ("[abcd-efgh?t=1]", "[***]"),
            ("liveabcd-efghs", "live***s"),
            ("\u{e9}ABCD-efgH, X", "\u{e9}***, ***"),
            ("x is no extra, x.", "*** is no extra, ***."),
            ("x * **", "*** *** ******"),
            ("see rtmp://h/app/other now", "see rtmp://h/app/*** now"),
            ("rtmp://u:p@h:1/app", "rtmp://***@h:1/app"),
            ("at rtmp://u@h/app/", "at rtmp://***@h/app/"),
            ("'RTMPS://h/a/b/c?d'", "'RTMPS://h/a/***?***'"),
            ("url=rtmp://h/a/b", "url=rtmp://h/a/***"),
            (
                "https://u:p@h/a/b?c=d, again",
                "https://***@h/a/b?***, again",
            ),
            ("u:p@h", "***@h"),
            ("mail me@h", "mail me@h"),
            ("name?token=s3cret&a=b", "name?***"),
            ("name&token=s3cret,", "name&***,"),
            ("at rtmp://h/a&x=1&Key=s3cret/b", "at rtmp://h/a&***"),
            ("/live/name.flv%3Ftoken=s3cret", "/live/name.flv%3F***"),
            ("rock&roll, c=1&d=2", "rock&roll, c=1&d=2"),
            ("who is it? me", "who is it? me"),
        ];
        for (text, want) in rows {
            assert_eq!(without_secrets(text, &secrets), want, "{text}");
        }
    }
}
