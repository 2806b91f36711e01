//! Those who come and go by RTMP.

use super::{HELD_MAX, HOLD_MS, Places, STREAMS, setting};
use crate::support::real::real;
use crate::support::{Client, PATIENCE};
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::{Message, StreamId, status};
use std::collections::BTreeMap;
use std::io::Read;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// Numbers that are the same for the same seed.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Somebody who does one thing after the other, and does not close all sockets at once.
pub struct Actor {
    pub places: Places,
    pub random: Random,
    pub held: Vec<(Instant, TcpStream)>,
    /// How often it did what.
    pub done: BTreeMap<&'static str, u64>,
}

pub type Act = (&'static str, fn(&mut Actor));

pub const ACTS: [Act; 10] = [
    ("rtmp publish", Actor::publish_and_finish),
    ("rtmp publish", Actor::publish_twice),
    ("rtmp publish", Actor::publish_and_reset),
    ("rtmp publish", Actor::publish_and_vanish),
    ("rtmp publish", Actor::publish_and_stay),
    ("rtmp play", Actor::play_a_little),
    ("rtmp play", Actor::play_to_the_end),
    ("rtmp play", Actor::play_without_reading),
    ("rtmp play", Actor::play_two),
    ("rtmp play", Actor::play_nothing),
];

impl Actor {
    /// Does one of `acts` after the other until `end`; how often which.
    pub fn run(mut self, acts: &[Act], end: Instant) -> BTreeMap<&'static str, u64> {
        let pause_ms = setting("CHURN_PAUSE_MS", 0);
        while Instant::now() < end {
            let (name, act) = acts[self.random.below(acts.len() as u64) as usize];
            act(&mut self);
            *self.done.entry(name).or_default() += 1;
            thread::sleep(Duration::from_millis(self.random.below(pause_ms + 1)));
            let now = Instant::now();
            self.held.retain(|(until, _)| *until > now);
            while self.held.len() > HELD_MAX {
                self.held.remove(0);
            }
        }
        self.done
    }

    pub fn name(&mut self) -> String {
        format!("s{}", self.random.below(STREAMS))
    }

    /// Asks for something; the server may have hung up by now.
    pub fn ask(&mut self, client: &mut Client, stream: u32, what: &str, name: Value) {
        let call = status::call(StreamId(stream), what, 0.0, Value::Null, vec![name]);
        let _ = client.try_send(&call);
    }

    fn publish(&mut self) -> Client {
        let client = Client::connected(self.places.rtmp);
        self.publish_over(client)
    }

    /// Publishes over a connection that there is.
    pub fn publish_over(&mut self, mut client: Client) -> Client {
        let name = self.name();
        self.ask(&mut client, 1, "publish", Value::text(&name));
        self.send_some(&mut client);
        client
    }

    fn play(&mut self, name: &str) -> Client {
        let mut client = Client::connected(self.places.rtmp);
        self.ask(&mut client, 1, "play", Value::text(name));
        client
    }

    /// Some pictures, small or so large that they do not fit into sockets.
    fn send_some(&mut self, client: &mut Client) {
        let len = [40, 400, 30_000][self.random.below(3) as usize];
        let picture = |what: &str, time: u32| {
            let mut message = real(&format!("V {what} 1 @{time}"));
            message.payload = [&message.payload[..], &vec![7; len]].concat().into();
            message
        };
        let mut messages = vec![real("V head 1 @0"), real("A head 1 @0")];
        for number in 0..self.random.below(100) as u32 {
            let what = if number % 25 == 0 { "key" } else { "inter" };
            messages.push(picture(what, 40 * number));
            messages.push(real(&format!("A sound 1 @{}", 40 * number)));
        }
        let send = |message: &Message| client.try_send(message);
        // Whoever was taken over cannot send any more.
        let _ = messages.iter().try_for_each(send);
    }

    /// Takes what comes for a while. `true`: until the end.
    pub fn read(&mut self, socket: &mut TcpStream, most_ms: u64) -> bool {
        let end = Instant::now() + Duration::from_millis(1 + self.random.below(most_ms));
        let mut buffer = vec![0; 64 << 10];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let limited = socket.set_read_timeout(Some(left));
            limited.expect("a time limit");
            match socket.read(&mut buffer) {
                Ok(1..) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                Ok(0) | Err(_) => return true,
            }
        }
    }

    /// Leaves the socket open for a while.
    pub fn hold(&mut self, client: Client) {
        let until = Instant::now() + Duration::from_millis(self.random.below(HOLD_MS));
        self.held.push((until, client.socket));
    }

    pub fn finish(&mut self, client: &mut Client) {
        self.ask(client, 0, "deleteStream", Value::Number(1.0));
    }

    fn publish_and_finish(&mut self) {
        let mut client = self.publish();
        self.finish(&mut client);
        self.hold(client);
    }

    fn publish_twice(&mut self) {
        let mut client = self.publish();
        self.finish(&mut client);
        let name = self.name();
        self.ask(&mut client, 1, "publish", Value::text(&name));
        self.send_some(&mut client);
    }

    /// A socket that is closed with something unread in it resets the connection.
    fn publish_and_reset(&mut self) {
        let mut client = self.publish();
        self.read(&mut client.socket, 1);
        let call = status::call(StreamId(0), "settle", 9.0, Value::Null, vec![]);
        let _ = client.try_send(&call);
        let _ = client.socket.set_read_timeout(Some(PATIENCE));
        let _ = client.socket.peek(&mut [0]);
    }

    fn publish_and_vanish(&mut self) {
        self.publish().vanish();
    }

    fn publish_and_stay(&mut self) {
        let client = self.publish();
        self.hold(client);
    }

    fn play_a_little(&mut self) {
        let name = self.name();
        let mut client = self.play(&name);
        self.read(&mut client.socket, 100);
    }

    fn play_to_the_end(&mut self) {
        let name = self.name();
        let mut client = self.play(&name);
        if self.read(&mut client.socket, 400) {
            self.hold(client);
        }
    }

    fn play_without_reading(&mut self) {
        let name = self.name();
        let client = self.play(&name);
        self.hold(client);
    }

    fn play_two(&mut self) {
        let mut client = Client::connected(self.places.rtmp);
        let second = client.create_stream();
        for stream in [1, second] {
            let name = self.name();
            self.ask(&mut client, stream, "play", Value::text(&name));
        }
        self.read(&mut client.socket, 200);
        self.hold(client);
    }

    fn play_nothing(&mut self) {
        let mut client = self.play("nothing");
        if self.read(&mut client.socket, 400) {
            self.hold(client);
        }
    }
}
