//! The server program, started the way systemd does.

use crate::support::PATIENCE;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// A running service; dropping it kills it.
pub struct Service {
    child: Child,
    lines: Receiver<String>,
}

/// The server from a shell that runs `before` first, with `passed` as its standard input.
fn command(before: &str, passed: Option<OwnedFd>, flags: &str) -> Command {
    let program = env!("CARGO_BIN_EXE_rtmp-server");
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &format!("{before}\nexec {program} {flags}")]);
    command.stdin(passed.map_or(Stdio::null(), Stdio::from));
    command
}

/// What a shell has to do so that its standard input is passed as the first descriptor.
pub const PASS_ONE: &str = "exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1";

/// Runs a service that is to end at once.
pub fn run(before: &str, passed: Option<OwnedFd>, flags: &str) -> Output {
    command(before, passed, flags).output().expect("it runs")
}

impl Service {
    /// Starts one from a shell that runs `before` first, with `passed` as its standard input.
    pub fn start(before: &str, passed: Option<OwnedFd>, flags: &str) -> Service {
        let mut command = command(before, passed, flags);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            let mut lines = stdout.lines().map_while(Result::ok);
            lines.try_for_each(|line| sender.send(line))
        });
        Service { child, lines }
    }

    /// Starts one that listens on a socket which is passed to it.
    pub fn on(socket: &TcpListener, flags: &str) -> Service {
        let passed = socket.try_clone().expect("clone");
        Service::start(PASS_ONE, Some(passed.into()), flags)
    }

    /// The log lines up to and including the first that holds this.
    pub fn lines_until(&self, part: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            lines.push(line.unwrap_or_else(|_| panic!("no log line with {part:?}: {lines:?}")));
            if lines[lines.len() - 1].contains(part) {
                return lines;
            }
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.pid().to_string()])
            .status();
        assert!(status.expect("kill").success());
    }

    /// The names of its threads.
    pub fn threads(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).expect("tasks");
        let name = |task: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(task.ok()?.path().join("comm")).ok()
        };
        tasks
            .filter_map(name)
            .map(|name| name.trim().to_owned())
            .collect()
    }

    /// Waits until it ends; its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().expect("wait").code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
