//! Log lines: a fixed phrase, then fields. Each line is one write to standard output, by a thread of
//! its own: nobody who logs waits for whoever reads the log.
//!
//! Format and lowest level belong to the process; [`init`] sets them once, at the start, and
//! [`set_lowest`] changes the level later.

mod sink;

use crate::calendar::DateTime;
use crate::json;
use crate::sys;
use sink::Sink;
use std::env;
use std::fmt::{self, Display, Write as _};
use std::fs::File;
use std::io::{self, IsTerminal, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The severity of a line, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Details, such as single messages.
    Debug,
    /// Beginnings and ends of connections, streams and recordings.
    Info,
    /// A peer did something wrong, or a limit was reached.
    Warn,
    /// A part of the server does not work.
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

    /// The severity of syslog, as the journal takes it (sd-daemon(3)).
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

/// The format of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A phrase and `key=value`, for people.
    Text,
    /// One JSON object for each line.
    Json,
    /// Text on a terminal and in the journal, JSON elsewhere.
    Auto,
}

static LOWEST: AtomicU8 = AtomicU8::new(Level::Info as u8);
static JSON: AtomicBool = AtomicBool::new(false);
static JOURNAL: AtomicBool = AtomicBool::new(false);
/// The way to standard output. `None`: it has no thread, so lines are written by those who have them.
static SINK: OnceLock<Option<Sink>> = OnceLock::new();

/// Sets format and lowest level, and starts the thread that writes. Call it once, before the first line. The journal knows the time of a
/// line, so lines for it begin with their priority instead (sd-daemon(3)).
pub fn init(lowest: Level, format: LogFormat) {
    let journal = is_journal(io::stdout());
    let json = match format {
        LogFormat::Text => false,
        LogFormat::Json => true,
        LogFormat::Auto => !journal && !io::stdout().is_terminal(),
    };
    set_lowest(lowest);
    JSON.store(json, Ordering::Relaxed);
    JOURNAL.store(journal, Ordering::Relaxed);
    sink();
}

/// Leaves out lines below `lowest` from now on.
pub fn set_lowest(lowest: Level) {
    LOWEST.store(lowest as u8, Ordering::Relaxed);
}

/// Whether `output` goes to the journal: `JOURNAL_STREAM` names the file that does (systemd.exec(5)).
fn is_journal(output: impl AsFd) -> bool {
    let Ok(stream) = env::var("JOURNAL_STREAM") else {
        return false;
    };
    let file = output.as_fd().try_clone_to_owned().map(File::from);
    let metadata = file.and_then(|file| file.metadata());
    metadata.is_ok_and(|file| stream == format!("{}:{}", file.dev(), file.ino()))
}

/// Writes a line to standard error: for errors before the log exists.
pub fn complain(what: &dyn Display) {
    let priority = if is_journal(io::stderr()) {
        format!("<{}>", Level::Error.priority())
    } else {
        String::new()
    };
    let line = format!("{priority}rtmp-server: {what}\n");
    // If that fails, there is no other place to say so.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// Whether lines of `level` are written.
pub fn enabled(level: Level) -> bool {
    level as u8 >= LOWEST.load(Ordering::Relaxed)
}

/// Writes a line: `log!(Info, "publishing"; conn_id = id, stream_key = key)`. Values of a [`Bare`] type
/// are numbers and booleans in JSON; all others are text.
#[macro_export]
macro_rules! log {
    ($level:ident, $phrase:literal $(; $($key:ident = $value:expr),+ $(,)?)?) => {
        if $crate::log::enabled($crate::log::Level::$level) {
            #[allow(unused_imports)] // one kind of value, or none, may be all there is
            use $crate::log::{BareFact as _, TextFact as _};
            $crate::log::write(
                $crate::log::Level::$level,
                $phrase,
                &[$($((stringify!($key), (&$crate::log::Fact(&$value)).value())),+)?],
            );
        }
    };
}

/// The value of a field, as it stands in a line.
#[derive(Clone, Copy)]
pub enum Value<'a> {
    /// A number or a boolean, which displays as JSON.
    Bare(&'a dyn Display),
    /// Text, which is quoted and escaped in JSON.
    Text(&'a dyn Display),
}

/// Tells [`log!`](crate::log!) the kind of a value: for `(&Fact(&x)).value()` the compiler takes
/// [`BareFact`] if the type is [`Bare`], and [`TextFact`] otherwise.
#[derive(Debug)]
pub struct Fact<'a, T>(pub &'a T);

/// Types whose values are numbers or booleans and display as in JSON.
pub trait Bare: Display {}

impl<T: Bare> Bare for &T {}

macro_rules! bare {
    ($($name:ty)+) => { $(impl Bare for $name {})+ };
}

bare!(bool u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize Seconds);

/// A field whose value is a number or a boolean.
pub trait BareFact<'a> {
    /// The value, bare unless JSON has no such number.
    fn value(&self) -> Value<'a>;
}

impl<'a, T: Bare> BareFact<'a> for Fact<'a, T> {
    fn value(&self) -> Value<'a> {
        Value::Bare(self.0)
    }
}

impl<'a> BareFact<'a> for Fact<'a, f64> {
    /// A number that is not finite is text: JSON has no such numbers.
    fn value(&self) -> Value<'a> {
        match self.0.is_finite() {
            true => Value::Bare(self.0),
            false => Value::Text(self.0),
        }
    }
}

/// A field whose value is text.
pub trait TextFact<'a> {
    /// The value, to be quoted.
    fn value(&self) -> Value<'a>;
}

impl<'a, T: Display> TextFact<'a> for &Fact<'a, T> {
    fn value(&self) -> Value<'a> {
        Value::Text(self.0)
    }
}

/// A duration that displays as seconds with one decimal.
#[derive(Clone, Copy, Debug)]
pub struct Seconds(pub Duration);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{:.1}", self.0.as_secs_f64())
    }
}

/// Writes a line, whatever its level. Use [`log!`](crate::log!), which checks the level first.
pub fn write(level: Level, phrase: &str, facts: &[(&str, Value)]) {
    let line = line(level, phrase, facts);
    match sink() {
        Some(sink) => sink.push(line),
        // The server goes on if the log cannot be written.
        None => drop(io::stdout().lock().write_all(line.as_bytes())),
    }
}

fn sink() -> Option<&'static Sink> {
    SINK.get_or_init(start_sink).as_ref()
}

fn start_sink() -> Option<Sink> {
    let tell = |lost| {
        line(
            Level::Warn,
            "log lines lost",
            &[("lines", Value::Bare(&lost))],
        )
    };
    let output = io::stdout().as_fd().try_clone_to_owned().ok()?;
    Sink::start(File::from(output), tell).ok()
}

/// Waits until all lines are written, before the process ends: as long as one is in each `limit`, and until
/// `end` at most. Says on standard error how many were lost.
pub fn flush(limit: Duration, end: Instant) {
    let Some(Some(sink)) = SINK.get() else {
        return;
    };
    let lost = sink.flush(limit, end);
    let complaints = io::stderr();
    // It may be the output that nobody reads.
    if lost > 0 && sys::has_room(complaints.as_fd()) {
        complain(&format_args!("{lost} log lines were lost"));
    }
}

/// Whether so many lines wait that what is not our own is to be left out.
pub fn is_congested() -> bool {
    let sink = SINK.get().and_then(Option::as_ref);
    sink.is_some_and(Sink::is_half_full)
}

/// Lines that were lost since the start: too many waited to be written, or writing failed.
pub fn lines_lost() -> u64 {
    let sink = SINK.get().and_then(Option::as_ref);
    sink.map_or(0, Sink::lost)
}

fn line(level: Level, phrase: &str, facts: &[(&str, Value)]) -> String {
    let start = if JOURNAL.load(Ordering::Relaxed) {
        LinePrefix::Priority
    } else {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        LinePrefix::Time(since.unwrap_or_default())
    };
    match JSON.load(Ordering::Relaxed) {
        true => json_line(start, level, phrase, facts),
        false => text_line(start, level, phrase, facts),
    }
}

/// The beginning of a line.
#[derive(Clone, Copy, Debug)]
enum LinePrefix {
    /// The time since 1970, in UTC.
    Time(Duration),
    /// The priority, for the journal.
    Priority,
}

fn json_line(start: LinePrefix, level: Level, phrase: &str, facts: &[(&str, Value)]) -> String {
    let name = level.name();
    let mut line = match start {
        LinePrefix::Time(since) => format!(
            r#"{{"time":"{}","level":"{name}","msg":"#,
            DateTime(since.as_millis() as i64)
        ),
        LinePrefix::Priority => format!(r#"<{}>{{"level":"{name}","msg":"#, level.priority()),
    };
    // Writing to a String cannot fail.
    let _ = write!(line, "{}", json::Quoted(phrase));
    for (key, value) in facts {
        let _ = match value {
            Value::Bare(value) => write!(line, r#","{key}":{value}"#),
            Value::Text(value) => {
                write!(line, r#","{key}":{}"#, json::Quoted(&value.to_string()))
            }
        };
    }
    line.push_str("}\n");
    line
}

fn text_line(start: LinePrefix, level: Level, phrase: &str, facts: &[(&str, Value)]) -> String {
    let mut line = match start {
        LinePrefix::Time(since) => format!(
            "{} {:<5} ",
            DateTime(since.as_millis() as i64),
            level.name().to_uppercase()
        ),
        LinePrefix::Priority => format!("<{}>", level.priority()),
    };
    line.push_str(phrase);
    for (key, value) in facts {
        let (Value::Bare(value) | Value::Text(value)) = value;
        let value = value.to_string();
        let plain =
            |c: char| c.is_alphanumeric() && !json::is_hidden(c) || "-_./:[]@+,%".contains(c);
        // Writing to a String cannot fail.
        let _ = if !value.is_empty() && value.chars().all(plain) {
            write!(line, " {key}={value}")
        } else {
            write!(line, " {key}={}", json::Quoted(&value))
        };
    }
    line.push('\n');
    line
}

/// Lets a repeated line pass a few times in each period, and counts the others.
#[derive(Debug)]
pub struct RateLimit {
    lines: u64,
    period_ms: u64,
    /// When the period ends, and how many lines were asked for in it.
    end_ms: AtomicU64,
    asked: AtomicU64,
    suppressed: AtomicU64,
}

impl RateLimit {
    /// One line in each `period`.
    pub const fn new(period: Duration) -> RateLimit {
        RateLimit::burst(1, period)
    }

    /// `lines` in each `period`, which begins with its first line.
    pub const fn burst(lines: u64, period: Duration) -> RateLimit {
        RateLimit {
            lines,
            period_ms: period.as_millis() as u64,
            end_ms: AtomicU64::new(0),
            asked: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
        }
    }

    /// Asks to write a line now. `Some`: write it; the number of lines that were suppressed since the
    /// last one. `None`: leave it out.
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
    fn lines_hold_whatever_is_put_in_them() {
        let facts = [
            ("a", Value::Text(&"x/y")),
            ("b", Value::Text(&"q \"\n\u{1}\u{2028}")),
            ("c", Value::Text(&"")),
        ];
        let zero = LinePrefix::Time(Duration::ZERO);
        assert_eq!(
            text_line(zero, Level::Info, "phrase", &facts),
            "1970-01-01T00:00:00.000Z INFO  phrase a=x/y b=\"q \\\"\\n\\u0001\\u2028\" c=\"\"\n"
        );
        assert_eq!(
            json_line(zero, Level::Warn, "phrase", &facts),
            "{\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"warn\",\"msg\":\"phrase\",\
             \"a\":\"x/y\",\"b\":\"q \\\"\\n\\u0001\\u2028\",\"c\":\"\"}\n"
        );
    }

    #[test]
    fn numbers_and_booleans_are_bare_by_their_type() {
        let zero = LinePrefix::Time(Duration::ZERO);
        macro_rules! end {
            ($value:expr) => {{
                let line = json_line(zero, Level::Info, "", &[("v", (&Fact(&$value)).value())]);
                let (_, end) = line.split_once(r#""v":"#).unwrap();
                end.trim_end_matches("}\n").to_owned()
            }};
        }
        let (count, text, tenth) = (7_u64, "8", Seconds(Duration::from_millis(23_540)));
        let displayed: &dyn Display = &9;
        assert_eq!(end!(count), "7");
        assert_eq!(end!(&count), "7");
        assert_eq!(end!(-1_i32), "-1");
        assert_eq!(end!(true), "true");
        assert_eq!(end!(tenth), "23.5");
        assert_eq!(end!(0.25), "0.25");
        assert_eq!(end!(f64::NAN), r#""NaN""#);
        assert_eq!(end!(text), r#""8""#);
        assert_eq!(end!(text.to_owned()), r#""8""#);
        assert_eq!(end!(displayed), r#""9""#);
        assert_eq!(end!(format_args!("{count}")), r#""7""#);
    }

    #[test]
    fn the_journal_gets_priorities_instead_of_times() {
        let facts = [("a", Value::Text(&"b c"))];
        let levels = [
            (Level::Debug, "debug", 7),
            (Level::Info, "info", 6),
            (Level::Warn, "warn", 4),
            (Level::Error, "error", 3),
        ];
        for (level, name, priority) in levels {
            assert_eq!(
                text_line(LinePrefix::Priority, level, "phrase", &facts),
                format!("<{priority}>phrase a=\"b c\"\n")
            );
            assert_eq!(
                json_line(LinePrefix::Priority, level, "phrase", &facts),
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
