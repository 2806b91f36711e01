//! Pages that bring all that they need, and a policy that allows no more.

use std::io::Write;
use std::process::{Command, Stdio};

/// What stands between the tags, which occur once.
pub fn inside<'a>(page: &'a str, tag: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("<{tag}>")).expect("the tag");
    let (text, after) = rest.split_once(&format!("</{tag}>")).expect("its end");
    assert!(!after.contains(&format!("<{tag}")), "one {tag}");
    text
}

/// The digest as a policy holds it, by another program.
pub fn digest(text: &str) -> String {
    let mut child = Command::new("sh")
        .args(["-c", "openssl dgst -sha256 -binary | openssl base64 -A"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(text.as_bytes()).expect("to write");
    drop(stdin);
    let output = child.wait_with_output().expect("openssl");
    String::from_utf8(output.stdout).expect("text")
}
