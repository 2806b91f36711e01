//! What fails around the server: nothing of it may reach a publisher and a viewer that are honest.
//! `make faults` runs the long forms too.

mod children;
mod clock;
mod disks;
mod links;
mod log;
mod names;
mod network;
mod path;
mod paused;
mod replaced;
mod slow_ends;
mod states;
mod stopped;

use std::process::Command;

/// Whether there is time for what takes minutes.
fn is_long() -> bool {
    std::env::var("FAULTS").is_ok_and(|how| how == "long")
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").args([name, &pid.to_string()]).status();
    assert!(sent.expect("kill").success());
}

/// A process that stands still until this is dropped.
struct Machine(u32);

impl Machine {
    fn pause(pid: u32) -> Machine {
        signal(pid, "-STOP");
        Machine(pid)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        signal(self.0, "-CONT");
    }
}

/// Whether we are root, who alone can do `what`.
fn as_root(what: &str) -> bool {
    let own = std::fs::metadata("/proc/self");
    let is_root = own.is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !is_root {
        println!("not shown, since only root can: {what}");
    }
    is_root
}
