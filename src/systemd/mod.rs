//! The service's side of systemd, without its library: notifications (sd_notify(3)), passed sockets
//! (sd_listen_fds(3)) and the watchdog (sd_watchdog_enabled(3)). The unit files are in this folder.

mod heartbeat;
mod notifier;
mod sockets;

pub use heartbeat::{Heartbeat, STATUS_PERIOD};
pub use notifier::Notifier;
pub use sockets::{PassedError, PassedSockets, passed_listeners};

use std::env;

/// The value of an environment variable of systemd, unless it is empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether `pid`, the value of a variable, is the id of this process.
fn is_ours(pid: &str) -> bool {
    pid.parse() == Ok(std::process::id())
}
