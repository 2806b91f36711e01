//! What systemd and a service tell each other, without a library: sd_notify(3), sd_listen_fds(3) and
//! sd_watchdog_enabled(3). The unit files lie beside it.

mod heartbeat;
mod notifier;
mod sockets;

pub use heartbeat::{Heartbeat, STATUS_PERIOD};
pub use notifier::Notifier;
pub use sockets::{PassedSockets, passed_listeners};

use std::env;

/// A variable that systemd set for this process; empty ones count as none.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether `pid`, the value of a variable, is our own.
fn is_ours(pid: &str) -> bool {
    pid.parse() == Ok(std::process::id())
}
