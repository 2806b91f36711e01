//! The publishers of a run: one thread sends every stream's messages when they are due.

use crate::conn::Conn;
use crate::media::{Clock, Content, Source, Stamp};
use rtmp_server::rtmp::StreamId;
use rtmp_server::rtmp::client::Purpose;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How often it is looked at what the server has to say to a publisher.
const LISTEN_EVERY_NS: u64 = 500_000_000;

/// Streams begin spread over this time, so that their keyframes do not coincide.
const SPREAD_NS: u64 = 2_000_000_000;

/// What was sent, and how long it was.
pub struct Sent {
    /// What the message says of itself.
    pub stamp: Stamp,
    /// Bytes of payload.
    pub len: usize,
}

struct Publisher {
    conn: Conn,
    id: StreamId,
    source: Source,
    starts_ns: u64,
    listened_ns: u64,
}

/// All streams of a run, opened and silent.
pub struct Publishers(Vec<Publisher>);

/// The name of stream number `index`.
pub fn name(index: u32) -> String {
    format!("bench{index}")
}

impl Publishers {
    /// Opens `count` streams of this `content` each.
    pub fn open(addr: SocketAddr, count: u32, content: Content) -> Result<Publishers, String> {
        let open = |index| {
            let mut conn = Conn::open(addr, Purpose::Publish, &name(index))?;
            let id = conn.start()?;
            conn.set_patience(None)?;
            Ok(Publisher {
                conn,
                id,
                source: Source::new(index, content),
                starts_ns: u64::from(index) * SPREAD_NS / u64::from(count),
                listened_ns: 0,
            })
        };
        let publishers = (0..count).map(open).collect::<Result<_, String>>();
        publishers
            .map(Publishers)
            .map_err(|error| format!("publisher: {error}"))
    }

    /// Sends until `stop`; returns all that was sent, and the publishers, who are still connected.
    pub fn run(
        mut self,
        clock: Clock,
        stop: &AtomicBool,
    ) -> Result<(Vec<Sent>, Publishers), String> {
        let mut sent = Vec::new();
        let began_ns = clock.ns();
        for publisher in &mut self.0 {
            publisher.starts_ns += began_ns;
            let headers = Source::headers(publisher.id);
            let failed = |error| format!("publisher: {error}");
            publisher.conn.send(&headers).map_err(failed)?;
        }
        while !stop.load(Ordering::Relaxed) {
            let due = |publisher: &&mut Publisher| publisher.due_ns();
            let Some(publisher) = self.0.iter_mut().min_by_key(due) else {
                break;
            };
            let early_ns = publisher.due_ns().saturating_sub(clock.ns());
            thread::sleep(Duration::from_nanos(early_ns));
            let one = publisher.send(clock);
            sent.push(one.map_err(|error| format!("publisher: {error}"))?);
        }
        Ok((sent, self))
    }
}

impl Publisher {
    fn due_ns(&self) -> u64 {
        self.starts_ns + self.source.due_us() * 1000
    }

    fn send(&mut self, clock: Clock) -> Result<Sent, String> {
        let now_ns = clock.ns();
        if now_ns >= self.listened_ns + LISTEN_EVERY_NS {
            self.listened_ns = now_ns;
            while self.conn.read(&mut [0; 4096], |_| {})? > 0 {}
        }
        let (stamp, message) = self.source.next(self.id, clock.ns());
        let len = message.payload.len();
        self.conn
            .send(&[message])
            .map_err(|error| error.to_string())?;
        Ok(Sent { stamp, len })
    }
}
