//! One run of one scenario against one server.

use crate::figures::{Edge, Record, Row};
use crate::http::Format;
use crate::media::{Clock, Content};
use crate::publish::{Publishers, Sent};
use crate::server::{RecordFormat, Server, Setup, Which, recordings};
use crate::viewers::{Account, Audience, Counter, Kind, Seat};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// From the first message to the first viewer: streams have a keyframe then.
pub const LEAD: Duration = Duration::from_millis(2500);

/// From the last viewer to the measured window: longer than from one keyframe to the next, which
/// is how long viewers wait with servers that do not keep the last one.
const WARMUP: Duration = Duration::from_millis(2500);

/// The same with slow viewers, so that what they do not take has filled the kernel's buffers.
const WARMUP_SLOW: Duration = Duration::from_secs(8);

/// From the end of the window to the end of the run, for what is still under way.
const GRACE: Duration = Duration::from_millis(700);

/// The same for viewers of HLS, who are behind by some parts.
const GRACE_HLS: Duration = Duration::from_millis(2500);

/// How many streams are watched at the server that they are relayed to.
const FAR_VIEWERS: u32 = 10;

/// Who publishes, who watches, and what else the server does.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is.
    pub title: &'static str,
    /// How many streams there are.
    pub streams: u32,
    /// What is in each of them.
    pub content: Content,
    /// Viewers who take everything, of the streams in turn.
    pub viewers: u32,
    /// How many of them are probes.
    pub probes: u32,
    /// Viewers more, who take less.
    pub slow: u32,
    /// Bytes per second that those take.
    pub slow_rate: u64,
    /// What viewers watch streams as; `None`: RTMP.
    pub format: Option<Format>,
    /// What becomes of the streams beside that.
    pub task: Task,
}

/// What a server does with all streams, beside sending them to viewers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Nothing.
    None,
    /// It records them.
    Record(RecordFormat),
    /// It relays them to another server, which is always ours.
    Relay,
}

/// Streams that are being published.
pub struct Publishing(JoinHandle<Result<(Vec<Sent>, Publishers), String>>);

impl Scenario {
    /// Whether a server can do it.
    pub fn suits(&self, which: &Which) -> bool {
        which.can(&self.setup(None))
    }

    /// Runs it once, with `window` measured, against a server that is started for it.
    pub fn run(&self, which: &Which, dir: &Path, window: Duration) -> Result<Row, String> {
        let far = match self.task {
            Task::Relay => Some(Server::start(&Which::far(), dir, &Setup::default())?),
            Task::None | Task::Record(_) => None,
        };
        let far_addr = far.as_ref().map(|server| server.addr);
        // What another run has left, if it did not end by itself.
        let _ = fs::remove_dir_all(recordings(dir));
        fs::create_dir_all(recordings(dir)).map_err(|error| error.to_string())?;
        let server = Server::start(which, dir, &self.setup(far_addr))?;
        let rss_idle_kb = server.usage()?.rss_kb;
        let clock = Clock::start();
        let stop = Arc::new(AtomicBool::new(false));
        let publishers = Publishers::open(server.addr, self.streams, self.content)?;
        let publishing = Publishing::start(publishers, clock, &stop);
        let addr = match self.format {
            Some(_) => server.http_addr.ok_or("no HTTP")?,
            None => server.addr,
        };
        let audience = Audience::new(addr, far_addr, self.format, clock, Arc::clone(&stop));
        let watched = self.watch(&server, far.as_ref(), clock, &audience, window);
        let (sent, accounts) = publishing.stop(&stop, audience)?;
        let (rss_live_kb, seats, edges) = watched?;
        drop(server);
        let recorded = match self.task {
            Task::Record(_) => Some(recorded_bytes(dir, self.streams)?),
            Task::None | Task::Relay => None,
        };
        let _ = fs::remove_dir_all(recordings(dir));
        let record = Record {
            format: self.format,
            streams: self.streams,
            rss_before_kb: match self.costs_by_stream() {
                true => rss_idle_kb,
                false => rss_live_kb,
            },
            costs_by_stream: self.costs_by_stream(),
            seats,
            edges,
            sent,
            accounts,
            recorded,
        };
        Ok(record.row())
    }

    fn setup(&self, relay_to: Option<std::net::SocketAddr>) -> Setup {
        Setup {
            http: self.format.is_some(),
            record: match self.task {
                Task::Record(format) => Some(format),
                Task::None | Task::Relay => None,
            },
            relay_to,
        }
    }

    /// Whether what it costs is asked for each stream, not for each viewer.
    fn costs_by_stream(&self) -> bool {
        self.task != Task::None || self.viewers == 0
    }

    /// What goes on while the publishers publish.
    fn watch(
        &self,
        server: &Server,
        far: Option<&Server>,
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
        let first = Edge::now(server, far, clock, &counters)?;
        thread::sleep(window.saturating_sub(began.elapsed()));
        let last = Edge::now(server, far, clock, &counters)?;
        thread::sleep(match self.format {
            Some(Format::Hls) => GRACE_HLS,
            _ => GRACE,
        });
        let seats = counters.iter().map(|(seat, _): &Counter| *seat).collect();
        Ok((before.rss_kb, seats, [first, last]))
    }

    /// All viewers; the probes evenly spread among those who take everything.
    fn seats(&self) -> Vec<Seat> {
        let all = self.viewers;
        let seat = |index: u32, kind, far| Seat {
            stream: index % self.streams,
            kind,
            far,
        };
        let ordinary = (0..all).map(|index| {
            let is_probe = index * self.probes / all != (index + 1) * self.probes / all;
            let kind = if is_probe {
                Kind::Probe
            } else {
                Kind::Ordinary
            };
            seat(index, kind, false)
        });
        let slow = (0..self.slow).map(|index| seat(index, Kind::Slow(self.slow_rate), false));
        let far = match self.task {
            Task::Relay => 0..FAR_VIEWERS,
            Task::None | Task::Record(_) => 0..0,
        };
        let far = far.map(|index| seat(index, Kind::Probe, true));
        ordinary.chain(slow).chain(far).collect()
    }
}

impl Publishing {
    /// Publishes until `stop`.
    pub fn start(publishers: Publishers, clock: Clock, stop: &Arc<AtomicBool>) -> Publishing {
        let over = Arc::clone(stop);
        Publishing(thread::spawn(move || publishers.run(clock, &over)))
    }

    /// Stops it, and its audience. Returns what was sent, and what viewers have to tell.
    pub fn stop(
        self,
        stop: &AtomicBool,
        audience: Audience,
    ) -> Result<(Vec<Sent>, Vec<Account>), String> {
        stop.store(true, Ordering::Relaxed);
        let sent = self.0.join();
        let (sent, publishers) = sent.map_err(|_| "publisher panicked".to_owned())??;
        let accounts = audience.accounts()?;
        // Not before: viewers would see their streams end.
        drop(publishers);
        Ok((sent, accounts))
    }
}

/// The bytes of the recordings of each stream.
fn recorded_bytes(dir: &Path, streams: u32) -> Result<Vec<u64>, String> {
    let mut bytes = vec![0; streams as usize];
    let files = fs::read_dir(recordings(dir)).map_err(|error| error.to_string())?;
    for file in files.flatten() {
        let name = file.file_name().to_string_lossy().into_owned();
        let number = name.split("bench").nth(1).unwrap_or_default();
        let end = number.find(|digit: char| !digit.is_ascii_digit());
        let number = number[..end.unwrap_or(number.len())].parse::<usize>();
        let of_stream = number.ok().and_then(|number| bytes.get_mut(number));
        if let (Some(of_stream), Ok(metadata)) = (of_stream, file.metadata()) {
            *of_stream += metadata.len();
        }
    }
    Ok(bytes)
}
