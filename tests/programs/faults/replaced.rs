//! Programs of users that are removed while they run, killed, and replaced by others.

use crate::support::process::ServerProcess;
use crate::support::{Client, wait_until};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A directory with the programs `hook` and `child`, which write into the file `told`.
struct Programs(PathBuf);

impl Programs {
    fn new() -> Programs {
        let dir = std::env::temp_dir().join(format!("rtmp-replaced-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        Programs(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// Both are there, and say which version they are. As a package does: another file takes the name.
    fn put(&self, version: &str) {
        let told = self.path("told");
        for (name, rest) in [("hook", ""), ("child", "echo $$ >$0.pid; exec sleep 600")] {
            let new = self.0.join("new");
            let text =
                format!("#!/bin/sh\necho {version} {name} $RTMP_STREAM_KEY >>{told}\n{rest}\n");
            std::fs::write(&new, text).expect("write");
            let mode = PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&new, mode).expect("a mode");
            std::fs::rename(&new, self.0.join(name)).expect("rename");
        }
    }

    fn remove(&self) {
        for name in ["hook", "child"] {
            std::fs::remove_file(self.0.join(name)).expect("remove");
        }
    }

    fn wait_for(&self, line: &str) {
        wait_until(line, || {
            let told = std::fs::read_to_string(self.0.join("told")).unwrap_or_default();
            told.lines().any(|it| it == line)
        });
    }

    fn kill_child(&self) {
        let pid = std::fs::read_to_string(self.0.join("child.pid")).expect("a number");
        super::signal(pid.trim().parse().expect("a number"), "-KILL");
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(Path::new(&self.0));
    }
}

#[test]
fn programs_may_be_killed_removed_and_replaced() {
    let programs = Programs::new();
    programs.put("first");
    let server = ServerProcess::start(&format!(
        "-merge 0 -hook-script publish_start={} -run-on-publish 'exec {}'",
        programs.path("hook"),
        programs.path("child")
    ));
    let mut publisher = server.publisher("x");
    publisher.send_media(&["V head 1 @0", "V key 1 @0"]);
    let mut viewer = server.playing("x");
    viewer.expect(&["V head 1 @0", "V key 1 @0"]);
    let mut number = 1;
    let mut go_on = || {
        number += 1;
        let picture = format!("V inter {number} @{}", number * 40);
        publisher.send_media(&[&picture]);
        viewer.expect(&[&picture]);
    };
    programs.wait_for("first hook live/x");
    programs.wait_for("first child live/x");

    programs.remove();
    go_on();
    programs.kill_child();
    let line = server.wait_for_line("\"child ended\"");
    assert!(line.contains("signal 9"), "{line}");
    // The next one is not there.
    let line = server.wait_for_line("\"child ended\"");
    assert!(line.contains("127"), "{line}");
    let _y: Client = server.publisher("y");
    let line = server.wait_for_line("\"hook failed\"");
    println!("{line}");
    go_on();

    programs.put("second");
    programs.wait_for("second child live/x");
    let _z = server.publisher("z");
    programs.wait_for("second hook live/z");
    go_on();
}
