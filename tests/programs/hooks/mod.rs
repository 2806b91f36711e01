//! Hooks as a server uses them: real scripts, real web servers, real standard error.

mod delivery;
mod script;
mod webhook;

use crate::support::process::only;
use rtmp_server::hooks::{Event, EventKind, HookSettings, Hooks, StdioFormat};
use rtmp_server::stats::{Counters, Totals};
use std::ops::Deref;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Hooks for one kind of event; `timeout_ms` for each, two at a time.
fn hooks(scripts: &[(&str, &str)], webhooks: &[(&str, &str)], timeout_ms: u64) -> Counted {
    let owned = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter();
        pairs
            .map(|(event, target)| ((*event).to_owned(), (*target).to_owned()))
            .collect()
    };
    let settings = HookSettings {
        scripts: owned(scripts),
        webhooks: owned(webhooks),
        timeout: Duration::from_millis(timeout_ms),
        concurrency: 2,
        ..HookSettings::default()
    };
    Counted::new(&settings)
}

/// Hooks, and what they have counted.
struct Counted {
    hooks: Hooks,
    counters: Arc<Counters>,
}

impl Counted {
    fn new(settings: &HookSettings) -> Counted {
        let counters = Arc::default();
        Counted {
            hooks: Hooks::new(settings, &counters).unwrap(),
            counters,
        }
    }

    fn totals(&self) -> Totals {
        self.counters.totals()
    }
}

impl Deref for Counted {
    type Target = Hooks;

    fn deref(&self) -> &Hooks {
        &self.hooks
    }
}

/// Why hooks cannot be set up.
fn refused(settings: &HookSettings) -> String {
    Hooks::new(settings, &Arc::default())
        .unwrap_err()
        .to_string()
}

fn within(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

fn publish(stream_key: &str) -> Event {
    Event::new(EventKind::PublishStart)
        .on("c000001")
        .of(stream_key)
}

/// Runs `case` of [`in_a_process_of_its_own`], so that its output and environment are its own.
fn in_a_process(case: &str, setup: impl FnOnce(&mut Command)) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(only(module_path!(), "in_a_process_of_its_own"))
        .env("HOOKS_CASE", case)
        .stdin(Stdio::null());
    setup(&mut command);
    command.output().unwrap()
}

/// What other tests run in a process of its own; nothing by itself.
#[test]
fn in_a_process_of_its_own() {
    let variable = |name| std::env::var(name).unwrap_or_default();
    match variable("HOOKS_CASE").as_str() {
        "log" => {
            let hooks = hooks(&[("publish_start", &variable("SCRIPT"))], &[], 10_000);
            hooks.fire(publish("live/cam"));
            assert!(hooks.close(within(10)));
        }
        "webhook" => {
            let hooks = hooks(&[], &[("publish_start", &variable("URL"))], 10_000);
            hooks.fire(publish("live/cam"));
            assert!(hooks.close(within(10)));
            println!("failed={}", hooks.totals().hook_failures);
        }
        "refused" => {
            let webhooks = vec![("publish_start".to_owned(), "https://127.0.0.1/".to_owned())];
            let settings = HookSettings {
                webhooks,
                ..HookSettings::default()
            };
            println!("{}", refused(&settings));
        }
        "burst" => {
            let settings = HookSettings {
                stdio: Some(StdioFormat::Json),
                ..HookSettings::default()
            };
            let hooks = Counted::new(&settings);
            for number in 0..10_000_u64 {
                let key = format!("live/{}", number % 7);
                hooks.fire(publish(&key).with("number", number));
            }
            assert!(hooks.close(within(10)));
            println!("dropped={}", hooks.totals().hook_drops);
        }
        "left behind" => script::leave_behind(&variable("DIR")),
        "kill all" => script::kill_all(&variable("DIR")),
        _ => {}
    }
    let limit = Duration::from_secs(10);
    rtmp_server::log::flush(limit, std::time::Instant::now() + limit);
}

#[test]
fn what_cannot_be_served_is_refused() {
    let rows = [
        (
            "publish",
            "http://127.0.0.1/",
            "there is no event \"publish\"; there are: connection_accept ",
        ),
        ("", "http://127.0.0.1/", "there is no event \"\""),
        (
            "publish_start",
            "127.0.0.1",
            "web hook for publish_start: URL must begin with",
        ),
        (
            "publish_start",
            "",
            "web hook for publish_start: URL must begin with",
        ),
    ];
    for (event, url, want) in rows {
        let webhooks = vec![(event.to_owned(), url.to_owned())];
        let settings = HookSettings {
            webhooks,
            ..HookSettings::default()
        };
        let error = refused(&settings);
        assert!(error.starts_with(want), "{error}");
        let settings = HookSettings {
            scripts: vec![(event.to_owned(), String::new())],
            ..HookSettings::default()
        };
        refused(&settings);
    }
    let output = in_a_process("refused", |command| _ = command.env("PATH", "/nowhere"));
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let want = "web hook for publish_start: https needs the program curl, which is not on PATH";
    assert!(output.contains(want), "{output}");
}

#[test]
fn without_hooks_events_cost_nothing() {
    let hooks = Counted::new(&HookSettings::default());
    assert!(!hooks.wants(EventKind::PublishStart));
    hooks.fire(publish("live/cam"));
    assert_eq!((hooks.totals(), hooks.waiting()), Default::default());
    assert!(hooks.close(Instant::now()));
}

/// Whether a process is there and alive.
fn runs(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}
