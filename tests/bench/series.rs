//! How a server behaves while its audience grows and shrinks.

use crate::figures::{Edge, latencies_ms, quantile};
use crate::media::{Clock, Content, Kind};
use crate::publish::Publishers;
use crate::scenario::{LEAD, Publishing};
use crate::scenarios::RATE;
use crate::server::{Server, Setup, Which};
use crate::viewers::{self, Audience, Seat};
use crate::{Options, median, print_heads, print_row};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

/// Viewers of the one stream, one number after the other.
const STEPS: [usize; 8] = [0, 10, 50, 150, 300, 150, 50, 10];

/// How many of the viewers are probes. They come first and stay.
const PROBES: usize = 10;

/// From when the last viewer has come or gone to the measured window: longer than the server takes
/// to see what it has to do now.
const SETTLE: Duration = Duration::from_millis(2500);

const COLUMNS: [&str; 7] = [
    "viewers",
    "CPU %",
    "p50 ms",
    "p99 ms",
    "sound p50",
    "sound p99",
    "others %",
];

/// The numbers of one step, one for each of [`COLUMNS`].
type Row = [f64; COLUMNS.len()];

/// Runs it against all servers in turn, and prints the medians of each step.
pub fn compare(options: &Options) -> Result<(), String> {
    println!("series: 1 stream, 1 Mbit/s, while viewers come and go");
    print_heads(&COLUMNS);
    let mut runs: Vec<Vec<[Row; STEPS.len()]>> = vec![Vec::new(); options.servers.len()];
    for _ in 0..options.rounds {
        for (server, runs) in options.servers.iter().zip(&mut runs) {
            runs.push(run(server, &options.dir, options.window)?);
        }
    }
    for (server, runs) in options.servers.iter().zip(&runs) {
        for step in 0..STEPS.len() {
            let rows: Vec<Row> = runs.iter().map(|rows| rows[step]).collect();
            print_row(&format!("{} median", server.name()), &median(&rows));
        }
    }
    println!();
    Ok(())
}

/// Goes through all steps once, and measures for `window` in each.
fn run(which: &Which, dir: &Path, window: Duration) -> Result<[Row; STEPS.len()], String> {
    let server = Server::start(which, dir, &Setup::default())?;
    let clock = Clock::start();
    let stop = Arc::new(AtomicBool::new(false));
    let publishers = Publishers::open(server.addr, 1, Content::Moving(RATE))?;
    let publishing = Publishing::start(publishers, clock, &stop);
    let audience = Audience::new(server.addr, None, None, clock, Arc::clone(&stop));
    thread::sleep(LEAD);
    let mut viewers = 0;
    let steps = STEPS.map(|wanted| -> Result<[Edge; 2], String> {
        change(&audience, viewers, wanted)?;
        viewers = wanted;
        thread::sleep(SETTLE);
        let first = Edge::now(&server, None, clock, &[])?;
        thread::sleep(window);
        Ok([first, Edge::now(&server, None, clock, &[])?])
    });
    let (_, accounts) = publishing.stop(&stop, audience)?;
    let mut rows = [[f64::NAN; COLUMNS.len()]; STEPS.len()];
    for ((row, step), viewers) in rows.iter_mut().zip(steps).zip(STEPS) {
        let [first, last] = step?;
        // Who comes after a step without viewers is sent what was kept of it.
        let seen_by = if viewers == 0 { &[] } else { &accounts[..] };
        let pictures_ms = latencies_ms(seen_by, Kind::Picture, &first, &last);
        let sounds_ms = latencies_ms(seen_by, Kind::Sound, &first, &last);
        *row = [
            viewers as f64,
            last.cpu_percent(&first),
            quantile(&pictures_ms, 0.5),
            quantile(&pictures_ms, 0.99),
            quantile(&sounds_ms, 0.5),
            quantile(&sounds_ms, 0.99),
            last.others_percent(&first),
        ];
    }
    Ok(rows)
}

/// Has viewers come or go, so that there are `wanted` instead of `now`.
fn change(audience: &Audience, now: usize, wanted: usize) -> Result<(), String> {
    let seat = |index| Seat {
        stream: 0,
        kind: match index < PROBES {
            true => viewers::Kind::Probe,
            false => viewers::Kind::Ordinary,
        },
        far: false,
    };
    let seats: Vec<Seat> = (now..wanted).map(seat).collect();
    audience.join(&seats)?;
    audience.leave(now.saturating_sub(wanted));
    Ok(())
}
