//! Child processes: each leads a process group of its own, ends in time with all that it started,
//! and is never left behind as a zombie.

use crate::sync::{self, Condvar, Mutex, MutexGuard};
use crate::sys::{self, GroupSignal, OrphanSignal};
use std::collections::HashSet;
use std::fs;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::mem;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// How long a group has between SIGTERM and SIGKILL.
pub const GRACE: Duration = Duration::from_secs(2);

/// Longest line of output that is handed on in one piece, in bytes.
pub const LINE_LEN_MAX: usize = 4096;

/// The shortest and the longest pause between two looks at a child: there is no other way to wait
/// for one with a limit.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// How long a killed process is waited for by the thread that killed it.
const REAP_LIMIT: Duration = Duration::from_secs(1);

/// What a pipe with any room takes at once, however small the system made it (pipe(7), PIPE_BUF).
const PIPE_LEN_MIN: usize = 4096;

/// How long [`kill_all`] waits for processes that are just being started.
const START_LIMIT: Duration = Duration::from_millis(200);

/// Stack of the threads that only pass bytes and lines on.
const STACK_LEN: usize = 128 << 10;

/// What systemd tells a service and nobody else.
const PRIVATE_ENV: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];

/// All groups of this process.
static GROUPS: Groups = Groups {
    state: Mutex::new(None),
    started: Condvar::new(),
};

struct Groups {
    state: Mutex<Option<GroupsState>>,
    /// No process is being started any more.
    started: Condvar,
}

#[derive(Default)]
struct GroupsState {
    ids: HashSet<u32>,
    /// Processes that are being started, and are not among the groups yet.
    starting: usize,
    /// Set when no process is to be started any more.
    closed: bool,
}

impl Groups {
    fn with<T>(&self, change: impl FnOnce(&mut GroupsState) -> T) -> T {
        change(self.lock().get_or_insert_default())
    }

    fn lock(&self) -> MutexGuard<'_, Option<GroupsState>> {
        self.state.lock()
    }
}

/// Kills every process group that was started here and is still held, at once, and lets no other
/// begin: for a server that is about to exit without waiting.
pub fn kill_all() {
    let mut state = GROUPS.lock();
    state.get_or_insert_default().closed = true;
    let starting =
        |state: &mut Option<GroupsState>| state.as_ref().is_some_and(|state| state.starting > 0);
    let waited = GROUPS
        .started
        .wait_timeout_while(state, START_LIMIT, starting);
    let state = waited;
    for id in state.iter().flat_map(|state| &state.ids) {
        sys::signal_group(*id, GroupSignal::Kill);
    }
}

/// A process that is being started, counted until this is dropped.
struct Starting;

impl Starting {
    fn begin() -> io::Result<Starting> {
        let closed = GROUPS.with(|state| {
            state.starting += usize::from(!state.closed);
            state.closed
        });
        match closed {
            true => Err(io::Error::other("the server is about to exit")),
            false => Ok(Starting),
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        GROUPS.with(|state| state.starting -= 1);
        GROUPS.started.notify_all();
    }
}

/// A group in the list of all, until this is dropped.
#[derive(Debug)]
struct ListedGroup(u32);

impl ListedGroup {
    fn new(id: u32) -> ListedGroup {
        GROUPS.with(|state| state.ids.insert(id));
        ListedGroup(id)
    }
}

impl Drop for ListedGroup {
    fn drop(&mut self) {
        GROUPS.with(|state| state.ids.remove(&self.0));
    }
}

/// A child and the process group that it leads. When dropped before the child has ended, all of
/// the group is killed.
#[derive(Debug)]
pub struct ProcessGroup {
    id: ListedGroup,
    stdin: Option<ChildStdin>,
    leader: Leader,
}

#[derive(Debug)]
enum Leader {
    Running(Child),
    Ended(ExitStatus),
    /// It was killed, and a thread of its own waits for it.
    GivenUp,
}

impl ProcessGroup {
    /// Starts `command`, which is used up so that our ends of its pipes are closed.
    ///
    /// # Errors
    ///
    /// When there is no such program, or no room for a process, or after [`kill_all`].
    pub fn spawn(mut command: Command) -> io::Result<ProcessGroup> {
        sync::about_to_wait();
        let _starting = Starting::begin()?;
        for name in PRIVATE_ENV {
            command.env_remove(name);
        }
        let mut child = command.process_group(0).spawn()?;
        Ok(ProcessGroup {
            id: ListedGroup::new(child.id()),
            stdin: child.stdin.take(),
            leader: Leader::Running(child),
        })
    }

    /// As [`ProcessGroup::spawn`], for a child that must not outlive us: the system kills it when the
    /// thread that starts it ends, even if all of this process is killed. What the child itself
    /// starts is not killed by that.
    ///
    /// # Errors
    ///
    /// Those of [`ProcessGroup::spawn`].
    pub fn spawn_bound(mut command: Command) -> io::Result<ProcessGroup> {
        sys::end_with_parent(&mut command, OrphanSignal::Kill);
        ProcessGroup::spawn(command)
    }

    /// The number of the child and of its group.
    pub fn id(&self) -> u32 {
        self.id.0
    }

    /// Our end of the child's standard input, if that is a pipe; the first time it is asked for.
    pub fn stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = match &mut self.leader {
            Leader::Running(child) => child.try_wait()?,
            Leader::Ended(status) => return Ok(Some(*status)),
            Leader::GivenUp => None,
        };
        if let Some(status) = status {
            self.leader = Leader::Ended(status);
        }
        Ok(status)
    }

    /// Waits for the child, not for what it started, until `end` or until `pause` says `false`,
    /// which is called again and again to wait for as long as it is told. `None`: it still runs.
    ///
    /// # Errors
    ///
    /// When the system does not tell.
    pub fn wait(
        &mut self,
        end: Option<Instant>,
        mut pause: impl FnMut(Duration) -> bool,
    ) -> io::Result<Option<ExitStatus>> {
        sync::about_to_wait();
        let mut step = PAUSE_MIN;
        loop {
            let status = self.try_wait()?;
            let left = end.map_or(step, |end| end.saturating_duration_since(Instant::now()));
            if status.is_some() || left.is_zero() || !pause(step.min(left)) {
                return Ok(status);
            }
            step = (step * 2).min(PAUSE_MAX);
        }
    }

    /// Ends the whole group: SIGTERM, and SIGKILL for those that are still there after `grace`, or
    /// as soon as `pause` says `false`, which waits for as long as it is told.
    pub fn end(mut self, grace: Duration, mut pause: impl FnMut(Duration) -> bool) {
        let end = Instant::now() + grace;
        let mut there = self.signal(GroupSignal::Terminate);
        let mut step = PAUSE_MIN;
        while there && Instant::now() < end && pause(step) {
            step = (step * 2).min(PAUSE_MAX);
            there = self.signal(GroupSignal::Probe);
        }
        // The number of a group stays taken as long as anyone is in it, so it is still theirs.
        if there {
            self.signal(GroupSignal::Kill);
        }
    }

    /// Sends SIGUSR1, for programs that finish what they have begun and take on nothing new then.
    /// Of a child that has ended, the number may be another's by now.
    pub fn finish(&mut self) {
        if matches!(self.try_wait(), Ok(None)) {
            self.signal(GroupSignal::User);
        }
    }

    /// Kills the processes that the child has left behind in its group. Has to be called right
    /// after it ended, before another group can have its number.
    pub fn kill_rest(&mut self) {
        self.signal(GroupSignal::Kill);
    }

    /// Whether the child is stopped, as by SIGSTOP.
    pub fn is_stopped(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id()));
        // proc_pid_stat(5): the name in parentheses, which may hold anything, then the state.
        let is_stopped = |stat: String| {
            let state = stat.rsplit_once(") ");
            state.is_some_and(|(_, state)| state.starts_with('T'))
        };
        stat.is_ok_and(is_stopped)
    }

    fn signal(&mut self, signal: GroupSignal) -> bool {
        // A child that has ended but was not waited for would count as one that is there.
        let _ = self.try_wait();
        sys::signal_group(self.id(), signal)
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if !matches!(self.try_wait(), Ok(None)) {
            return;
        }
        self.signal(GroupSignal::Kill);
        let end = Instant::now() + REAP_LIMIT;
        let waited = self.wait(Some(end), sleep);
        if let (Ok(None), Leader::Running(mut child)) =
            (waited, mem::replace(&mut self.leader, Leader::GivenUp))
        {
            // It hangs in the kernel, say on a disk that is gone.
            let _ = sync::spawn("child-reaper", STACK_LEN, move || child.wait());
        }
    }
}

/// Sleeps, and never asks to stop: the `pause` of callers that have nothing to watch meanwhile.
pub fn sleep(pause: Duration) -> bool {
    sync::sleep(pause);
    true
}

/// The output of a child, read by a thread of its own. When dropped, that thread ends and closes
/// the pipe, even if processes that the child has left behind can still write to it.
#[derive(Debug)]
pub struct Output {
    over: Receiver<()>,
    /// Nothing is ever written.
    _stop: PipeWriter,
}

impl Output {
    /// Has standard output and standard error of `command` go to `on_line`, line by line, for as
    /// long as anyone can write to them and this is held. Lines end with LF or CR; empty ones are
    /// left out, and those longer than [`LINE_LEN_MAX`] come in pieces.
    ///
    /// # Errors
    ///
    /// When there is no descriptor or no thread left.
    pub fn capture(
        command: &mut Command,
        mut on_line: impl FnMut(&str) + Send + 'static,
    ) -> io::Result<Output> {
        let (reader, writer) = io::pipe()?;
        let (stopped, stop) = io::pipe()?;
        let (done, over) = mpsc::channel::<()>();
        sync::spawn("child-output", STACK_LEN, move || {
            read_lines(&reader, &stopped, &mut on_line);
            drop(done);
        })?;
        command.stdout(writer.try_clone()?).stderr(writer);
        Ok(Output { over, _stop: stop })
    }

    /// Waits until all is read, for `limit` at most: what the child has left running may hold its
    /// output open. What comes after that is not read.
    pub fn finish(self, limit: Duration) {
        let _ = self.over.recv_timeout(limit);
    }
}

fn read_lines(mut input: &PipeReader, stopped: &PipeReader, on_line: &mut dyn FnMut(&str)) {
    let mut buffer = [0; LINE_LEN_MAX];
    let mut line = Vec::new();
    let mut flush = |line: &mut Vec<u8>| {
        if !line.is_empty() {
            on_line(&String::from_utf8_lossy(line));
            line.clear();
        }
    };
    while matches!(
        sys::wait_for_either(stopped.as_fd(), input.as_fd()),
        Ok(false)
    ) {
        let len = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        for byte in &buffer[..len] {
            match byte {
                b'\n' | b'\r' => flush(&mut line),
                byte => line.push(*byte),
            }
            if line.len() == LINE_LEN_MAX {
                flush(&mut line);
            }
        }
    }
    flush(&mut line);
}

/// The input of a child that is still being written. When dropped, writing ends: a process that the
/// child has left behind may hold the input and not read it.
#[derive(Debug)]
#[must_use = "dropped, it ends the input"]
pub struct ProcessInput {
    /// Nothing is ever written.
    _stop: Option<PipeWriter>,
}

/// Writes `bytes` to a child and closes its input, without waiting for a child that does not read.
/// A child need not read them.
pub fn feed(mut stdin: ChildStdin, bytes: Vec<u8>) -> ProcessInput {
    if bytes.len() <= PIPE_LEN_MIN {
        let _ = stdin.write_all(&bytes);
        return ProcessInput { _stop: None };
    }
    // Without a pipe or a thread the child finds its input closed.
    let Ok((stopped, stop)) = io::pipe() else {
        return ProcessInput { _stop: None };
    };
    let _ = sync::spawn("child-input", STACK_LEN, move || {
        let mut pieces = bytes.chunks(PIPE_LEN_MIN);
        let has_room = || sys::wait_for_room(stopped.as_fd(), stdin.as_fd());
        let write = |piece| has_room().is_ok_and(|room| room) && (&stdin).write_all(piece).is_ok();
        pieces.all(write)
    });
    ProcessInput { _stop: Some(stop) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;
    use std::thread;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script).stdin(Stdio::null());
        command
    }

    fn within(limit: Duration) -> Option<Instant> {
        Some(Instant::now() + limit)
    }

    /// Runs `script` with its output captured; how it ended and what it wrote.
    fn run(script: &str) -> (Option<i32>, Vec<String>) {
        let (lines, written) = mpsc::channel();
        let mut command = shell(script);
        let output = Output::capture(&mut command, move |line| {
            let _ = lines.send(line.to_owned());
        });
        let output = output.unwrap();
        let mut group = ProcessGroup::spawn(command).unwrap();
        let status = group.wait(within(Duration::from_secs(10)), sleep).unwrap();
        output.finish(Duration::from_secs(1));
        group.kill_rest();
        let code = status.and_then(|status| status.code());
        (code, written.try_iter().collect())
    }

    #[test]
    fn output_comes_line_by_line() {
        let long = "x".repeat(LINE_LEN_MAX);
        let rows: [(&str, i32, &[&str]); 6] = [
            ("exit 3", 3, &[]),
            ("echo a; echo b >&2; exit 1", 1, &["a", "b"]),
            (r"printf 'a\rb\r\n\nc'", 0, &["a", "b", "c"]),
            (r"printf 'a\377b\n'", 0, &["a\u{fffd}b"]),
            ("printf '%04097d' 0 | tr 0 x", 0, &[&long, "x"]),
            ("sleep 60 & echo started", 0, &["started"]),
        ];
        for (script, code, lines) in rows {
            let (status, written) = run(script);
            assert_eq!(status, Some(code), "{script}");
            assert_eq!(written, lines, "{script}");
        }
    }

    /// Whether anyone in the group of `leader` still runs. The dead that nobody has buried yet do
    /// not count: orphans are init's, and it takes its time.
    fn runs(leader: u32) -> bool {
        let processes = fs::read_dir("/proc").unwrap().flatten();
        let stats = processes.map(|entry| fs::read_to_string(entry.path().join("stat")));
        stats.flatten().any(|stat| {
            let (_, fields) = stat.rsplit_once(')').unwrap();
            let fields: Vec<&str> = fields.split_whitespace().collect();
            fields[0] != "Z" && fields[2] == leader.to_string()
        })
    }

    /// A killed process needs a moment.
    fn until_gone(id: u32, how: &str) {
        let end = Instant::now() + Duration::from_secs(5);
        while runs(id) {
            assert!(Instant::now() < end, "{how}: the group is still there");
            thread::sleep(PAUSE_MAX);
        }
    }

    #[test]
    fn a_group_ends_when_it_is_told_or_else_is_killed() {
        let rows = [
            ("sleep 60", 1000, "at once"),
            ("sleep 60 & sleep 60 & wait", 1000, "all of it"),
            ("trap '' TERM; while :; do sleep 60; done", 200, "by force"),
            ("(trap '' TERM; sleep 60; :) & wait", 200, "the rest"),
        ];
        for (script, grace_ms, how) in rows {
            let mut group = ProcessGroup::spawn(shell(script)).unwrap();
            let id = group.id();
            let early = group.wait(within(Duration::from_millis(100)), sleep);
            assert!(matches!(early, Ok(None)), "{how}");
            assert!(runs(id), "{how}");
            let start = Instant::now();
            group.end(Duration::from_millis(grace_ms), sleep);
            assert!(start.elapsed() < Duration::from_secs(2), "{how}");
            until_gone(id, how);
        }
    }

    #[test]
    fn a_dropped_group_is_killed() {
        let group = ProcessGroup::spawn(shell("trap '' TERM; while :; do sleep 60; done")).unwrap();
        let id = group.id();
        assert!(runs(id));
        drop(group);
        until_gone(id, "dropped");
    }

    #[test]
    fn a_bound_child_ends_with_the_thread_that_started_it() {
        let started = thread::spawn(|| {
            let group = ProcessGroup::spawn_bound(shell("exec sleep 60")).unwrap();
            let id = group.id();
            assert!(runs(id));
            mem::forget(group);
            id
        });
        until_gone(started.join().unwrap(), "bound");
    }

    #[test]
    fn whom_the_child_left_behind_is_killed() {
        let mut group = ProcessGroup::spawn(shell("sleep 60 & exit 0")).unwrap();
        let id = group.id();
        let status = group.wait(within(Duration::from_secs(5)), sleep).unwrap();
        assert!(status.is_some() && runs(id));
        group.kill_rest();
        until_gone(id, "left behind");
    }

    #[test]
    fn a_wait_is_cut_short() {
        let mut group = ProcessGroup::spawn(shell("sleep 60")).unwrap();
        let mut looks = 0;
        let status = group.wait(None, |_| {
            looks += 1;
            looks < 3
        });
        assert!(matches!(status, Ok(None)));
        assert_eq!(looks, 3);
    }

    #[test]
    fn input_that_nobody_reads_does_no_harm() {
        let big = vec![b'x'; 1 << 20];
        let rows: [(&str, &[u8], i32); 4] = [
            ("wc -c | grep -q '^ *5$'", b"small", 0),
            ("wc -c | grep -q '^ *1048576$'", &big, 0),
            ("exec 0<&-; exit 7", &big, 7),
            ("exit 8", b"small", 8),
        ];
        for (script, input, code) in rows {
            let mut command = shell(script);
            command.stdin(Stdio::piped());
            let mut group = ProcessGroup::spawn(command).unwrap();
            let _input = feed(group.stdin().unwrap(), input.to_vec());
            let status = group.wait(within(Duration::from_secs(10)), sleep).unwrap();
            let got = status.and_then(|status| status.code());
            assert_eq!(got, Some(code), "{script}");
        }
    }
}
