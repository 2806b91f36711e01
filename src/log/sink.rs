//! Lines on their way to an output that may take none for as long as it likes: a pipe that nobody
//! reads, a disk that is slow. Nobody but a thread of its own waits for it.

use crate::sync::{self, Condvar, Mutex, Rank};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Memory that lines may take while they wait, in bytes; those beyond that are lost.
pub(super) const WAITING_BYTES_MAX: usize = 4 << 20;

/// The pause before an output that does not block, and had no room, is tried again.
const ROOM_PAUSE: Duration = Duration::from_millis(10);

/// The way to an output.
#[derive(Debug)]
pub(super) struct Sink(Arc<SinkShared>);

#[derive(Debug)]
struct SinkShared {
    state: Mutex<SinkState>,
    /// There is a line, or the last one was written.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct SinkState {
    waiting: VecDeque<String>,
    /// The memory that they take.
    bytes: usize,
    /// A line is being written.
    is_writing: bool,
    /// Lines that were written since the start.
    written: u64,
    /// Lines that were lost since the start, and how many of them the log has told of.
    lost: u64,
    told: u64,
}

impl SinkState {
    fn is_busy(&self) -> bool {
        self.is_writing || !self.waiting.is_empty()
    }
}

/// The memory that a line takes, in bytes.
fn cost(line: &String) -> usize {
    size_of::<String>() + line.capacity()
}

impl Sink {
    /// Starts a thread that writes to `output`. `tell` makes a line that says how many were lost.
    ///
    /// # Errors
    ///
    /// When the system has no room for another thread.
    pub(super) fn start(
        output: impl Write + Send + 'static,
        tell: impl Fn(u64) -> String + Send + 'static,
    ) -> io::Result<Sink> {
        let shared = Arc::new(SinkShared {
            state: Mutex::ranked(Rank::Log, SinkState::default()),
            changed: Condvar::new(),
        });
        let lines = Arc::clone(&shared);
        let output = LineOutput {
            output,
            is_torn: false,
        };
        sync::spawn("log", sync::STACK_LEN, move || lines.write(output, tell))?;
        Ok(Sink(shared))
    }

    /// Has `line` written, unless too much waits. Never waits itself.
    pub(super) fn push(&self, line: String) {
        let mut state = self.0.state.lock();
        let bytes = state.bytes + cost(&line);
        if bytes > WAITING_BYTES_MAX {
            state.lost += 1;
            return;
        }
        state.bytes = bytes;
        state.waiting.push_back(line);
        drop(state);
        self.0.changed.notify_all();
    }

    /// Waits until all lines are written, as long as one is in each `limit`, and until `end` at most.
    /// Returns how many lines were lost that the log has not told of, those that are left included.
    pub(super) fn flush(&self, limit: Duration, end: Instant) -> u64 {
        let mut state = self.0.state.lock();
        loop {
            let written = state.written;
            let left = limit.min(end.saturating_duration_since(Instant::now()));
            let same = |state: &mut SinkState| state.written == written && state.is_busy();
            state = self.0.changed.wait_timeout_while(state, left, same);
            if state.written == written {
                let left = state.waiting.len() + usize::from(state.is_writing);
                return left as u64 + state.lost - state.told;
            }
        }
    }

    /// Whether half of what may wait does.
    pub(super) fn is_half_full(&self) -> bool {
        self.0.state.lock().bytes > WAITING_BYTES_MAX / 2
    }

    /// Lines that were lost since the start.
    pub(super) fn lost(&self) -> u64 {
        self.0.state.lock().lost
    }
}

impl SinkShared {
    /// Writes lines as they come, for as long as the process lives.
    fn write(&self, mut output: LineOutput<impl Write>, tell: impl Fn(u64) -> String) {
        loop {
            let written = output.write(&self.next());
            let mut state = self.state.lock();
            if written.is_err() {
                state.lost += 1;
                continue;
            }
            let (lost, untold) = (state.lost, state.lost - state.told);
            let is_time = untold > 0 && state.waiting.is_empty();
            drop(state);
            if is_time && output.write(&tell(untold)).is_ok() {
                self.state.lock().told = lost;
            }
        }
    }

    /// Waits for a line; the one before is written.
    fn next(&self) -> String {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.is_writing) {
            state.written += 1;
        }
        self.changed.notify_all();
        let idle = |state: &mut SinkState| state.waiting.is_empty();
        let mut state = self.changed.wait_while(state, idle);
        let line = state.waiting.pop_front().unwrap_or_default();
        state.bytes -= cost(&line);
        state.is_writing = true;
        line
    }
}

/// Writes lines, each in one call if the output takes it so.
#[derive(Debug)]
struct LineOutput<W> {
    output: W,
    /// Only a part of the last line was taken.
    is_torn: bool,
}

impl<W: Write> LineOutput<W> {
    /// Writes a line, on a line of its own even if the one before was not taken whole.
    ///
    /// # Errors
    ///
    /// Those of the output: the line is lost.
    fn write(&mut self, line: &str) -> io::Result<()> {
        if self.is_torn {
            self.write_all(b"\n")?;
        }
        self.write_all(line.as_bytes())
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.output.write(bytes) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => {
                    bytes = &bytes[len..];
                    self.is_torn = !bytes.is_empty();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Another process that has the same output has asked for that.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    sync::sleep(ROOM_PAUSE);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{BufRead, BufReader, Read};
    use std::thread;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn told(lines: u64) -> String {
        format!("lost {lines}\n")
    }

    #[test]
    fn lines_come_in_order_and_the_end_waits_for_them() {
        let (reader, writer) = io::pipe().unwrap();
        let sink = Sink::start(writer, told).unwrap();
        (0..1000).for_each(|number| sink.push(format!("{number}\n")));
        sink.flush(PATIENCE, Instant::now() + PATIENCE);
        let lines: Vec<_> = BufReader::new(reader).lines().take(1000).collect();
        let in_order =
            |(number, line): (usize, io::Result<String>)| line.unwrap() == number.to_string();
        assert!(lines.into_iter().enumerate().all(in_order));
        assert_eq!(sink.lost(), 0);
    }

    #[test]
    fn an_output_that_takes_nothing_holds_up_nobody_and_what_is_lost_is_told() {
        let (reader, writer) = io::pipe().unwrap();
        let sink = Sink::start(writer, told).unwrap();
        let line = format!("{}\n", "x".repeat(999));
        let pushed = 2 * WAITING_BYTES_MAX as u64 / 1000;
        (0..pushed).for_each(|_| sink.push(line.clone()));
        let limit = Duration::from_millis(1);
        sink.flush(limit, Instant::now() + limit);
        let lost = sink.lost();
        assert!(
            (pushed / 3..pushed * 2 / 3).contains(&lost),
            "{lost} of {pushed}"
        );
        let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
        let whole = lines.by_ref().take((pushed - lost) as usize);
        assert!(whole.into_iter().all(|it| it.len() == 999));
        assert_eq!(lines.next(), Some(format!("lost {lost}")));
        sink.push("after\n".to_owned());
        assert_eq!(lines.next().as_deref(), Some("after"));
    }

    #[test]
    fn the_end_waits_for_an_output_as_long_as_that_takes_lines() {
        let line = format!("{}\n", "x".repeat(60 << 10));
        // How many lines are taken, one in 20 ms; for how long the end waits; how many are left.
        let rows = [(30, 10_000, 0..=0), (5, 10_000, 20..=25), (30, 100, 1..=30)];
        for (taken, end_ms, left) in rows {
            let (reader, writer) = io::pipe().unwrap();
            let sink = Sink::start(writer, told).unwrap();
            (0..30).for_each(|_| sink.push(line.clone()));
            let (mut lines, line_len) = (BufReader::new(reader), line.len() as u64);
            let taker = thread::spawn(move || {
                for _ in 0..taken {
                    thread::sleep(Duration::from_millis(20));
                    let one = io::copy(&mut lines.by_ref().take(line_len), &mut io::sink());
                    assert_eq!(one.unwrap(), line_len);
                }
                lines
            });
            let end = Instant::now() + Duration::from_millis(end_ms);
            let lost = sink.flush(Duration::from_millis(300), end);
            assert!(left.contains(&lost), "{taken} {end_ms}: {lost}");
            drop(taker.join());
        }
    }

    #[test]
    fn an_output_that_fails_costs_its_lines() {
        let (reader, gone) = io::pipe().unwrap();
        drop(reader);
        let full = File::options().write(true).open("/dev/full").unwrap();
        for sink in [Sink::start(gone, told), Sink::start(full, told)] {
            let sink = sink.unwrap();
            (0..10).for_each(|_| sink.push("x\n".to_owned()));
            sink.flush(PATIENCE, Instant::now() + PATIENCE);
            assert_eq!(sink.lost(), 10);
        }
    }

    /// Takes a few bytes, fails, and then takes all.
    #[derive(Debug)]
    struct Tearing(Vec<usize>, io::PipeWriter);

    impl Write for Tearing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.pop() {
                Some(0) => Err(io::ErrorKind::StorageFull.into()),
                Some(len) => self.1.write(&bytes[..len]),
                None => self.1.write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_torn_line_takes_no_other_with_it() {
        let (reader, writer) = io::pipe().unwrap();
        let sink = Sink::start(Tearing(vec![0, 2, 0], writer), told).unwrap();
        for line in ["first\n", "second\n", "third\n"] {
            sink.push(line.to_owned());
        }
        sink.flush(PATIENCE, Instant::now() + PATIENCE);
        let lines = BufReader::new(reader).lines().map_while(Result::ok);
        assert_eq!(lines.take(3).collect::<Vec<_>>(), ["se", "third", "lost 2"]);
    }
}
