//! The names of recorded files.

use crate::rtmp::stream_key::StreamKey;
use crate::sys::LocalTime;
use std::fmt::{self, Write as _};
use std::path::PathBuf;

/// What names end in, by the format of the file. All are of one length.
const ENDINGS: [&str; 2] = [".flv", ".mp4"];

/// Longest name of a file or a directory, in bytes, on Linux.
const NAME_LEN_MAX: usize = 255;

/// Room for the counter that is added to a name that is taken.
const COUNTER_LEN: usize = 8;

/// A key is never cut to less than this; it holds the hash.
const KEY_LEN_MIN: usize = 32;

/// Longest pattern, in bytes.
const PATTERN_LEN_MAX: usize = 1024;

/// How the file of a segment is named: text with fields that begin with `%`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// Directories, and the file at the end.
    segments: Vec<Vec<PatternPart>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PatternPart {
    Text(String),
    StreamKey,
    Number { width: usize, zeros: bool },
    Time(TimeField),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TimeField {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    /// Date and time, `YYYYMMDD_HHMMSS`.
    Whole,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// Nothing names the file.
    NoName,
    /// `%` with something behind it that is no field.
    Field(String),
    /// It begins with `/`.
    Absolute,
    /// `.` or `..` as a directory or as the file.
    DotSegment,
    /// A control character is in it.
    ControlCharacter,
    /// A name that it makes could be longer than names can be.
    TooLong,
}

impl std::error::Error for PatternError {}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            PatternError::NoName => write!(f, "it names no file"),
            PatternError::Field(field) => write!(
                f,
                "{field} is none of %s %d %3d %03d %Y %m %D %H %M %S %T %%"
            ),
            PatternError::Absolute => {
                write!(f, "it must not begin with /, since it is below -record-dir")
            }
            PatternError::DotSegment => write!(f, "it must not lead through . or .."),
            PatternError::ControlCharacter => write!(f, "it holds a control character"),
            PatternError::TooLong => {
                write!(f, "names by it could be longer than {NAME_LEN_MAX} bytes")
            }
        }
    }
}

impl Pattern {
    /// Reads a pattern: `%s` is the key; `%d` the number, `%3d` with blanks and `%03d` with zeros in
    /// front of it, also to another width of one digit; `%Y %m %D %H %M %S` parts of the local time and
    /// `%T` all of it; `%%` is `%`. `/` makes directories. An ending is that of the format, whether the
    /// pattern has one or not.
    ///
    /// # Errors
    ///
    /// Any [`PatternError`]: some name would be wrong.
    pub fn new(text: &str) -> Result<Pattern, PatternError> {
        if text.len() > PATTERN_LEN_MAX {
            return Err(PatternError::TooLong);
        }
        if text.starts_with('/') {
            return Err(PatternError::Absolute);
        }
        if text.chars().any(char::is_control) {
            return Err(PatternError::ControlCharacter);
        }
        let stem = ENDINGS.iter().find_map(|ending| text.strip_suffix(ending));
        let text = stem.unwrap_or(text);
        let segments = text.split('/').map(segment);
        let segments = segments.collect::<Result<_, _>>()?;
        Ok(Pattern { segments })
    }

    /// The name of a recording that is one file: key, date and time.
    pub fn of_whole() -> Pattern {
        let text = PatternPart::Text("_".to_owned());
        Pattern {
            segments: vec![vec![
                PatternPart::StreamKey,
                text,
                PatternPart::Time(TimeField::Whole),
            ]],
        }
    }

    /// The name of a segment if nothing else is asked for: `%s_%T_seg%03d`.
    pub fn of_segments() -> Pattern {
        let mut pattern = Pattern::of_whole();
        let number = PatternPart::Number {
            width: 3,
            zeros: true,
        };
        pattern.segments[0].extend([PatternPart::Text("_seg".to_owned()), number]);
        pattern
    }

    /// The path, below the directory of recordings, of the file with this number. The second and
    /// further `attempt`s have a counter in it, for when the others are taken.
    ///
    /// In the key `/` becomes `_`, so that it leads nowhere else, and so does a dot at its front. A
    /// key that is too long for a name is cut, and has a hash instead of its end.
    pub fn path(
        &self,
        key: &StreamKey,
        number: u64,
        time: LocalTime,
        attempt: u32,
        ending: &str,
    ) -> PathBuf {
        let key = plain(key);
        let name = |parts: &Vec<PatternPart>| expand(parts, &key, number, time);
        let mut names: Vec<String> = self.segments.iter().map(name).collect();
        if let Some(file) = names.last_mut() {
            if attempt > 1 {
                let _ = write!(file, "_{attempt}"); // writing to a String cannot fail
            }
            file.push_str(ending);
        }
        names.iter().collect()
    }
}

/// The parts of one directory's or file's name.
fn segment(text: &str) -> Result<Vec<PatternPart>, PatternError> {
    match text {
        "" => return Err(PatternError::NoName),
        "." | ".." => return Err(PatternError::DotSegment),
        _ => {}
    }
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        if !before.is_empty() {
            parts.push(PatternPart::Text(before.to_owned()));
        }
        let (part, len) = field(after)?;
        parts.push(part);
        rest = &after[len..];
    }
    if !rest.is_empty() {
        parts.push(PatternPart::Text(rest.to_owned()));
    }
    let fixed: usize = parts.iter().map(PatternPart::len_max).sum();
    if fixed + ENDINGS[0].len() + COUNTER_LEN > NAME_LEN_MAX {
        return Err(PatternError::TooLong);
    }
    Ok(parts)
}

/// The field whose `%` stands before `text`, and its length in there.
fn field(text: &str) -> Result<(PatternPart, usize), PatternError> {
    let time = |field| (PatternPart::Time(field), 1);
    let mut chars = text.chars();
    Ok(match chars.next() {
        Some('s') => (PatternPart::StreamKey, 1),
        Some('Y') => time(TimeField::Year),
        Some('m') => time(TimeField::Month),
        Some('D') => time(TimeField::Day),
        Some('H') => time(TimeField::Hour),
        Some('M') => time(TimeField::Minute),
        Some('S') => time(TimeField::Second),
        Some('T') => time(TimeField::Whole),
        Some('%') => (PatternPart::Text("%".to_owned()), 1),
        _ => return number(text),
    })
}

/// `d`, `3d`, `03d`: the width has one digit.
fn number(text: &str) -> Result<(PatternPart, usize), PatternError> {
    let zeros = text.starts_with('0');
    let rest = &text[usize::from(zeros)..];
    let width = rest.chars().next().and_then(|c| c.to_digit(10));
    let rest = &rest[usize::from(width.is_some())..];
    if !rest.starts_with('d') || width == Some(0) || (zeros && width.is_none()) {
        let known = |c: char| c.is_ascii_digit();
        let end = text.find(|c| !known(c)).unwrap_or(text.len());
        let end = text[end..]
            .chars()
            .next()
            .map_or(end, |c| end + c.len_utf8());
        return Err(PatternError::Field(format!("%{}", &text[..end])));
    }
    let len = text.len() - rest.len() + 1;
    let width = width.unwrap_or(1) as usize;
    Ok((PatternPart::Number { width, zeros }, len))
}

impl PatternPart {
    /// The most bytes that it becomes; of a key, the fewest that it can be cut to.
    fn len_max(&self) -> usize {
        match self {
            PatternPart::Text(text) => text.len(),
            PatternPart::StreamKey => KEY_LEN_MIN,
            PatternPart::Number { .. } => 20,
            PatternPart::Time(_) => 24,
        }
    }
}

/// A key as part of a name.
fn plain(key: &StreamKey) -> String {
    let name = key.as_str().replace('/', "_");
    match name.strip_prefix('.') {
        Some(rest) => format!("_{rest}"),
        None => name,
    }
}

fn expand(parts: &[PatternPart], key: &str, number: u64, time: LocalTime) -> String {
    let keys = parts
        .iter()
        .filter(|part| **part == PatternPart::StreamKey)
        .count();
    let others = parts.iter().filter(|part| **part != PatternPart::StreamKey);
    let others: usize = others.map(PatternPart::len_max).sum();
    let left = NAME_LEN_MAX.saturating_sub(others + ENDINGS[0].len() + COUNTER_LEN);
    let key = shortened(key, left / keys.max(1));
    parts
        .iter()
        .map(|part| match part {
            PatternPart::Text(text) => text.clone(),
            PatternPart::StreamKey => key.clone(),
            PatternPart::Number { width, zeros: true } => format!("{number:0width$}"),
            PatternPart::Number { width, .. } => format!("{number:width$}"),
            PatternPart::Time(field) => field.text(time),
        })
        .collect()
}

impl TimeField {
    fn text(self, time: LocalTime) -> String {
        let LocalTime {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = time;
        match self {
            TimeField::Year => format!("{year:04}"),
            TimeField::Month => format!("{month:02}"),
            TimeField::Day => format!("{day:02}"),
            TimeField::Hour => format!("{hour:02}"),
            TimeField::Minute => format!("{minute:02}"),
            TimeField::Second => format!("{second:02}"),
            TimeField::Whole => {
                format!("{year:04}{month:02}{day:02}_{hour:02}{minute:02}{second:02}")
            }
        }
    }
}

/// A key in at most `len` bytes: one that is longer ends in its hash.
fn shortened(key: &str, len: usize) -> String {
    if key.len() <= len {
        return key.to_owned();
    }
    // FNV-1a.
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    let hash = format!("-{hash:016x}");
    let mut end = len.saturating_sub(hash.len());
    while !key.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{hash}", &key[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: LocalTime = LocalTime {
        year: 2024,
        month: 2,
        day: 9,
        hour: 7,
        minute: 5,
        second: 3,
    };

    fn path(pattern: &str, key: &str, number: u64) -> Result<String, PatternError> {
        let path =
            Pattern::new(pattern)?.path(&StreamKey::new(key).unwrap(), number, TIME, 1, ".flv");
        Ok(path.to_str().unwrap().to_owned())
    }

    #[test]
    fn patterns_become_names() {
        let bad = |field: &str| Err(PatternError::Field(field.to_owned()));
        #[rustfmt::skip]
        let rows = [
            ("%s_%T_seg%03d", Ok("live_cam_20240209_070503_seg007.flv")),
            ("%s", Ok("live_cam.flv")),
            ("%Y-%m-%D_%H.%M.%S", Ok("2024-02-09_07.05.03.flv")),
            ("%d %3d %03d %9d", Ok("7   7 007         7.flv")),
            ("%1d %2d %02d", Ok("7  7 07.flv")),
            ("100%%_%%d%%%d", Ok("100%_%d%7.flv")),
            ("%s/%Y/%d", Ok("live_cam/2024/7.flv")),
            ("%s/%s", Ok("live_cam/live_cam.flv")),
            ("a.flv", Ok("a.flv")),
            (".%s", Ok(".live_cam.flv")),
            ("...", Ok("....flv")),
            ("\u{fc}%d\u{1f600}", Ok("\u{fc}7\u{1f600}.flv")),
            ("", Err(PatternError::NoName)),
            (".flv", Err(PatternError::NoName)),
            ("a/", Err(PatternError::NoName)),
            ("a//b", Err(PatternError::NoName)),
            ("/a", Err(PatternError::Absolute)),
            ("..", Err(PatternError::DotSegment)),
            ("a/../b", Err(PatternError::DotSegment)),
            ("./b", Err(PatternError::DotSegment)),
            ("a\0", Err(PatternError::ControlCharacter)),
            ("a\nb", Err(PatternError::ControlCharacter)),
            ("%", bad("%")),
            ("a%", bad("%")),
            ("%x", bad("%x")),
            ("%t", bad("%t")),
            ("%-3d", bad("%-")),
            ("%0d", bad("%0d")),
            ("%00d", bad("%00d")),
            ("%12d", bad("%12d")),
            ("%012d", bad("%012d")),
            ("%3", bad("%3")),
            ("%3\u{1f600}", bad("%3\u{1f600}")),
            ("%3s", bad("%3s")),
            ("% d", bad("% ")),
        ];
        for (pattern, want) in rows {
            let want = want.map(str::to_owned);
            assert_eq!(path(pattern, "live/cam", 7), want, "{pattern:?}");
        }
        assert_eq!(
            path("%3d_%03d", "k", 12_345),
            Ok("12345_12345.flv".to_owned())
        );
        assert_eq!(
            path(&"x".repeat(243), "k", 1).map(|name| name.len()),
            Ok(247)
        );
        let long = [
            "x".repeat(244),
            "x".repeat(1025),
            "%T".repeat(11),
            "%s".repeat(8),
        ];
        for pattern in long {
            assert_eq!(
                path(&pattern, "k", 1),
                Err(PatternError::TooLong),
                "{pattern}"
            );
        }
    }

    #[test]
    fn the_patterns_that_are_there_can_be_written() {
        assert_eq!(Pattern::new("%s_%T"), Ok(Pattern::of_whole()));
        assert_eq!(Pattern::new("%s_%T_seg%03d"), Ok(Pattern::of_segments()));
    }

    #[test]
    fn a_key_leads_nowhere_and_is_never_too_long() {
        let long = |end: &str| format!("{}{end}", "\u{1f600}".repeat(127));
        let keys = [
            "a/b/c",
            ".hidden",
            "...",
            "a/.b",
            "-rf",
            "~",
            "a b",
            &long("a"),
            &long("b"),
            &"/x".repeat(256),
            "%s%d",
        ];
        let patterns = ["%s_%T", "%s/%d", "%s", "%s%s%s", "..%s", "%s%s%s%s%s%d%s"];
        for pattern in patterns {
            let mut names = Vec::new();
            for key in keys {
                let key = StreamKey::new(key).unwrap();
                let pattern = Pattern::new(pattern).unwrap();
                let path = pattern.path(&key, u64::MAX, TIME, 9_999_999, ".flv");
                let plain =
                    |part| matches!(part, std::path::Component::Normal(name) if name.len() <= 255);
                assert!(path.components().all(plain), "{}", path.display());
                assert_eq!(path.components().count(), pattern.segments.len());
                names.push(path);
            }
            names.sort();
            names.dedup();
            assert_eq!(names.len(), keys.len(), "{pattern}");
        }
        assert_eq!(path("%s", ".hidden", 1), Ok("_hidden.flv".to_owned()));
    }

    #[test]
    fn a_name_that_is_taken_gets_a_counter() {
        let key = StreamKey::new("a/b").unwrap();
        let path = Pattern::of_whole().path(&key, 1, TIME, 2, ".flv");
        assert_eq!(path, PathBuf::from("a_b_20240209_070503_2.flv"));
    }
}
