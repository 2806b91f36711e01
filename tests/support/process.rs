//! The server as a program of its own, with its log and its memory.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use super::{Client, PATIENCE, free_addr};

/// A running server program; dropping it kills it.
pub struct ServerProcess {
    child: Child,
    pub addr: SocketAddr,
    lines: Receiver<String>,
}

impl ServerProcess {
    /// Starts one on a [free port](free_addr) with these further flags.
    pub fn start(flags: &str) -> ServerProcess {
        Self::start_with("", flags)
    }

    /// Starts one from a shell that runs `before` first, such as `ulimit -n 40`.
    pub fn start_with(before: &str, flags: &str) -> ServerProcess {
        Self::start_as(before, "", flags)
    }

    /// Starts one through `wrapper`, a program that runs another, from such a shell.
    pub fn start_as(before: &str, wrapper: &str, flags: &str) -> ServerProcess {
        let program = reachable_by_all(env!("CARGO_BIN_EXE_rtmp-server"), wrapper);
        let script = format!(
            "{before}\nexec {wrapper} {} -listen {} -log-format json {flags}",
            program.display(),
            free_addr()
        );
        let mut child = Command::new("/bin/sh")
            .args(["-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        std::thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        let mut server = ServerProcess {
            child,
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            lines,
        };
        let line = server.wait_for_line("listening");
        let addr = fact(&line, "addr").and_then(|addr| addr.parse().ok());
        server.addr = addr.unwrap_or_else(|| panic!("{line}"));
        server
    }

    /// The next log line that holds this.
    pub fn wait_for_line(&self, part: &str) -> String {
        self.wait_for_line_until(part, Instant::now() + PATIENCE)
    }

    /// The next log line that holds this, if it comes in time.
    pub fn wait_for_line_until(&self, part: &str, end: Instant) -> String {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line =
                line.unwrap_or_else(|_| panic!("waited in vain for a log line with {part:?}"));
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The log lines up to and including the next that holds this.
    pub fn lines_until(&self, part: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            lines.push(self.wait_for_line(""));
            if lines[lines.len() - 1].contains(part) {
                return lines;
            }
        }
    }

    /// The log lines that have come and were not asked for yet.
    pub fn lines_so_far(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// The address in the next log line with this phrase.
    pub fn http_addr(&self, phrase: &str) -> SocketAddr {
        let line = self.wait_for_line(&format!("\"{phrase}\""));
        let addr = fact(&line, "addr").and_then(|addr| addr.parse().ok());
        addr.unwrap_or_else(|| panic!("{line}"))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory, in kB.
    pub fn memory_kb(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// Threads.
    pub fn threads(&self) -> u64 {
        self.status("Threads:")
    }

    fn status(&self, key: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("status");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(key))
            .expect("key");
        line.split_whitespace()
            .next()
            .and_then(|number| number.parse().ok())
            .expect("number")
    }

    pub fn client(&self) -> Client {
        Client::shake_hands(self.addr)
    }

    pub fn connected(&self) -> Client {
        Client::connected(self.addr)
    }

    pub fn publisher(&self, name: &str) -> Client {
        Client::publishing(self.addr, name)
    }

    pub fn playing(&self, name: &str) -> Client {
        Client::playing(self.addr, name)
    }

    /// Waits until it ends; its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        self.child.wait().expect("wait").code()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program itself, or a copy where other users can reach it.
fn reachable_by_all(program: &str, wrapper: &str) -> PathBuf {
    if wrapper.is_empty() {
        return PathBuf::from(program);
    }
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    let copy = COPY.get_or_init(|| {
        let copy = std::env::temp_dir().join(format!("rtmp-server-{}", std::process::id()));
        // Not by this process: its children would hold the copy open for writing until they run
        // something else, and nobody can run it meanwhile.
        let copied = Command::new("cp").arg(program).arg(&copy).status();
        assert!(copied.expect("cp").success());
        copy
    });
    copy.clone()
}

/// The value of a fact in a log line: what is between its quotes, or all of a number.
pub fn fact<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("\"{key}\":"))?;
    match rest.strip_prefix('"') {
        Some(text) => text.split('"').next(),
        None => rest.split([',', '}']).next(),
    }
}

/// The arguments with which this test binary runs one test alone; `module` is its `module_path!()`.
pub fn only(module: &str, test: &str) -> [String; 5] {
    let (_, module) = module.split_once("::").expect("a module of a binary");
    let name = format!("{module}::{test}");
    ["--exact", &name, "--nocapture", "--test-threads", "1"].map(str::to_owned)
}
