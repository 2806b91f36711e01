//! Configurations that are wrong, and flags that cannot change.

use super::Changing;
use crate::support::process::ServerProcess;
use crate::support::web_service::Dir;
use std::process::Command;

#[test]
fn a_faulty_configuration_changes_nothing_and_all_of_it_is_told() {
    let mut changing = Changing::start("wait-stream 0");
    #[rustfmt::skip]
    let rows: [(&str, &[&str]); 5] = [
        ("grace 5", &["f:4: -grace \\\"5\\\": must be"]),
        ("grace 5\nmerge x", &["f:4: -grace", "f:5: -merge"]),
        ("wait-stream 0\nauth-mode file\nauth-file DIR/none", &["f:6: -auth-file: cannot read"]),
        ("auth-mode token\nauth-token a*b=x\nhook-webhook play_start=ftp://h/", &["f:5: -auth-token", "f:6: -hook-webhook"]),
        ("auth-token x=y", &["f:4: -auth-token needs -auth-mode token"]),
    ];
    for (lines, want) in rows {
        changing.send(lines);
        for want in want {
            let line = changing.server.wait_for_line("reload");
            assert!(
                line.contains("cannot reload, the old state stays"),
                "{line}"
            );
            assert!(line.contains(want), "{line}");
        }
        changing.step();
    }
    assert_eq!(changing.change("wait-stream 0"), "", "nothing has changed");
    changing.step();
}

#[test]
fn what_needs_a_restart_is_told_once() {
    let mut changing = Changing::start("");
    #[rustfmt::skip]
    let rows = [
        ("chunk-size 5000", Some("chunk-size")),
        ("chunk-size 5000\ngrace 5s", None),
        ("chunk-size 5000\nlog-format json", None),
        ("chunk-size 5001", Some("chunk-size")),
        ("chunk-size 5001\nlisten 127.0.0.1:0", Some("listen chunk-size")),
        ("", None),
        ("chunk-size 5001", Some("chunk-size")),
    ];
    for (lines, want) in rows {
        changing.change(lines);
        // What comes next in the log is this, or the next reload.
        if let Some(want) = want {
            let line = changing.server.wait_for_line("\"level\"");
            assert!(
                line.contains("changed flags need a restart"),
                "{lines}: {line}"
            );
            assert!(
                line.contains(&format!("\"flags\":\"{want}\"")),
                "{lines}: {line}"
            );
        }
        changing.step();
    }
}

/// It would let everybody in.
#[test]
fn a_file_that_was_emptied_changes_nothing() {
    let dir = Dir::new("emptied");
    let path = dir.write("f", "");
    let server = ServerProcess::start(&format!("-config {path}"));
    let rows = [
        ("", true),
        ("auth-mode token\nauth-token live/x=y\n", true),
        ("", false),
        ("\n# auth-mode token\n", false),
        ("auth-mode token\nauth-token live/x=z\n", true),
    ];
    for (text, changes) in rows {
        dir.write("f", text);
        let mut kill = Command::new("kill");
        let sent = kill.args(["-HUP", &server.pid().to_string()]).status();
        assert!(sent.expect("kill").success());
        let line = server.wait_for_line("reload");
        assert_eq!(line.contains("\"reloaded\""), changes, "{text:?}: {line}");
        let said = line.contains("-config: the file is empty;");
        assert_eq!(said, !changes, "{text:?}: {line}");
    }
}
