//! Events on standard error, for the program that started the server.

use super::event::Fired;
use crate::json;
use std::fmt::Write as _;
use std::io::{self, Write};

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StdioFormat {
    /// `RTMP_EVENT: ` and JSON, on one line.
    Json,
    /// The environment of a script: a comment, a line for each variable, an empty line. Values
    /// with characters that mean something to a shell are quoted for it.
    Env,
}

impl StdioFormat {
    /// The format called `name` on the command line.
    pub fn from_name(name: &str) -> Option<StdioFormat> {
        match name {
            "json" => Some(StdioFormat::Json),
            "env" => Some(StdioFormat::Env),
            _ => None,
        }
    }

    /// An event as it is written.
    pub fn text(self, fired: &Fired) -> String {
        match self {
            StdioFormat::Json => format!("RTMP_EVENT: {}\n", fired.json()),
            StdioFormat::Env => {
                let mut text = format!("# RTMP Event: {}\n", fired.event.kind.name());
                for (name, value) in fired.env() {
                    let _ = writeln!(text, "{name}={}", quoted(&value)); // to a String: cannot fail
                }
                text.push('\n');
                text
            }
        }
    }

    /// Writes an event, in one write.
    ///
    /// # Errors
    ///
    /// When standard error is closed.
    pub fn write(self, fired: &Fired) -> io::Result<()> {
        io::stderr().lock().write_all(self.text(fired).as_bytes())
    }
}

/// `value` so that a shell takes it for what it is, on one line. Names of streams are the clients'
/// choice: read by a shell, a name must not become a command.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() && !json::is_hidden(c) || "-_./:[]@+,%=".contains(c);
    if value.chars().all(plain) {
        return value.to_owned();
    }
    let visible = value.replace(json::is_hidden, " ");
    format!("'{}'", visible.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::super::event::{Event, EventKind};
    use super::*;
    use std::process::Command;

    #[test]
    fn events_are_written_for_programs_and_for_shells() {
        let event = Event::new(EventKind::PublishStart)
            .on("c000001")
            .of("live/a b")
            .with("app", "live");
        let fired = Fired::at(event, 1_700_000_000);
        assert_eq!(
            StdioFormat::Json.text(&fired),
            "RTMP_EVENT: {\"type\":\"publish_start\",\"timestamp\":1700000000,\
             \"conn_id\":\"c000001\",\"stream_key\":\"live/a b\",\"data\":{\"app\":\"live\"}}\n"
        );
        assert_eq!(
            StdioFormat::Env.text(&fired),
            "# RTMP Event: publish_start\nRTMP_EVENT_TYPE=publish_start\n\
             RTMP_TIMESTAMP=1700000000\nRTMP_CONN_ID=c000001\nRTMP_STREAM_KEY='live/a b'\n\
             RTMP_APP=live\n\n"
        );
    }

    #[test]
    fn a_shell_reads_values_as_they_are() {
        let rows = [
            ("live/cam", "live/cam"),
            ("[::1]:99", "[::1]:99"),
            ("caf\u{e9}", "caf\u{e9}"),
            ("a b", "a b"),
            ("$(reboot)`x`;&|<>*?~#!\\\"", "$(reboot)`x`;&|<>*?~#!\\\""),
            ("it's", "it's"),
            ("a\nRTMP_X=1", "a RTMP_X=1"),
            ("a\u{2028}b\u{202e}c", "a b c"),
            ("", ""),
        ];
        for (value, want) in rows {
            let script = format!("X={}\nprintf %s \"$X\"", quoted(value));
            assert_eq!(script.lines().count(), 2, "{value}");
            let output = Command::new("/bin/sh").arg("-c").arg(&script).output();
            let stdout = output.unwrap().stdout;
            assert_eq!(String::from_utf8(stdout).unwrap(), want, "{script}");
        }
    }

    #[test]
    fn formats_have_names() {
        assert_eq!(StdioFormat::from_name("json"), Some(StdioFormat::Json));
        assert_eq!(StdioFormat::from_name("env"), Some(StdioFormat::Env));
        assert_eq!(StdioFormat::from_name("xml"), None);
    }
}
