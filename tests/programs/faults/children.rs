//! Programs of users that hang, flood, fork, stand still and vanish.

use crate::support::process::ServerProcess;
use crate::support::wait_until;
use crate::support::web_service::Dir;
use rtmp_server::amf0::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a program does. `$DIR/pids` gets the numbers of those that have to be gone at the end.
const PROGRAMS: [(&str, &str); 8] = [
    ("hangs", "sleep 600"),
    ("floods with lines", "yes"),
    ("floods without lines", "cat /dev/zero"),
    ("floods with both", "yes & cat /dev/zero >&2"),
    (
        "forks",
        "for n in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do sleep 600 & echo $! >>$DIR/pids; done; wait",
    ),
    ("closes its output", "exec >&- 2>&-; sleep 600"),
    ("stands still", "kill -STOP $$; sleep 600"),
    ("vanishes", "kill -KILL $$"),
];

fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// Runs `program` by `flag` beside a stream, and waits until it is gone.
fn run_beside(name: &str, program: &str, hook: bool, dir: &Path) {
    let script = dir.join("program");
    let text = format!("DIR={}\necho $$ >>$DIR/pids\n{program}\n", dir.display());
    std::fs::write(&script, text).expect("write");
    let flags = match hook {
        true => format!(
            "-merge 0 -hook-script publish_start={} -hook-timeout 400ms",
            script.display()
        ),
        false => format!("-merge 0 -run-on-publish 'exec sh {}'", script.display()),
    };
    let server = ServerProcess::start(&flags);
    let began = Instant::now();
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let mut viewer = server.playing("x");
    viewer.expect(&["V head 1 @0", "V key 1 @0"]);
    let mut number = 1;
    while began.elapsed() < Duration::from_millis(600) {
        number += 1;
        let picture = format!("V inter 2 @{}", number * 5);
        publisher.send_media(&[&picture]);
        viewer.expect(&[&picture]);
        std::thread::sleep(Duration::from_millis(5));
    }
    publisher.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
    viewer.lines_until("end");
    let pids = std::fs::read_to_string(dir.join("pids")).expect("numbers");
    wait_until(&format!("the end of one that {name}"), || {
        !pids.split_whitespace().any(runs)
    });
    drop(server);
}

fn beside_all(hook: bool) {
    std::thread::scope(|scope| {
        for (index, (name, program)) in PROGRAMS.into_iter().enumerate() {
            scope.spawn(move || {
                let dir = format!("rtmp-child-{}-{hook}-{index}", std::process::id());
                let dir = std::env::temp_dir().join(dir);
                std::fs::create_dir_all(&dir).expect("a directory");
                run_beside(name, program, hook, &dir);
                std::fs::remove_dir_all(&dir).expect("remove");
            });
        }
    });
}

#[test]
fn programs_beside_streams_hold_up_nobody() {
    beside_all(false);
}

#[test]
fn scripts_of_hooks_hold_up_nobody() {
    beside_all(true);
}

/// Nothing warns them, so the system has to.
#[test]
fn programs_end_with_a_killed_server() {
    let dir = Dir::new("orphans");
    let here = dir.as_ref().display();
    // Only a shell can read it, as it names none.
    let script = dir.write("script", &format!("echo $$ >{here}/hook\nexec sleep 61\n"));
    let may_run = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&script, may_run).expect("permissions");
    let server = ServerProcess::start(&format!(
        "-hook-script publish_start={script} -run-on-publish 'echo $$ >{here}/child; exec sleep 61'"
    ));
    let _publisher = server.publisher("x");
    let pids = ["hook", "child"].map(|name| {
        wait_until(name, || !dir.lines(name).is_empty());
        dir.lines(name)[0].clone()
    });
    super::signal(server.pid(), "-KILL");
    wait_until("the end of both", || !pids.iter().any(|pid| runs(pid)));
}
