//! One run of one scenario against one server, and what came of it.

use crate::http::Format;
use crate::media::Clock;
use crate::publish::{Publishers, Sent};
use crate::server::{Server, Usage, Which, own_cpu_seconds};
use crate::viewers::{Account, Audience, Counter, Kind, Seat};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// From the first message to the first viewer: streams have a keyframe then.
const LEAD: Duration = Duration::from_millis(2500);

/// From the last viewer to the measured window: longer than from one keyframe to the next, which
/// is how long viewers wait with servers that do not keep the last one.
const WARMUP: Duration = Duration::from_millis(2500);

/// The same with slow viewers, so that what they do not take has filled the kernel's buffers.
const WARMUP_SLOW: Duration = Duration::from_secs(8);

/// From the end of the window to the end of the run, for what is still under way.
const GRACE: Duration = Duration::from_millis(700);

/// The same for viewers of HLS, who are behind by some parts.
const GRACE_HLS: Duration = Duration::from_millis(2500);

/// A viewer that got less than this part of what was published counts as short.
const SHORT: f64 = 0.95;

/// The same for viewers of HLS, who get half a second at a time.
const SHORT_HLS: f64 = 0.8;

/// Who publishes and who watches.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is.
    pub title: &'static str,
    /// Streams, and bits per second of each.
    pub streams: u32,
    /// Bits per second of each stream.
    pub rate: u64,
    /// Viewers of each stream who take everything.
    pub viewers: u32,
    /// How many of all viewers are probes.
    pub probes: u32,
    /// Viewers more of each stream, who take less.
    pub slow: u32,
    /// Bytes per second that those take.
    pub slow_rate: u64,
    /// What viewers watch streams as; `None`: RTMP.
    pub format: Option<Format>,
}

/// What is printed of a run, in this order.
pub const COLUMNS: [&str; 12] = [
    "CPU-s/GB",
    "p50 ms",
    "p99 ms",
    "max ms",
    "kB/viewer",
    "threads",
    "first ms",
    "first max",
    "lost",
    "bad",
    "short",
    "others %",
];

/// A run's numbers, one for each of [`COLUMNS`].
pub type Row = [f64; COLUMNS.len()];

/// What was measured at either end of the window.
struct Edge {
    at_ns: u64,
    usage: Usage,
    own_cpu_s: f64,
    received: Vec<u64>,
}

/// All that is known when a run is over.
struct Record {
    format: Option<Format>,
    seats: Vec<Seat>,
    rss_before_kb: u64,
    edges: [Edge; 2],
    sent: Vec<Sent>,
    accounts: Vec<Account>,
}

impl Scenario {
    /// Runs it once, with `window` measured, against a server that is started for it.
    pub fn run(&self, which: &Which, dir: &Path, window: Duration) -> Result<Row, String> {
        let server = Server::start(which, dir, self.format.is_some())?;
        let clock = Clock::start();
        let stop = Arc::new(AtomicBool::new(false));
        let publishers = Publishers::open(server.addr, self.streams, self.rate)?;
        let over = Arc::clone(&stop);
        let publishing = thread::spawn(move || publishers.run(clock, &over));
        let addr = match self.format {
            Some(_) => server.http_addr.ok_or("no HTTP")?,
            None => server.addr,
        };
        let audience = Audience::new(addr, self.format, clock, Arc::clone(&stop));
        let watched = self.watch(&server, clock, &audience, window);
        stop.store(true, Ordering::Relaxed);
        let sent = publishing.join();
        let (sent, publishers) = sent.map_err(|_| "publisher panicked".to_owned())??;
        let accounts = audience.accounts()?;
        // Not before: viewers would see their streams end.
        drop(publishers);
        let (rss_before_kb, seats, edges) = watched?;
        let record = Record {
            format: self.format,
            seats,
            rss_before_kb,
            edges,
            sent,
            accounts,
        };
        Ok(record.row())
    }

    /// What goes on while the publishers publish.
    fn watch(
        &self,
        server: &Server,
        clock: Clock,
        audience: &Audience,
        window: Duration,
    ) -> Result<(u64, Vec<Seat>, [Edge; 2]), String> {
        thread::sleep(LEAD);
        let before = server.usage()?;
        let counters = audience.join(&self.seats())?;
        thread::sleep(match self.slow {
            0 => WARMUP,
            _ => WARMUP_SLOW,
        });
        let began = Instant::now();
        let first = edge(server, clock, &counters)?;
        thread::sleep(window.saturating_sub(began.elapsed()));
        let last = edge(server, clock, &counters)?;
        thread::sleep(match self.format {
            Some(Format::Hls) => GRACE_HLS,
            _ => GRACE,
        });
        let seats = counters.iter().map(|(seat, _)| *seat).collect();
        Ok((before.rss_kb, seats, [first, last]))
    }

    /// All viewers; the probes evenly spread among those who take everything.
    fn seats(&self) -> Vec<Seat> {
        let all = self.viewers * self.streams;
        let ordinary = (0..all).map(|index| Seat {
            stream: index % self.streams,
            kind: match index * self.probes / all != (index + 1) * self.probes / all {
                true => Kind::Probe,
                false => Kind::Ordinary,
            },
        });
        let slow = (0..self.slow * self.streams).map(|index| Seat {
            stream: index % self.streams,
            kind: Kind::Slow(self.slow_rate),
        });
        ordinary.chain(slow).collect()
    }
}

fn edge(server: &Server, clock: Clock, counters: &[Counter]) -> Result<Edge, String> {
    let received = counters.iter();
    Ok(Edge {
        at_ns: clock.ns(),
        usage: server.usage()?,
        own_cpu_s: own_cpu_seconds(),
        received: received
            .map(|(_, counter)| counter.load(Ordering::Relaxed))
            .collect(),
    })
}

impl Record {
    fn row(&self) -> Row {
        let [first, last] = &self.edges;
        let received = last.received.iter().zip(&first.received);
        let bytes: u64 = received.map(|(last, first)| last - first).sum();
        let cpu_s = last.usage.cpu_s - first.usage.cpu_s;
        let grown_kb = last.usage.rss_kb as f64 - self.rss_before_kb as f64;
        let latency_ms = self.latencies_ms();
        let first_ms = self.first_keyframes_ms();
        [
            cpu_s / (bytes as f64 / 1e9),
            quantile(&latency_ms, 0.5),
            quantile(&latency_ms, 0.99),
            quantile(&latency_ms, 1.0),
            grown_kb / self.seats.len() as f64,
            last.usage.threads as f64,
            quantile(&first_ms, 0.5),
            quantile(&first_ms, 1.0),
            self.lost() as f64,
            self.bad() as f64,
            self.short() as f64,
            self.others_percent(),
        ]
    }

    fn in_window(&self, sent_ns: u64) -> bool {
        let [first, last] = &self.edges;
        (first.at_ns..last.at_ns).contains(&sent_ns)
    }

    fn latencies_ms(&self) -> Vec<f64> {
        let seen = self.accounts.iter().flat_map(|account| &account.seen);
        let seen = seen.filter(|seen| self.in_window(seen.stamp.sent_ns));
        sorted(seen.map(|seen| seen.arrived_ns.saturating_sub(seen.stamp.sent_ns) as f64 / 1e6))
    }

    fn first_keyframes_ms(&self) -> Vec<f64> {
        let slow = |account: &&Account| matches!(account.seat.kind, Kind::Slow(_));
        let accounts = self.accounts.iter().filter(|account| !slow(account));
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        sorted(accounts.map(|account| account.first_keyframe.map_or(f64::INFINITY, ms)))
    }

    /// Messages of the window that should have reached a probe and did not.
    fn lost(&self) -> u64 {
        let probes = self.accounts.iter();
        let probes = probes.filter(|account| account.seat.kind == Kind::Probe);
        let lost = probes.map(|probe| {
            let seen = probe.seen.iter().map(|seen| seen.stamp);
            let seen = seen.filter(|stamp| self.in_window(stamp.sent_ns));
            let mut numbers: Vec<u64> = seen.map(|stamp| stamp.number).collect();
            numbers.sort_unstable();
            numbers.dedup();
            let sent = self.sent_in_window(probe.seat.stream).count();
            (sent - numbers.len().min(sent)) as u64
        });
        lost.sum()
    }

    /// Messages that were damaged, repeated or out of order, and viewers who were hung up on.
    fn bad(&self) -> u64 {
        let bad = self.accounts.iter().map(|account| {
            let mut numbers: Vec<u64> = account.seen.iter().map(|seen| seen.stamp.number).collect();
            if matches!(self.format, Some(Format::Mp4 | Format::Hls)) {
                // A fragment has the pictures first, and then the sound between them.
                numbers.sort_unstable();
            }
            let backward = |pair: &&[u64]| matches!(pair, [a, b] if b <= a);
            let backward = numbers.windows(2).filter(backward).count() as u64;
            let hung_up = u64::from(account.failure.is_some());
            account.damaged + backward + hung_up
        });
        bad.sum()
    }

    /// Viewers who take everything and got less than they should have.
    fn short(&self) -> u64 {
        let [first, last] = &self.edges;
        let enough = match self.format {
            Some(Format::Hls) => SHORT_HLS,
            _ => SHORT,
        };
        let viewers = self
            .seats
            .iter()
            .zip(last.received.iter().zip(&first.received));
        let short = viewers.filter(|(seat, (last, first))| {
            let wanted: usize = self.sent_in_window(seat.stream).map(|sent| sent.len).sum();
            let slow = matches!(seat.kind, Kind::Slow(_));
            !slow && ((*last - *first) as f64) < enough * wanted as f64
        });
        short.count() as u64
    }

    fn sent_in_window(&self, stream: u32) -> impl Iterator<Item = &Sent> {
        let of_stream = move |sent: &&Sent| sent.stamp.stream == stream;
        let sent = self.sent.iter().filter(of_stream);
        sent.filter(|sent| self.in_window(sent.stamp.sent_ns))
    }

    /// What neither the server nor this program used, in percent of one CPU: when it is much, the
    /// other numbers are worth little.
    fn others_percent(&self) -> f64 {
        let [first, last] = &self.edges;
        let machine = last.usage.machine_cpu_s - first.usage.machine_cpu_s;
        let server = last.usage.cpu_s - first.usage.cpu_s;
        let own = last.own_cpu_s - first.own_cpu_s;
        let seconds = (last.at_ns - first.at_ns) as f64 / 1e9;
        ((machine - server - own) / seconds * 100.0).max(0.0)
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// The value that the part `q` of sorted values does not exceed.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}
