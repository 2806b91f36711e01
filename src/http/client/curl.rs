//! HTTPS, spoken by the system's `curl`. Everything that may be secret goes over its standard
//! input: other users of the machine see the arguments and the environment of a process.

use super::error::{BODY_LEN_MAX, PostError};
use super::post::{Method, Post};
use super::reply::Reply;
use crate::http::HttpUrl;
use crate::process::group::{self, ProcessGroup};
use crate::process::program;
use crate::sync;
use std::fmt::Write as _;
use std::io::{self, PipeReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// How long a curl that took too long has to end by itself.
const GRACE: Duration = Duration::from_millis(200);

/// What may stand behind the body: a line with the location, and one with the status.
const END_LEN_MAX: usize = 4096;

/// What curl says when it ran out of time (curl(1), EXIT CODES).
const TIMED_OUT: i32 = 28;

/// Where `curl` is, if it is anywhere on `PATH`.
pub(super) fn find() -> Option<PathBuf> {
    program::find("curl")
}

/// Has `curl` send a request and read the reply, until `end` at the latest.
pub(super) fn post(
    curl: &Path,
    url: &HttpUrl,
    post: &Post,
    end: Instant,
) -> Result<Reply, PostError> {
    let limit = end.saturating_duration_since(Instant::now());
    if limit.is_zero() {
        return Err(PostError::TimedOut);
    }
    let (reader, writer) = io::pipe().map_err(PostError::Io)?;
    let mut command = Command::new(curl);
    // The first keeps out the user's own settings, the second reads ours.
    command
        .args(["--disable", "--config", "-"])
        .stdin(Stdio::piped())
        .stdout(writer)
        .stderr(Stdio::null());
    let mut group = ProcessGroup::spawn(command).map_err(PostError::Io)?;
    let config = config(url, post, limit).into_bytes();
    let _input = group.stdin().map(|stdin| group::feed(stdin, config));
    let Ok(output) = read_in_thread(reader)?.recv_timeout(limit) else {
        group.end(GRACE, group::sleep);
        return Err(PostError::TimedOut);
    };
    if output.len() > BODY_LEN_MAX + END_LEN_MAX {
        return Err(PostError::BodyTooLong);
    }
    let status = group.wait(Some(end), group::sleep).map_err(PostError::Io)?;
    match status.map(|status| status.code()) {
        Some(Some(0)) => reply(output),
        Some(Some(TIMED_OUT)) | None => Err(PostError::TimedOut),
        Some(code) => Err(PostError::Curl(code.unwrap_or(-1))),
    }
}

/// Reads all that curl writes, and one byte more than there may be.
fn read_in_thread(reader: PipeReader) -> Result<Receiver<Vec<u8>>, PostError> {
    let (sender, output) = mpsc::sync_channel(1);
    let spawned = sync::spawn("curl-output", 128 << 10, move || {
        let mut output = Vec::new();
        let bound = (BODY_LEN_MAX + END_LEN_MAX + 1) as u64;
        // Whatever cannot be read lacks the status at its end.
        let _ = reader.take(bound).read_to_end(&mut output);
        let _ = sender.send(output);
    });
    spawned.map_err(PostError::Io)?;
    Ok(output)
}

/// Takes the location and the status off the end of what curl wrote.
fn reply(mut output: Vec<u8>) -> Result<Reply, PostError> {
    let status = cut_last_line(&mut output).and_then(|status| status.parse().ok());
    let Some(status @ 100..) = status else {
        return Err(PostError::NotHttp("status line"));
    };
    let location = cut_last_line(&mut output).ok_or(PostError::NotHttp("status line"))?;
    // A curl from before 7.84 does not know the variable, and writes its name.
    let known = !location.is_empty() && !location.starts_with('%');
    Ok(Reply {
        status,
        location: known.then_some(location),
        body: output,
    })
}

/// Takes a line break and what is behind it off the end.
fn cut_last_line(output: &mut Vec<u8>) -> Option<String> {
    let start = output.iter().rposition(|byte| *byte == b'\n')?;
    let line = String::from_utf8(output.split_off(start)).ok()?;
    Some(line[1..].to_owned())
}

/// What curl is told. It knows as well when to stop, in case nobody is left to end it.
fn config(url: &HttpUrl, post: &Post, limit: Duration) -> String {
    let mut config = String::from(
        "silent\ngloboff\npath-as-is\nproto = \"=https\"\n\
         header = \"Expect:\"\nwrite-out = \"\\n%header{location}\\n%{http_code}\"\n",
    );
    let mut set = |name: &str, value: &str| {
        let _ = writeln!(config, "{name} = \"{}\"", quoted(value)); // to a String: cannot fail
    };
    set("request", post.method.name());
    set("url", url.reveal());
    set("max-time", &format!("{:.3}", limit.as_secs_f64()));
    set(
        "user-agent",
        concat!("rtmp-server/", env!("CARGO_PKG_VERSION")),
    );
    for (name, value) in post.headers {
        set("header", &format!("{name}: {value}"));
    }
    if post.method == Method::Post {
        set("data-raw", post.body);
    }
    config
}

/// The inside of a quoted value in curl's configuration.
fn quoted(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curl_is_told_everything_on_its_input() {
        let url = HttpUrl::parse("https://u:p@a/x?token=\\\"").unwrap();
        let post = Post {
            method: Method::Post,
            headers: &[("A", "b\"c")],
            body: "{\"a\\b\":\n\t1}",
        };
        let config = config(&url, &post, Duration::from_millis(1500));
        for line in [
            "url = \"https://u:p@a/x?token=\\\\\\\"\"",
            "request = \"POST\"",
            "max-time = \"1.500\"",
            "header = \"A: b\\\"c\"",
            "data-raw = \"{\\\"a\\\\b\\\":\\n\\t1}\"",
        ] {
            let there = config.lines().any(|other| other == line);
            assert!(there, "{line} in\n{config}");
        }
    }

    #[test]
    fn the_status_comes_last() {
        let rows = [
            ("body\n\n200", Some((200, None, "body"))),
            ("\n\n404", Some((404, None, ""))),
            ("\n\n\n\n500", Some((500, None, "\n\n"))),
            ("\npublic\n302", Some((302, Some("public"), ""))),
            ("x\n%header{location}\n302", Some((302, None, "x"))),
            ("200", None),
            ("\n200", None),
            ("body", None),
            ("\n\n000", None),
            ("", None),
        ];
        for (output, want) in rows {
            let got = reply(output.as_bytes().to_vec()).ok();
            let want = want.map(|(status, location, body)| Reply {
                status,
                location: location.map(str::to_owned),
                body: body.as_bytes().to_vec(),
            });
            assert_eq!(got, want, "{output:?}");
        }
    }
}
