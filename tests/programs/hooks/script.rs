//! Scripts.

use super::{hooks, in_a_process, publish, runs, within};
use crate::support::web_service::{Dir, wait_for};
use rtmp_server::hooks::{Event, EventKind, Supervisor};
use rtmp_server::json::{self, JsonValue};
use rtmp_server::process::group;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

/// Writes a script that can be run. Whoever holds one open for writing, and be it a child that was
/// just forked, keeps it from being run: so another process writes it.
fn executable(dir: &Dir, name: &str, text: &str) -> String {
    let source = dir.write(&format!("{name}.txt"), text);
    let path = dir.path(name).to_str().unwrap().to_owned();
    let installed = Command::new("install")
        .args(["-m", "755", &source, &path])
        .status();
    assert!(installed.unwrap().success());
    path
}

#[test]
fn scripts_are_told_in_their_environment_and_on_their_input() {
    let dir = Dir::new("script");
    let here = dir.as_ref().display();
    let text = |name: &str| {
        format!(
            "env | grep ^RTMP_ | sort > {here}/{name}.env\ncat > {here}/{name}.in\n\
             printf %s \"$PATH\" > {here}/{name}.path\n"
        )
    };
    let scripts = [
        ("publish_start", &*dir.write("plain", &text("plain"))),
        ("publish_start", &executable(&dir, "bare", &text("bare"))),
        (
            "publish_start",
            &executable(&dir, "shebang", &format!("#!/bin/sh\n{}", text("shebang"))),
        ),
    ];
    let hooks = hooks(&scripts, &[], 10_000);
    hooks.fire(publish("live/a b").with("app", "live").with("n", 7_u64));
    assert!(hooks.close(within(10)));
    assert_eq!(
        (hooks.totals().hook_events, hooks.totals().hook_failures),
        (1, 0)
    );
    for name in ["plain", "shebang", "bare"] {
        let file = |extension: &str| dir.lines(&format!("{name}.{extension}"));
        let env = file("env");
        let timestamp = env
            .last()
            .and_then(|line| line.strip_prefix("RTMP_TIMESTAMP="));
        assert_eq!(
            env[..env.len() - 1],
            [
                "RTMP_APP=live",
                "RTMP_CONN_ID=c000001",
                "RTMP_EVENT_TYPE=publish_start",
                "RTMP_N=7",
                "RTMP_STREAM_KEY=live/a b"
            ],
            "{name}"
        );
        let head = format!(
            r#"{{"type":"publish_start","timestamp":{},"#,
            timestamp.unwrap()
        );
        let rest = r#""conn_id":"c000001","stream_key":"live/a b","data":{"app":"live","n":7}}"#;
        assert_eq!(file("in"), [head + rest], "{name}");
        assert_eq!(file("path"), [std::env::var("PATH").unwrap()], "{name}");
    }
}

#[test]
fn scripts_inherit_no_sockets_and_no_signal_settings() {
    let dir = Dir::new("inherit");
    let here = dir.as_ref().display();
    let text = format!("ls -l /proc/self/fd > {here}/fd\ncat /proc/self/status > {here}/status\n");
    let script = dir.write("script", &text);
    let _socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let hooks = hooks(&[("publish_start", &script)], &[], 10_000);
    hooks.fire(publish("live/cam"));
    assert!(hooks.close(within(10)));
    let descriptors = dir.lines("fd").join("\n");
    assert!(descriptors.contains(" 1 -> "), "{descriptors}");
    assert!(!descriptors.contains("socket:"), "{descriptors}");
    let status = dir.lines("status");
    let mask = |field: &str| {
        let line = status.iter().find_map(|line| line.strip_prefix(field));
        u64::from_str_radix(line.unwrap().trim(), 16).unwrap()
    };
    assert_eq!(mask("SigBlk:"), 0, "no signal is blocked");
    assert_eq!(mask("SigIgn:") & 1 << (13 - 1), 0, "SIGPIPE is not ignored");
}

#[test]
fn big_events_reach_those_that_read_and_do_not_disturb_others() {
    let dir = Dir::new("big");
    let here = dir.as_ref().display();
    let reads = dir.write("reads", &format!("cat > {here}/in\n"));
    let ignores = dir.write("ignores", "exit 0\n");
    let closes = dir.write("closes", "exec 0<&-\nsleep 0.1\n");
    let scripts = [
        ("auth_failed", &*reads),
        ("auth_failed", &ignores),
        ("auth_failed", &closes),
    ];
    let hooks = hooks(&scripts, &[], 10_000);
    let text = "\u{1f600}x".repeat(60_000);
    hooks.fire(Event::new(EventKind::AuthFailed).with("error", text.as_str()));
    assert!(hooks.close(within(10)));
    assert_eq!(hooks.totals().hook_failures, 0);
    let event = json::parse(&std::fs::read(dir.path("in")).unwrap()).unwrap();
    let error = event.get("data").and_then(|data| data.get("error"));
    assert_eq!(error.and_then(JsonValue::as_str), Some(&*text));
}

#[test]
fn output_and_exit_codes_are_logged() {
    let dir = Dir::new("log");
    let text = "echo to output\necho to error >&2\nprintf '%05000d' 0\nexit 3\n";
    let script = dir.write("talks", text);
    let output = in_a_process("log", |command| _ = command.env("SCRIPT", &script));
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    for want in [
        format!(
            "INFO  hook output hook={script} conn_id=c000001 stream_key=live/cam line=\"to output\"\n"
        ),
        format!(
            "INFO  hook output hook={script} conn_id=c000001 stream_key=live/cam line=\"to error\"\n"
        ),
        format!("line={}\n", "0".repeat(4096)),
        format!("line={}\n", "0".repeat(904)),
        format!(
            "WARN  hook failed hook={script} event=publish_start conn_id=c000001 stream_key=live/cam error=\"exit code 3\" "
        ),
    ] {
        assert!(output.contains(&want), "{want} in\n{output}");
    }
    let missing = dir.path("missing").to_str().unwrap().to_owned();
    let output = in_a_process("log", |command| _ = command.env("SCRIPT", &missing));
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.contains("WARN  cannot find hook script"), "{output}");
    assert!(
        output.contains("error=\"cannot start: No such file"),
        "{output}"
    );
}

#[test]
fn a_script_that_takes_too_long_is_ended_with_all_it_started() {
    let dir = Dir::new("timeout");
    let here = dir.as_ref().display();
    let rows = [("polite", "", 300), ("stubborn", "trap '' TERM\n", 2300)];
    for (name, head, least_ms) in rows {
        let text = format!(
            "{head}sleep 61 &\necho $$ $! > {here}/{name}.pid\nwhile :; do sleep 61; done\n"
        );
        let script = dir.write(name, &text);
        let hooks = hooks(&[("publish_start", &script)], &[], 300);
        let start = Instant::now();
        hooks.fire(publish("live/cam"));
        assert!(hooks.close(within(10)), "{name}");
        // Orphans count as alive until init buries them, so even the polite may take this long.
        let took = start.elapsed().as_millis();
        // They would sleep for a minute; a busy machine takes longer to find out than ours does.
        assert!((least_ms..9000).contains(&took), "{name}: {took} ms");
        assert_eq!(hooks.totals().hook_failures, 1, "{name}");
        let pids = dir.lines(&format!("{name}.pid"))[0].clone();
        let pids: Vec<&str> = pids.split(' ').collect();
        for pid in &pids {
            wait_for("the process is gone", || (!runs(pid)).then_some(()));
        }
        let there = Path::new("/proc").join(pids[0]).exists();
        assert!(!there, "{name}: no zombie is left");
    }
}

/// Runs a script that leaves a process behind, which has all that the script had.
pub fn leave_behind(dir: &str) {
    let script = format!("{dir}/script");
    let text = format!("exec 3<&0\nsetsid sleep 61 <&3 &\necho $! > {dir}/pid\n");
    std::fs::write(&script, text).unwrap();
    let hooks = hooks(&[("auth_failed", &script)], &[], 10_000);
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = descriptors();
    let text = "x".repeat(200_000);
    hooks.fire(Event::new(EventKind::AuthFailed).with("error", text.as_str()));
    assert!(hooks.close(within(10)));
    wait_for("the threads of the script are gone", || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let names = tasks.map(|task| std::fs::read_to_string(task.path().join("comm")));
        (!names.flatten().any(|name| name.starts_with("child-"))).then_some(())
    });
    assert_eq!(descriptors(), before);
}

#[test]
fn whom_a_script_leaves_behind_costs_no_thread_and_no_descriptor() {
    let dir = Dir::new("behind");
    let output = in_a_process("left behind", |command| {
        command.env("DIR", dir.as_ref());
    });
    let pid = dir.lines("pid")[0].clone();
    let ended = Command::new("kill").arg(&pid).status();
    assert!(output.status.success(), "{output:?}");
    assert!(ended.unwrap().success(), "it runs on");
}

/// Kills a script and a program beside a stream, both of which end for nothing less.
pub fn kill_all(dir: &str) {
    let stubborn = |name: &str| format!("trap '' TERM\necho $$ > {dir}/{name}\nsleep 61 & wait\n");
    let path = format!("{dir}/script");
    std::fs::write(&path, stubborn("hook")).unwrap();
    let hooks = hooks(&[("publish_start", &path)], &[], 60_000);
    let supervisor = Supervisor::new(&stubborn("child"), Arc::default());
    hooks.fire(publish("live/cam"));
    let _child = supervisor.start(publish("live/cam"));
    let pid = |name: &str| {
        let text = std::fs::read_to_string(format!("{dir}/{name}")).ok();
        text.and_then(|text| text.strip_suffix('\n').map(str::to_owned))
    };
    let pids = ["hook", "child"].map(|name| wait_for("it runs", || pid(name)));
    group::kill_all();
    for pid in pids {
        wait_for("it is killed", || (!runs(&pid)).then_some(()));
    }
    let refused = group::ProcessGroup::spawn(Command::new("true"));
    assert!(refused.is_err(), "nothing begins any more");
}

#[test]
fn a_process_that_is_about_to_exit_leaves_no_script_running() {
    let dir = Dir::new("kill-all");
    let output = in_a_process("kill all", |command| {
        command.env("DIR", dir.as_ref());
    });
    assert!(output.status.success(), "{output:?}");
}
