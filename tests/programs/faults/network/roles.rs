//! The peers that the network is in front of, and the rest of the way of a stream through them.

use crate::programs::faults::path::{Conditions, Path};
use crate::support::http::{HttpBody, HttpReply};
use crate::support::readers::flv::FlvReader;
use crate::support::real::real;
use crate::support::{Client, TestServer, describe};
use rtmp_server::amf0::Value;
use rtmp_server::rtmp::{Message, MessageType, StreamId, Timestamp};
use std::net::SocketAddr;
use std::time::Duration;

/// More than any cut in these tests.
const PATIENCE: Duration = Duration::from_secs(300);

/// Who is on the other side of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Publisher,
    Viewer,
    /// A viewer of HTTP-FLV.
    Flv,
    /// The server that a relay sends to.
    Destination,
    /// The server that a pull fetches from.
    Origin,
}

impl Role {
    pub const ALL: [Role; 5] = [
        Role::Publisher,
        Role::Viewer,
        Role::Flv,
        Role::Destination,
        Role::Origin,
    ];
}

/// A stream from a publisher to a viewer, with the network somewhere between.
pub struct Scene {
    pub source: Client,
    pub sink: Sink,
    /// The server that is tested.
    pub server: TestServer,
    /// The destination or the origin.
    pub other: Option<TestServer>,
    pub path: Path,
}

/// A viewer of pictures.
pub struct Sink(Viewer);

enum Viewer {
    Rtmp(Box<Client>),
    Flv(FlvReader<HttpBody>),
}

/// Bytes of the picture that a stream begins with.
const FIRST_LEN: usize = 100;

impl Scene {
    /// The stream has begun: its first picture has come.
    pub fn new(role: Role, conditions: Conditions, flags: &str) -> Scene {
        let path = Path::new(conditions);
        let near = path.near();
        let flags = format!("-wait-stream 60s -listen {near}:0 -http-listen {near}:0 {flags}");
        let (server, other) = servers(role, &path, &flags);
        let way = |server: &TestServer| path.to(listener(server, &path));
        let mut source = match (role, &other) {
            (Role::Publisher, _) => Client::publishing(way(&server), "x"),
            (Role::Origin, Some(origin)) => origin.publisher("x"),
            _ => server.publisher("x"),
        };
        source.send(&real("V head 1 @0"));
        source.send(&picture(0, FIRST_LEN));
        let viewer = match (role, &other) {
            (Role::Viewer, _) => Viewer::rtmp(way(&server)),
            (Role::Flv, _) => {
                let reply = HttpReply::get(path.to(server.media_addr()), "/live/x.flv");
                let socket = reply.body.socket();
                socket.set_read_timeout(Some(PATIENCE)).expect("timeout");
                Viewer::Flv(FlvReader::new(reply.body))
            }
            (Role::Destination, Some(destination)) => Viewer::rtmp(destination.addr),
            _ => Viewer::rtmp(server.addr),
        };
        let mut sink = Sink(viewer);
        assert_eq!(sink.next(), Some(0));
        Scene {
            source,
            sink,
            server,
            other,
            path,
        }
    }
}

/// The server that is tested, and another one.
fn servers(role: Role, path: &Path, flags: &str) -> (TestServer, Option<TestServer>) {
    let link = match role {
        Role::Destination => "-relay-to live/x=rtmp://",
        Role::Origin => "-pull live/x=rtmp://",
        _ => return (TestServer::start(flags), None),
    };
    let other = TestServer::start(flags);
    let addr = path.to(listener(&other, path));
    (
        TestServer::start(&format!("{flags} {link}{addr}/live/x")),
        Some(other),
    )
}

/// Where a server listens for what comes over the path.
pub fn listener(server: &TestServer, path: &Path) -> SocketAddr {
    let mut addrs = server.server().addrs().into_iter();
    let addr = addrs.find(|addr| addr.ip() == path.near());
    addr.expect("an address")
}

impl Viewer {
    fn rtmp(addr: SocketAddr) -> Viewer {
        let client = Client::asking_to_play(addr, "x");
        client
            .socket
            .set_read_timeout(Some(PATIENCE))
            .expect("timeout");
        Viewer::Rtmp(Box::new(client))
    }

    /// `None`: the stream or the connection is over.
    fn receive(&mut self) -> Option<Message> {
        match self {
            Viewer::Rtmp(client) => {
                let message = client.receive_within(PATIENCE)?;
                (!describe(&message).starts_with("eof")).then_some(message)
            }
            Viewer::Flv(reader) => reader.next().ok().flatten(),
        }
    }
}

impl Sink {
    /// The number of the next picture.
    pub fn next(&mut self) -> Option<u32> {
        loop {
            let message = self.0.receive()?;
            if let Some(number) = number_of(&message) {
                return Some(number);
            }
        }
    }
}

/// A picture that can be told from others.
pub fn picture(number: u32, len: usize) -> Message {
    let first = match number.is_multiple_of(super::GROUP_LEN) {
        true => 0x17,
        false => 0x27,
    };
    let mut payload = vec![first, 1, 0, 0, 0];
    payload.extend(number.to_be_bytes());
    payload.resize(len, number as u8);
    Message {
        timestamp: Timestamp(number * 40),
        kind: MessageType::VIDEO,
        stream: StreamId(1),
        payload: payload.into(),
    }
}

/// The number of a picture, whose bytes must all be its own.
pub fn number_of(message: &Message) -> Option<u32> {
    let number = message.payload.get(5..9)?.first_chunk()?;
    if message.kind != MessageType::VIDEO || message.payload[1] != 1 {
        return None;
    }
    let number = u32::from_be_bytes(*number);
    let want = picture(number, message.payload.len()).payload;
    assert!(message.payload == want, "picture {number} is damaged");
    Some(number)
}

/// Ends a stream.
pub fn finish(publisher: &mut Client) {
    publisher.call(0, "deleteStream", 0.0, vec![Value::Number(1.0)]);
}
