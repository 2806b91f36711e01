//! Order, bursts, and the end.

use super::{Counted, hooks, in_a_process, publish, runs, within};
use crate::support::web_service::{Dir, Manner, WebService, wait_for};
use rtmp_server::hooks::{BACKLOG_MAX, Event, EventKind, HookSettings};
use rtmp_server::json::{self, JsonValue};
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

#[test]
fn events_of_a_stream_and_of_a_connection_stay_in_order() {
    let dir = Dir::new("order");
    let here = dir.as_ref().display();
    let start = dir.write(
        "start",
        &format!("sleep 0.5\necho start >> {here}/log.$RTMP_CONN_ID\n"),
    );
    let stop = dir.write("stop", &format!("echo stop >> {here}/log.$RTMP_CONN_ID\n"));
    let close = dir.write(
        "close",
        &format!("echo close >> {here}/log.$RTMP_CONN_ID\n"),
    );
    let quick = dir.write(
        "quick",
        &format!("echo quick >> {here}/log.$RTMP_CONN_ID\n"),
    );
    let scripts = [
        ("publish_start", &*start),
        ("publish_stop", &stop),
        ("connection_close", &close),
        ("play_start", &quick),
    ];
    let hooks = hooks(&scripts, &[], 10_000);
    for kind in [
        EventKind::PublishStart,
        EventKind::PublishStop,
        EventKind::PublishStart,
    ] {
        hooks.fire(Event::new(kind).on("c000001").of("live/a"));
    }
    hooks.fire(Event::new(EventKind::ConnectionClose).on("c000001"));
    for number in 0..5 {
        hooks.fire(
            Event::new(EventKind::PlayStart)
                .on("c000002")
                .of(format!("live/b{number}")),
        );
    }
    wait_for("others are not held up", || {
        (dir.lines("log.c000002").len() == 5).then_some(())
    });
    assert!(
        dir.lines("log.c000001").len() < 4,
        "the slow one was not waited for"
    );
    assert!(hooks.close(within(10)));
    assert_eq!(
        dir.lines("log.c000001"),
        ["start", "stop", "start", "close"]
    );
}

#[test]
fn a_burst_is_taken_at_once_and_what_is_too_much_is_counted() {
    let web = WebService::start(Manner::Hangs);
    let hooks = hooks(&[], &[("publish_start", &web.url("/"))], 60_000);
    let start = Instant::now();
    let mut slowest = Duration::ZERO;
    for number in 0..10_000 {
        let at = Instant::now();
        hooks.fire(publish(&format!("live/{number}")).on(format!("c{number:06}")));
        slowest = slowest.max(at.elapsed());
    }
    let took = start.elapsed();
    assert!(
        took < Duration::from_secs(2),
        "{took:?}, the slowest {slowest:?}"
    );
    let totals = hooks.totals();
    assert_eq!(totals.hook_events, 10_000);
    assert_eq!(hooks.waiting(), BACKLOG_MAX);
    // Both workers may take one before the backlog is full, or after.
    assert!((8998..=9000).contains(&totals.hook_drops), "{totals:?}");
    let start = Instant::now();
    assert!(!hooks.close(Instant::now() + Duration::from_millis(100)));
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(hooks.waiting(), 0);
    hooks.fire(publish("live/late"));
    assert!(hooks.totals().hook_drops >= 9999, "{:?}", hooks.totals());
}

#[test]
fn standard_error_has_each_event_in_one_write_and_in_order() {
    // A datagram socket keeps writes apart.
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    ours.set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        let mut numbers = Vec::new();
        while let Ok(len @ 1..) = ours.recv(&mut buffer) {
            let line = str::from_utf8(&buffer[..len]).unwrap();
            if line == "end" {
                break;
            }
            let event = line.strip_prefix("RTMP_EVENT: ").unwrap();
            let event = json::parse(event.strip_suffix('\n').unwrap().as_bytes()).unwrap();
            match event.get("data").and_then(|data| data.get("number")) {
                Some(JsonValue::Int(number)) => numbers.push(*number),
                other => panic!("{line}: {other:?}"),
            }
        }
        numbers
    });
    let end = theirs.try_clone().unwrap();
    let theirs = std::os::fd::OwnedFd::from(theirs);
    let output = in_a_process("burst", |command| _ = command.stderr(theirs));
    end.send(b"end").unwrap();
    let numbers = reader.join().unwrap();
    assert!(numbers.is_sorted_by(|a, b| a < b));
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    let dropped = output
        .lines()
        .find_map(|line| line.strip_prefix("dropped="));
    let dropped: usize = dropped.unwrap().parse().unwrap();
    assert_eq!(numbers.len() + dropped, 10_000, "{output}");
    assert!(numbers.len() >= BACKLOG_MAX, "{}", numbers.len());
}

#[test]
fn at_the_end_what_runs_is_ended_in_time() {
    let dir = Dir::new("close");
    let here = dir.as_ref().display();
    let text = format!("trap '' TERM\necho $$ > {here}/pid\nwhile :; do sleep 61; done\n");
    let script = dir.write("endless", &text);
    let hooks = hooks(&[("publish_start", &script)], &[], 60_000);
    hooks.fire(publish("live/cam"));
    hooks.fire(publish("live/cam"));
    let pid = wait_for("it runs", || dir.lines("pid").pop());
    let start = Instant::now();
    assert!(!hooks.close(Instant::now() + Duration::from_millis(200)));
    assert!(start.elapsed() < Duration::from_millis(1500));
    wait_for("the process is gone", || (!runs(&pid)).then_some(()));
    assert_eq!(hooks.totals().hook_drops, 1);
}

#[test]
fn each_event_goes_to_the_hooks_of_its_time() {
    let dir = Dir::new("replaced");
    let here = dir.as_ref().display();
    let script = |name: &str| {
        let text = format!("echo $RTMP_STREAM_KEY >> {here}/log.{name}\n");
        dir.write(name, &text)
    };
    let scripts = ["a", "b"].map(script);
    let settings = |turn: usize| HookSettings {
        scripts: match scripts.get(turn % 3) {
            Some(path) => vec![("publish_start".to_owned(), path.clone())],
            None => Vec::new(),
        },
        concurrency: 1 + turn % 4,
        ..HookSettings::default()
    };
    let hooks = Counted::new(&settings(0));
    let key = |turn: usize| format!("live/{turn:02}");
    for turn in 0..60 {
        hooks.replace(&settings(turn)).unwrap();
        hooks.fire(publish(&key(turn)));
    }
    assert!(hooks.close(within(20)));
    for (index, name) in ["log.a", "log.b"].into_iter().enumerate() {
        let mut told = dir.lines(name);
        told.sort();
        let want: Vec<String> = (index..60).step_by(3).map(key).collect();
        assert_eq!(told, want, "{name}");
    }
    assert_eq!(hooks.totals().hook_drops, 0);
}

#[test]
fn hooks_that_cannot_be_replace_nothing() {
    let dir = Dir::new("kept");
    let log = dir.as_ref().join("log");
    let script = dir.write("a", &format!("echo told >> {}\n", log.display()));
    let hooks = hooks(&[("publish_start", &script)], &[], 10_000);
    let settings = HookSettings {
        webhooks: vec![("publish_start".to_owned(), "ftp://h/".to_owned())],
        ..HookSettings::default()
    };
    assert!(hooks.replace(&settings).is_err());
    hooks.fire(publish("live/cam"));
    assert!(hooks.close(within(10)));
    assert_eq!(dir.lines("log"), ["told"]);
}
