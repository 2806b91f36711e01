//! Benchmarks: of the server as it runs, over loopback, and of the code that all bytes go through.
//!
//! ```text
//! cargo bench --bench bench [-- NAME...]     all, or those whose names begin so
//!   PEER=nginx    beside Debian's nginx with libnginx-mod-rtmp; or the path of another build
//!   ROUNDS=3      how often each scenario is run; medians are taken over that
//!   SECONDS=6     what is measured of each run
//! ```
//!
//! Each run starts a server of its own, on a free port, and ends by itself; with a peer the two
//! take turns. All numbers are of one machine at one time: compare only what was run together.
//!
//! - `CPU-s/GB`: CPU seconds of the server per 10^9 bytes that viewers received; `CPU %`: its CPU
//!   time in percent of one processor.
//! - `p50`, `p99`, `max`: from just before a picture is written to the server until a probe has it
//!   whole; `sound p50`, `sound p99`: the same for sound.
//! - `kB each`: what the server's resident memory grew by with its viewers, for each; in `ingest`,
//!   `recordings` and `relays`: with its streams, for each.
//! - `first`: from `play` to the first keyframe, median and longest.
//! - `lost`: messages that probes did not get; `bad`: damaged, repeated or out of order, and viewers
//!   who were hung up on; `short`: viewers and recordings with less than 95 % of the bytes.
//! - `others`: CPU that went to neither of the two, in percent of one.
//!
//! In `relays` ten probes more watch at the server that streams are relayed to, which is always
//! ours; they count in `lost`, `bad` and `short` only.
//!
//! The load costs CPU as well: in `fan-out` a fifth of one, most of it to try sockets that have
//! nothing.

mod conn;
mod figures;
mod http;
mod media;
mod micro;
mod publish;
mod scenario;
mod scenarios;
mod series;
mod server;
mod viewers;

use figures::{COLUMNS, Row};
use scenario::Scenario;
use scenarios::SCENARIOS;
use server::Which;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

const ROUNDS: u64 = 3;
const SECONDS: u64 = 6;

/// What was asked for.
struct Options {
    names: Vec<String>,
    servers: Vec<Which>,
    rounds: u64,
    window: Duration,
    dir: PathBuf,
}

impl Options {
    fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| name.starts_with(wanted))
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --all-targets` runs this as well, and wants none of it.
    if !args.iter().any(|arg| arg == "--bench") {
        return ExitCode::SUCCESS;
    }
    match options(args).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(args: Vec<String>) -> Result<Options, String> {
    let number = |name: &str, default: u64| match std::env::var(name) {
        Ok(text) => match text.parse() {
            Ok(number @ 1..=60) => Ok(number),
            _ => Err(format!("{name} is not a number from 1 to 60: {text}")),
        },
        Err(_) => Ok(default),
    };
    let peer = std::env::var("PEER").ok().filter(|name| !name.is_empty());
    let peer = peer.map(|name| Which::peer(&name));
    // Cargo's own directory for what benchmarks write lies in the target directory.
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    Ok(Options {
        names: args
            .into_iter()
            .filter(|arg| !arg.starts_with('-'))
            .collect(),
        servers: [Which::ours()].into_iter().chain(peer).collect(),
        rounds: number("ROUNDS", ROUNDS)?,
        window: Duration::from_secs(number("SECONDS", SECONDS)?),
        dir: scratch.with_file_name("bench"),
    })
}

fn run(options: &Options) -> Result<(), String> {
    if options.wants("chunks") {
        micro::chunks();
    }
    if options.wants("amf0") {
        micro::amf0();
    }
    let dir = &options.dir;
    fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    for scenario in SCENARIOS.iter().filter(|one| options.wants(one.name)) {
        compare(scenario, options)?;
    }
    if options.wants("series") {
        series::compare(options)?;
    }
    Ok(())
}

/// Runs one scenario against all servers in turn, and prints what came of it.
fn compare(scenario: &Scenario, options: &Options) -> Result<(), String> {
    println!("{}: {}", scenario.name, scenario.title);
    print_heads(&COLUMNS);
    let servers = options.servers.iter();
    let servers: Vec<&Which> = servers.filter(|server| scenario.suits(server)).collect();
    let mut rows: Vec<Vec<Row>> = vec![Vec::new(); servers.len()];
    for round in 1..=options.rounds {
        for (server, rows) in servers.iter().zip(&mut rows) {
            let row = scenario.run(server, &options.dir, options.window)?;
            print_row(&format!("{} {round}", server.name()), &row);
            rows.push(row);
        }
    }
    let medians: Vec<Row> = rows.iter().map(|rows| median(rows)).collect();
    for (server, median) in servers.iter().zip(&medians) {
        print_row(&format!("{} median", server.name()), median);
    }
    if let [ours, peer] = &medians[..] {
        let ratios: Row = std::array::from_fn(|at| ours[at] / peer[at]);
        print_row("ours/peer", &ratios);
    }
    println!();
    Ok(())
}

fn print_heads(heads: &[&str]) {
    let heads: Vec<String> = heads.iter().map(|name| format!("{name:>10}")).collect();
    println!("{:<14}{}", "", heads.concat());
}

fn print_row(name: &str, row: &[f64]) {
    let cells = row.iter().map(|value| match value {
        value if !value.is_finite() => format!("{:>10}", "-"),
        value if value.fract() == 0.0 => format!("{value:>10.0}"),
        value => format!("{value:>10.2}"),
    });
    println!("{name:<14}{}", cells.collect::<String>());
}

/// The median of each column.
fn median<const LEN: usize>(rows: &[[f64; LEN]]) -> [f64; LEN] {
    std::array::from_fn(|column| {
        let mut values: Vec<f64> = rows.iter().map(|row| row[column]).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    })
}
