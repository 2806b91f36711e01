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

/// Checks that a page asks nobody for anything, and that its policy allows no script and no style but its own.
pub fn check_alone(page: &str, policy: &str) {
    let others = page.replace("http://www.w3.org/2000/svg", "");
    for word in [
        "http://",
        "https://",
        "//cdn",
        "@import",
        "src=",
        "innerHTML",
        "eval(",
    ] {
        assert!(!others.contains(word), "{word}");
    }
    for (tag, directive) in [("script", "script-src"), ("style", "style-src")] {
        let want = format!("{directive} 'sha256-{}';", digest(inside(page, tag)));
        assert!(policy.contains(&want), "{want} in {policy}");
    }
    assert!(policy.starts_with("default-src 'none';"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
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
