//! The table that `make interop` shows.

use super::proxy::lock;
use super::tools;
use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::sync::Mutex;
use std::time::Duration;

/// What one pair did.
pub struct Line {
    pub publisher: String,
    pub player: String,
    pub source: &'static str,
    /// Packets of the played file and messages on the wire that were compared.
    pub outcome: Result<(usize, usize), String>,
    pub elapsed: Duration,
}

/// Prints the lines of one row and appends them to the file that holds the whole table.
pub fn add(row: &str, lines: &[Line]) {
    static TABLE: Mutex<()> = Mutex::new(());
    let _whole_rows = lock(&TABLE);
    let mut text = String::new();
    for line in lines {
        let (counts, result) = match &line.outcome {
            Ok((packets, messages)) => (format!("{packets:>5} {messages:>5}"), "ok".to_owned()),
            Err(error) => (format!("{:>5} {:>5}", "-", "-"), error.replace('\n', " | ")),
        };
        let Line {
            publisher,
            player,
            source,
            elapsed,
            ..
        } = line;
        let seconds = elapsed.as_secs_f32();
        writeln!(
            text,
            "{row:<24} {publisher:<44} {player:<26} {source:<14} {counts} {seconds:>5.1}  {result}"
        )
        .expect("text takes all");
    }
    print!("{text}");
    let dir = tools::fetched_dir();
    let path = dir.join("table.txt");
    let appended = fs::create_dir_all(&dir)
        .and_then(|()| OpenOptions::new().create(true).append(true).open(path))
        .and_then(|mut file| file.write_all(text.as_bytes()));
    appended.unwrap_or_else(|error| panic!("table of results: {error}"));
}
