//! Programs that run beside published streams.

use crate::support::web_service::{Dir, wait_for};
use rtmp_server::hooks::{Event, EventKind, Supervisor};
use rtmp_server::stats::Counters;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn published(stream_key: &str) -> Event {
    Event::new(EventKind::PublishStart)
        .on("c000001")
        .of(stream_key)
        .with("app", "live")
}

fn runs(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
    status.is_ok_and(|status| !status.contains("State:\tZ"))
}

fn wait_gone(pid: &str) {
    wait_for("the process is gone", || (!runs(pid)).then_some(()));
}

/// The `index`th line of the file of process numbers, once it is there.
fn pid(dir: &Dir, index: usize) -> String {
    wait_for("it was started", || dir.lines("pid").get(index).cloned())
}

fn restarts(counters: &Counters) -> u64 {
    counters.child_restarts.get()
}

fn close(supervisor: &Supervisor) -> bool {
    supervisor.close(Instant::now() + Duration::from_secs(10))
}

#[test]
fn a_program_runs_as_long_as_its_stream() {
    let dir = Dir::new("child");
    let here = dir.as_ref().display();
    let command = format!(
        "env | grep ^RTMP_ | sort > {here}/env; sleep 61 & echo $$ >> {here}/pid; echo $! >> {here}/pid; wait"
    );
    let counters: Arc<Counters> = Arc::default();
    let supervisor = Supervisor::new(&command, Arc::clone(&counters));
    let child = supervisor.start(published("live/cam"));
    let pids = [pid(&dir, 0), pid(&dir, 1)];
    assert_eq!((supervisor.children(), restarts(&counters)), (1, 0));
    let env = dir.lines("env");
    assert_eq!(
        env[..4],
        [
            "RTMP_APP=live",
            "RTMP_CONN_ID=c000001",
            "RTMP_EVENT_TYPE=publish_start",
            "RTMP_STREAM_KEY=live/cam"
        ]
    );
    let start = Instant::now();
    drop(child);
    assert!(
        start.elapsed() < Duration::from_millis(50),
        "nobody waits for it"
    );
    pids.iter().for_each(|pid| wait_gone(pid));
    assert!(start.elapsed() < Duration::from_secs(3));
    wait_for("it is forgotten", || {
        (supervisor.children() == 0).then_some(())
    });
    assert!(close(&supervisor));
}

#[test]
fn a_program_that_ends_is_started_again() {
    let dir = Dir::new("restart");
    let here = dir.as_ref().display();
    let command = format!("echo $$ >> {here}/pid; exec sleep 61");
    let counters: Arc<Counters> = Arc::default();
    let supervisor = Supervisor::new(&command, Arc::clone(&counters));
    let child = supervisor.start(published("live/cam"));
    let first = pid(&dir, 0);
    let killed = Command::new("kill").args(["-9", &first]).status();
    assert!(killed.unwrap().success());
    let at = Instant::now();
    let second = pid(&dir, 1);
    let pause = at.elapsed();
    assert!((900..3000).contains(&pause.as_millis()), "{pause:?}");
    assert_eq!((supervisor.children(), restarts(&counters)), (1, 1));
    assert!(!runs(&first) && runs(&second));
    drop(child);
    wait_gone(&second);
    assert_eq!(dir.lines("pid").len(), 2);
}

#[test]
fn whoever_does_not_end_is_killed_and_the_next_waits_for_it() {
    let dir = Dir::new("stubborn");
    let here = dir.as_ref().display();
    let command = format!("trap '' TERM; echo $$ >> {here}/pid; while :; do sleep 61; done");
    let counters: Arc<Counters> = Arc::default();
    let supervisor = Supervisor::new(&command, Arc::clone(&counters));
    let first = supervisor.start(published("live/cam"));
    let first_pid = pid(&dir, 0);
    drop(first);
    let at = Instant::now();
    let second = supervisor.start(published("live/cam"));
    let other = supervisor.start(published("live/other"));
    wait_for("another stream's need not wait", || {
        (dir.lines("pid").len() == 2).then_some(())
    });
    assert!(at.elapsed() < Duration::from_millis(1500));
    let third_pid = pid(&dir, 2);
    assert!(!runs(&first_pid), "one at a time");
    assert!(at.elapsed() >= Duration::from_millis(1900));
    assert_eq!((supervisor.children(), restarts(&counters)), (2, 0));
    let start = Instant::now();
    assert!(
        !supervisor.close(Instant::now() + Duration::from_millis(300)),
        "they do not end"
    );
    assert!(start.elapsed() < Duration::from_millis(1500));
    wait_gone(&third_pid);
    drop((second, other));
}

#[test]
fn what_cannot_run_is_tried_again_only_after_a_while() {
    let dir = Dir::new("fails");
    let here = dir.as_ref().display();
    let command = format!("echo $$ >> {here}/pid; exit 1");
    let counters: Arc<Counters> = Arc::default();
    let supervisor = Supervisor::new(&command, Arc::clone(&counters));
    let child = supervisor.start(published("live/cam"));
    pid(&dir, 1);
    assert_eq!(dir.lines("pid").len(), 2);
    assert_eq!((supervisor.children(), restarts(&counters)), (1, 1));
    // The second pause is two seconds long, and is cut short.
    drop(child);
    let at = Instant::now();
    assert!(close(&supervisor));
    assert!(at.elapsed() < Duration::from_secs(1));
    assert_eq!(dir.lines("pid").len(), 2);
    drop(supervisor.start(published("live/late")));
    assert_eq!(supervisor.children(), 0, "closed");
}
