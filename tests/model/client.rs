//! A client of RTMP that checks everything that it is sent.

use super::frame::{Frame, Medium};
use super::reference::{ClientId, Expected, Told, When, message_stream};
use super::{doing, patience};
use crate::support::{self, describe};
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::control::UserControl;
use rtmp_server::rtmp::{Message, MessageType, StreamId, status};
use std::collections::{BTreeMap, VecDeque};
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::Instant;

/// What a client is told that is not sent all.
const TOO_SLOW: &str = "NetStream.Play.InsufficientBW";

/// A connection.
pub struct Client {
    pub id: ClientId,
    /// What the server calls it.
    pub name: String,
    pub rtmp: support::Client,
    /// Whether nothing is read from it.
    pub is_stalled: bool,
    /// Whether it ever was.
    pub was_stalled: bool,
    /// Since when, if nothing is.
    pub stalled_since: Instant,
    /// Messages that it was not sent.
    pub skipped: u64,
    /// The publication that it was not sent all of, while it reads nothing.
    pub stalled_in: u32,
    /// How many of those the server must have counted: where another publication began meanwhile, it began
    /// with that later.
    pub lost: u64,
    pings: u32,
    /// What it has seen, by message stream.
    times: BTreeMap<u32, Times>,
}

/// The times of a stream, as a viewer sees them.
#[derive(Default)]
pub struct Times {
    /// What the times of a publication's clock are moved by.
    offset: Option<((u32, u32), u32)>,
    /// The last of the sound, and of the pictures.
    last: BTreeMap<Medium, u32>,
    /// The latest of all before this clock.
    floor: Option<u32>,
    /// The time of headers that the next message must have too.
    owed: Option<u32>,
}

/// How far `a` is behind `b`.
fn since(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b) as i32
}

impl Times {
    fn latest(&self) -> Option<u32> {
        let mut last = self.last.values().copied();
        let first = last.next()?;
        Some(last.fold(first, |latest, time| {
            if since(time, latest) > 0 {
                time
            } else {
                latest
            }
        }))
    }

    /// Checks the time of a message.
    pub fn check(&mut self, frame: &Frame, when: When, time: u32) {
        if when == When::Zero {
            return assert_eq!(time, 0, "{frame} has another time than 0");
        }
        let clock = (frame.mark.publication, frame.clock);
        if self.offset.is_none_or(|(known, _)| known != clock) && frame.is_timed() {
            self.floor = self.latest();
            let offset = time.wrapping_sub(frame.sent.timestamp.0);
            assert!(!frame.is_unmoved || offset == 0, "{frame} comes at {time}");
            self.offset = Some((clock, offset));
        }
        let floor = self.floor;
        assert!(
            floor.is_none_or(|floor| since(time, floor) >= 0),
            "{frame} comes at {time}, behind {floor:?}"
        );
        if when == When::Next {
            let owed = *self.owed.get_or_insert(time);
            return assert_eq!(owed, time, "{frame} in front of others");
        }
        if let Some(owed) = self.owed.take() {
            assert_eq!(
                owed, time,
                "{frame} has another time than what is in front of it"
            );
        }
        if !frame.is_timed() {
            return;
        }
        let (_, offset) = self.offset.expect("it was set");
        assert_eq!(
            time,
            frame.sent.timestamp.0.wrapping_add(offset),
            "{frame} is moved by another offset than others"
        );
        let medium = frame.medium().expect("it has a time");
        let last = self.last.insert(medium, time);
        assert!(
            last.is_none_or(|last| since(time, last) >= 0),
            "{frame} comes at {time}, behind {last:?}"
        );
    }
}

impl Client {
    pub fn connect(
        addr: SocketAddr,
        id: ClientId,
        name: impl FnOnce(SocketAddr) -> String,
    ) -> Client {
        let mut rtmp = support::Client::shake_hands(addr);
        rtmp.socket
            .set_read_timeout(Some(patience()))
            .expect("timeout");
        rtmp.connect("live");
        let own = rtmp.socket.local_addr().expect("an address");
        Client {
            id,
            name: name(own),
            rtmp,
            is_stalled: false,
            was_stalled: false,
            stalled_since: Instant::now(),
            skipped: 0,
            stalled_in: 0,
            lost: 0,
            pings: 0,
            times: BTreeMap::new(),
        }
    }

    /// The next message, acknowledgements and requests for a sign of life left out.
    pub fn next(&mut self) -> Option<Message> {
        loop {
            let message = self.rtmp.receive_within(patience())?;
            let is_aside = match message.kind {
                MessageType::ACKNOWLEDGEMENT => true,
                MessageType::USER_CONTROL => message.payload.starts_with(&[0, 6]),
                // It may come when all is well again.
                MessageType::COMMAND => self.was_stalled && describe(&message).ends_with(TOO_SLOW),
                _ => false,
            };
            if !is_aside {
                return Some(message);
            }
        }
    }

    /// Reads all that it must be told, and nothing else: on each message stream in order.
    pub fn check(&mut self, told: &mut Told) {
        let id = self.id;
        while !told.is_done() {
            doing(|| {
                let next = told.expected.values().filter_map(VecDeque::front).map(show);
                let next: Vec<_> = next.collect();
                format!(
                    "client {id} ({}) waits for {}",
                    self.name,
                    next.join(" or ")
                )
            });
            let message = self.next();
            let stream = message.as_ref().map_or(0, stream_of);
            match (told.next(stream), message) {
                (Some(Expected::Line(line)), Some(message)) if is_line(&line, &message) => {}
                (Some(Expected::Media(stream, frame, when)), Some(message))
                    if frame.is_in(&message) =>
                {
                    self.check_media(stream, &frame, when, &message);
                }
                (expected, message) => panic!(
                    "client {id} gets {} instead of {}",
                    show_message(message.as_ref()),
                    expected.as_ref().map_or("nothing".to_owned(), show),
                ),
            }
        }
        if told.ends {
            doing(|| format!("client {id} ({}) waits for the end", self.name));
            let message = self.next();
            let text = show_message(message.as_ref());
            assert!(
                message.is_none(),
                "client {id} gets {text} instead of the end"
            );
        }
    }

    pub fn check_media(&mut self, stream: u32, frame: &Rc<Frame>, when: When, message: &Message) {
        self.times
            .entry(stream)
            .or_default()
            .check(frame, when, message.timestamp.0);
    }

    /// Asks for a sign of life; the line that answers.
    pub fn ping(&mut self) -> String {
        self.pings += 1;
        let ping = UserControl::PingRequest(self.pings).message();
        // It may be hung up on by now.
        let _ = self.rtmp.try_send(&ping);
        format!("pong {}", self.pings)
    }

    /// Asks for another message stream.
    pub fn create_stream(&mut self) -> u32 {
        self.rtmp.call(0, "createStream", 2.0, vec![]);
        doing(|| format!("client {} creates a stream", self.id));
        let line = self
            .next()
            .map(|message| describe(&message))
            .unwrap_or_default();
        let number = line
            .strip_prefix("_result 2 ")
            .and_then(|number| number.parse().ok());
        let number =
            number.unwrap_or_else(|| panic!("client {} creates a stream and gets {line}", self.id));
        self.times.remove(&number);
        number
    }

    pub fn call(&mut self, stream: u32, name: &str, arguments: Vec<Value>) {
        self.rtmp.call(stream, name, 0.0, arguments);
    }

    /// As `call`, where the server may have hung up by now.
    pub fn try_call(&mut self, stream: u32, name: &str, arguments: Vec<Value>) {
        let call = status::call(StreamId(stream), name, 0.0, Value::Null, arguments);
        let _ = self.rtmp.try_send(&call);
    }

    /// Goes without a word.
    pub fn shutdown(self) {
        let _ = self.rtmp.socket.shutdown(Shutdown::Both);
    }

    /// Goes with something unread, which resets the connection.
    pub fn reset(mut self) {
        self.ping();
        // The answer, or the end.
        let _ = self.rtmp.socket.peek(&mut [0]);
    }
}

pub fn is_media(message: &Message) -> bool {
    matches!(
        message.kind,
        MessageType::AUDIO | MessageType::VIDEO | MessageType::DATA
    )
}

fn is_line(line: &str, message: &Message) -> bool {
    !is_media(message) && describe(message) == line
}

/// The message stream that a message is about.
pub fn stream_of(message: &Message) -> u32 {
    match is_media(message) {
        true => message.stream.0,
        false => message_stream(&describe(message)),
    }
}

/// A message in words.
pub fn show_message(message: Option<&Message>) -> String {
    match message {
        None => "the end".to_owned(),
        Some(message) if is_media(message) => {
            let marks = super::frame::Mark::find(&message.payload);
            let front: String = message
                .payload
                .iter()
                .take(12)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!(
                "type {} {front} of {marks:?} @{} on {}",
                message.kind.0, message.timestamp.0, message.stream.0
            )
        }
        Some(message) => describe(message),
    }
}

/// What is expected, in words.
pub fn show(expected: &Expected) -> String {
    match expected {
        Expected::Line(line) => line.clone(),
        Expected::Media(stream, frame, when) => format!("{frame} on {stream} {when:?}"),
    }
}
