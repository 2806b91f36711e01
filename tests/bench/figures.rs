//! What came of a run: everything that was noted, and the numbers that are printed of it.

use crate::http::Format;
use crate::media::{self, Clock};
use crate::publish::Sent;
use crate::server::{Server, Usage, own_cpu_seconds};
use crate::viewers::{Account, Counter, Kind, Seat};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A viewer that got less than this part of what was published counts as short, and a recording that
/// has less.
const SHORT: f64 = 0.95;

/// The same for viewers of HLS, who get half a second at a time.
const SHORT_HLS: f64 = 0.8;

/// What is printed of a run, in this order.
pub const COLUMNS: [&str; 15] = [
    "CPU-s/GB",
    "CPU %",
    "p50 ms",
    "p99 ms",
    "max ms",
    "sound p50",
    "sound p99",
    "kB each",
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
pub struct Edge {
    pub at_ns: u64,
    pub usage: Usage,
    /// CPU seconds of this program, and of the server that streams are relayed to.
    own_cpu_s: f64,
    received: Vec<u64>,
}

/// All that is known when a run is over.
pub struct Record {
    pub format: Option<Format>,
    pub streams: u32,
    pub seats: Vec<Seat>,
    /// Whether memory is divided among streams, not among viewers.
    pub costs_by_stream: bool,
    /// Resident memory before what it is divided among was there.
    pub rss_before_kb: u64,
    pub edges: [Edge; 2],
    pub sent: Vec<Sent>,
    pub accounts: Vec<Account>,
    /// The bytes of each stream's recording, if streams were recorded.
    pub recorded: Option<Vec<u64>>,
}

impl Edge {
    /// What can be seen of all from outside now.
    pub fn now(
        server: &Server,
        far: Option<&Server>,
        clock: Clock,
        counters: &[Counter],
    ) -> Result<Edge, String> {
        let far_usage = far.map(Server::usage).transpose()?;
        let received = counters.iter();
        Ok(Edge {
            at_ns: clock.ns(),
            usage: server.usage()?,
            own_cpu_s: own_cpu_seconds() + far_usage.map_or(0.0, |usage| usage.cpu_s),
            received: received
                .map(|(_, counter)| counter.load(Ordering::Relaxed))
                .collect(),
        })
    }

    fn since(&self, first: &Edge) -> f64 {
        (self.at_ns - first.at_ns) as f64 / 1e9
    }

    /// CPU time that the server has used since `first`, in percent of one CPU.
    pub fn cpu_percent(&self, first: &Edge) -> f64 {
        (self.usage.cpu_s - first.usage.cpu_s) / self.since(first) * 100.0
    }

    /// What neither the servers nor this program used, in percent of one CPU: when it is much, the
    /// other numbers are worth little.
    pub fn others_percent(&self, first: &Edge) -> f64 {
        let machine = self.usage.machine_cpu_s - first.usage.machine_cpu_s;
        let server = self.usage.cpu_s - first.usage.cpu_s;
        let own = self.own_cpu_s - first.own_cpu_s;
        ((machine - server - own) / self.since(first) * 100.0).max(0.0)
    }
}

impl Record {
    pub fn row(&self) -> Row {
        let [first, last] = &self.edges;
        let received = last.received.iter().zip(&first.received);
        let bytes: u64 = received.map(|(last, first)| last - first).sum();
        let cpu_s = last.usage.cpu_s - first.usage.cpu_s;
        let grown_kb = last.usage.rss_kb as f64 - self.rss_before_kb as f64;
        let latency_ms = |kind| latencies_ms(&self.accounts, kind, first, last);
        let pictures_ms = latency_ms(media::Kind::Picture);
        let sounds_ms = latency_ms(media::Kind::Sound);
        let first_ms = self.first_keyframes_ms();
        let (for_bytes, each) = match self.costs_by_stream {
            true => (f64::NAN, self.streams as usize),
            false => (cpu_s / (bytes as f64 / 1e9), self.seats.len()),
        };
        [
            for_bytes,
            last.cpu_percent(first),
            quantile(&pictures_ms, 0.5),
            quantile(&pictures_ms, 0.99),
            quantile(&pictures_ms, 1.0),
            quantile(&sounds_ms, 0.5),
            quantile(&sounds_ms, 0.99),
            grown_kb / each as f64,
            last.usage.threads as f64,
            quantile(&first_ms, 0.5),
            quantile(&first_ms, 1.0),
            self.lost() as f64,
            self.bad() as f64,
            self.short() as f64,
            last.others_percent(first),
        ]
    }

    fn in_window(&self, sent_ns: u64) -> bool {
        let [first, last] = &self.edges;
        (first.at_ns..last.at_ns).contains(&sent_ns)
    }

    fn first_keyframes_ms(&self) -> Vec<f64> {
        let counts = |seat: Seat| !seat.far && !matches!(seat.kind, Kind::Slow(_));
        let accounts = self.accounts.iter().filter(|account| counts(account.seat));
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

    /// Viewers who take everything and recordings that have less than they should have.
    fn short(&self) -> u64 {
        self.short_viewers() + self.short_recordings()
    }

    fn short_recordings(&self) -> u64 {
        let recorded = self.recorded.iter().flatten().zip(0..);
        let short = recorded.filter(|(bytes, stream)| {
            let of_stream = |sent: &&Sent| sent.stamp.stream == *stream;
            let sent: usize = self
                .sent
                .iter()
                .filter(of_stream)
                .map(|sent| sent.len)
                .sum();
            (**bytes as f64) < SHORT * sent as f64
        });
        short.count() as u64
    }

    fn short_viewers(&self) -> u64 {
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
}

/// Latencies of messages of a kind that were sent between `from` and `to`, sorted; as probes at the
/// server itself saw them.
pub fn latencies_ms(accounts: &[Account], kind: media::Kind, from: &Edge, to: &Edge) -> Vec<f64> {
    let near = accounts.iter().filter(|account| !account.seat.far);
    let seen = near.flat_map(|account| &account.seen);
    let seen = seen.filter(|seen| {
        seen.stamp.kind == kind && (from.at_ns..to.at_ns).contains(&seen.stamp.sent_ns)
    });
    sorted(seen.map(|seen| seen.arrived_ns.saturating_sub(seen.stamp.sent_ns) as f64 / 1e6))
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// The value that the part `q` of sorted values does not exceed.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}
