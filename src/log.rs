//! Log lines: a fixed phrase, then facts. One write a line, to standard output.
//!
//! The format and the lowest level are the process's and are set once, at its start.

use crate::sys;
use std::env;
use std::fmt::{self, Display, Write as _};
use std::fs::File;
use std::io::{self, IsTerminal, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Single messages and other detail.
    Debug,
    /// The life of connections and streams.
    Info,
    /// A peer or a limit made something go less well.
    Warn,
    /// Something of ours does not work.
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        }
    }

    /// What the journal calls it: the severities of syslog.
    fn priority(self) -> u8 {
        match self {
            Level::Debug => 7,
            Level::Info => 6,
            Level::Warn => 4,
            Level::Error => 3,
        }
    }

    /// The level called `name` on the command line.
    pub fn from_name(name: &str) -> Option<Level> {
        let levels = [Level::Debug, Level::Info, Level::Warn, Level::Error];
        levels.into_iter().find(|level| level.name() == name)
    }
}

/// How lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// Text on a terminal and in the journal, JSON elsewhere.
    Auto,
}

static LOWEST: AtomicU8 = AtomicU8::new(Level::Info as u8);
static JSON: AtomicBool = AtomicBool::new(false);
static JOURNAL: AtomicBool = AtomicBool::new(false);

/// Sets format and lowest level, once, before the first line. In the journal, which knows the time
/// itself, lines begin with their priority instead (sd-daemon(3)).
pub fn init(lowest: Level, format: Format) {
    let journal = is_journal(io::stdout());
    let json = match format {
        Format::Text => false,
        Format::Json => true,
        Format::Auto => !journal && !io::stdout().is_terminal(),
    };
    LOWEST.store(lowest as u8, Ordering::Relaxed);
    JSON.store(json, Ordering::Relaxed);
    JOURNAL.store(journal, Ordering::Relaxed);
}

/// Whether `output` goes to the journal: systemd says which file does (systemd.exec(5),
/// `JOURNAL_STREAM`).
fn is_journal(output: impl AsFd) -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else {
        return false;
    };
    let file = output.as_fd().try_clone_to_owned().map(File::from);
    let metadata = file.and_then(|file| file.metadata());
    metadata.is_ok_and(|file| stream == format!("{}:{}", file.dev(), file.ino()))
}

/// Writes a line to standard error, for those who have no log yet or none any more.
pub fn complain(what: &dyn Display) {
    let priority = if is_journal(io::stderr()) {
        format!("<{}>", Level::Error.priority())
    } else {
        String::new()
    };
    let line = format!("{priority}rtmp-server: {what}\n");
    // Nobody is left to be told if that fails.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Whether lines of `level` are written at all.
pub fn enabled(level: Level) -> bool {
    level as u8 >= LOWEST.load(Ordering::Relaxed)
}

/// Writes a line: `log!(Info, "publishing"; conn_id = id, stream_key = key)`.
#[macro_export]
macro_rules! log {
    ($level:ident, $phrase:literal $(; $($key:ident = $value:expr),+ $(,)?)?) => {
        if $crate::log::enabled($crate::log::Level::$level) {
            $crate::log::write(
                $crate::log::Level::$level,
                $phrase,
                &[$($((stringify!($key), &$value as &dyn std::fmt::Display)),+)?],
            );
        }
    };
}

/// Writes a line. Use [`log!`](crate::log!) instead, which asks for the level first.
pub fn write(level: Level, phrase: &str, facts: &[(&str, &dyn Display)]) {
    let start = if JOURNAL.load(Ordering::Relaxed) {
        Start::Priority
    } else {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Start::Time(since.unwrap_or_default())
    };
    let line = match JSON.load(Ordering::Relaxed) {
        true => json_line(start, level, phrase, facts),
        false => text_line(start, level, phrase, facts),
    };
    // A log that cannot be written is no reason to stop serving.
    let _ = io::stdout().lock().write_all(line.as_bytes());
}

/// How a line begins.
#[derive(Clone, Copy, Debug)]
enum Start {
    /// With the time since 1970.
    Time(Duration),
    /// With the priority, for the journal.
    Priority,
}

fn json_line(start: Start, level: Level, phrase: &str, facts: &[(&str, &dyn Display)]) -> String {
    let name = level.name();
    let mut line = match start {
        Start::Time(since) => format!(r#"{{"time":"{}","level":"{name}","msg":""#, Utc(since)),
        Start::Priority => format!(r#"<{}>{{"level":"{name}","msg":""#, level.priority()),
    };
    escape(&mut line, phrase);
    line.push('"');
    for (key, value) in facts {
        let _ = write!(line, r#","{key}":""#); // writing to a String cannot fail
        escape(&mut line, &value.to_string());
        line.push('"');
    }
    line.push_str("}\n");
    line
}

fn text_line(start: Start, level: Level, phrase: &str, facts: &[(&str, &dyn Display)]) -> String {
    let mut line = match start {
        Start::Time(since) => format!("{} {:<5} ", Utc(since), level.name().to_uppercase()),
        Start::Priority => format!("<{}>", level.priority()),
    };
    line.push_str(phrase);
    for (key, value) in facts {
        let value = value.to_string();
        let plain = |c: char| c.is_alphanumeric() || "-_./:[]@+,%".contains(c);
        if !value.is_empty() && value.chars().all(plain) {
            let _ = write!(line, " {key}={value}"); // writing to a String cannot fail
        } else {
            let _ = write!(line, " {key}=\"");
            escape(&mut line, &value);
            line.push('"');
        }
    }
    line.push('\n');
    line
}

/// Appends `text` as the inside of a JSON string.
fn escape(line: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(line, "\\u{:04x}", u32::from(c)); // writing to a String cannot fail
            }
            c => line.push(c),
        }
    }
}

/// A time since 1970 in UTC, by RFC 3339 with milliseconds.
struct Utc(Duration);

impl Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (days, second) = (seconds / 86_400, seconds % 86_400);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let ms = self.0.subsec_millis();
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z"
        )
    }
}

/// Year, month and day of the `days`th day after 1970-01-01, in the Gregorian calendar.
pub fn civil(days: u64) -> (u64, u64, u64) {
    // Counted from 1 March of year 0, so that the leap day is the last of its year.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, date)
}

/// Lets a repeated line through a few times a period and counts the others.
#[derive(Debug)]
pub struct RateLimit {
    lines: u64,
    period_ms: u64,
    /// When the period is over, and how many lines were asked for in it.
    end_ms: AtomicU64,
    asked: AtomicU64,
    suppressed: AtomicU64,
}

impl RateLimit {
    /// One line each `period`.
    pub const fn new(period: Duration) -> RateLimit {
        RateLimit::burst(1, period)
    }

    /// So many lines each `period`, which begins with the first of them.
    pub const fn burst(lines: u64, period: Duration) -> RateLimit {
        RateLimit {
            lines,
            period_ms: period.as_millis() as u64,
            end_ms: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
        }
    }

    /// Whether a line may be written now; how many were not since the last one that was.
    pub fn pass(&self) -> Option<u64> {
        let now_ms = sys::monotonic().as_millis() as u64;
        let end_ms = self.end_ms.load(Ordering::Relaxed);
        let next_ms = now_ms + self.period_ms;
        let (all, this) = (Ordering::AcqRel, Ordering::Acquire);
        if now_ms >= end_ms
            && self
                .end_ms
                .compare_exchange(end_ms, next_ms, all, this)
                .is_ok()
        {
            self.asked.store(0, Ordering::Release);
        }
        if self.asked.fetch_add(1, Ordering::AcqRel) >= self.lines {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.suppressed.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        let rows = [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000, "2023-11-14T22:13:20.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ];
        for (seconds, want) in rows {
            assert_eq!(Utc(Duration::from_secs(seconds)).to_string(), want);
        }
    }

    #[test]
    fn lines_hold_whatever_is_put_in_them() {
        let facts: [(&str, &dyn Display); 3] = [("a", &"x/y"), ("b", &"q \"\n\u{1}"), ("c", &"")];
        let zero = Start::Time(Duration::ZERO);
        assert_eq!(
            text_line(zero, Level::Info, "phrase", &facts),
            "1970-01-01T00:00:00.000Z INFO  phrase a=x/y b=\"q \\\"\\n\\u0001\" c=\"\"\n"
        );
        assert_eq!(
            json_line(zero, Level::Warn, "phrase", &facts),
            "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"warn\",\"msg\":\"phrase\",\
             \"a\":\"x/y\",\"b\":\"q \\\"\\n\\u0001\",\"c\":\"\"}\n"
        );
    }

    #[test]
    fn the_journal_gets_priorities_instead_of_times() {
        let facts: [(&str, &dyn Display); 1] = [("a", &"b c")];
        let levels = [
            (Level::Debug, "debug", 7),
            (Level::Info, "info", 6),
            (Level::Warn, "warn", 4),
            (Level::Error, "error", 3),
        ];
        for (level, name, priority) in levels {
            assert_eq!(
                text_line(Start::Priority, level, "phrase", &facts),
                format!("<{priority}>phrase a=\"b c\"\n")
            );
            assert_eq!(
                json_line(Start::Priority, level, "phrase", &facts),
                format!("<{priority}>{{\"level\":\"{name}\",\"msg\":\"phrase\",\"a\":\"b c\"}}\n")
            );
        }
    }

    #[test]
    fn a_repeated_line_passes_a_few_times_a_period() {
        for lines in [1, 3] {
            let limit = RateLimit::burst(lines, Duration::from_secs(3600));
            for _ in 0..lines {
                assert_eq!(limit.pass(), Some(0));
            }
            assert_eq!(limit.pass(), None);
            assert_eq!(limit.pass(), None);
            limit.end_ms.store(0, Ordering::Relaxed);
            assert_eq!(limit.pass(), Some(2));
        }
    }
}
