//! The viewers of a run: probes, which look at everything, and the crowd, which is only there.

use crate::conn::Conn;
use crate::http::{Format, HttpConn};
use crate::media::{self, Clock, Found, Stamp};
use crate::publish;
use rtmp_server::rtmp::client::Purpose;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Threads that set up viewers, and how many viewers come a second.
const JOINERS: usize = 8;
const JOINS_PER_SECOND: u32 = 200;

/// Where there are more viewers than come in this time, they come faster.
const JOIN_SECONDS: u32 = 4;

/// How long a new viewer is waited for to get its first keyframe before it joins the crowd, where
/// the time is measured less exactly.
const FIRST_KEYFRAME: Duration = Duration::from_millis(20);

/// How long a probe may take to notice that the run is over.
const PROBE_PATIENCE: Duration = Duration::from_millis(200);

/// How often the crowd is read. The standard library cannot wait for many sockets at a time, so
/// each is tried.
const SWEEP: Duration = Duration::from_millis(2);

/// The same for each viewer, where there are so many that to try them takes much of the time.
const SWEEP_PER_VIEWER: Duration = Duration::from_micros(7);

/// Bytes that the crowd and the probes read at a time.
const CROWD_BUFFER_LEN: usize = 256 << 10;
const PROBE_BUFFER_LEN: usize = 64 << 10;

const PROBE_STACK_LEN: usize = 128 << 10;

const PANICKED: &str = "a thread panicked";

/// What a viewer is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Looks at everything.
    Probe,
    /// Takes everything.
    Ordinary,
    /// Takes so many bytes a second.
    Slow(u64),
}

/// Who is to watch what.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    /// The number of the stream.
    pub stream: u32,
    /// What for.
    pub kind: Kind,
    /// Whether it watches at the server that streams are relayed to.
    pub far: bool,
}

/// What a probe saw of one message.
pub struct Seen {
    /// What the message says of itself.
    pub stamp: Stamp,
    /// When it had arrived.
    pub arrived_ns: u64,
}

/// What one viewer has to tell when it is over.
pub struct Account {
    /// Where it was, and what for.
    pub seat: Seat,
    /// From `play` to the first keyframe, if there was one.
    pub first_keyframe: Option<Duration>,
    /// All messages, for a probe.
    pub seen: Vec<Seen>,
    /// Messages that were not as they were sent, for a probe.
    pub damaged: u64,
    /// Why it ended before the run did.
    pub failure: Option<String>,
}

/// What a viewer has received so far, in bytes, while the run goes on.
pub type Counter = (Seat, Arc<AtomicU64>);

/// A viewer's way to the server.
enum Line {
    Rtmp(Box<Conn>),
    Http(Box<HttpConn>),
}

struct Viewer {
    seat: Seat,
    line: Line,
    /// When it came.
    since: Instant,
    seen: Vec<Seen>,
    damaged: u64,
    failure: Option<String>,
}

/// Where viewers go when they are set up.
struct Hall {
    addr: SocketAddr,
    /// The server that streams are relayed to.
    far_addr: Option<SocketAddr>,
    /// What streams are watched as; `None`: RTMP.
    format: Option<Format>,
    clock: Clock,
    stop: Arc<AtomicBool>,
    crowd: Mutex<Vec<Viewer>>,
    /// How many of the crowd are to leave.
    leaving: AtomicUsize,
    probes: Mutex<Vec<JoinHandle<Account>>>,
    counters: Mutex<Vec<Counter>>,
}

/// All viewers of a run.
pub struct Audience {
    hall: Arc<Hall>,
    sweeper: JoinHandle<Vec<Account>>,
}

impl Audience {
    /// An audience of nobody yet, which goes home at `stop`. It will connect to `addr`, by HTTP if it
    /// watches streams in a `format`; some to `far_addr`.
    pub fn new(
        addr: SocketAddr,
        far_addr: Option<SocketAddr>,
        format: Option<Format>,
        clock: Clock,
        stop: Arc<AtomicBool>,
    ) -> Audience {
        let hall = Arc::new(Hall {
            addr,
            far_addr,
            format,
            clock,
            stop,
            crowd: Mutex::default(),
            leaving: AtomicUsize::new(0),
            probes: Mutex::default(),
            counters: Mutex::default(),
        });
        let swept = Arc::clone(&hall);
        let sweeper = thread::spawn(move || swept.sweep());
        Audience { hall, sweeper }
    }

    /// Sets up a viewer for each seat; returns when all are there, with what they count.
    pub fn join(&self, seats: &[Seat]) -> Result<Vec<Counter>, String> {
        let (began, next) = (Instant::now(), AtomicUsize::new(0));
        let per_second = JOINS_PER_SECOND.max(seats.len() as u32 / JOIN_SECONDS);
        let join = || loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(seat) = seats.get(index) else {
                return Ok(());
            };
            let due = began + Duration::from_secs(1) * index as u32 / per_second;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let seated = self.hall.seat(*seat);
            seated.map_err(|error| format!("viewer {index}: {error}"))?;
        };
        thread::scope(|scope| {
            let joiners: Vec<_> = (0..JOINERS).map(|_| scope.spawn(join)).collect();
            let mut results = joiners.into_iter().map(|joiner| joiner.join());
            results.try_for_each(|result| result.unwrap_or_else(|_| Err(PANICKED.to_owned())))
        })?;
        Ok(std::mem::take(&mut *lock(&self.hall.counters)))
    }

    /// Has `count` of the crowd leave soon.
    pub fn leave(&self, count: usize) {
        self.hall.leaving.fetch_add(count, Ordering::Relaxed);
    }

    /// What everybody has to tell. Returns soon after the stop.
    pub fn accounts(self) -> Result<Vec<Account>, String> {
        let mut accounts = joined(self.sweeper)?;
        for probe in lock(&self.hall.probes).drain(..) {
            accounts.push(joined(probe)?);
        }
        Ok(accounts)
    }
}

impl Hall {
    /// Sets up one viewer.
    fn seat(self: &Arc<Self>, seat: Seat) -> Result<(), String> {
        let addr = match seat.far {
            true => self.far_addr.ok_or("no other server")?,
            false => self.addr,
        };
        let line = Line::open(addr, self.format, &publish::name(seat.stream))?;
        lock(&self.counters).push((seat, Arc::clone(line.received())));
        let mut viewer = Viewer {
            seat,
            line,
            since: Instant::now(),
            seen: Vec::new(),
            damaged: 0,
            failure: None,
        };
        if seat.kind == Kind::Probe {
            let hall = Arc::clone(self);
            let builder = thread::Builder::new().stack_size(PROBE_STACK_LEN);
            let probe = builder.spawn(move || viewer.probe(&hall));
            lock(&self.probes).push(probe.map_err(|error| error.to_string())?);
            return Ok(());
        }
        viewer.await_keyframe()?;
        viewer.line.set_patience(None)?;
        lock(&self.crowd).push(viewer);
        Ok(())
    }

    /// Reads the crowd, whoever is in it by now, until the stop.
    fn sweep(&self) -> Vec<Account> {
        let mut buffer = vec![0; CROWD_BUFFER_LEN];
        let mut crowd = Vec::new();
        let mut gone = Vec::new();
        while !self.is_over() {
            let began = Instant::now();
            crowd.append(&mut lock(&self.crowd));
            let leaving = self.leaving.swap(0, Ordering::Relaxed);
            let stay = crowd.len().saturating_sub(leaving);
            gone.extend(crowd.drain(stay..).map(Viewer::account));
            for viewer in &mut crowd {
                viewer.take(&mut buffer);
            }
            let pause = SWEEP.max(SWEEP_PER_VIEWER * crowd.len() as u32);
            thread::sleep(pause.saturating_sub(began.elapsed()));
        }
        gone.extend(crowd.into_iter().map(Viewer::account));
        gone
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl Viewer {
    fn await_keyframe(&mut self) -> Result<(), String> {
        let mut buffer = vec![0; PROBE_BUFFER_LEN];
        let end = self.since + FIRST_KEYFRAME;
        while self.line.first().is_none() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.line.set_patience(Some(left))?;
            self.line.read(&mut buffer, |_| {})?;
        }
        Ok(())
    }

    /// Looks at everything until the stop.
    fn probe(mut self, hall: &Hall) -> Account {
        let mut buffer = vec![0; PROBE_BUFFER_LEN];
        let mut result = self.line.set_patience(Some(PROBE_PATIENCE)).map(|()| 0);
        while !hall.is_over() && result.is_ok() {
            let Viewer {
                line,
                seen,
                damaged,
                seat,
                ..
            } = &mut self;
            result = line.read(&mut buffer, |found| match found {
                Found::Whole(stamp) if stamp.stream == seat.stream => {
                    let arrived_ns = hall.clock.ns();
                    seen.push(Seen { stamp, arrived_ns });
                }
                Found::Header => {}
                _ => *damaged += 1,
            });
        }
        self.failure = result.err();
        self.account()
    }

    /// Reads what there is for one of the crowd: if it is slow, no more than it may have.
    fn take(&mut self, buffer: &mut [u8]) {
        if self.failure.is_some() {
            return;
        }
        let room = match self.seat.kind {
            Kind::Slow(bytes_per_second) => {
                let may = self.since.elapsed().as_secs_f64() * bytes_per_second as f64;
                let has = self.line.received().load(Ordering::Relaxed);
                (may as u64).saturating_sub(has).min(buffer.len() as u64) as usize
            }
            _ => buffer.len(),
        };
        if room == 0 {
            return;
        }
        // Once it has its keyframe, nobody asks what it gets.
        let taken = match self.line.first() {
            None => self.line.read(&mut buffer[..room], |_| {}),
            Some(_) => self.line.discard(&mut buffer[..room]),
        };
        self.failure = taken.err();
    }

    fn account(self) -> Account {
        let times = self.line.played().zip(self.line.first());
        Account {
            seat: self.seat,
            first_keyframe: times.map(|(played, came)| came.saturating_duration_since(played)),
            seen: self.seen,
            damaged: self.damaged,
            failure: self.failure,
        }
    }
}

impl Line {
    /// Connects and asks for the stream `name`.
    fn open(addr: SocketAddr, format: Option<Format>, name: &str) -> Result<Line, String> {
        if let Some(format) = format {
            return HttpConn::open(addr, format, name)
                .map(Box::new)
                .map(Line::Http);
        }
        let mut conn = Conn::open(addr, Purpose::Play, name)?;
        conn.start()?;
        Ok(Line::Rtmp(Box::new(conn)))
    }

    fn received(&self) -> &Arc<AtomicU64> {
        match self {
            Line::Rtmp(conn) => &conn.received,
            Line::Http(conn) => &conn.received,
        }
    }

    /// When it asked for the media.
    fn played(&self) -> Option<Instant> {
        match self {
            Line::Rtmp(conn) => conn.played,
            Line::Http(conn) => Some(conn.played),
        }
    }

    /// When the first keyframe had arrived, with which every viewer begins.
    fn first(&self) -> Option<Instant> {
        match self {
            Line::Rtmp(conn) => conn.first_keyframe,
            Line::Http(conn) => conn.first_message,
        }
    }

    fn set_patience(&self, patience: Option<Duration>) -> Result<(), String> {
        match self {
            Line::Rtmp(conn) => conn.set_patience(patience),
            Line::Http(conn) => conn.set_patience(patience),
        }
    }

    fn read(&mut self, buffer: &mut [u8], mut take: impl FnMut(Found)) -> Result<usize, String> {
        match self {
            Line::Rtmp(conn) => conn.read(buffer, |message| take(media::inspect(&message))),
            Line::Http(conn) => conn.read(buffer, |stamp| take(Found::Whole(stamp))),
        }
    }

    fn discard(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        match self {
            Line::Rtmp(conn) => conn.discard(buffer),
            Line::Http(conn) => conn.discard(buffer),
        }
    }
}

fn joined<T>(thread: JoinHandle<T>) -> Result<T, String> {
    thread.join().map_err(|_| PANICKED.to_owned())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
